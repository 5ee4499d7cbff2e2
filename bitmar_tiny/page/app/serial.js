// SPDX-License-Identifier: Apache-2.0
// A board on a serial port of the browser (WebSerial). The worker speaks with it; here its bytes go by.

import { Problem } from "./link.js";

export class SerialLine {
  /** Ask the person for a port, and open it. */
  static async choose(baud) {
    let port;
    try {
      port = await navigator.serial.requestPort();
    } catch (error) {
      if (error.name === "NotFoundError") return null; // nothing was chosen
      throw new Problem(`No port can be chosen here (${error.name}).`, "Open the page from disk, or from localhost.");
    }
    try {
      await port.open({ baudRate: baud, bufferSize: 65536 });
    } catch {
      throw new Problem("The port cannot be opened.", "Close the program that uses it, or plug the board in again.");
    }
    return new SerialLine(port);
  }

  constructor(port) {
    this.port = port;
    this.writer = port.writable.getWriter();
    this.open = true;
  }

  /** Hand on what arrives until the port is closed, or the board unplugged. */
  async read(arrived, gone) {
    while (this.open && this.port.readable) {
      this.reader = this.port.readable.getReader();
      try {
        for (;;) {
          const { value, done } = await this.reader.read();
          if (done) break;
          arrived(value);
        }
      } catch (error) {
        if (error.name === "NetworkError" || !this.port.readable) break; // else a line error: read on
      } finally {
        this.reader.releaseLock();
      }
    }
    if (this.open) gone();
  }

  send(bytes) {
    if (this.open) this.writer.write(bytes).catch(() => {});
  }

  async close() {
    if (!this.open) return;
    this.open = false;
    try {
      await this.writer.close();
      await this.reader.cancel();
      await new Promise((resolve) => setTimeout(resolve, 50)); // its lock is given back
      await this.port.close();
    } catch { /* it is gone */ }
  }
}
