// SPDX-License-Identifier: Apache-2.0
// The page's end of the link: two reliable streams of bytes over a line that loses, damages and doubles bytes.
// docs/reference/serial-protocol.md draws it; bitmar_tiny/device/link.py is the same for Python.

import { cobsDecode, cobsEncode, concat, crc32, viewOf } from "./bytes.js";
import { FRAMES, VERSION } from "./protocol.js";

const HEADER_BYTES = 9, OVERHEAD = HEADER_BYTES + 4;
const OPEN_EVERY_MS = 50, TICK_MS = 20;
const WAIT_MS = 50, WAIT_MOST_MS = 400; // for an acknowledgement, beside four round trips
const HASTE_MS = 4; // between two repetitions because of a gap, and two answers to garbage
const ASK_MS = 1000; // of silence, before the board is asked for a sign of life
const LEAST = 16; // smallest segment
const LONGEST = 4096; // longer chunks without a zero byte are cut: logs, or noise

/** What a person can act on: `message` says what and where, `hint` how to mend it. */
export class Problem extends Error {
  constructor(message, hint = "") {
    super(message);
    this.hint = hint;
  }
}

export function encodeFrame(kind, session, offset, acknowledged, payload) {
  const plain = new Uint8Array(OVERHEAD + payload.length), view = viewOf(plain);
  plain[0] = kind;
  [session, offset & 0xffff, acknowledged & 0xffff, payload.length].forEach((v, i) => view.setUint16(1 + 2 * i, v, true));
  plain.set(payload, HEADER_BYTES);
  view.setUint32(plain.length - 4, crc32(plain.subarray(0, plain.length - 4)), true);
  return concat([new Uint8Array(1), cobsEncode(plain), new Uint8Array(1)]);
}

/** The frame between two zero bytes, or null. */
export function decodeFrame(chunk) {
  const plain = cobsDecode(chunk);
  if (!plain || plain.length < OVERHEAD) return null;
  const view = viewOf(plain), end = plain.length - 4;
  const [session, offset, acknowledged, length] = [1, 3, 5, 7].map((at) => view.getUint16(at, true));
  if (length !== plain.length - OVERHEAD || view.getUint32(end, true) !== crc32(plain.subarray(0, end))) return null;
  return { kind: plain[0], session, offset, acknowledged, payload: plain.subarray(HEADER_BYTES, end) };
}

/** A session over `port`: {send(bytes), onreceive, close()}. */
export class Link {
  constructor(port, patienceMs = 4000) {
    this.port = port;
    this.patience = patienceMs;
    this.opened = this.failed = null;
    this.rest = [];
    this.waiters = [];
    port.onreceive = (bytes) => this.#feed(bytes);
    port.onclose = () => this.fail(new Problem("The board was unplugged.", "Plug it in, and connect again."));
  }

  /** Begin a session. `Problem` if no firmware of this protocol answers in time. */
  async open(limitMs = 3000) {
    this.session = 1 + (crypto.getRandomValues(new Uint16Array(1))[0] % 0xffff);
    this.opened = this.failed = null;
    this.out = new Uint8Array(0);
    this.head = this.sent = 0; // of the stream: out begins at its byte `head`
    this.in = [];
    this.inLength = this.received = this.acknowledged = 0;
    this.segment = 1024;
    this.clean = 0;
    this.wait = WAIT_MS;
    this.round = 0;
    this.timed = null;
    this.again = false;
    this.owes = 0;
    const now = performance.now();
    this.since = this.progress = this.answered = this.heard = this.asked = this.repeated = now;
    for (const until = now + limitMs; !this.opened && performance.now() < until;) {
      this.port.send(encodeFrame(FRAMES.open, this.session, 0, 0, Uint8Array.of(VERSION)));
      await this.#changed(OPEN_EVERY_MS);
    }
    if (!this.opened)
      throw new Problem("No firmware of bitmar-tiny answers.", "Check the cable and the speed, and press the board's reset button.");
    if (this.opened.version !== VERSION)
      throw new Problem(`The board speaks version ${this.opened.version} of the protocol, this page version ${VERSION}.`,
        "Flash firmware of the same version of bitmar-tiny.");
  }

  close() {
    if (this.opened && !this.failed) this.port.send(encodeFrame(FRAMES.closed, this.session, 0, 0, new Uint8Array(0)));
    this.fail(new Problem("The connection was closed."));
    this.port.close();
  }

  /** Append to the stream to the device; returns when most of it is on its way. */
  async send(data) {
    this.#need();
    if (!this.out.length) this.progress = performance.now();
    this.out = concat([this.out, data]);
    this.#sendDue();
    while (this.out.length > this.opened.room) await this.#changed();
  }

  /** The next n bytes from the device. `Problem` if it shows no sign of life for the link's patience. */
  async receive(n) {
    if (this.inLength < n) this.begun = this.asked = performance.now();
    while (this.inLength < n) await this.#changed();
    const all = this.in.length === 1 ? this.in[0] : concat(this.in);
    this.in = [all.subarray(n)];
    this.inLength -= n;
    return all.slice(0, n);
  }

  fail(problem) {
    this.failed = this.failed || problem;
    this.#wake();
  }

  #need() {
    if (this.failed) throw this.failed;
  }

  /** Resolves when something arrived, or after so long. */
  async #changed(limitMs = TICK_MS) {
    this.#need();
    const done = new Promise((resolve) => this.waiters.push(resolve));
    const timer = setTimeout(() => this.#tick(), limitMs);
    await done;
    clearTimeout(timer);
    this.#need();
  }

  #wake() {
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  #tick() {
    const now = performance.now();
    if (this.opened) {
      const silent = now - Math.max(this.heard, this.begun || 0);
      if (this.out.length && now - this.progress > this.patience) this.failed = this.#stalled();
      else if (!this.out.length && silent > this.patience) this.failed = this.#stalled();
      else if (silent > ASK_MS && now - this.asked > ASK_MS) {
        this.asked = now;
        this.owes = FRAMES.again;
      }
      if (!this.failed) this.#sendDue();
    }
    this.#wake();
  }

  #stalled() {
    return new Problem("The board stopped answering.", "Check cable and power, reset it, and connect again.");
  }

  #feed(bytes) {
    let from = 0;
    for (let zero = bytes.indexOf(0); zero >= 0; zero = bytes.indexOf(0, from)) {
      const chunk = this.rest.length ? concat([...this.rest.splice(0), bytes.subarray(from, zero)]) : bytes.subarray(from, zero);
      from = zero + 1;
      if (chunk.length) this.#takeChunk(chunk);
    }
    if (from < bytes.length) this.rest.push(bytes.slice(from));
    if (this.rest.reduce((n, part) => n + part.length, 0) > LONGEST) this.rest = [];
    if (this.opened && !this.failed) {
      if (this.received !== this.acknowledged) this.#acknowledge();
      this.#sendDue();
    }
    this.#wake();
  }

  #takeChunk(chunk) {
    const frame = decodeFrame(chunk);
    if (!frame) {
      const text = chunk.reduce((n, b) => n + ((b >= 32 && b < 127) || (b >= 9 && b <= 13) || b === 27), 0);
      if (text < 0.9 * chunk.length) this.owes = FRAMES.again; // else it is a line of a log
    } else if (frame.session === this.session) this.#takeFrame(frame);
  }

  #takeFrame(frame) {
    this.heard = performance.now();
    const { kind, payload } = frame;
    if (kind === FRAMES.opened && !this.opened && payload.length >= 9) {
      const view = viewOf(payload);
      this.opened = { version: payload[0], room: view.getUint16(1, true), segment: view.getUint16(3, true) };
    } else if (kind === FRAMES.closed && this.opened) {
      this.fail(new Problem("The board lost the session: it restarted, or another program spoke to it.", "Connect again."));
    } else if ((kind === FRAMES.data || kind === FRAMES.again) && this.opened) {
      this.#takeAcknowledgement(frame);
      this.#takeData(frame);
      if (kind === FRAMES.again) {
        if (this.sent === this.head) this.owes = this.owes || FRAMES.data;
        else this.again = true;
      }
    }
  }

  #takeAcknowledgement(frame) {
    const more = (frame.acknowledged - this.head) & 0xffff, now = performance.now();
    if (more === 0 || more > this.out.length) {
      const late = this.sent !== this.head && now - this.since >= HASTE_MS + 2 * this.round;
      if (!frame.payload.length && late) this.again = true; // it has had the time to arrive, and did not
      return;
    }
    this.out = this.out.subarray(more);
    this.head += more;
    this.sent = Math.max(this.sent, this.head);
    this.since = this.progress = now;
    this.again = false;
    if (this.timed && this.timed.at <= this.head) {
      this.round = (3 * this.round + now - this.timed.when) / 4;
      this.timed = null;
    }
    this.wait = WAIT_MS + 4 * this.round;
    this.clean += more;
    if (this.clean >= 4 * this.segment && this.segment < this.opened.segment) {
      this.segment *= 2;
      this.clean = 0;
    }
  }

  #takeData({ offset, payload }) {
    if (!payload.length) return;
    const known = (this.received - offset) & 0xffff;
    if (known > 0x7fff) this.owes = FRAMES.again; // something before it is missing
    else if (known >= payload.length) this.owes = this.owes || FRAMES.data; // the device does not know that it arrived
    else {
      this.in.push(payload.slice(known));
      this.inLength += payload.length - known;
      this.received += payload.length - known;
    }
  }

  /** Everything not acknowledged is sent again, in smaller pieces. */
  #repeat(now) {
    this.again = false;
    this.repeated = this.since = now;
    this.sent = this.head;
    this.clean = 0;
    this.timed = null;
    this.segment = Math.max(LEAST, this.segment >> 1);
  }

  #sendDue() {
    const now = performance.now();
    if (this.sent !== this.head && now - this.since >= this.wait) {
      this.#repeat(now);
      this.wait = Math.min(2 * this.wait, WAIT_MOST_MS);
    } else if (this.again && now - this.repeated >= HASTE_MS + 2 * this.round) this.#repeat(now);
    while (this.sent < this.head + Math.min(this.out.length, this.opened.room)) {
      const at = this.sent - this.head, piece = this.out.slice(at, Math.min(at + this.segment, this.opened.room));
      if (this.sent === this.head) this.since = now;
      const offset = this.sent;
      this.sent += piece.length;
      this.timed = this.timed || { at: this.sent, when: now };
      this.#transmit(FRAMES.data, offset, piece);
    }
    if (this.owes && now - this.answered >= HASTE_MS) {
      this.answered = now;
      this.#acknowledge(this.owes);
    }
  }

  #acknowledge(kind = FRAMES.data) {
    this.owes = 0;
    this.#transmit(kind, this.sent, new Uint8Array(0));
  }

  #transmit(kind, offset, payload) {
    this.acknowledged = this.received;
    if (this.owes === FRAMES.data) this.owes = 0;
    this.port.send(encodeFrame(kind, this.session, offset, this.received, payload));
  }
}
