// The tables of a summary, sorted by any column, with the rows that hold a text.

const COLUMNS = [
	["name", row => row.name, true], ["count", row => row.count], ["share", row => row.share, false, value => `${(value * 100).toFixed(1)}%`],
	["per s", row => row.rate, false, value => number(Math.round(value))],
	...["total", "mean", "p50", "p90", "p99", "most"].map(figure =>
		[figure, row => row.latency_ns ? row.latency_ns[figure] : undefined, false, duration]),
	["mostly", row => row.mostly, true],
];

class Tables {
	constructor(tables) {
		Object.assign(this, { tables, by: 1, falling: true });
		this.select = document.getElementById("table-of");
		this.filter = document.getElementById("filter");
		for (const title of Object.keys(tables)) this.select.add(new Option(title));
		this.select.addEventListener("change", () => this.draw());
		this.filter.addEventListener("input", () => this.draw());
	}

	draw() {
		const all = this.tables[this.select.value] || [], wanted = this.filter.value.toLowerCase();
		const columns = COLUMNS.filter(([, get]) => all.some(row => get(row) !== undefined));
		const rows = all.filter(row => `${row.name} ${row.mostly || ""}`.toLowerCase().includes(wanted));
		const get = (columns[this.by] || columns[0] || COLUMNS[0])[1];
		rows.sort((one, other) => {
			const [a, b] = [get(one), get(other)];
			const order = typeof a === "string" ? a.localeCompare(b) : (a ?? -1) - (b ?? -1);
			return this.falling ? -order : order;
		});
		const head = document.createElement("tr");
		columns.forEach(([title, , text], index) => {
			const cell = document.createElement("th"), button = document.createElement("button");
			cell.className = text ? "text" : "";
			cell.ariaSort = index === this.by ? (this.falling ? "descending" : "ascending") : "none";
			button.textContent = title + (index === this.by ? (this.falling ? " \u2193" : " \u2191") : "");
			button.addEventListener("click", () => {
				this.falling = index === this.by ? !this.falling : !text;
				this.by = index;
				this.draw();
			});
			cell.append(button);
			head.append(cell);
		});
		document.querySelector("#table thead").replaceChildren(head);
		document.querySelector("#table tbody").replaceChildren(...rows.slice(0, 2000).map(row => {
			const line = document.createElement("tr");
			for (const [, value, text, write] of columns) {
				const cell = document.createElement("td"), found = value(row);
				cell.className = text ? "text" : "";
				cell.textContent = found === undefined ? "" : write ? write(found) : typeof found === "number" ? number(found) : found;
				line.append(cell);
			}
			return line;
		}));
		document.getElementById("rows").textContent = `${number(rows.length)} of ${number(all.length)} rows`;
	}
}
