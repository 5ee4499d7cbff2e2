// SPDX-License-Identifier: MIT-0
// Runs a module in node, as a program that answers on its standard input and output:
//
//   node node.mjs PROGRAM.wasm link [--store FILE]
//
// model.blob lies beside the module, or in a folder above it, as in a project. The file of a store is replaced whole after each change,
// before the answer that tells of it.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Module } from "./module.mjs";

function blobOf(wasm) {
  let folder = dirname(resolve(wasm));
  for (let up = 0; up < 3; up++, folder = dirname(folder)) {
    const path = join(folder, "model.blob");
    if (existsSync(path)) return readFileSync(path);
  }
  throw new Error(`${wasm}: there is no model.blob beside it or above it.`);
}

function writeWhole(file, data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += writeSync(file, data, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // a full pipe: its reader is behind
    }
  }
}

function keep(path, data) {
  const file = openSync(`${path}.new`, "w");
  writeWhole(file, data);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.new`, path);
}

const [wasm, command, option, path] = process.argv.slice(2);
if (!wasm || command !== "link" || (option && (option !== "--store" || !path))) {
  console.error("Usage: node node.mjs PROGRAM.wasm link [--store FILE]");
  process.exit(1);
}
const store = path ? readFileSync(path) : null;
const board = await Module.load(readFileSync(wasm), blobOf(wasm), store);
let working = false;

function work() {
  working = board.run();
  const changes = board.changes();
  for (const [offset, piece] of changes) store.set(piece, offset);
  if (changes.length) keep(path, store);
  writeWhole(1, board.output());
  if (working) setImmediate(work); // after a look at what has arrived
}

process.stdout.on("error", () => process.exit(0));
process.stdin.on("data", (data) => {
  board.receive(data);
  if (!working) work();
});
process.stdin.on("end", () => process.exit(0));
