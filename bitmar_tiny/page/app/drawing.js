// SPDX-License-Identifier: Apache-2.0
// A sheet to draw on, with mouse, pen or finger.

const INKS = [["black", "#1b1b1b"], ["red", "#e5484d"], ["orange", "#f08c2b"], ["yellow", "#f5d327"], ["green", "#46a758"], ["blue", "#3e8fe0"], ["brown", "#8d5b34"], ["white", "#ffffff"]];
const REST_MS = 350; // after the last stroke the model looks

export class Drawing {
  /** rested: called when a stroke is done and no other follows. */
  constructor(pad, inks, width, rested) {
    Object.assign(this, { pad, width, rested, ink: INKS[0][1] });
    this.pen = pad.getContext("2d", { willReadFrequently: true });
    this.buttons = INKS.map(([name, colour], i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "ink";
      button.style.background = colour;
      button.setAttribute("aria-label", name);
      button.setAttribute("aria-pressed", i === 0);
      button.addEventListener("click", () => this.#choose(i));
      return button;
    });
    inks.replaceChildren(...this.buttons);
    pad.addEventListener("pointerdown", (event) => this.#begin(event));
    pad.addEventListener("pointermove", (event) => this.#draw(event));
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => this.#end());
    this.clear();
  }

  clear() {
    clearTimeout(this.timer);
    this.pen.fillStyle = "white";
    this.pen.fillRect(0, 0, this.pad.width, this.pad.height);
  }

  #choose(i) {
    this.ink = INKS[i][1];
    this.buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === i));
  }

  #place(event) {
    const box = this.pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.pad.width, ((event.clientY - box.top) / box.height) * this.pad.height];
  }

  #begin(event) {
    clearTimeout(this.timer);
    this.pad.setPointerCapture(event.pointerId);
    this.last = this.#place(event);
    this.#draw(event);
  }

  #draw(event) {
    if (!this.last) return;
    const at = this.#place(event);
    Object.assign(this.pen, { strokeStyle: this.ink, lineWidth: +this.width.value, lineCap: "round", lineJoin: "round" });
    this.pen.beginPath();
    this.pen.moveTo(...this.last);
    this.pen.lineTo(...at);
    this.pen.stroke();
    this.last = at;
  }

  #end() {
    if (!this.last) return;
    this.last = null;
    this.timer = setTimeout(this.rested, REST_MS);
  }
}
