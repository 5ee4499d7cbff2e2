// SPDX-License-Identifier: Apache-2.0
// Bytes: CRC-32, COBS, and the small things that a browser lacks.

const CRC_TABLE = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

export function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** COBS (Cheshire and Baker 1999): the result holds no zero byte. */
export function cobsEncode(bytes) {
  const to = new Uint8Array(bytes.length + Math.floor(bytes.length / 254) + 1);
  let code = 0, end = 1;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]) to[end++] = bytes[i];
    if (bytes[i] === 0 || (end - code === 255 && i + 1 < bytes.length)) {
      to[code] = end - code;
      code = end++;
    }
  }
  to[code] = end - code;
  return to.subarray(0, end);
}

/** What was encoded, or null if it is no COBS. */
export function cobsDecode(bytes) {
  const to = new Uint8Array(bytes.length);
  let out = 0;
  for (let i = 0; i < bytes.length;) {
    const code = bytes[i];
    if (code === 0 || i + code > bytes.length) return null;
    to.set(bytes.subarray(i + 1, i + code), out);
    out += code - 1;
    i += code;
    if (code < 255 && i < bytes.length) to[out++] = 0;
  }
  return to.subarray(0, out);
}

export function concat(parts) {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export function fromBase64(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** What `format` ("deflate", "gzip") was compressed from. Throws TypeError for what is none. */
export async function inflate(bytes, format = "deflate") {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
