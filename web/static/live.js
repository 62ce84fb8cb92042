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
    if (element && element.innerHTML !== html) element.innerHTML = html;
  }
  // Screen readers hear stages, never percentages.
  if (message.say && announcer) announcer.textContent = message.say;
}

function say(state, text) {
  if (!indicator) return;
  indicator.dataset.state = state;
  indicator.textContent = text;
}

if (source) {
  const stream = new EventSource(source.dataset.stream);
  stream.addEventListener("open", () => say("live", "updates itself"));
  stream.addEventListener("error", () => say("lost", "not updating: no answer from the server"));
  stream.addEventListener("message", (event) => show(JSON.parse(event.data)));
  // A page that is left must give its connection back: browsers have six per server.
  window.addEventListener("pagehide", () => stream.close());
}

// Controls that only help where the script runs, such as "Copy".
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}

// A page that comes back from the browser's memory shows what was, and its stream is closed.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && source) location.reload();
});
