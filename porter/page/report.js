"use strict";
/* The report's table and details. All text is put in as text, never as markup; rows exist only while they are seen. */
(() => {
	const data = JSON.parse(document.getElementById("data").textContent);
	const ROW = 26, SPARE = 12, LIST_FILES = 400, REASONS = 100;
	const byId = (id) => document.getElementById(id);
	const make = (tag, text, name) => {
		const node = document.createElement(tag);
		if (text !== undefined) node.textContent = text;
		if (name) node.className = name;
		return node;
	};
	const number = (value) => value.toLocaleString("en");

	// --- the instructions ---------------------------------------------------------------------------------
	const words = data.words;
	const sites = data.sites.map((fields) => {
		const site = {};
		data.fields.forEach((name, index) => {
			site[name] = data.indexed.includes(name) ? words[fields[index]] : fields[index];
		});
		return site;
	});
	sites.forEach((site, index) => {
		site.index = index;
		site.source = site.file ? `${site.file}:${site.line}` : "";
		site.where = site.address === undefined || site.address === null ? site.source
			: `0x${site.address.toString(16).padStart(8, "0")}  ${site.source || site.section}`;
		site.haystack = [site.where, site.text, site.macro, site.group, site.reason, site.symbol, site.input]
			.join("\n").toLowerCase();
	});
	const costs = ["inline", "gate", "exit", "none"];
	const columns = [
		{ title: "Where", width: "minmax(150px, 1.5fr)", value: (s) => s.where, kind: "code",
			order: (a, b) => a.index - b.index },
		{ title: "Instruction", width: "minmax(120px, 1.6fr)", value: (s) => s.text.replace(/\s+/g, " "), kind: "code" },
		{ title: "Class", width: "minmax(96px, 1fr)", value: (s) => s.group },
		{ title: "Treatment", width: "80px", value: (s) => s.treatment, kind: (s) => s.treatment },
		...(data.command === "port" ? [
			{ title: "Becomes", width: "minmax(110px, 1.2fr)", value: (s) => s.macro || s.remedy,
				kind: (s) => s.macro ? "code" : "stays" },
			{ title: "Cost", width: "52px", value: (s) => s.cost === "none" ? "" : s.cost,
				order: (a, b) => costs.indexOf(a.cost) - costs.indexOf(b.cost) }] : [
			{ title: "In ring 3", width: "minmax(90px, 1fr)", value: (s) => s.ring3 }]),
		...(data.hot ? [{ title: "Times", width: "84px", value: (s) => s.times ? number(s.times) : "", kind: "number",
			order: (a, b) => (b.times || 0) - (a.times || 0) }] : []),
	];
	columns.forEach((column) => {
		column.order ||= (a, b) => column.value(a).localeCompare(column.value(b), "en", { numeric: true });
	});
	document.documentElement.style.setProperty("--columns", columns.map((c) => c.width).join(" "));

	// --- filters and order --------------------------------------------------------------------------------
	const filters = ["treatment", "group", "cost", "file"];
	let shown = sites, sorted = 0, backwards = false, chosen = -1;
	const count = (name) => {
		const counts = new Map();
		for (const site of sites) counts.set(site[name], (counts.get(site[name]) || 0) + 1);
		return counts;
	};
	const titles = { treatment: "Any treatment", group: "Any class", cost: "Any cost", file: "Any file" };
	for (const name of filters) {
		const select = byId(name);
		const counts = [...count(name)].sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true }));
		const all = make("option", titles[name]);
		all.value = "*";
		select.append(all);
		for (const [value, times] of counts) {
			const option = make("option", `${value || "(not known)"} (${number(times)})`);
			option.value = `=${value}`;
			select.append(option);
		}
		select.hidden = counts.length < 2;
		select.addEventListener("change", () => update());
	}

	function update() {
		const needle = byId("search").value.toLowerCase().trim();
		const wanted = filters.map((name) => [name, byId(name).value]).filter(([, value]) => value !== "*");
		shown = sites.filter((site) => wanted.every(([name, value]) => `=${site[name]}` === value)
			&& (!needle || site.haystack.includes(needle)));
		const order = columns[sorted].order;
		if (sorted !== 0) shown.sort((a, b) => order(a, b) || a.index - b.index);
		if (backwards) shown.reverse();
		byId("shown").textContent = `${number(shown.length)} of ${number(sites.length)}`;
		byId("space").style.height = `${shown.length * ROW}px`;
		byId("view").scrollTop = 0;
		chosen = -1;
		heads();
		if (shown.length) choose(0);
		else draw();
	}

	function heads() {
		byId("head").replaceChildren(...columns.map((column, index) => {
			const mark = index === sorted ? (backwards ? " \u25be" : " \u25b4") : "";
			const button = make("button", column.title + mark);
			button.type = "button";
			button.addEventListener("click", () => {
				backwards = index === sorted && !backwards;
				sorted = index;
				update();
			});
			return button;
		}));
	}

	// --- the rows that are seen ---------------------------------------------------------------------------
	function draw() {
		const view = byId("view"), rows = byId("rows");
		const first = Math.max(0, Math.floor(view.scrollTop / ROW) - SPARE);
		const last = Math.min(shown.length, Math.ceil((view.scrollTop + view.clientHeight) / ROW) + SPARE);
		rows.style.top = `${first * ROW}px`;
		const made = [];
		for (let at = first; at < last; at++) {
			const site = shown[at];
			const row = make("div", undefined, at === chosen ? "row chosen" : "row");
			row.setAttribute("role", "row");
			for (const column of columns) {
				const kind = typeof column.kind === "function" ? column.kind(site) : column.kind;
				const cell = make("span", column.value(site), kind);
				cell.title = cell.textContent;
				row.append(cell);
			}
			row.addEventListener("click", () => choose(at));
			made.push(row);
		}
		rows.replaceChildren(...made);
	}

	function choose(at) {
		if (at < 0 || at >= shown.length) return;
		chosen = at;
		const view = byId("view");
		if (at * ROW < view.scrollTop) view.scrollTop = at * ROW;
		if ((at + 1) * ROW > view.scrollTop + view.clientHeight) view.scrollTop = (at + 1) * ROW - view.clientHeight;
		draw();
		detail(shown[at]);
	}

	// --- one instruction ----------------------------------------------------------------------------------
	const costMeaning = {
		inline: "inline: a few instructions in place, no call",
		gate: "gate: a far jump into the monitor and back, some 50 ns",
		exit: "exit: a gate whose answer may need the VMM, some microseconds",
	};
	const treatmentMeaning = {
		ported: "ported", left: "left as it is, and sensitive", stays: "stays: rightly native",
		refused: "refused: not i386", unreached: "in bytes that nothing shows to be code",
	};

	function detail(site) {
		const panel = byId("detail");
		const list = make("dl");
		const say = (term, text, name) => {
			if (text === undefined || text === null || text === "") return;
			list.append(make("dt", term), make("dd", text, name));
		};
		say("Treatment", treatmentMeaning[site.treatment], site.treatment);
		say("Becomes", site.macro);
		say("Cost", costMeaning[site.cost]);
		say("Class", site.group);
		say("Left alone", `in ring 3: ${site.ring3}`);
		say("Why", site.reason);
		say("What to do", site.remedy);
		if (site.times) say("Profile", `${number(site.times)} times, ${(site.seconds * 1000).toFixed(1)} ms`);
		say("File", site.input);
		if (site.address !== undefined && site.address !== null) {
			say("Address", `0x${site.address.toString(16).padStart(8, "0")} in ${site.section}`);
			say("Bytes", site.bytes);
			say("Symbol", site.symbol);
		}
		panel.replaceChildren(make("h3", site.source || site.where), make("code", site.text), list);
		const lines = data.lines[site.file];
		if (!lines) return;
		const source = make("pre", undefined, "source");
		for (let line = site.line - data.around; line <= site.line + data.around; line++) {
			if (!(line in lines)) continue;
			const row = make("div", undefined, line === site.line ? "at" : "");
			row.append(make("span", line), lines[line] || " ");
			source.append(row);
		}
		if (source.childElementCount) panel.append(make("h2", "Source"), source);
	}

	// --- overview -----------------------------------------------------------------------------------------
	function card(title, wide) {
		const box = make("div", undefined, wide ? "card wide" : "card");
		box.append(make("h2", title));
		byId("cards").append(box);
		return box;
	}

	function counts(title, field, name, most) {
		const treatments = data.treatments.filter((t) => sites.some((site) => site.treatment === t));
		const table = make("table"), top = make("tr");
		top.append(make("th", ""), ...treatments.map((t) => make("th", t, t)));
		table.append(top);
		const groups = new Map();
		for (const site of sites) {
			if (!groups.has(site[field])) groups.set(site[field], new Map());
			const group = groups.get(site[field]);
			group.set(site.treatment, (group.get(site.treatment) || 0) + 1);
		}
		const total = (group) => [...group.values()].reduce((a, b) => a + b, 0);
		const ordered = [...groups].sort((a, b) => total(b[1]) - total(a[1]));
		for (const [value, group] of ordered.slice(0, most)) {
			const row = make("tr"), cell = make("td"), button = make("button", value || "(not known)");
			button.type = "button";
			button.addEventListener("click", () => {
				byId(name).value = `=${value}`;
				update();
			});
			cell.append(button);
			row.append(cell, ...treatments.map((t) => make("td", group.has(t) ? number(group.get(t)) : "")));
			table.append(row);
		}
		const box = card(title);
		box.append(table);
		if (ordered.length > most) box.append(make("p", `and ${number(ordered.length - most)} more`));
	}

	if (sites.length) {
		counts("Classes", "group", "group", 100);
		counts("Files", "file", "file", LIST_FILES);
	}
	const open = new Map();
	for (const site of sites) {
		if (site.treatment === "ported") continue;
		const key = `${site.treatment}\n${site.reason}`;
		if (!open.has(key)) open.set(key, { site, times: 0 });
		open.get(key).times++;
	}
	if (open.size) {
		const box = card("Not ported: why, and what to do", true), table = make("table", undefined, "reasons");
		for (const { site, times } of [...open.values()].sort((a, b) => b.times - a.times).slice(0, REASONS)) {
			const row = make("tr"), cell = make("td"), button = make("button", site.reason || site.treatment);
			button.type = "button";
			button.addEventListener("click", () => {
				byId("search").value = site.reason;
				byId("treatment").value = `=${site.treatment}`;
				update();
			});
			cell.append(button, make("p", site.remedy));
			row.append(make("td", number(times), site.treatment), cell);
			table.append(row);
		}
		box.append(table);
		if (open.size > REASONS) box.append(make("p", `and ${number(open.size - REASONS)} more`));
	}
	for (const part of data.notes) {
		const box = card(part.title, true);
		for (const note of part.notes) {
			box.append(make("p", note.text));
			if (note.code) box.append(make("pre", note.code));
		}
	}
	if (!byId("cards").childElementCount) byId("overview").hidden = true;

	// --- events -------------------------------------------------------------------------------------------
	byId("search").addEventListener("input", () => update());
	byId("filters").addEventListener("reset", () => setTimeout(update));
	byId("filters").addEventListener("submit", (event) => event.preventDefault());
	let drawing = false;
	byId("view").addEventListener("scroll", () => {
		if (drawing) return;
		drawing = true;
		requestAnimationFrame(() => { drawing = false; draw(); });
	});
	byId("view").addEventListener("keydown", (event) => {
		const page = Math.floor(byId("view").clientHeight / ROW);
		const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -chosen, End: shown.length - 1 - chosen };
		if (!(event.key in by)) return;
		event.preventDefault();
		choose(Math.max(0, Math.min(shown.length - 1, chosen + by[event.key])));
	});
	addEventListener("resize", draw);
	update();
})();
