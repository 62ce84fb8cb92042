// Files that are dropped on the form, and how far an upload is. Without this
// script the form sends the same; the browser shows no progress then.
"use strict";

const form = document.querySelector("form[data-upload]");

function sizeText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function secondsText(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.ceil(seconds % 60)} s`;
}

if (form) {
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const chosen = form.querySelector("[data-chosen]");
  const progress = form.querySelector("[data-progress]");
  const bar = progress.querySelector("progress");
  const said = form.querySelector("[data-said]");
  const button = form.querySelector("button");

  form.querySelector("[data-drop-hint]").hidden = false;

  const showChosen = () => {
    chosen.replaceChildren(
      ...Array.from(input.files, (file) => {
        const item = document.createElement("li");
        item.textContent = `${file.name}, ${sizeText(file.size)}`;
        return item;
      }),
    );
    chosen.hidden = input.files.length === 0;
  };
  input.addEventListener("change", showChosen);

  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.dataset.over = "";
    });
  }
  drop.addEventListener("dragleave", () => delete drop.dataset.over);
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    delete drop.dataset.over;
    if (event.dataTransfer.files.length > 0) {
      input.files = event.dataTransfer.files;
      showChosen();
    }
  });

  const fail = (text) => {
    said.textContent = text;
    said.className = "wrong";
    button.disabled = false;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const began = performance.now();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const seconds = (performance.now() - began) / 1000;
      const rate = loaded / Math.max(seconds, 0.001);
      bar.value = total > 0 ? (100 * loaded) / total : 0;
      said.textContent =
        loaded < total
          ? `${Math.floor(bar.value)} %, ${sizeText(rate)}/s, ${secondsText((total - loaded) / rate)} left`
          : "Sent. The server reads the files.";
    });
    request.addEventListener("load", () => {
      if (request.status < 300) {
        location.assign(request.responseURL);
        return;
      }
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const said = page.querySelector("[role=alert] p") ?? page.querySelector("main");
      const text = said?.textContent.trim();
      fail(text || `The server answers ${request.status}.`);
    });
    request.addEventListener("error", () =>
      fail("The connection was closed. The disk of the server may be full, or the network failed."),
    );
    request.open("POST", form.action);
    request.send(new FormData(form));
    progress.hidden = false;
    said.className = "";
    said.textContent = "Starting.";
    button.disabled = true;
  });
}
