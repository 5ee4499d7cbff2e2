// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE: text to the same ids as bitmar_tiny/data/tokenizer.py; the binary is that of tokenizer_file.py.

import { viewOf } from "./bytes.js";
import { Problem } from "./link.js";
import { UNICODE_STARTS } from "./unicode.js";

const LETTER = 1, NUMBER = 2, OTHER = 0, SPACE = 3;
const DEAD = -1;

/** GPT-2's regular expression, with the Unicode classes of the C program instead of the browser's own. */
function makeSplitter() {
  const inside = ["", "", "", ""];
  UNICODE_STARTS.forEach((start, i) => {
    const end = i + 1 < UNICODE_STARTS.length ? UNICODE_STARTS[i + 1] >> 2 : 0x110000;
    inside[start & 3] += `\\u{${(start >> 2).toString(16)}}-\\u{${(end - 1).toString(16)}}`;
  });
  const some = (kind) => ` ?[${inside[kind]}]+`;
  const space = inside[SPACE];
  return new RegExp(`'s|'t|'re|'ve|'m|'ll|'d|${some(LETTER)}|${some(NUMBER)}|${some(OTHER)}|[${space}]+(?![^${space}])|[${space}]+`, "gu");
}

/** A heap of [key, place] pairs, smallest first. */
class Heap {
  items = [];
  push(key, place) {
    const items = this.items;
    let i = items.push([key, place]) - 1;
    for (let up; i && Heap.less(items[i], items[(up = (i - 1) >> 1)]); i = up) [items[i], items[up]] = [items[up], items[i]];
  }
  pop() {
    const items = this.items, top = items[0], last = items.pop();
    if (!items.length) return top;
    items[0] = last;
    for (let i = 0; ;) {
      let low = 2 * i + 1;
      if (low + 1 < items.length && Heap.less(items[low + 1], items[low])) low++;
      if (low >= items.length || !Heap.less(items[low], items[i])) return top;
      [items[i], items[low]] = [items[low], items[i]];
      i = low;
    }
  }
  static less(a, b) {
    return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
  }
}

export class Tokenizer {
  constructor(binary) {
    const view = viewOf(binary);
    this.size = view.getUint32(8, true);
    this.eos = this.size - 1;
    const merges = this.size - 257, offsets = 544, table = offsets + 4 * (this.size + 1);
    const text = (table + 6 * merges + 3) & ~3;
    this.byteIds = Array.from({ length: 256 }, (_, i) => view.getUint16(32 + 2 * i, true));
    this.results = new Map();
    for (let i = 0; i < merges; i++) {
      const [left, right, result] = [0, 2, 4].map((k) => view.getUint16(table + 6 * i + k, true));
      this.results.set(left * 65536 + right, result);
    }
    const at = (i) => text + view.getUint32(offsets + 4 * i, true);
    this.texts = Array.from({ length: this.size }, (_, i) => binary.slice(at(i), at(i + 1)));
    this.splitter = makeSplitter();
  }

  /** Ids of `text`, nothing added. */
  encode(text) {
    if (!text.isWellFormed()) throw new Problem("The text holds half a character.", "Type it again.");
    return (text.match(this.splitter) || []).flatMap((piece) => this.#merge(piece));
  }

  /** Ids of one piece: of all neighbours that merge, those of the lowest rank first, the leftmost of equals. */
  #merge(piece) {
    const ids = Array.from(new TextEncoder().encode(piece), (byte) => this.byteIds[byte]);
    const n = ids.length, before = ids.map((_, i) => i - 1), after = ids.map((_, i) => i + 1), found = new Heap();
    const result = (i) => (i >= 0 && after[i] < n ? this.results.get(ids[i] * 65536 + ids[after[i]]) : undefined);
    const note = (i) => {
      const joined = result(i);
      if (joined !== undefined) found.push(joined, i);
    };
    ids.forEach((_, i) => note(i));
    while (found.items.length) {
      const [joined, left] = found.pop();
      if (ids[left] === DEAD || result(left) !== joined) continue; // one of the two has merged meanwhile
      ids[after[left]] = DEAD;
      ids[left] = joined;
      after[left] = after[after[left]];
      if (after[left] < n) before[after[left]] = left;
      note(before[left]);
      note(left);
    }
    return ids.filter((id) => id !== DEAD);
  }
}
