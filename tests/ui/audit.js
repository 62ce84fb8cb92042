// What a page lacks for those who do not see it, or use no mouse; one sentence each.
const wrong = [];
const shown = (e) => e.getClientRects().length > 0;
const text = (e) => (e.textContent || "").trim();
const named = (e) =>
  e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || text(e) ||
  (e.labels && [...e.labels].some(text));

if (!document.documentElement.lang) wrong.push("the page names no language");
if (document.querySelectorAll("h1").length !== 1) wrong.push("the page has not one h1");
if (!document.querySelector("main")) wrong.push("the page has no main");
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} is there twice`);
for (const attribute of ["aria-labelledby", "aria-describedby", "for", "list", "form"]) {
  for (const e of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of e.getAttribute(attribute).split(" ")) {
      if (!document.getElementById(id)) wrong.push(`${attribute}="${id}" leads nowhere`);
    }
  }
}
for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary, progress")) {
  if (!named(e)) wrong.push(`no name: ${e.outerHTML.slice(0, 120)}`);
}
for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) wrong.push(`no alt: ${e.outerHTML}`);
for (const e of document.querySelectorAll("svg")) {
  if (!e.getAttribute("role") && e.getAttribute("aria-hidden") !== "true") wrong.push("a drawing without a role");
}
for (const e of document.querySelectorAll("table")) if (!e.querySelector("th[scope]")) wrong.push("a table without headings");

// Contrast (WCAG 2.2, 1.4.3): 4.5 to 1, or 3 to 1 for large text.
const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
const ground = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor);
    if (color[3] > 250) return color;
  }
  return [255, 255, 255, 255];
};
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !shown(e) || e.closest("svg, .unseen, .skip, datalist, option")) continue;
  const style = getComputedStyle(e);
  const [a, b] = [luminance(rgba(style.color)), luminance(ground(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const large = parseFloat(style.fontSize) >= 18.66 && parseInt(style.fontWeight, 10) >= 700;
  if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${text(e).slice(0, 60)}`);
}
return [...new Set(wrong)];
