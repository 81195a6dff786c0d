// Opens a report in Chromium, on screens of several widths and on paper, and writes what is to be seen there as JSON.
// usage: node look.mjs NODE_MODULES PAGE PDF
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, page, pdf] = process.argv.slice(2);
const { chromium } = createRequire(path.resolve(modules, "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const seen = { messages: [], requests: [], widths: [] };

// measure says what of a page is wider than its room, or has a text that nobody can read.
function measure() {
	const outside = [], hidden = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const luminance = (c) => {
		const [r, g, b] = c.match(/[\d.]+/g).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const page = luminance(getComputedStyle(document.body).backgroundColor === "rgba(0, 0, 0, 0)" ? "rgb(255, 255, 255)" : getComputedStyle(document.body).backgroundColor);
	let faint = 21;
	while (walker.nextNode()) {
		const element = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || element.closest("svg") || element.closest("thead")) continue;
		const range = document.createRange();
		range.selectNodeContents(walker.currentNode);
		const box = range.getBoundingClientRect();
		if (box.width === 0 || box.height === 0) {
			if (!element.closest("td.zero")) hidden.push(walker.currentNode.data.trim());
			continue;
		}
		if (box.left < -0.5 || box.right > document.documentElement.clientWidth + 0.5) outside.push(walker.currentNode.data.trim());
		const ink = luminance(getComputedStyle(element).color);
		faint = Math.min(faint, (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05));
	}
	const root = document.documentElement;
	const cut = [...document.querySelectorAll("section")].filter((s) => s.scrollWidth > s.clientWidth + 1).map((s) => s.innerText.slice(0, 40));
	return { client: root.clientWidth, scroll: root.scrollWidth, outside: outside.concat(cut), hidden, faint };
}

for (const [width, scheme, media] of [[360, "light", "screen"], [768, "light", "screen"], [1121, "light", "screen"], [1280, "light", "screen"], [1280, "dark", "screen"], [725, "light", "print"]]) {
	const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme });
	const tab = await context.newPage();
	tab.on("console", (m) => seen.messages.push(m.text()));
	tab.on("pageerror", (e) => seen.messages.push(String(e)));
	tab.on("request", (r) => seen.requests.push(r.url()));
	await tab.emulateMedia({ media, colorScheme: scheme });
	await tab.goto(pathToFileURL(page).href);
	seen.widths.push({ width, scheme, media, ...(await tab.evaluate(measure)) });
	if (width === 1280 && scheme === "light") {
		Object.assign(seen, await tab.evaluate(() => ({
			language: document.documentElement.lang,
			title: document.title,
			tiles: [...document.querySelectorAll(".tiles > div")].map((d) => d.querySelector("dd").innerText),
			nights: [...document.querySelectorAll("table.nights tbody:not(.total) tr")].map((r) => [...r.querySelectorAll("th, td")].map((c) => c.innerText.split("\n")[0])),
			total: [...document.querySelectorAll("table.nights .total tr > *")].map((c) => c.innerText.split("\n")[0]),
			files: document.querySelectorAll("table.files tbody tr").length,
			scripts: document.scripts.length,
			images: [...document.querySelectorAll("svg")].map((s) => [s.querySelector("title").textContent, s.querySelector("desc").textContent]),
			// The height of each night's column of recordings, as it is drawn.
			columns: [...document.querySelectorAll("svg[aria-labelledby^=items] g")].map((g) => [...g.querySelectorAll("rect")].reduce((sum, r) => sum + r.getBoundingClientRect().height, 0)),
			drawing: document.querySelector("svg")?.getBoundingClientRect().height ?? 0,
		})));
		await tab.emulateMedia({ media: null });
		await tab.pdf({ path: pdf, preferCSSPageSize: true });
	}
	await context.close();
}
await browser.close();
console.log(JSON.stringify(seen));
