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

// A browser has six connections per server, for all its tabs: only what somebody sees is followed.
let stream = null;

function follow() {
  if (document.hidden || stream) return;
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

// A page that comes back from the browser's memory shows what was, and its stream is closed.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && source) location.reload();
});
