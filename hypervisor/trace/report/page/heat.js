// How long operations took, over time: the darker, the more of them.

class Heat {
	constructor(canvas, heat, total) {
		Object.assign(this, { canvas, heat, total });
		this.select = document.getElementById("heat-of");
		for (const name of Object.keys(heat.maps)) this.select.add(new Option(name));
		this.select.addEventListener("change", () => this.draw());
		canvas.addEventListener("pointermove", event => this.tell(event));
		canvas.addEventListener("pointerleave", event => showTip(event, ""));
	}

	draw() {
		const cells = this.heat.maps[this.select.value] || [], { times, steps } = this.heat;
		const rows = cells.map(cell => Math.floor(cell[0] / times));
		this.low = Math.max(0, Math.min(...rows, 1e9) - 1);
		this.high = Math.max(...rows, 1) + 2;
		const [context, width, height] = prepare(this.canvas, 220);
		this.box = { width: (width - LABEL) / times, height: (height - AXIS) / (this.high - this.low) };
		const most = Math.log1p(Math.max(...cells.map(cell => cell[1]), 1));
		for (const [cell, count] of cells) {
			const row = Math.floor(cell / times), strength = Math.log1p(count) / most;
			context.fillStyle = `hsl(${220 - 190 * strength} 80% ${62 - 16 * strength}%)`;
			context.fillRect(LABEL + cell % times * this.box.width, height - AXIS - (row + 1 - this.low) * this.box.height,
				this.box.width + 0.3, this.box.height + 0.3);
		}
		context.fillStyle = ink("--dim");
		for (let row = Math.ceil(this.low / (steps * 2)) * steps * 2; row < this.high; row += steps * 2)
			context.fillText(duration(2 ** (row / steps)), 0, height - AXIS - (row - this.low) * this.box.height);
		for (let tick = 0; tick < 6; tick++)
			context.fillText(duration(this.total * tick / 6), LABEL + (width - LABEL) * tick / 6, height - AXIS / 2);
	}

	tell(event) {
		const { times, steps } = this.heat, column = Math.floor((event.offsetX - LABEL) / this.box.width);
		const row = this.low + Math.floor((this.canvas.clientHeight - AXIS - event.offsetY) / this.box.height);
		const found = (this.heat.maps[this.select.value] || []).find(cell => cell[0] === row * times + column);
		showTip(event, found ? `${number(found[1])} took ${duration(2 ** (row / steps))} to ` +
			`${duration(2 ** ((row + 1) / steps))}\nabout ${duration(this.total * column / times)}` : "");
	}
}
