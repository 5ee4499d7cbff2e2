// SPDX-License-Identifier: Apache-2.0
// A session with firmware, one method for every request: in this page as WebAssembly, or on a board.
// bitmar_tiny/run/device.py is the same for Python.

import { concat, hex, viewOf } from "./bytes.js";
import { Link, Problem } from "./link.js";
import { FLAGS, MESSAGES, PARTS, sections } from "./protocol.js";

const WIDTH = { B: 1, H: 2, I: 4, i: 4, f: 4, Q: 8 };
const GET = { B: "getUint8", H: "getUint16", I: "getUint32", i: "getInt32", f: "getFloat32", Q: "getBigUint64" };
const SET = { B: "setUint8", H: "setUint16", I: "setUint32", i: "setInt32", f: "setFloat32", Q: "setBigUint64" };
const LAST = ["result", "identity", "counters"].map((name) => MESSAGES[name].number);
const BY_NUMBER = Object.fromEntries(Object.entries(MESSAGES).map(([name, m]) => [m.number, name]));
const HEAD_BYTES = 5, LARGEST = 1 << 28, MORE = 0x80000000;
const MOST_PROMPT = 256; // tokens (BM_SERVE_PROMPT)
// Modes of a tap.
export const SILENT = 0;
export const CRC = 1;
export const DATA = 2;
// What of a step is reported: nothing, or where its time goes.
export const OFF = 0;
export const WHERE = 1;
const IDS = 1, ON = 2; // prompts of `generate`: behind EOS, or where the stream is

function sizeOf(code) {
  return WIDTH[code] || parseInt(code, 10);
}

export function packMessage(name, values = [], rest = new Uint8Array(0)) {
  const { number, fields } = MESSAGES[name];
  const size = fields.reduce((n, [, code]) => n + sizeOf(code), 0);
  const bytes = new Uint8Array(HEAD_BYTES + size + rest.length), view = viewOf(bytes);
  bytes[0] = number;
  view.setUint32(1, size + rest.length, true);
  let at = HEAD_BYTES;
  fields.forEach(([, code], i) => {
    view[SET[code]](at, code === "Q" ? BigInt(values[i]) : values[i], true);
    at += sizeOf(code);
  });
  bytes.set(rest, at);
  return bytes;
}

export function unpackMessage(name, payload) {
  const view = viewOf(payload), found = {};
  let at = 0;
  for (const [field, code] of MESSAGES[name].fields) {
    if (at + sizeOf(code) > payload.length)
      throw new Problem(`The board's message '${name}' has a size that this page does not know.`,
        "Flash firmware of the same version of bitmar-tiny.");
    found[field] = GET[code] ? view[GET[code]](at, true) : payload.slice(at, at + sizeOf(code));
    at += sizeOf(code);
  }
  found.rest = payload.subarray(at);
  return found;
}

export function words(ids) {
  return new Uint8Array(Uint32Array.from(ids).buffer);
}

/** Firmware behind `port`, which shows no sign of life for `patienceMs` at most. */
export class Device {
  constructor(port, patienceMs) {
    this.link = new Link(port, patienceMs);
    this.onTap = this.onStep = () => {};
    this.memory = null; // as it is there, once it was read
  }

  static async open(port, patienceMs) {
    const device = new Device(port, patienceMs);
    await device.link.open();
    await device.hello();
    return device;
  }

  close() {
    this.link.close();
  }

  async hello() {
    let who = null;
    for await (const [name, fields] of this.#exchange("hello")) if (name === "identity") who = fields;
    const texts = new TextDecoder().decode(who.rest).split("\0");
    ["model", "board", "kernels", "compiler", "arenas", "why"].forEach((key, i) => (who[key] = texts[i] || ""));
    who.can = Object.fromEntries(Object.entries(FLAGS).map(([name, bit]) => [name, (who.flags & bit) !== 0]));
    who.model_sha256 = hex(who.model_sha256);
    who.sections = sections(who.encoder_layers, who.decoder_layers);
    this.who = who;
  }

  begin() { return this.request("begin"); }
  memoryOn(on) { return this.request("memory", [on ? 1 : 0]); }
  profile(how) { return this.request("profile", [how]); }
  tokens(ids) { return this.request("tokens", [], words(ids)); }

  taps(modes, others = SILENT) {
    const rest = new Uint8Array(3 * modes.length), view = viewOf(rest);
    modes.forEach(([id, mode], i) => {
      view.setUint16(3 * i, id, true);
      rest[3 * i + 2] = mode;
    });
    return this.request("taps", [others], rest);
  }

  /** Patches uint8 [n * 768], in their natural order. */
  image(patches) {
    const n = patches.length / 768, side = Math.round(Math.sqrt(n)), order = [...Array(n).keys()];
    if (this.who.image_pool === 2) {
      const place = (i) => [i / side >> 1, (i % side) >> 1, (i / side | 0) & 1, i % side & 1];
      const key = (i) => place(i).reduce((all, part) => all * side + part, 0);
      order.sort((a, b) => key(a) - key(b));
    }
    const sent = concat(order.map((i) => patches.subarray(768 * i, 768 * (i + 1))));
    return this.request("image", [1], sent);
  }

  /** Tokens as they come, {id, text: bytes}, behind EOS and a prompt of ids. */
  async *generate(prompt, { limit = 32, temperature = 0, topK = 40, seed = 0 } = {}) {
    let kind = IDS, ids = prompt;
    if (ids.length > MOST_PROMPT) { // firmware has room for so many; the others go before
      await this.tokens([this.who.vocab - 1, ...ids.slice(0, -1)]);
      kind = ON;
      ids = ids.slice(-1);
    }
    const answers = this.#exchange("generate", [limit, topK, temperature, seed, kind], words(ids));
    for await (const [name, fields] of answers)
      if (name === "token") yield { id: fields.id, text: fields.rest.slice() };
  }

  /** End the episode: write it into the memory. */
  end() {
    this.memory = null;
    return this.request("end");
  }

  /** The memory: codes int16 [slots * width], scales float32 [slots], usage uint32 [slots]. A slow line carries it once: nobody
   * else writes into it while this session lasts. */
  async readMemory() {
    return (this.memory = this.memory || (await this.#rows()));
  }

  async #rows() {
    const { slots, width } = this.who;
    const memory = { slots, width, codes: new Int16Array(slots * width), scales: new Float32Array(slots), usage: new Uint32Array(slots) };
    let at = 0;
    for await (const [name, { count, rest }] of this.#exchange("memory_read")) {
      if (name !== "rows") continue;
      const n = count * width, view = viewOf(rest);
      if (rest.length !== 2 * n + 8 * count || at + count > slots) throw new Problem("The board sent a memory of another shape.");
      for (let i = 0; i < n; i++) memory.codes[at * width + i] = 256 * view.getInt8(i) + view.getInt8(n + i);
      for (let i = 0; i < count; i++) {
        memory.scales[at + i] = view.getFloat32(2 * n + 4 * i, true);
        memory.usage[at + i] = view.getUint32(2 * n + 4 * count + 4 * i, true);
      }
      at += count;
    }
    if (at !== slots) throw new Problem(`The board sent ${at} of ${slots} rows of its memory.`, "Try again.");
    return memory;
  }

  /** Replace the memory; all rows hold after the last. */
  async writeMemory({ slots, width, codes, scales, usage }) {
    this.memory = null;
    for (let first = 0, block = 0; first < slots; first += this.who.block_rows, block++) {
      const count = Math.min(this.who.block_rows, slots - first), n = count * width;
      const rest = new Uint8Array(2 * n + 8 * count), view = viewOf(rest);
      for (let i = 0; i < n; i++) {
        const code = codes[first * width + i], low = (code << 24) >> 24;
        rest[i] = (code - low) >> 8;
        rest[n + i] = low;
      }
      for (let i = 0; i < count; i++) {
        view.setFloat32(2 * n + 4 * i, scales[first + i], true);
        view.setUint32(2 * n + 4 * count + 4 * i, usage[first + i], true);
      }
      await this.request("memory_write", [block], rest);
    }
  }

  /** One message of the table; returns `value` of its result. */
  async request(name, values, rest) {
    let value = 0;
    for await (const [answer, fields] of this.#exchange(name, values, rest)) if (answer === "result") value = fields.value;
    return value;
  }

  async *#exchange(name, values, rest) {
    await this.link.send(packMessage(name, values, rest));
    for (let number = 0; !LAST.includes(number);) {
      const head = await this.link.receive(HEAD_BYTES), size = viewOf(head).getUint32(1, true);
      number = head[0];
      if (!BY_NUMBER[number] || size > LARGEST)
        throw new Problem(`The board answered with message ${number} of ${size} bytes, which this page does not know.`,
          "Flash firmware of the same version of bitmar-tiny.");
      const answer = BY_NUMBER[number], fields = unpackMessage(answer, await this.link.receive(size));
      if (answer === "tap") this.onTap(fields.id & ~MORE, fields.crc, fields.rest.slice(), (fields.id & MORE) !== 0);
      else if (answer === "step") this.onStep(this.#step(fields));
      else if (answer === "result" && fields.status)
        throw new Problem(`The board refused '${name}': ${new TextDecoder().decode(fields.rest) || fields.status}.`);
      else yield [answer, fields];
    }
  }

  #step({ decode, total, rest }) {
    const view = viewOf(rest), n = PARTS.length;
    const cycles = this.who.sections.map((_, s) => PARTS.map((_, p) => view.getUint32(4 * (s * n + p), true)));
    return { decode: decode === 1, total: Number(total), cycles };
  }
}
