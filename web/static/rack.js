// Moves a host of the drawing to free units by the mouse; typing does the same without this script.
"use strict";

// The scripts of a page share their names.
{
  const rack = document.querySelector("svg[data-place]");
  let drag = null;

  // The place of the pointer in the units of the drawing.
  function place(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(rack.getScreenCTM().inverse());
  }

  // The free unit, or one of the host's own, that is drawn at a height.
  function unitAt(y) {
    const free = [...rack.querySelectorAll("[data-unit]")];
    const found = free.find((rect) => y >= rect.y.baseVal.value && y < rect.y.baseVal.value + 24);
    if (found) return Number(found.dataset.unit);
    const box = drag.link.querySelector(".box");
    const up = Math.floor((box.y.baseVal.value + box.height.baseVal.value - y) / 24);
    return up >= 0 && up < drag.units ? drag.at + up : null;
  }

  // Where the host would stand: its lowest unit, if all that it fills have room.
  function target(y) {
    const lowest = unitAt(y + drag.below);
    if (lowest === null) return null;
    for (let above = 1; above < drag.units; above++) {
      if (unitAt(y + drag.below - above * 24) === null) return null;
    }
    return lowest;
  }

  function show(unit) {
    for (const rect of rack.querySelectorAll(".target")) rect.classList.remove("target");
    for (let above = 0; unit !== null && above < drag.units; above++) {
      rack.querySelector(`[data-unit="${unit + above}"]`)?.classList.add("target");
    }
  }

  function end() {
    show(null);
    drag.link.removeAttribute("transform");
    drag = null;
  }

  rack?.addEventListener("dragstart", (event) => event.preventDefault());
  rack?.addEventListener("selectstart", (event) => drag && event.preventDefault());
  rack?.addEventListener("pointerdown", (event) => {
    const link = event.target.closest("[data-host]");
    if (!link || event.button !== 0 || event.pointerType === "touch") return;
    const { y } = place(event);
    const box = link.querySelector(".box");
    const bottom = box.y.baseVal.value + box.height.baseVal.value;
    // From the pointer to the middle of the host's lowest unit.
    drag = { link, from: y, moved: false, below: bottom - 12 - y, at: Number(link.dataset.at), units: Number(link.dataset.units) };
  });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { y } = place(event);
    if (!drag.moved && Math.abs(y - drag.from) < 6) return;
    drag.moved = true;
    drag.link.setAttribute("transform", `translate(0 ${y - drag.from})`);
    show(target(y));
  });
  window.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { link, moved, at } = drag;
    const unit = target(place(event).y);
    end();
    if (!moved) return;
    // The click that ends a drag opens nothing.
    const stop = (click) => click.preventDefault();
    window.addEventListener("click", stop, true);
    setTimeout(() => window.removeEventListener("click", stop, true), 50);
    if (unit !== null && unit !== at) {
      location.href = `${rack.dataset.place}?${new URLSearchParams({ host: link.dataset.host, unit })}`;
    }
  });
  window.addEventListener("keydown", (event) => drag && event.key === "Escape" && end());
}
