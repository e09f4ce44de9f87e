// Who calls whom, the outermost below nobody: a box is as wide as what was asked for within it.

const BOX = 19;

class Flame {
	constructor(canvas, root) {
		Object.assign(this, { canvas, root, top: root, by: "c", boxes: [], trail: [] });
		canvas.addEventListener("pointermove", event => {
			const box = this.find(event);
			showTip(event, box ? `${box.node.n}\n${number(box.node.c)} operations, ${duration(box.node.t)}` : "");
		});
		canvas.addEventListener("pointerleave", event => showTip(event, ""));
		canvas.addEventListener("click", event => { const box = this.find(event); if (box) this.enter(box.node); });
		canvas.addEventListener("keydown", event => { if (event.key === "Escape") this.back(); });
		for (const input of document.getElementsByName("by"))
			input.addEventListener("change", () => { this.by = input.value; this.draw(); });
	}

	enter(node) {
		if (node === this.top) { this.back(); return; }
		this.trail.push(this.top);
		this.top = node;
		this.draw();
	}

	back() { this.top = this.trail.pop() || this.root; this.draw(); }
	find(event) {
		return this.boxes.find(box => event.offsetX >= box.x && event.offsetX < box.x + box.width &&
			event.offsetY >= box.y && event.offsetY < box.y + BOX);
	}

	depth(node) { return 1 + Math.max(0, ...(node.k || []).map(child => this.depth(child))); }

	draw() {
		const [context, width] = prepare(this.canvas, Math.min(this.depth(this.top), 64) * BOX + 4);
		this.boxes = [];
		const place = (node, x, room, level) => {
			if (room < 0.7) return;
			this.boxes.push({ node, x, width: room, y: level * BOX });
			let hash = 0;
			for (const letter of node.n) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
			context.fillStyle = level ? `hsl(${15 + hash % 40} ${60 + hash % 25}% ${52 + (hash >> 8) % 12}%)` : ink("--rule");
			context.fillRect(x, level * BOX, Math.max(room - 0.6, 0.4), BOX - 1);
			if (room > 34) {
				context.fillStyle = level ? "#1d1205" : ink("--ink");
				context.fillText(node.n.slice(0, Math.floor((room - 6) / 6.6)), x + 3, level * BOX + BOX / 2);
			}
			const whole = node[this.by] || 1;
			for (const child of node.k || []) {
				const part = room * child[this.by] / whole;
				place(child, x, part, level + 1);
				x += part;
			}
		};
		place(this.top, 0, width, 0);
	}
}
