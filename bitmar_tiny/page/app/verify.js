// SPDX-License-Identifier: Apache-2.0
// Is a board's model, bit by bit, the one in this page? Both get the same picture, tokens and memory; nothing is written.

import { crc32 } from "./bytes.js";
import { CRC, SILENT, WHERE, OFF } from "./device.js";

const TEXT = "The quick brown fox sees a small red house";
const WRITTEN = 16; // tokens
const ENOUGH = 300, LONGEST_MS = 3000; // steps that are measured, and for how long

/** A picture of which no two patches are alike. */
function pattern(n) {
  return Uint8Array.from({ length: n * 768 }, (_, i) => (i * 40503) >> 8);
}

/** What a device shows of one episode: [what, number] in order. */
async function trace(device, about, tokenizer) {
  const seen = [], tensors = device.who.can.taps;
  let step = "the picture";
  device.onTap = (id, crc, data, more) => more || seen.push([`${about.taps.names[id]} of ${step}`, crc]);
  try {
    await device.begin();
    await device.memoryOn(true);
    if (tensors) await device.taps([], CRC);
    await device.image(pattern(about.vectors));
    const ids = [tokenizer.eos, ...tokenizer.encode(TEXT)];
    for (const [i, id] of ids.entries()) {
      step = `token ${i}`;
      await device.tokens([id]);
    }
    if (tensors) await device.taps([], SILENT);
    await device.begin();
    await device.image(pattern(about.vectors));
    let written = 0;
    const text = device.generate(tokenizer.encode(TEXT), { limit: WRITTEN, temperature: 1, topK: 40, seed: 7 });
    for await (const { id } of text) seen.push([`written token ${written++}`, id]);
  } finally {
    device.onTap = () => {};
  }
  return { seen, tensors };
}

/** Compare `board` with its `twin`: {same, compared, tensors, difference}. The twin takes the board's memory over. */
export async function verify(board, twin, about, tokenizer) {
  const memory = await board.readMemory();
  await twin.writeMemory(memory);
  const [theirs, ours] = [await trace(board, about, tokenizer), await trace(twin, about, tokenizer)];
  const name = (entry) => entry[0], keep = new Set(theirs.seen.map(name));
  const mine = ours.seen.filter((entry) => keep.has(name(entry)) || !/ of /.test(name(entry)));
  const differs = (entry, i) => !mine[i] || mine[i][0] !== entry[0] || mine[i][1] !== entry[1];
  const at = theirs.seen.findIndex(differs);
  const same = at < 0 && mine.length === theirs.seen.length;
  return {
    same, compared: theirs.seen.length, tensors: theirs.tensors,
    memory: crc32(new Uint8Array(memory.codes.buffer)),
    difference: same ? "" : theirs.seen[at] ? theirs.seen[at][0] : "the number of tokens written",
  };
}

/** Where the time of a step goes on `device`: seconds a token by section and part, or null for firmware without marks. A
 * browser's clock has coarse steps, so many tokens are measured. */
export async function profile(device, about, tokenizer) {
  if (!device.who.can.profile) return null;
  const steps = [];
  device.onStep = (step) => steps.push(step);
  try {
    await device.profile(WHERE);
    const begun = performance.now();
    for (let seed = 0; steps.length < ENOUGH && performance.now() - begun < LONGEST_MS; seed++) {
      await device.begin();
      await device.image(pattern(about.vectors));
      for await (const _ of device.generate(tokenizer.encode(TEXT), { limit: WRITTEN, temperature: 1, seed }));
    }
  } finally {
    device.onStep = () => {};
    await device.profile(OFF);
  }
  const hz = device.who.cycles_hz, n = steps.length || 1;
  const mean = (s, p) => steps.reduce((sum, step) => sum + step.cycles[s][p], 0) / n / hz;
  return {
    steps: steps.length,
    total: steps.reduce((sum, step) => sum + step.total, 0) / n / hz,
    sections: device.who.sections.map((name, s) => ({ name, parts: steps.length ? steps[0].cycles[s].map((_, p) => mean(s, p)) : [] })),
  };
}
