// SPDX-License-Identifier: Apache-2.0
// A thing shown once by its name, recognised, listed and forgotten, as bitmar_tiny/run/teach.py does it. There is no record beside
// the memory: what a slot holds is recited out of it, by the twin.

import { Problem } from "./link.js";
import { nearest } from "./insight.js";
import { DETERMINERS, LONGEST_ANSWER, PROMPT, UNKNOWN, USAGE_ONE, VOWELS } from "./words.js";

const TOP = 3; // slots that are named as those that answered

export function answerOf(name) {
  if (DETERMINERS.includes(name.split(" ")[0].toLowerCase())) return ` ${name}.`;
  return ` ${VOWELS.includes(name.slice(0, 1).toLowerCase()) ? "an" : "a"} ${name}.`;
}

export function nameOf(answer) {
  const name = answer.trim().replace(/\.$/, ""), match = /^an? (.+)$/s.exec(name);
  return match ? match[1] : name;
}

export function firstSentence(text) {
  const stop = text.indexOf(".");
  return stop < 0 ? text : text.slice(0, stop + 1);
}

function textOf(tokens) {
  return new TextDecoder().decode(Uint8Array.from(tokens.flatMap((t) => [...t.text])));
}

export class Teacher {
  /** twin: gives a device in this page, with a memory that is only tried; about: of the model. */
  constructor(twin, tokenizer, about) {
    Object.assign(this, { twin, tokenizer, about });
    this.recited = new Map();
  }

  checkedName(name) {
    name = name.trim();
    if (!name) throw new Problem("The name is empty.", "Give the thing one, such as 'my cup'.");
    if (/[\p{C}\p{Z}]/u.test(name.replaceAll(" ", "")) || name.includes("."))
      throw new Problem("This is not a name: it holds a line break, a control character or a full stop.", "Write it on one line, without a full stop.");
    const tokens = this.tokenizer.encode(answerOf(name)).length;
    if (tokens > LONGEST_ANSWER)
      throw new Problem(`This name is too long: saying it takes ${tokens} tokens, and an answer has ${LONGEST_ANSWER} at most.`, "Choose a shorter one.");
    return name;
  }

  async #episode(device, patches, text) {
    await device.begin();
    await device.memoryOn(true);
    await device.image(patches);
    await device.tokens([this.tokenizer.eos, ...this.tokenizer.encode(text)]);
    await device.end();
  }

  /** The tokens behind `PROMPT`. */
  async #say(device, patches, event = () => {}) {
    await device.begin();
    await device.memoryOn(true);
    if (patches) await device.image(patches);
    const tokens = [];
    for await (const token of device.generate(this.tokenizer.encode(PROMPT), { limit: LONGEST_ANSWER, topK: 1 })) {
      tokens.push(token);
      event(token);
    }
    return tokens;
  }

  /** What the model says out of this slot alone. */
  async recite(memory, slot) {
    const row = memory.codes.subarray(slot * memory.width, (slot + 1) * memory.width), key = row.join();
    if (!this.recited.has(key)) {
      const usage = new Uint32Array(memory.slots);
      usage[slot] = memory.usage[slot];
      const twin = await this.twin();
      await twin.writeMemory({ ...memory, usage });
      this.recited.set(key, firstSentence(textOf(await this.#say(twin, null))));
    }
    return this.recited.get(key);
  }

  async #thing(memory, slot) {
    return { slot, name: nameOf(await this.recite(memory, slot)), ago: USAGE_ONE - memory.usage[slot] };
  }

  #used(memory) {
    return [...memory.usage.keys()].filter((k) => k >= this.about.fixedSlots && memory.usage[k]);
  }

  #needWritable(device) {
    if (device.who.can.read_only) throw new Problem("The memory of this board is read-only.", "Generate its firmware with --memory sd.");
  }

  /** Show a thing to `device`. `Problem` before anything is written, for a name that cannot be kept. */
  async teach(device, name, patches) {
    this.#needWritable(device);
    name = this.checkedName(name);
    const before = await device.readMemory(), twin = await this.twin();
    await twin.writeMemory(before);
    await this.#episode(twin, patches, PROMPT + answerOf(name));
    const after = await twin.readMemory(), slot = after.usage.indexOf(USAGE_ONE, this.about.fixedSlots);
    const said = await this.recite(after, slot);
    if (said !== answerOf(name))
      throw new Problem(`The model cannot keep the name '${name}': it would say '${said.trim()}' in its place.`, "Choose another name. Nothing was written.");
    const replaced = before.usage[slot] ? await this.#thing(before, slot) : null;
    await this.#episode(device, patches, PROMPT + answerOf(name));
    return {
      thing: { slot, name: nameOf(answerOf(name)), ago: 0 }, replaced,
      alike: replaced !== null && this.#cosine(before, after, slot) > this.about.matchFrom - 1e-5,
      known: this.#used(after).length,
    };
  }

  /** Of the keys that a slot had and has; their length is sqrt(width). */
  #cosine(before, after, slot) {
    let sum = 0;
    const high = (m, i) => ((c) => (c - ((c << 24) >> 24)) >> 8)(m.codes[slot * m.width + i]);
    for (let i = 0; i < before.width; i++) sum += high(before, i) * high(after, i);
    return (sum * before.scales[slot] * after.scales[slot]) / before.width;
  }

  /** What `device` says of a picture, and which slots answered it; `event` gets each token as it comes. */
  async ask(device, patches, event) {
    const memory = await device.readMemory(), tokens = await this.#say(device, patches, event);
    const said = firstSentence(textOf(tokens)), known = said !== UNKNOWN, slots = [];
    for (const { slot, share } of await nearest(await this.twin(), this.about, memory, patches, TOP))
      if (!slots.length || share * 2 ** 15 >= slots[0].share)
        slots.push({ slot, share, name: nameOf(await this.recite(memory, slot)), learned: slot < this.about.fixedSlots });
    return { text: known ? PROMPT + said : said.trim(), name: known ? nameOf(said) : null, slots, written: tokens.map((t) => t.id) };
  }

  /** All that `device` was taught, the latest first. */
  async taught(device) {
    const memory = await device.readMemory(), things = [];
    for (const slot of this.#used(memory)) things.push(await this.#thing(memory, slot));
    return things.sort((a, b) => a.ago - b.ago);
  }

  /** Empty the slots that recite `name`; returns what they held. */
  async forget(device, name) {
    this.#needWritable(device);
    const gone = (await this.taught(device)).filter((thing) => thing.name === name);
    if (!gone.length) throw new Problem(`Nothing is known by the name '${name}'.`);
    const memory = await device.readMemory(), { width } = memory;
    const [codes, scales, usage] = [memory.codes.slice(), memory.scales.slice(), memory.usage.slice()];
    for (const { slot } of gone) {
      usage[slot] = scales[slot] = 0;
      codes.fill(0, slot * width, (slot + 1) * width);
    }
    await device.writeMemory({ ...memory, codes, scales, usage });
    return gone;
  }
}
