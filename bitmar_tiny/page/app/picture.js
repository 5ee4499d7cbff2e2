// SPDX-License-Identifier: Apache-2.0
// Pictures as the vectors that a model takes, byte for byte as bitmar_tiny/data/pixels.py makes them.

import { Problem } from "./link.js";
import { decodePng, isPng, needSize } from "./png.js";

const PATCH = 16, VECTOR = PATCH * PATCH * 3;
const REACH = 3; // of Lanczos' filter, in pixels of the smaller picture
const BITS = 22; // weights are in steps of 2^-22

/** Side of the square picture behind n vectors, and whether they are a pyramid. */
export function pictureSide(n) {
  const grid = Math.round(Math.sqrt(n));
  if (grid * grid === n) return { side: grid * PATCH, pyramid: false };
  for (let k = 2, sum = 1; k < 12; k++) if ((sum += 4 ** (k - 1)) === n) return { side: 2 ** (k - 1) * PATCH, pyramid: true };
  throw new Problem(`The model takes ${n} vectors, which this page cannot make of a picture.`);
}

/** An encoded picture as {width, height, rgb}, on white. */
export async function decodePicture(bytes) {
  if (!bytes.length) throw new Problem("This file is empty (0 bytes).", "Choose a PNG or JPEG picture.");
  const exact = isPng(bytes) ? await decodePng(bytes) : null;
  if (exact) return exact;
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  } catch {
    throw new Problem("This file is not a picture that the browser can read.", "Choose a PNG or JPEG picture.");
  }
  needSize(bitmap.width, bitmap.height);
  const { width, height } = bitmap, canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  return fromRgba(pen.getImageData(0, 0, width, height));
}

/** Opaque pixels of a canvas. */
export function fromRgba({ width, height, data }) {
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) rgb[3 * i + c] = data[4 * i + c];
  return { width, height, rgb };
}

/** Whole in a square on white. Rows are resampled first, then columns (frontend/picture.py). uint8 [side * side * 3] */
export function fit({ width, height, rgb }, side) {
  if (width === side && height === side) return rgb;
  const most = Math.max(width, height), wide = toEven((width / most) * side), high = toEven((height / most) * side);
  const square = new Uint8Array(3 * side * side).fill(255);
  if (!wide || !high) return square;
  const narrow = resample(rgb, width, wide, height, 3, 3 * width, 3, 3 * wide); // along the rows
  const small = resample(narrow, height, high, wide, 3 * wide, 3, 3 * wide, 3); // along the columns
  const [left, top] = [toEven((side - wide) * 0.5), toEven((side - high) * 0.5)];
  for (let y = 0; y < high; y++) square.set(small.subarray(3 * wide * y, 3 * wide * (y + 1)), 3 * ((top + y) * side + left));
  return square;
}

/** To the nearest integer, halves to the even one. */
function toEven(x) {
  const n = Math.floor(x), rest = x - n;
  return rest > 0.5 || (rest === 0.5 && n % 2) ? n + 1 : n;
}

function lanczos(x) {
  const sinc = (t) => (t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t));
  return x >= -REACH && x < REACH ? sinc(x) * sinc(x / REACH) : 0;
}

/** `lines` lines of `from` pixels to `to` pixels each; steps in bytes between pixels and between lines, in and out. */
function resample(rgb, from, to, lines, step, line, outStep, outLine) {
  const out = new Uint8Array(3 * to * lines), scale = from / to, wide = Math.max(scale, 1);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale, first = Math.max(0, Math.trunc(centre - REACH * wide + 0.5));
    const end = Math.min(from, Math.trunc(centre + REACH * wide + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => lanczos((k + first - centre + 0.5) * (1 / wide)));
    const sum = raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => Math.trunc((w / sum) * (1 << BITS) + (w < 0 ? -0.5 : 0.5)));
    for (let y = 0; y < lines; y++)
      for (let c = 0; c < 3; c++) {
        let total = 1 << (BITS - 1), at = y * line + first * step + c;
        for (let k = 0; k < weights.length; k++, at += step) total += weights[k] * rgb[at];
        out[y * outLine + i * outStep + c] = total < 0 ? 0 : Math.min(255, Math.floor(total / (1 << BITS)));
      }
  }
  return out;
}

/** The n vectors of a square picture, finest grid first: uint8 [n * 768]. */
export function pictureVectors(rgb, n) {
  const { side, pyramid } = pictureSide(n), vectors = new Uint8Array(n * VECTOR);
  let at = patches(rgb, side, vectors, 0);
  for (let small = side; pyramid && small > PATCH; small /= 2) {
    rgb = halve(rgb, small);
    at = patches(rgb, small / 2, vectors, at);
  }
  return vectors;
}

function patches(rgb, side, vectors, at) {
  for (let py = 0; py < side; py += PATCH)
    for (let px = 0; px < side; px += PATCH)
      for (let y = 0; y < PATCH; y++, at += 3 * PATCH)
        vectors.set(rgb.subarray(3 * ((py + y) * side + px), 3 * ((py + y) * side + px + PATCH)), at);
  return at;
}

/** Average 2x2 pixels, halves up. */
function halve(rgb, side) {
  const half = side / 2, out = new Uint8Array(3 * half * half);
  for (let y = 0; y < half; y++)
    for (let i = 0; i < 3 * half; i++) {
      const at = 3 * side * 2 * y + 6 * Math.floor(i / 3) + (i % 3);
      out[3 * half * y + i] = (rgb[at] + rgb[at + 3] + rgb[at + 3 * side] + rgb[at + 3 * side + 3] + 2) >> 2;
    }
  return out;
}
