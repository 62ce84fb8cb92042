// Ctrl-K: a dialog that goes to any page or entry by a part of its name. It shows what the page /find finds;
// without this script that page is behind the link in the header.
"use strict";

const dialog = document.createElement("dialog");
dialog.className = "palette";
dialog.setAttribute("aria-label", "Find");
dialog.innerHTML =
  '<input type="search" aria-label="Go to a page, host, rack, subnet or any other name" role="combobox" ' +
  'aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" autocomplete="off" spellcheck="false">' +
  '<ul id="palette-list" role="listbox" aria-label="Found"></ul>';
document.body.append(dialog);
const word = dialog.querySelector("input");
const list = dialog.querySelector("ul");
let asked = 0;
let chosen = 0;
// The text whose answer the list shows.
let shown = "";

function choose(at) {
  const options = [...list.children];
  chosen = options.length ? (at + options.length) % options.length : 0;
  options.forEach((option, index) => option.setAttribute("aria-selected", String(index === chosen)));
  options[chosen]?.scrollIntoView({ block: "nearest" });
  if (options[chosen]) word.setAttribute("aria-activedescendant", options[chosen].id);
  else word.removeAttribute("aria-activedescendant");
}

async function find() {
  const mine = ++asked;
  const text = word.value;
  try {
    const answer = await fetch(`/find?text=${encodeURIComponent(text)}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // An answer that a later one has overtaken.
    if (mine !== asked) return;
    const found = answer.ok ? [...page.querySelectorAll("#found > li")] : [];
    list.replaceChildren(...found.map((item, index) => {
      const option = document.createElement("li");
      option.id = `palette-${index}`;
      option.setAttribute("role", "option");
      option.dataset.href = item.querySelector("a").getAttribute("href");
      option.append(...item.childNodes);
      option.querySelector("a").tabIndex = -1;
      return option;
    }));
    shown = text;
    choose(0);
  } catch {
    if (mine === asked) list.replaceChildren();
  }
}

word.addEventListener("input", find);
word.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) choose(chosen + step);
  else if (event.key === "Enter") {
    const option = word.value === shown && list.children[chosen];
    location.assign(option ? option.dataset.href : `/find?text=${encodeURIComponent(word.value)}`);
  } else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (dialog.open) {
    dialog.close();
    return;
  }
  word.value = "";
  dialog.showModal();
  find();
});
