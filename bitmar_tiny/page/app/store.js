// SPDX-License-Identifier: Apache-2.0
// A memory's store as a file: whether it is whole enough to go on with. Its format: docs/reference/memory-store.md.

import { crc32, hex, viewOf } from "./bytes.js";
import { Problem } from "./link.js";
import { STORE } from "./words.js";

/** `Problem` for a file that is no store of this model. `like`: a store of it. */
export function checkStore(store, like, about) {
  const file = "This file";
  const headers = [0, store.length - 3 * STORE.unit].map((at) => store.subarray(Math.max(at, 0), Math.max(at, 0) + STORE.unit));
  const header = headers.find((unit) => unit.length === STORE.unit && viewOf(unit).getUint32(0, true) === STORE.header
    && viewOf(unit).getUint32(STORE.unit - 4, true) === crc32(unit.subarray(0, STORE.unit - 4)));
  if (!header) throw new Problem(`${file} is not a memory store.`, "Choose one that this page, or 'bitmar-tiny memory export', wrote.");
  const version = viewOf(header).getUint32(4, true), digest = hex(header.subarray(STORE.digest, STORE.digest + 32));
  if (version !== STORE.version) throw new Problem(`${file} is a memory store of format ${version}, this page reads ${STORE.version}.`);
  if (digest !== about.digest)
    throw new Problem(`${file} is the memory of another model (SHA-256 ${digest.slice(0, 12)}..., not ${about.digest.slice(0, 12)}...).`, "Choose the memory of this model.");
  if (store.length !== like.length) throw new Problem(`${file} is a memory store that is cut short, or has something behind it.`, "Export it again.");
}
