// Keeps the page current. The server sends, for each element that carries a
// data-live key, the same HTML that the page itself was made of; without this
// script the page reads as well, it only stands still.
"use strict";

const source = document.querySelector("[data-stream]");
const announcer = document.getElementById("announcer");
const indicator = document.getElementById("stream-state");

function show(message) {
  for (const [key, html] of Object.entries(message.html)) {
    const element = document.querySelector(`[data-live="${CSS.escape(key)}"]`);
    if (element && element.innerHTML !== html) replace(element, html);
  }
  if (message.rows) add(message.rows, message.after);
  // Screen readers hear stages, never percentages.
  if (message.say && announcer) announcer.textContent = message.say;
}

// The link that has the focus keeps it.
function replace(element, html) {
  const focused = element.contains(document.activeElement) && document.activeElement.getAttribute("href");
  element.innerHTML = html;
  if (focused) element.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

// New rows of a list come on top; what no longer fits is behind its link to older ones.
const MOST_ROWS = 500;

function add(rows, after) {
  const body = document.querySelector("tbody[data-live-rows]");
  if (!body) return location.reload();
  body.insertAdjacentHTML("afterbegin", rows);
  const next = new URL(source.dataset.stream, location);
  next.searchParams.set("after", after);
  source.dataset.stream = next;
  if (body.rows.length <= MOST_ROWS) return;
  const older = document.querySelector("a[rel=next]");
  if (!older) return location.reload();
  while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
  const url = new URL(older.href);
  url.searchParams.set("before", body.lastElementChild.dataset.number);
  older.href = url;
}

function say(state, text) {
  if (!indicator) return;
  indicator.dataset.state = state;
  indicator.textContent = text;
}

// A browser has six connections per server, for all its tabs: only what somebody sees is followed.
let stream = null;
let paused = false;

function follow() {
  if (document.hidden || stream || paused) return;
  stream = new EventSource(source.dataset.stream);
  stream.addEventListener("open", () => say("live", "updates itself"));
  stream.addEventListener("error", () => say("lost", "not updating: no answer from the server"));
  stream.addEventListener("message", (event) => show(JSON.parse(event.data)));
}

function rest() {
  if (stream) stream.close();
  stream = null;
}

if (source) {
  follow();
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : follow()));
  window.addEventListener("pagehide", rest);
}

const pause = document.querySelector("[data-pause]");
if (pause && source) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (!paused) return follow();
    rest();
    say("paused", "paused");
  });
}

// The browser's clipboard exists on HTTPS and on loopback alone; elsewhere the selection is copied.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser does not copy");
}

// Controls that only help where the script runs, such as "Copy".
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await copy(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it";
    }
    button.focus();
  });
}

const print = document.querySelector("button[data-print]");
if (print) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}

// Keys: / searches; j and k walk the rows of a table that has the focus, x ticks one, Enter opens it.
const search = document.querySelector("[data-search]");
const table = document.querySelector("table[data-keys]");

function isTyping(element) {
  return element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!search || event.isComposing || isTyping(event.target)) return;
  event.preventDefault();
  search.focus();
  search.select();
});

if (table) {
  table.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const rows = Array.from(table.tBodies[0].rows);
    const at = rows.indexOf(event.target.closest("tbody tr"));
    const step = { j: 1, k: -1 }[event.key];
    if (step) {
      const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
      row.querySelector("th a").focus();
    } else if (event.key === "x" && at >= 0) {
      rows[at].querySelector("input[type=checkbox]")?.click();
    } else {
      return;
    }
    event.preventDefault();
  });
}

// All rows of the page at once.
const tickAll = document.querySelector("[data-tick-all]");
if (tickAll) {
  tickAll.hidden = false;
  tickAll.querySelector("input").addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("input[name=host][form=bulk]")) {
      box.checked = event.target.checked;
    }
  });
}

// Long texts come when they are opened; without this script there is a link to each.
for (const details of document.querySelectorAll("details[data-load]")) {
  details.addEventListener("toggle", async () => {
    if (!details.open || details.querySelector("pre")) return;
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    try {
      const answer = await fetch(details.dataset.load);
      const text = await answer.text();
      if (!answer.ok) return;
      const most = 200_000;
      pre.textContent = text.length > most ? `${text.slice(0, most)}\n... the rest is behind the link` : text;
      details.append(pre);
    } catch {
      // The link stays.
    }
  });
}

// A page that comes back from the browser's memory shows what was, and its stream is closed.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && source) location.reload();
});
