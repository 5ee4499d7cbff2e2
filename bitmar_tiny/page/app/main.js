// SPDX-License-Identifier: Apache-2.0
// The page: what a person does, and what is shown.

import { fromBase64, inflate } from "./bytes.js";
import { Drawing } from "./drawing.js";
import { Engine } from "./engine.js";
import { alone, keep, readKept } from "./keep.js";
import { Problem } from "./link.js";
import { bars, drawSight, showSlots, showThings, tokenButtons } from "./panels.js";
import { SerialLine } from "./serial.js";
import { UNKNOWN } from "./words.js";

const $ = (id) => document.getElementById(id);
const model = JSON.parse($("model").textContent), { about } = model;
const decoder = () => new TextDecoder("utf-8");

let picture = null; // {side, rgb, patches}
let busy = 0, mine = true, line = null, film = null, round = 0;

const source = new TextDecoder().decode(await inflate(fromBase64($("worker").textContent)));
const engine = new Engine(source, (bytes) => {
  if (bytes) line?.send(bytes);
  else line?.close();
});

// -- saying what happens ----------------------------------------------------------------------------------

function say(where, text, kind = "") {
  where.className = `notice ${kind}`;
  where.textContent = text;
}

/** Do what takes time; a problem is said in a sentence. Returns undefined then. */
async function attempt(where, work) {
  busy++;
  say(where, "");
  try {
    return await work();
  } catch (error) {
    say(where, error instanceof Problem ? `${error.message} ${error.hint}`.trim() : `This is a fault of the page itself (${error}).`, "bad");
  } finally {
    busy--;
  }
}

async function keepStore(store) {
  if (!store) return;
  if (!mine) throw new Problem("Another page with this model is open and keeps its memory. What is taught here ends with this page.", "Close the other page, and load this one again.");
  await keep(about.digest, store);
}

function showWho(who, board) {
  $("where").className = `chip ${board ? "board" : "ready"}`;
  $("where").lastElementChild.textContent = board ? `on ${who.board}` : "in this page";
  $("where").title = `Model ${about.name}, kernels ${who.kernels}, ${who.compiler}`;
}

/** What a file holds. It may be gone by now, or nobody's to read. */
async function bytesOf(file) {
  const bytes = await file.arrayBuffer().catch(() => {
    throw new Problem(`${file.name} cannot be read.`, "Choose it again.");
  });
  return new Uint8Array(bytes);
}

// -- pictures ---------------------------------------------------------------------------------------------

/** Show one of the four: empty, shown, pad, camera. */
function frame(id) {
  for (const name of ["empty", "shown", "pad", "camera"]) $(name).hidden = name !== id;
  $("pen").hidden = id !== "pad";
  $("snap").hidden = id !== "camera";
  $("draw").setAttribute("aria-pressed", id === "pad");
  $("film").setAttribute("aria-pressed", id === "camera");
  if (id !== "camera") stopFilm();
}

function showPicture(url, alt) {
  $("shown").src = url;
  $("shown").alt = alt;
  frame("shown");
}

/** A file that was chosen, dropped or pasted. */
async function takeFile(file) {
  if (!file) return;
  await attempt($("notice"), async () => {
    const bytes = await bytesOf(file), url = URL.createObjectURL(file);
    const drawn = file.type === "image/svg+xml" ? { pixels: await drawnSvg(url) } : { bytes };
    const seen = await engine.call("picture", drawn);
    showPicture(url, `The picture ${file.name || "that was pasted"}`);
    await look(seen);
  });
}

/** An SVG drawing on a white square, as large as the model sees it. */
async function drawnSvg(url) {
  const image = new Image(), canvas = document.createElement("canvas");
  image.src = url;
  await image.decode().catch(() => {
    throw new Problem("This drawing cannot be read.", "Choose a PNG or JPEG picture.");
  });
  const most = Math.max(image.width, image.height) || 1, pen = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, side, side);
  const [w, h] = [image.width, image.height].map((v) => (v ? (v / most) * side : side));
  pen.drawImage(image, (side - w) / 2, (side - h) / 2, w, h);
  return pen.getImageData(0, 0, side, side);
}

async function takeCanvas(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  await look(await engine.call("picture", { pixels }));
}

// -- answers ----------------------------------------------------------------------------------------------

/** Let the model say what it sees, token by token, and show what it did. */
async function look(seen) {
  picture = seen;
  const mark = ++round, said = $("said"), utf8 = decoder();
  let text = "";
  said.classList.add("writing");
  said.setAttribute("aria-busy", "true");
  const options = { limit: 32, topK: 1 };
  const method = about.canTeach ? "ask" : "say";
  let rate = 0, count = 0;
  try {
    const result = await engine.call(method, { patches: seen.patches, prompt: "", options }, (token) => {
      text += utf8.decode(token.text, { stream: true });
      const shown = about.canTeach && !UNKNOWN.startsWith(text) ? about.prompt + text : text.trim();
      rate = token.perSecond || rate;
      count++;
      if (mark === round) said.textContent = shown;
    });
    if (mark !== round) return;
    said.textContent = (about.canTeach ? result.text : text.trim()) || "(nothing)";
    $("speed").textContent = speed(count, rate);
    if (about.canTeach) lightUp(result.slots);
    await showInside(result, mark);
  } finally {
    if (mark === round) {
      said.classList.remove("writing");
      said.removeAttribute("aria-busy");
    }
  }
}

function speed(count, rate) {
  return `${count} ${count === 1 ? "token" : "tokens"}${rate ? `, ${Math.round(rate).toLocaleString("en")} a second (measured)` : ""}`;
}

function lightUp(slots, fresh = -1) {
  showSlots($("slots"), about, memory.used, slots, fresh);
}

const LEAST = 0.001; // share of a slot that is named
let memory = { used: [], things: [] };

async function showMemory(fresh = -1) {
  memory = await engine.call("memory");
  if (!about.canTeach) return;
  showThings($("things"), memory.things, forget);
  const n = memory.things.length, room = about.slots - about.fixedSlots;
  $("known").textContent = n ? `${n} of ${room}` : "nothing yet";
  showSlots($("slots"), about, memory.used, [], fresh);
}

async function showInside(result, mark) {
  if (!$("inside").open) {
    shownInside = () => showInside(result, mark);
    return;
  }
  shownInside = null;
  const inside = await engine.call("inside", { patches: picture.patches, ids: result.ids });
  if (mark !== round) return;
  const named = new Map((result.slots || []).map((s) => [s.slot, s.name]));
  bars($("answering"), inside.slots.filter(({ share }) => share >= LEAST).map(({ slot, share }) => [named.get(slot) || `slot ${slot}`, share, `${(100 * share).toFixed(1)}%`]));
  const words = ["start", ...inside.words.map((bytes) => new TextDecoder().decode(bytes))];
  const show = (i) => {
    drawSight($("sight"), picture, inside.attention[i], about.vectors);
    $("sight-note").textContent = i === null ? "" : "Light: where it looked while it read this token, over all heads and layers (computed from its queries, keys and output).";
  };
  tokenButtons($("tokens"), words, show);
  drawSight($("sight"), picture, null, about.vectors);
  $("sight-note").textContent = `${picture.side} × ${picture.side} pixels are all it sees. Choose a token to see where it looked.`;
}
let shownInside = null;

async function showTimes() {
  await attempt($("notice"), async () => {
    const found = await engine.call("profile");
    if (!found) throw new Problem("This firmware was built without marks, so it cannot say where its time goes.");
    const times = found.sections.map(({ name, parts }) => [name, parts.reduce((a, b) => a + b, 0)]);
    const most = Math.max(...times.map(([, t]) => t), 1e-12);
    bars($("times"), times.map(([name, t]) => [sectionName(name), t / most, t < 1e-3 ? `${(1e6 * t).toFixed(1)} µs` : `${(1e3 * t).toFixed(2)} ms`]));
    $("times").setAttribute("aria-label", `Measured over ${found.steps} tokens`);
  });
}

/** "enc.0": "encoder 1". */
function sectionName(name) {
  const [part, number] = name.split("."), words = { embed: "embedding", enc: "encoder", dec: "decoder", head: "vocabulary" };
  return `${words[part] || part}${number ? ` ${+number + 1}` : ""}`;
}

// -- teaching ---------------------------------------------------------------------------------------------

async function teach() {
  const name = $("name").value;
  await attempt($("notice"), async () => {
    if (!picture) throw new Problem("There is no picture yet.", "Choose, draw or take one first.");
    say($("notice"), "Teaching …");
    const { value, store } = await engine.call("teach", { name, patches: picture.patches });
    await showMemory(value.thing.slot);
    await keepStore(store);
    say($("notice"), `Taught: ${value.thing.name}, in slot ${value.thing.slot}.${instead(value)} Now show it another picture of it.`, "good");
    $("name").value = "";
  });
}

function instead({ thing, replaced, alike }) {
  if (!replaced) return "";
  if (!alike) return ` The memory was full: it forgot ${replaced.name}.`;
  return replaced.name === thing.name ? " It was known by this name." : ` It takes the place of ${replaced.name}: the pictures are alike.`;
}

async function forget(name) {
  await attempt($("notice"), async () => {
    const { store } = await engine.call("forget", { name });
    await showMemory();
    await keepStore(store);
    say($("notice"), `Forgot: ${name}.`, "good");
  });
}

async function exportStore() {
  await attempt($("notice"), async () => {
    if (line) throw new Problem("The memory is on the board.", "'bitmar-tiny memory export' reads it.");
    const { store } = await engine.call("export"), link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([store]));
    link.download = "memory.store";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say($("notice"), "Saved as memory.store. 'bitmar-tiny memory inspect' reads it, and a board takes it from its card.", "good");
  });
}

async function importStore(file) {
  if (!file) return;
  await attempt($("notice"), async () => {
    const { store } = await engine.call("import", { store: await bytesOf(file) });
    await showMemory();
    await keepStore(store);
    say($("notice"), `Loaded ${file.name}: ${memory.things.length} things are known.`, "good");
  });
}

async function renew() {
  if (!confirm("Forget everything that it was taught? There is no way back but a file that you saved.")) return;
  await attempt($("notice"), async () => {
    const { store } = await engine.call("renew");
    await showMemory();
    await keepStore(store);
    say($("notice"), "It knows only what it learned in training.", "good");
  });
}

// -- camera -----------------------------------------------------------------------------------------------

function stopFilm() {
  film?.getTracks().forEach((track) => track.stop());
  film = null;
  $("camera").srcObject = null;
}

async function startFilm() {
  await attempt($("notice"), async () => {
    try {
      film = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 960 } } });
    } catch (error) {
      const why = error.name === "NotAllowedError" ? "the browser does not allow it" : error.name === "NotFoundError" ? "there is none" : error.name;
      throw new Problem(`The camera cannot be used: ${why}.`, "Choose a picture, or draw one.");
    }
    $("camera").srcObject = film;
    frame("camera");
    await $("camera").play();
    $("snap").focus();
  });
}

/** The square in the middle, as it was framed. */
async function snap() {
  const { videoWidth: w, videoHeight: h } = $("camera"), side = Math.min(w, h), canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage($("camera"), (w - side) / 2, (h - side) / 2, side, side, 0, 0, side, side);
  showPicture(canvas.toDataURL("image/jpeg", 0.9), "The picture that was taken");
  await attempt($("notice"), () => takeCanvas(canvas));
}

// -- writing ----------------------------------------------------------------------------------------------

async function write() {
  await attempt($("written-speed"), async () => {
    const prompt = $("prompt").value, utf8 = decoder(), out = $("written");
    const options = { limit: +$("limit").value || 40, temperature: +$("temperature").value, topK: 40, seed: Math.trunc(+$("seed").value) || 0 };
    const head = document.createElement("b"), tail = document.createElement("span");
    head.textContent = prompt;
    out.replaceChildren(head, tail);
    out.classList.add("writing");
    let count = 0, rate = 0;
    try {
      await engine.call("say", { patches: null, prompt, options }, (token) => {
        tail.textContent += utf8.decode(token.text, { stream: true });
        rate = token.perSecond || rate;
        count++;
      });
    } finally {
      out.classList.remove("writing");
    }
    say($("written-speed"), speed(count, rate), "quiet small");
  });
}

// -- boards -----------------------------------------------------------------------------------------------

async function connect() {
  await attempt($("board-notice"), async () => {
    line = await SerialLine.choose(+$("baud").value);
    if (!line) return;
    line.read((bytes) => engine.arrived(bytes), unplugged);
    say($("board-notice"), "Asking the board who it is …");
    try {
      const { who } = await engine.call("connect");
      showWho(who, true);
      boardButtons(true);
      await showMemory();
      say($("board-notice"), `${who.board}, kernels ${who.kernels}, compiled by ${who.compiler}: it runs this page's model.`, "good");
    } catch (problem) {
      await line.close();
      line = null;
      throw problem;
    }
  });
}

function boardButtons(on) {
  $("connect").hidden = $("baud").parentElement.hidden = on;
  $("disconnect").hidden = $("prove").hidden = !on;
}

async function unplugged() {
  engine.gone();
  await disconnect();
  say($("board-notice"), "The board was unplugged. The model of this page answers again.", "bad");
}

async function disconnect() {
  await engine.call("disconnect");
  await line?.close();
  line = null;
  boardButtons(false);
  showWho(own, false);
  await showMemory();
  say($("board-notice"), "Disconnected. The model of this page answers again.");
}

async function prove() {
  await attempt($("board-notice"), async () => {
    say($("board-notice"), "Comparing …");
    const { same, compared, tensors, difference } = await engine.call("verify");
    const what = tensors ? `${compared.toLocaleString("en")} tensors and tokens` : `${compared} tokens (this firmware was built without taps, so it shows no tensors)`;
    if (!same) throw new Problem(`The board differs from this page first in: ${difference}.`, "'bitmar-tiny verify --on PORT' says which element, and where in the C.");
    say($("board-notice"), `Identical: ${what}.`, "good");
  });
}

// -- wiring -----------------------------------------------------------------------------------------------

const drawing = new Drawing($("pad"), $("inks"), $("width"), () => attempt($("notice"), () => takeCanvas($("pad"))));
let own = null, side = 64;

function on(id, event, work) {
  $(id)?.addEventListener(event, work);
}

for (const id of ["choose", "choose-first"]) on(id, "click", () => $("file").click());
on("file", "change", async ({ target }) => {
  await takeFile(target.files[0]);
  target.value = "";
});
on("draw", "click", () => {
  frame("pad");
  drawing.clear();
  $("pad").focus();
});
on("wipe", "click", () => drawing.clear());
on("film", "click", startFilm);
on("snap", "click", snap);
on("teach", "submit", (event) => {
  event.preventDefault();
  teach();
});
on("export", "click", exportStore);
on("import", "click", () => $("store-file").click());
on("store-file", "change", async ({ target }) => {
  await importStore(target.files[0]);
  target.value = "";
});
on("renew", "click", renew);
on("measure", "click", showTimes);
on("inside", "toggle", () => $("inside").open && attempt($("notice"), async () => shownInside?.()));
on("write", "submit", (event) => {
  event.preventDefault();
  write();
});
on("temperature", "input", () => ($("temperature-shown").textContent = $("temperature").value));
on("connect", "click", connect);
on("disconnect", "click", () => attempt($("board-notice"), disconnect));
on("prove", "click", prove);
for (const example of document.querySelectorAll(".example"))
  example.addEventListener("click", () => attempt($("notice"), async () => {
    const image = example.querySelector("img");
    const seen = await engine.call("picture", { pixels: await drawnSvg(image.src) });
    showPicture(image.src, image.alt);
    $("stage").scrollIntoView({ block: "nearest" });
    await look(seen);
  }));

let over = 0;
document.addEventListener("dragenter", () => $("dropping").classList.toggle("on", ++over > 0));
document.addEventListener("dragleave", () => $("dropping").classList.toggle("on", --over > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  $("dropping").classList.remove("on");
  takeFile(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])][0];
  if (file) takeFile(file);
});

if (!navigator.serial) {
  $("serial").hidden = true;
  $("no-serial").hidden = false;
}

await attempt($("notice"), async () => {
  const unpacked = engine.call("unpack", { model }), [first, kept] = await Promise.all([alone(about.digest), readKept(about.digest)]);
  mine = first;
  await unpacked;
  const begun = await engine.call("start", { kept });
  own = begun.who;
  side = begun.side;
  await showMemory();
  showWho(own, false);
  document.documentElement.dataset.ready = "yes";
  if (begun.lost) throw new Problem(`What this browser kept could not be used: ${begun.lost}`, "It begins with the memory of its training.");
  if (!mine) throw new Problem("This model is open in another page, which keeps its memory. What is taught here ends with this page.");
});
