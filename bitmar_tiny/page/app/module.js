// SPDX-License-Identifier: Apache-2.0
// The model's WebAssembly module as a board on a line: what it exports is in web.h of its project.

import { Problem } from "./link.js";

const VERSION = 1; // of the interface
const BUSY_MS = 12; // after so much work in a row, messages of the page are looked at

/** A started module, as a port of a link. `store`: its memory's store, or null where the module keeps it in RAM. */
export class ModulePort {
  constructor(compiled, blob, store) {
    const imports = { bm: { clock: () => performance.now() * 1e6 } };
    this.exports = new WebAssembly.Instance(compiled, imports).exports;
    this.onreceive = () => {};
    this.waiting = [];
    this.running = this.closed = false;
    this.#start(blob, store);
  }

  #start(blob, store) {
    const e = this.exports;
    if (e.bm_web_version() !== VERSION) throw new Problem("The page and its module are of different versions.", "Make the page again with 'bitmar-tiny play'.");
    if (blob.length !== e.bm_web_blob_bytes()) throw new Problem("The page's model is not its module's.", "Make the page again with 'bitmar-tiny play'.");
    this.#bytes(e.bm_web_blob(), blob.length).set(blob);
    if (store && e.bm_web_store) {
      const at = e.bm_web_store(store.length);
      if (!at) throw new Problem("There is not enough memory for the model's store.", "Close other pages, and load this one again.");
      this.#bytes(at, store.length).set(store);
      this.storeAt = at;
      this.storeBytes = store.length;
    }
    if (e.bm_web_start()) throw new Problem(`The model did not start: ${this.#why()}.`);
  }

  #bytes(at, n) {
    return new Uint8Array(this.exports.memory.buffer, at, n);
  }

  #why() {
    const all = new Uint8Array(this.exports.memory.buffer), at = this.exports.bm_web_why();
    return new TextDecoder().decode(all.slice(at, all.indexOf(0, at)));
  }

  /** The store as it is now, or null. */
  store() {
    return this.storeAt ? this.#bytes(this.storeAt, this.storeBytes).slice() : null;
  }

  send(bytes) {
    this.waiting.push(bytes);
    if (!this.running) this.#run();
  }

  close() {
    this.closed = true;
  }

  async #run() {
    this.running = true;
    const e = this.exports;
    let since = performance.now();
    for (let more = true; (more || this.waiting.length) && !this.closed;) {
      await null; // whoever waits for what came looks at it
      if (performance.now() - since > BUSY_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        since = performance.now();
      }
      this.#receive();
      more = e.bm_web_run() !== 0;
      const n = e.bm_web_output_bytes();
      if (!n) continue;
      const out = this.#bytes(e.bm_web_output(), n).slice();
      e.bm_web_output_taken();
      this.onreceive(out);
    }
    this.running = false;
  }

  #receive() {
    const e = this.exports, most = e.bm_web_input_bytes();
    while (this.waiting.length) {
      const bytes = this.waiting.shift();
      for (let at = 0; at < bytes.length; at += most) {
        const piece = bytes.subarray(at, at + most);
        this.#bytes(e.bm_web_input(), piece.length).set(piece);
        e.bm_web_receive(piece.length);
      }
    }
  }
}
