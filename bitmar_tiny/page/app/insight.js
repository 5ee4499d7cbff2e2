// SPDX-License-Identifier: Apache-2.0
// What a model shows of itself: which slots answer, where it looks. A twin of the board in this page, which computes the same bits,
// is asked for tensors; the board itself need show none.

import { viewOf } from "./bytes.js";
import { DATA } from "./device.js";

/** Tensors that `work` lets `device` pass, of the taps with these ids: [{id, data}] in order. */
export async function tapped(device, ids, work) {
  const found = [];
  let pieces = [];
  device.onTap = (id, crc, data, more) => {
    pieces.push(data);
    if (more) return;
    found.push({ id, data: new Uint8Array(pieces.flatMap((p) => [...p])) });
    pieces = [];
  };
  await device.taps(ids.map((id) => [id, DATA]));
  try {
    await work();
  } finally {
    device.onTap = () => {};
    await device.taps([]);
  }
  return found;
}

function int8(bytes) {
  return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function floats(bytes) {
  const view = viewOf(bytes);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function dot(a, b, from, n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[i] * b[from + i];
  return sum;
}

/** e^x over its sum. */
function softmax(scores) {
  const most = Math.max(...scores), e = scores.map((s) => Math.exp(s - most)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/** The slots that answer a picture (or null), the first the most: [{slot, share}] (bitmar_tiny/memory/inspect.py). */
export async function nearest(twin, about, memory, patches, count) {
  const taps = await tapped(twin, [about.taps.read], async () => {
    await twin.begin();
    await twin.memoryOn(true);
    if (patches) await twin.image(patches);
    await twin.tokens([about.vocab - 1]);
  });
  if (!taps.length) return [];
  const query = int8(taps[0].data), d = query.length;
  const length = Math.sqrt(dot(query, query, 0, d) / d) || 1; // 1 / the query's scale
  const unit = (about.keyed ? about.sharpness : 256) / (length * Math.sqrt(d));
  const high = Int8Array.from(memory.codes, (code) => (code - ((code << 24) >> 24)) >> 8);
  const slots = [...Array(memory.slots).keys()].filter((k) => !about.keyed || memory.usage[k]);
  if (!slots.length) return [];
  const shares = softmax(slots.map((k) => dot(query, high, k * d, d) * memory.scales[k] * unit));
  return slots.map((slot, i) => ({ slot, share: shares[i] })).sort((a, b) => b.share - a.share).slice(0, count);
}

/** How much of its attention each of `ids` gives to each vector of the picture: a list of [n] a token, over all layers and heads.
 *
 * The tap of the queries has no scale. It is one number a layer and token: that with which the attention gives the output that the
 * model had. */
export async function attention(twin, about, patches, ids) {
  const layers = about.taps.fusion, wanted = layers.flatMap((l) => Object.values(l));
  const taps = await tapped(twin, wanted, async () => {
    await twin.begin();
    await twin.image(patches);
    for (const id of ids) await twin.tokens([id]);
  });
  const of = (id) => taps.filter((t) => t.id === id).map((t) => t.data);
  const looked = ids.map(() => new Float64Array(about.vectors));
  for (const layer of layers) {
    const image = { k: int8(of(layer.k)[0]), ks: floats(of(layer.ks)[0]), v: int8(of(layer.v)[0]), vs: floats(of(layer.vs)[0]) };
    const queries = of(layer.q).map(int8), outs = of(layer.out).map(floats);
    ids.forEach((_, t) => {
      for (const head of explain(queries[t], outs[t], image, about))
        head.forEach((p, i) => (looked[t][i] += p / (layers.length * about.heads)));
    });
  }
  return looked.map((row) => Array.from(row));
}

/** The attention of each head, [heads][n], that gives `out`. */
function explain(q, out, { k, ks, v, vs }, { heads, kvHeads, vectors }) {
  const dh = q.length / heads, width = kvHeads * dh, group = heads / kvHeads;
  const scores = Array.from({ length: heads }, (_, h) =>
    Array.from({ length: vectors }, (_, j) => dot(q.subarray(h * dh, (h + 1) * dh), k, j * width + Math.floor(h / group) * dh, dh) * ks[j]));
  const most = Math.max(...scores.flat().map(Math.abs)) || 1;
  const at = (scale) => scores.map((row) => softmax(row.map((s) => s * scale)));
  const error = (scale) => {
    let sum = 0;
    at(scale).forEach((p, h) => {
      for (let i = 0; i < dh; i++) {
        let o = 0;
        for (let j = 0; j < vectors; j++) o += p[j] * v[j * width + Math.floor(h / group) * dh + i] * vs[j];
        sum += (o - out[h * dh + i]) ** 2;
      }
    });
    return sum;
  };
  let best = 0; // on a logarithmic grid, then finer
  const grid = [0, ...Array.from({ length: 40 }, (_, i) => (0.01 * 1.3 ** i) / most)];
  best = grid.reduce((a, b) => (error(b) < error(a) ? b : a));
  for (let step = 0.15; step > 1e-3; step /= 2)
    for (const near of [best * (1 - step), best * (1 + step)]) if (error(near) < error(best)) best = near;
  return at(best);
}
