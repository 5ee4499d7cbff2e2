// SPDX-License-Identifier: Apache-2.0
// The worker, as functions of the page.

import { Problem } from "./link.js";

export class Engine {
  /** onboard: gets bytes for the board, null where its line is to be closed. */
  constructor(source, onboard) {
    this.onboard = onboard;
    this.worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    this.asked = new Map();
    this.next = 1;
    this.worker.onmessage = ({ data }) => this.#take(data);
    this.worker.onerror = (event) => {
      for (const { no } of this.asked.values()) no(new Problem(`The page's worker failed (${event.message}).`, "Load the page again."));
      this.asked.clear();
    };
  }

  /** Ask for a method of the worker; `event` gets what comes before its result. */
  call(method, params = {}, event = () => {}) {
    const id = this.next++;
    return new Promise((ok, no) => {
      this.asked.set(id, { ok, no, event });
      this.worker.postMessage({ id, method, params });
    });
  }

  /** Bytes that a board sent, or that it is gone. */
  arrived(bytes) {
    this.worker.postMessage({ arrived: bytes });
  }

  gone() {
    this.worker.postMessage({ gone: true });
  }

  #take({ id, event, result, problem, hint, board }) {
    if (board !== undefined) return this.onboard(board);
    const asked = this.asked.get(id);
    if (!asked) return;
    if (event !== undefined) return asked.event(event);
    this.asked.delete(id);
    if (problem) asked.no(new Problem(problem, hint));
    else asked.ok(result);
  }
}
