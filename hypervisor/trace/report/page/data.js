"use strict";
// What the page shows, and what all of its pictures need.

const data = JSON.parse(document.getElementById("data").textContent);
const colours = ["#3b76c4", "#c2552d", "#2f9a5d", "#b3263e", "#8a6a00", "#6a4fb3", "#1d8f9a", "#a04a94", "#7d848f", "#c9a227"];
const style = () => getComputedStyle(document.documentElement);
const ink = name => style().getPropertyValue(name).trim();

async function unpack(text, Kind) {
	const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Kind(await new Response(stream).arrayBuffer());
}

function duration(ns) {
	for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "us"]])
		if (ns >= size) return `${(ns / size).toPrecision(4)} ${unit}`;
	return `${Math.round(ns)} ns`;
}

const number = value => value.toLocaleString("en");

// A canvas as large as it is shown, on screens of any density; returns its context and its size in CSS pixels.
function prepare(canvas, height) {
	const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth || 800;
	canvas.style.height = `${height}px`;
	if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
		canvas.width = Math.round(width * ratio);
		canvas.height = Math.round(height * ratio);
	}
	const context = canvas.getContext("2d");
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	context.font = "12px system-ui, sans-serif";
	context.textBaseline = "middle";
	return [context, width, height];
}

const tip = document.getElementById("tip");
function showTip(event, text) {
	tip.hidden = !text;
	if (!text) return;
	tip.textContent = text;
	const box = tip.getBoundingClientRect();
	tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
	tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
}
