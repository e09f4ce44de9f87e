// Records over time: one by one where they can be told apart, else how many there are in each column of pixels.

const LANE = 26, LABEL = 92, AXIS = 22;

class Timeline {
	constructor(canvas, total, lanes, bins, records) {
		Object.assign(this, { canvas, total, bins, records, first: 0, last: total });
		this.lanes = lanes.map((name, index) => ({ name, index })).filter(lane => bins[lane.index].some(count => count));
		this.sums = bins.map(lane => {
			const sums = new Float64Array(lane.length + 1);
			lane.forEach((count, at) => { sums[at + 1] = sums[at] + count; });
			return sums;
		});
		this.most = Math.max(1, ...records.lengths.length ? [records.longest] : []);
		canvas.addEventListener("wheel", event => {
			event.preventDefault();
			this.zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7, this.at(event.offsetX));
		}, { passive: false });
		canvas.addEventListener("pointerdown", event => { this.held = event.offsetX; canvas.setPointerCapture(event.pointerId); });
		canvas.addEventListener("pointerup", () => { this.held = undefined; });
		canvas.addEventListener("pointermove", event => this.moved(event));
		canvas.addEventListener("pointerleave", event => showTip(event, ""));
		canvas.addEventListener("keydown", event => this.key(event));
	}

	get width() { return (this.canvas.clientWidth || 800) - LABEL; }
	at(x) { return this.first + (x - LABEL) / this.width * (this.last - this.first); }
	x(ns) { return LABEL + (ns - this.first) / (this.last - this.first) * this.width; }

	show(first, last) {
		const length = Math.min(Math.max(last - first, 100), this.total);
		this.first = Math.min(Math.max(first, 0), this.total - length);
		this.last = this.first + length;
		this.draw();
	}

	zoom(factor, about) { this.show(about - (about - this.first) * factor, about + (this.last - about) * factor); }

	key(event) {
		const length = this.last - this.first, middle = (this.first + this.last) / 2;
		const act = {
			"+": () => this.zoom(0.5, middle), "=": () => this.zoom(0.5, middle), "-": () => this.zoom(2, middle),
			"0": () => this.show(0, this.total), ArrowLeft: () => this.show(this.first - length / 4, this.last - length / 4),
			ArrowRight: () => this.show(this.first + length / 4, this.last + length / 4),
		}[event.key];
		if (act) { event.preventDefault(); act(); }
	}

	// Index of the first record that began at `ns` or later.
	search(ns) {
		let low = 0, high = this.records.times.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.records.times[middle] < ns) low = middle + 1; else high = middle;
		}
		return low;
	}

	draw() {
		const [context, width, height] = prepare(this.canvas, this.lanes.length * LANE + AXIS);
		// What began before the picture may reach into it: the longest that there is, at most.
		const from = this.search(this.first - this.most), to = this.search(this.last);
		const single = to - this.search(this.first) < 20000;
		this.lanes.forEach((lane, row) => {
			context.fillStyle = ink("--dim");
			context.fillText(lane.name, 0, row * LANE + LANE / 2);
			context.fillStyle = ink("--rule");
			context.fillRect(LABEL, (row + 1) * LANE - 1, width - LABEL, 1);
		});
		if (single) this.drawRecords(context, from, to); else this.drawBins(context);
		const ticks = Math.max(2, Math.floor(this.width / 140));
		for (let tick = 0; tick < ticks; tick++) {
			const ns = this.first + (this.last - this.first) * tick / ticks;
			context.fillStyle = ink("--dim");
			context.fillText(duration(ns), this.x(ns) + 3, height - AXIS / 2);
			context.fillStyle = ink("--rule");
			context.fillRect(this.x(ns), 0, 1, height - 4);
		}
		const count = number(to - this.search(this.first));
		document.getElementById("range").textContent =
			`${duration(this.first)} to ${duration(this.last)}: ${count} records${this.records.stride > 1 ? " of those shown" : ""}`;
	}

	drawBins(context) {
		const each = this.bins[0].length / this.total;
		this.lanes.forEach((lane, row) => {
			const sums = this.sums[lane.index], last = sums.length - 1;
			const upto = ns => {
				const place = Math.min(Math.max(ns * each, 0), last), whole = Math.floor(place);
				return sums[whole] + (whole < last ? (sums[whole + 1] - sums[whole]) * (place - whole) : 0);
			};
			const counts = [];
			for (let x = 0; x < this.width; x++) counts.push(upto(this.at(LABEL + x + 1)) - upto(this.at(LABEL + x)));
			const most = Math.log1p(Math.max(...counts));
			context.fillStyle = colours[lane.index % colours.length];
			counts.forEach((count, x) => {
				const size = most ? Math.log1p(count) / most * (LANE - 6) : 0;
				if (count > 1e-6) context.fillRect(LABEL + x, (row + 1) * LANE - 2 - Math.max(size, 1), 1, Math.max(size, 1));
			});
		});
	}

	drawRecords(context, from, to) {
		const row = new Map(this.lanes.map((lane, at) => [lane.index, at]));
		for (let at = from; at < to; at++) {
			const begin = this.records.times[at], x = this.x(begin), end = this.x(begin + this.records.lengths[at]);
			if (end < LABEL) continue;
			const lane = this.records.lanes[at], left = Math.max(x, LABEL);
			context.fillStyle = colours[lane % colours.length];
			context.fillRect(left, row.get(lane) * LANE + 4, Math.max(end - left, 1.2), LANE - 8);
			if (end - left > 60) {
				context.fillStyle = "#fff";
				context.fillText(this.records.names[this.records.what[at]].slice(0, Math.floor((end - left) / 7)), left + 3,
					row.get(lane) * LANE + LANE / 2);
			}
		}
	}

	moved(event) {
		if (this.held !== undefined) {
			const by = (this.held - event.offsetX) / this.width * (this.last - this.first);
			this.held = event.offsetX;
			this.show(this.first + by, this.last + by);
			return;
		}
		const lane = this.lanes[Math.floor(event.offsetY / LANE)];
		showTip(event, lane && event.offsetX > LABEL ? this.describe(lane, this.at(event.offsetX)) : "");
	}

	// The record of a lane that is drawn at `ns`, or the nearest one that began before.
	describe(lane, ns) {
		const near = (this.last - this.first) / this.width * 3;
		for (let at = this.search(ns + near) - 1, tries = 0; at >= 0 && tries < 20000; at--, tries++) {
			if (this.records.lanes[at] !== lane.index) continue;
			const begin = this.records.times[at], length = this.records.lengths[at];
			if (begin + length + near < ns) return `${lane.name} at ${duration(ns)}`;
			return `${this.records.names[this.records.what[at]]}\n${lane.name} at ${duration(begin)}` +
				(length ? `, took ${duration(length)}` : "");
		}
		return lane.name;
	}
}
