// SPDX-License-Identifier: Apache-2.0
// What the model shows of itself: its slots, things, bars, and where it looked.

function made(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A square for every slot; those in `answering` are lit by their share, `fresh` flashes. */
export function showSlots(place, about, used, answering, fresh) {
  if (place.children.length !== about.slots) place.replaceChildren(...Array.from({ length: about.slots }, () => document.createElement("i")));
  const lit = new Map(answering.map(({ slot, share }) => [slot, share]));
  [...place.children].forEach((square, slot) => {
    const kinds = [slot < about.fixedSlots && "learned", slot >= about.fixedSlots && used[slot] && "used", lit.has(slot) && "lit", slot === fresh && "new"];
    square.className = kinds.filter(Boolean).join(" ");
    square.style.setProperty("--share", lit.get(slot) || 0);
  });
  const taken = used.filter((u, slot) => u && slot >= about.fixedSlots).length;
  const said = answering.map(({ slot, share }) => `slot ${slot} answers with ${(100 * share).toFixed(0)}%`).join(", ");
  place.setAttribute("aria-label", `${about.slots} slots, ${about.fixedSlots} learned in training, ${taken} taught. ${said}`);
}

/** A list of what was taught, each with a button to forget it. */
export function showThings(place, things, forget) {
  const names = [...new Set(things.map(({ name }) => name))];
  place.replaceChildren(...names.map((name) => {
    const item = made("li", "", name), button = made("button", "", "×");
    button.type = "button";
    button.setAttribute("aria-label", `Forget ${name}`);
    button.addEventListener("click", () => forget(name));
    item.append(button);
    return item;
  }));
}

/** Rows of [name, part 0 to 1, what stands behind the bar]. */
export function bars(place, rows) {
  place.replaceChildren(...rows.map(([name, part, text]) => {
    const row = made("div", "bar"), bar = document.createElement("b");
    bar.style.setProperty("--part", part);
    row.append(made("span", "", name), bar, made("span", "", text));
    return row;
  }));
}

/** A button for each token; show(i) for the one that is chosen. */
export function tokenButtons(place, words, show) {
  const buttons = words.map((word, i) => {
    const button = made("button", "", word.trim() || word);
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `Token ${i}: ${word}`);
    button.addEventListener("click", () => {
      buttons.forEach((other, k) => other.setAttribute("aria-pressed", k === i));
      show(i);
    });
    return button;
  });
  place.replaceChildren(...buttons);
}

/** The picture as the model sees it; `looked` [vectors]: how much of the attention each of its vectors got. */
export function drawSight(canvas, { side, rgb }, looked, vectors) {
  const image = new ImageData(side, side), light = looked ? spread(looked, side, vectors) : null;
  const most = light ? Math.max(...light) || 1 : 1;
  for (let i = 0; i < side * side; i++) {
    const k = light ? 0.4 + 0.6 * (light[i] / most) : 1;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = k * rgb[3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  canvas.width = canvas.height = side;
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
}

/** Attention over the vectors, as light on the pixels that each stands for: a grid, or a pyramid of grids. */
function spread(looked, side, vectors) {
  const light = new Float64Array(side * side);
  let grid = Math.round(Math.sqrt(vectors));
  if (grid * grid !== vectors) grid = side / 16; // of the finest level
  for (let at = 0; at < vectors; at += grid * grid, grid /= 2) {
    const cell = side / grid;
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        light[y * side + x] += looked[at + Math.floor(y / cell) * grid + Math.floor(x / cell)] / (cell * cell);
    if (grid === 1) break;
  }
  return light;
}
