// Puts the page together. With #selftest in its address it also uses itself, and tells how long that took.

async function main() {
	const heading = data.heading, total = Math.max(1, heading.seconds * 1e9);
	document.getElementById("title").textContent = data.title;
	document.getElementById("heading").textContent =
		`${heading.kernel}, recorded ${new Date(heading.start).toLocaleString()}: ${number(heading.shown)} of ` +
		`${number(heading.records)} records in ${heading.seconds.toFixed(3)} s, ${number(heading.lost)} lost` +
		[["only", heading.only], ["callers", heading.caller], ["where", heading.where]]
			.map(([name, value]) => value ? `; ${name} ${value}` : "").join("");
	const notices = [...data.notices];
	if (data.records.stride > 1)
		notices.push(`the timeline shows every ${data.records.stride}th record one by one; figures are those of all`);
	for (const notice of notices) {
		const item = document.createElement("li");
		item.textContent = notice;
		document.getElementById("notices").append(item);
	}
	const tables = new Tables(data.tables), heat = new Heat(document.getElementById("heat"), data.heat, total);
	const flame = new Flame(document.getElementById("flame"), data.flame);
	tables.draw();
	heat.draw();
	flame.draw();
	const packed = data.records;
	const [steps, lengths, lanes, what, ...bins] = await Promise.all([
		unpack(packed.steps, Float64Array), unpack(packed.lengths, Uint32Array), unpack(packed.lanes, Uint8Array),
		unpack(packed.what, Uint32Array), ...data.bins.map(lane => unpack(lane, Uint32Array)),
	]);
	let time = 0, longest = 1;
	const times = steps.map(step => (time += step));
	for (const length of lengths) if (length > longest) longest = length;
	const records = { times, lengths, lanes, what, names: packed.names, stride: packed.stride, longest };
	const timeline = new Timeline(document.getElementById("timeline"), total, data.lanes, bins, records);
	timeline.draw();
	window.addEventListener("resize", () => { timeline.draw(); heat.draw(); flame.draw(); });
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { timeline.draw(); heat.draw(); flame.draw(); });
	return { timeline, heat, flame, tables, records };
}

function selfTest({ timeline, tables, flame, heat, records }, ready) {
	const timed = act => { const before = performance.now(); act(); return performance.now() - before; };
	const found = { ready, records: records.times.length, errors: [] };
	found.zoom = Math.max(...[1, 2, 4, 8, 16, 32, 64, 128, 4096].map(part =>
		timed(() => timeline.show(total(timeline) * 0.4, total(timeline) * 0.4 + total(timeline) / part))));
	found.range = document.getElementById("range").textContent;
	timeline.show(0, total(timeline));
	found.all = document.getElementById("range").textContent;
	found.flame = timed(() => { if (flame.root.k) flame.enter(flame.root.k[0]); flame.back(); });
	found.heat = timed(() => heat.draw());
	found.filter = timed(() => { tables.filter.value = tables.tables.hypercalls ? tables.tables.hypercalls[0].name : ""; tables.draw(); });
	tables.filter.value = "";
	found.rows = {};
	for (const title of Object.keys(tables.tables)) {
		tables.select.value = title;
		tables.draw();
		found.rows[title] = document.querySelectorAll("#table tbody tr").length;
	}
	tables.select.selectedIndex = 0;
	tables.draw();
	found.tip = timeline.lanes.map(lane => timeline.describe(lane, total(timeline) / 2));
	document.documentElement.dataset.selftest = JSON.stringify(found);
}

const total = timeline => timeline.total;
window.addEventListener("error", event => { document.documentElement.dataset.error = event.message; });
window.addEventListener("unhandledrejection", event => { document.documentElement.dataset.error = String(event.reason); });
main().then(parts => { if (location.hash === "#selftest") selfTest(parts, performance.now()); });
