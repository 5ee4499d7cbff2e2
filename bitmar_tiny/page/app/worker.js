// SPDX-License-Identifier: Apache-2.0
// The worker of the page: the model, its twin and a board live here, so that the page stays live. Requests {id, method, params} are
// answered one after the other by events {id, event, value} and one {id, result} or {id, problem}.

import { fromBase64, inflate } from "./bytes.js";
import { Device } from "./device.js";
import { attention, nearest } from "./insight.js";
import { ModuleLine } from "./line.js";
import { Problem } from "./link.js";
import { decodePicture, fit, fromRgba, pictureSide, pictureVectors } from "./picture.js";
import { checkStore } from "./store.js";
import { Teacher } from "./teach.js";
import { Tokenizer } from "./tokenizer.js";
import { profile, verify } from "./verify.js";

const SHOWN = 8; // slots that a caption names
const PATIENCE_MS = { page: 60000, board: 8000 };

let about, compiled, blob, firstStore, tokenizer, teacher;
let own, ownLine, board = null, boardPort = null;

/** The twin: the same model once more, whose memory is only tried. It is started when it is first needed. */
let started = null;
const twin = () => (started = started || ModuleLine.start(compiled, blob, firstStore).then((line) => Device.open(line, PATIENCE_MS.page)));

/** The model that is asked: the board's where one is connected. */
const target = () => board || own;

async function startOwn(store) {
  const line = await ModuleLine.start(compiled, blob, store);
  own = await Device.open(line, PATIENCE_MS.page);
  if (ownLine) ownLine.close();
  ownLine = line;
}

const METHODS = {
  /** Unpack the model, while the page looks what the browser kept. */
  async unpack({ model }) {
    about = model.about;
    const parts = ["program", "blob", "tokenizer", "store"].map((part) => inflate(fromBase64(model[part])));
    const [program, weights, words, store] = await Promise.all(parts);
    [blob, firstStore, tokenizer] = [weights, store, new Tokenizer(words)];
    compiled = await WebAssembly.compile(program);
    teacher = new Teacher(twin, tokenizer, about);
  },

  /** Start the model, with the memory's store that the browser kept, if any. */
  async start({ kept }) {
    let lost = "";
    try {
      if (kept) checkStore(kept, firstStore, about);
      await startOwn(kept || firstStore);
    } catch (problem) {
      lost = problem.message;
      await startOwn(firstStore);
    }
    return { who: own.who, lost, side: pictureSide(about.vectors).side };
  },

  /** A file's bytes, or pixels of a canvas, as the model sees them. */
  async picture({ bytes, pixels }) {
    const { side } = pictureSide(about.vectors);
    const rgb = fit(pixels ? fromRgba(pixels) : await decodePicture(bytes), side);
    return { side, rgb, patches: pictureVectors(rgb, about.vectors) };
  },

  /** Write behind a prompt, token by token. */
  async say({ patches, prompt, options }, event) {
    const device = target(), ids = tokenizer.encode(prompt), written = [];
    await device.begin();
    await device.memoryOn(true);
    if (patches) await device.image(patches);
    const tell = teller(event, ids.length);
    for await (const token of device.generate(ids, options)) {
      written.push(token.id);
      tell(token);
    }
    return { ids: [...ids, ...written] };
  },

  /** What the memory knows of a picture. */
  async ask({ patches }, event) {
    const ids = tokenizer.encode(about.prompt), seen = await teacher.ask(target(), patches, teller(event, ids.length));
    return { ...seen, ids: [...ids, ...seen.written] };
  },

  /** What answered, and where it looked: of a text that was written. */
  async inside({ patches, ids }) {
    const memory = await target().readMemory();
    const device = await twin();
    await device.writeMemory(memory);
    const slots = await nearest(device, about, memory, patches, SHOWN);
    return { slots, words: ids.map((id) => tokenizer.texts[id]), attention: await attention(device, about, patches, [tokenizer.eos, ...ids]) };
  },

  async memory() {
    const memory = await target().readMemory();
    return { used: usedSlots(memory), things: about.canTeach ? await teacher.taught(target()) : [] };
  },

  teach: ({ name, patches }) => kept(teacher.teach(target(), name, patches)),
  forget: ({ name }) => kept(teacher.forget(target(), name)),

  /** The memory as it was when the model was trained. */
  async renew() {
    if (board) throw new Problem("The memory of a board is renewed by 'bitmar-tiny memory reset'.");
    await startOwn(firstStore);
    return kept(null);
  },

  async export() {
    return { store: ownLine.store() };
  },

  /** Go on with the memory of a file. */
  async import({ store }) {
    checkStore(store, firstStore, about);
    await startOwn(store);
    return kept(null);
  },

  /** A board speaks through the page, which brings {arrived: bytes} or {gone}, and takes {board: bytes}. */
  async connect() {
    boardPort = {
      send: (bytes) => self.postMessage({ board: bytes }), close: () => self.postMessage({ board: null }),
      onreceive: () => {}, onclose: () => {},
    };
    const found = await Device.open(boardPort, PATIENCE_MS.board);
    if (found.who.why) throw new Problem(`The model did not start on the board: ${found.who.why}.`, "Flash model and program of one project again.");
    if (found.who.model_sha256 !== about.digest)
      throw new Problem(`The board holds another model (${found.who.model}, ${found.who.model_sha256.slice(0, 12)}) than this page (${about.name}, ${about.digest.slice(0, 12)}).`,
        "Open the page of its model with 'bitmar-tiny play MODEL'.");
    board = found;
    return { who: board.who };
  },

  async disconnect() {
    if (board) board.close();
    else if (boardPort) boardPort.close();
    board = boardPort = null;
    return {};
  },

  verify: async () => verify(board, await twin(), about, tokenizer),
  profile: () => profile(target(), about, tokenizer),
};

/** Tells the page of every token, and how many a second there were so far, those of the prompt among them. */
function teller(event, prompt) {
  let steps = prompt, begun = 0;
  return ({ id, text }) => {
    steps += 1;
    begun = begun || performance.now();
    const seconds = (performance.now() - begun) / 1000;
    event({ id, text, perSecond: seconds ? (steps - prompt - 1) / seconds : 0 });
  };
}

function usedSlots(memory) {
  return Array.from(memory.usage, (u) => (about.keyed ? u > 0 : u / 2 ** 24));
}

/** What a change of the memory gave, and the store that the browser shall keep. */
async function kept(change) {
  const value = await change;
  return { value, store: board ? null : ownLine.store() };
}

let last = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.arrived) boardPort && boardPort.onreceive(data.arrived);
  else if (data.gone) boardPort && boardPort.onclose();
  else last = last.then(() => answer(data));
};

async function answer({ id, method, params }) {
  try {
    const result = await METHODS[method](params || {}, (value) => self.postMessage({ id, event: value }));
    self.postMessage({ id, result });
  } catch (error) {
    if (method === "connect" && !board) await METHODS.disconnect();
    const known = error instanceof Problem;
    self.postMessage({ id, problem: known ? error.message : `This is a fault of the page itself (${error}).`, hint: known ? error.hint : "Load the page again." });
  }
}
