// SPDX-License-Identifier: Apache-2.0
// The model's module as the port of a link.

import { Problem } from "./link.js";
import { Module } from "./module.js";

/** Let all others have their turn; a timer would wait for milliseconds. */
function turn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

export class ModuleLine {
  /** compiled: a WebAssembly.Module; store: of its memory. */
  static async start(compiled, blob, store) {
    const module = await Module.load(compiled, blob, store);
    if (module.why) throw new Problem(`The model did not start: ${module.why}.`, "Make the page again with 'bitmar-tiny play'.");
    return new ModuleLine(module, store.length);
  }

  constructor(module, storeBytes) {
    Object.assign(this, { module, storeBytes, waiting: [], running: false, closed: false });
    this.onreceive = () => {};
  }

  /** The memory's store as it is now. */
  store() {
    return new Uint8Array(this.module.memory.buffer, this.module.disk, this.storeBytes).slice();
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
    for (let more = true; (more || this.waiting.length) && !this.closed;) {
      await turn();
      for (const bytes of this.waiting.splice(0)) this.module.receive(bytes);
      more = this.module.run();
      const out = this.module.output();
      if (out.length) this.onreceive(out);
    }
    this.running = false;
  }
}
