// SPDX-License-Identifier: MIT-0
// A module of platform `web` as a board on a line, for any JavaScript: a page, its worker, node. src/web.h says what it exports.

const PREFIX = "bm_web_";

export class Module {
  // wasm: bytes of the module, or a WebAssembly.Module; blob: bytes of model.blob; store: bytes of the memory's store, if it has one.
  static async load(wasm, blob, store = null) {
    const imports = { bm: { clock: () => performance.now() * 1e6 } };
    const made = await WebAssembly.instantiate(wasm, imports);
    return new Module((made.instance ?? made).exports, blob, store);
  }

  constructor(exports, blob, store) {
    this.memory = exports.memory;
    const names = Object.keys(exports).filter((name) => name.startsWith(PREFIX));
    this.calls = Object.fromEntries(names.map((name) => [name.slice(PREFIX.length), exports[name]]));
    if (blob.byteLength === this.calls.blob_bytes()) this.#put(blob, this.calls.blob()); // another one is refused by the module
    this.disk = 0;
    if (store && this.calls.store) {
      this.disk = this.calls.store(store.byteLength) >>> 0;
      if (!this.disk) throw new RangeError(`there is no room for a store of ${store.byteLength} bytes`);
      this.#put(store, this.disk);
    }
    this.calls.start();
  }

  // Why its model does not run; empty if it does.
  get why() {
    const at = this.calls.why() >>> 0;
    const text = at ? this.#bytes(at, 256) : new Uint8Array();
    return new TextDecoder().decode(text.subarray(0, Math.max(0, text.indexOf(0))));
  }

  // Bytes that arrive on its line.
  receive(data) {
    const room = this.calls.input_bytes();
    for (let at = 0; at < data.length; at += room) {
      const piece = data.subarray(at, at + room);
      this.#put(piece, this.calls.input());
      this.calls.receive(piece.length);
    }
  }

  // One request, or one token of it. Whether there is more to do at once.
  run() {
    return this.calls.run() !== 0;
  }

  // What it has sent since the last call.
  output() {
    const n = this.calls.output_bytes();
    const data = n ? this.#bytes(this.calls.output() >>> 0, n).slice() : new Uint8Array();
    this.calls.output_taken();
    return data;
  }

  // Pieces of its store that were written since the last call, [[offset, bytes]]: keep all of them in one transaction.
  changes() {
    const found = [];
    if (!this.disk) return found;
    const unit = this.calls.store_unit();
    for (let at; (at = this.calls.store_changed()) >= 0; ) found.push([at, this.#bytes(this.disk + at, unit).slice()]);
    return found;
  }

  // The memory may have grown since: its views are made anew.
  #bytes(at, n) {
    return new Uint8Array(this.memory.buffer, at, n);
  }

  #put(data, at) {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    this.#bytes(at >>> 0, bytes.length).set(bytes);
  }
}
