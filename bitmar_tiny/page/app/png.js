// SPDX-License-Identifier: Apache-2.0
// PNG to RGB on white, exactly as bitmar_tiny/data/frontend/picture.py reads it: what a canvas does with colours and
// transparency differs from browser to browser.

import { concat, crc32, inflate, viewOf } from "./bytes.js";
import { Problem } from "./link.js";

const GREY = 0, RGB = 2, INDEXED = 3, GREY_ALPHA = 4, RGB_ALPHA = 6;
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]; // x, y, dx, dy
const MOST_PIXELS = 50000000;

/** `Problem` for a picture that is too large. */
export function needSize(width, height) {
  if (width * height > MOST_PIXELS)
    throw new Problem(`This picture has ${width.toLocaleString("en")} x ${height.toLocaleString("en")} pixels, which is too large.`, "Make it smaller, or cut out what it shows.");
}

export function isPng(bytes) {
  return bytes.length > 8 && hexHead(bytes) === "89504e470d0a1a0a";
}

function hexHead(bytes) {
  return Array.from(bytes.subarray(0, 8), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** {width, height, rgb: uint8 [height * width * 3]}, or null for one that only the browser reads (turned by EXIF, rare keys). */
export async function decodePng(bytes) {
  const { head, palette, clear, data, turned } = readChunks(bytes);
  const { width, height, depth, kind, interlaced } = head;
  if (turned || (clear && ((kind === GREY && depth < 8) || (kind === RGB && depth === 16)))) return null;
  let raw;
  try {
    raw = await inflate(data);
  } catch {
    throw new Problem("This PNG is damaged: its pixels do not unpack.", "Copy it again, or choose another picture.");
  }
  const samples = new Uint16Array(width * height * CHANNELS[kind]);
  let at = 0;
  for (const pass of interlaced ? PASSES : [[0, 0, 1, 1]]) at = readPass(raw, at, pass, head, samples);
  return { width, height, rgb: toRgb(samples, head, palette, clear) };
}

function readChunks(bytes) {
  const view = viewOf(bytes), found = { data: [], clear: null, palette: null, turned: false };
  const broken = () => new Problem("This PNG is damaged, or cut short.", "Copy it again, or choose another picture.");
  for (let at = 8, name = ""; name !== "IEND";) {
    if (at + 12 > bytes.length) throw broken();
    const length = view.getUint32(at), body = bytes.subarray(at + 8, at + 8 + length);
    name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length || view.getUint32(at + 8 + length) !== crc32(bytes.subarray(at + 4, at + 8 + length))) throw broken();
    if (name === "IHDR") found.head = readHead(viewOf(body));
    else if (name === "PLTE") found.palette = body;
    else if (name === "tRNS") found.clear = body;
    else if (name === "IDAT") found.data.push(body);
    else if (name === "eXIf") found.turned = true;
    at += 12 + length;
  }
  if (!found.head || !found.data.length || (found.head.kind === INDEXED && !found.palette)) throw broken();
  return { ...found, data: concat(found.data) };
}

function readHead(view) {
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, kind, , , interlaced] = [8, 9, 10, 11, 12].map((i) => view.getUint8(i));
  if (!width || !height || !(DEPTHS[kind] || []).includes(depth) || interlaced > 1) throw new Problem("This PNG is damaged: its header makes no sense.");
  needSize(width, height);
  return { width, height, depth, kind, interlaced };
}

/** The pixels of one pass, from byte `at` of the unpacked data on; returns where the next begins. */
function readPass(raw, at, [x0, y0, dx, dy], { width, height, depth, kind }, samples) {
  const channels = CHANNELS[kind], wide = Math.ceil((width - x0) / dx), high = Math.ceil((height - y0) / dy);
  if (wide <= 0 || high <= 0) return at;
  const pitch = Math.ceil((wide * channels * depth) / 8), back = Math.max(1, (channels * depth) >> 3);
  if (at + high * (pitch + 1) > raw.length) throw new Problem("This PNG is cut short.", "Copy it again, or choose another picture.");
  let above = new Uint8Array(pitch);
  for (let y = 0; y < high; y++, at += pitch + 1) {
    const row = raw.subarray(at + 1, at + 1 + pitch);
    unfilter(raw[at], row, above, back);
    above = row;
    let to = ((y0 + y * dy) * width + x0) * channels;
    for (let x = 0, i = 0; x < wide; x++, to += (dx - 1) * channels)
      for (let c = 0; c < channels; c++, i++, to++) samples[to] = sample(row, i, depth);
  }
  return at;
}

function sample(row, i, depth) {
  if (depth === 8) return row[i];
  if (depth === 16) return (row[2 * i] << 8) | row[2 * i + 1];
  const bit = i * depth;
  return (row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

function unfilter(filter, row, above, back) {
  if (filter > 4) throw new Problem("This PNG is damaged.", "Copy it again, or choose another picture.");
  for (let i = 0; filter && i < row.length; i++) {
    const left = i >= back ? row[i - back] : 0, up = above[i], corner = i >= back ? above[i - back] : 0;
    row[i] += filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : paeth(left, up, corner);
  }
}

function paeth(left, up, corner) {
  const guess = left + up - corner, [a, b, c] = [left, up, corner].map((v) => Math.abs(guess - v));
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Samples as 8-bit colours on white; of 16 bits the 8 high ones. */
function toRgb(samples, { width, height, depth, kind }, palette, clear) {
  const rgb = new Uint8Array(3 * width * height), channels = CHANNELS[kind];
  const eight = depth === 16 ? (v) => v >> 8 : kind === INDEXED ? (v) => v : (v) => v * (255 / ((1 << depth) - 1));
  const key = clear && (kind === GREY || kind === RGB) ? Array.from({ length: channels }, (_, c) => viewOf(clear).getUint16(2 * c)) : null;
  for (let i = 0; i < width * height; i++) {
    const s = samples.subarray(i * channels, (i + 1) * channels);
    let colour, alpha = 255;
    if (kind === INDEXED) {
      colour = [0, 1, 2].map((c) => palette[3 * s[0] + c] ?? 0);
      alpha = clear && s[0] < clear.length ? clear[s[0]] : 255;
    } else {
      colour = kind === RGB || kind === RGB_ALPHA ? [eight(s[0]), eight(s[1]), eight(s[2])] : [eight(s[0]), eight(s[0]), eight(s[0])];
      if (kind === GREY_ALPHA || kind === RGB_ALPHA) alpha = eight(s[channels - 1]);
      else if (key && key.every((v, c) => v === s[c])) alpha = 0;
    }
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = onWhite(colour[c], alpha);
  }
  return rgb;
}

/** A colour over white, rounded as Pillow's alpha_composite rounds it. */
function onWhite(value, alpha) {
  const sum = ((value * alpha + 255 * (255 - alpha)) << 7) + (0x80 << 7);
  return (((sum >> 8) + sum) >> 8) >> 7;
}
