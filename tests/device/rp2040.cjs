// SPDX-License-Identifier: Apache-2.0
// Runs a .uf2 file on an emulated Raspberry Pi Pico (npm: rp2040js) and gives its UART0 to one client:
//
//     npm install -g rp2040js; export NODE_PATH=$(npm root -g)
//     node tests/device/rp2040.cjs firmware/build/gcc-O2/bitmar.uf2
//
// A second argument names a file that keeps the flash from one run to the next; a third, n, cuts the power in the middle of the nth page that is
// programmed or sector that is erased. With ONE_CORE=1 in the environment core 1 answers nothing.
//
// prints "socket://127.0.0.1:PORT" when the program has started, a port for `bitmar-tiny verify --port`. Before the program it does what the boot ROM does: writes the
// file to flash, checks the second stage and starts it. No flash interface and no flash timing: a boot ROM of ours has the functions that write the flash, and checks
// how they are called. rp2040js has core 0 alone: core 1 is a second one of its cores here, which gets as many cycles, and the FIFO by which the boot ROM of core 1
// is told where to begin is ours. Ends with its client, and says what core 1 did.
"use strict";

const fs = require("fs");
const net = require("net");
const { RP2040, ConsoleLogger, LogLevel } = require("rp2040js");

const FLASH = 0x10000000, STAGE2 = 0x20041f00, FAMILY = 0xe48bff56;
const BATCH = 200, BATCHES = 500; // instructions between looks at the serial port; looks between those at the socket
const NANOS = 8; // of a cycle, until the emulator knows of a PLL

function blocks(file) {
    const found = [];
    for (let at = 0; at < file.length; at += 512) {
        const [first, second, flags, address, size, , , family] = new Uint32Array(file.buffer, file.byteOffset + at, 8);
        if (first !== 0x0a324655 || second !== 0x9e5d5157 || flags !== 0x2000 || family !== FAMILY)
            throw new Error(`block ${at / 512} is not for an RP2040`);
        found.push([address, file.subarray(at + 32, at + 32 + size)]);
    }
    return found;
}

function crc32(bytes) { // as the boot ROM computes it: most significant bit first, no final inversion
    let crc = 0xffffffff;
    for (const byte of bytes) {
        crc ^= byte << 24;
        for (let i = 0; i < 8; i++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
    }
    return crc >>> 0;
}

const chip = new RP2040();
const core1 = new chip.core.constructor(chip);
chip.logger = new ConsoleLogger(LogLevel.Error, false);
chip.logger.info = (_, what) => { // the one trace of the instruction SEV
    if (what !== "SEV") return;
    if (core1.waiting) core1.waiting = false;
    else core1.eventRegistered = true;
    romOfCore1();
};

// The boot ROM of core 1 (RP2040 Datasheet 2.8.2): after a reset it says 0; then it is woken for each word, says it back, and begins anew where
// it is not what the sequence has there.
const SEQUENCE = [0, 0, 1];
let runs = false, told = [], toCore1 = [], toCore0 = [], top = 0, least = 0, instructions = 0;
function resetCore1() {
    runs = core1.waiting = core1.eventRegistered = false;
    told = [];
    toCore1 = [];
    toCore0 = [0];
}
function romOfCore1() {
    while (!runs && !process.env.ONE_CORE && toCore1.length) {
        const word = toCore1.shift();
        toCore0.push(word);
        told = word === (SEQUENCE[told.length] ?? word) ? [...told, word] : [];
        if (told.length < 6) continue;
        [, , , core1.VTOR, core1.SP, core1.PC] = told;
        core1.PC &= ~1;
        core1.PM = false;
        top = least = core1.SP;
        runs = true;
    }
}
const { readUint32, writeUint32 } = chip.sio;
chip.sio.readUint32 = (offset) => {
    if (offset === 0x50) return (toCore0.length ? 1 : 0) | (toCore1.length < 8 ? 2 : 0);
    if (offset === 0x58) return toCore0.shift() ?? 0;
    return readUint32.call(chip.sio, offset);
};
chip.sio.writeUint32 = (offset, value) => {
    if (offset === 0x54) toCore1.push(value >>> 0);
    else writeUint32.call(chip.sio, offset, value);
};
const psm = chip.peripherals[0x40010], writePsm = psm.writeUint32;
psm.writeUint32 = (offset, value) => {
    writePsm.call(psm, offset, value);
    if (offset === 4 && value & 1 << 16) resetCore1();
};
const boot = () => {
    resetCore1();
    const stage2 = chip.flash.subarray(0, 256);
    if (crc32(stage2.subarray(0, 252)) !== chip.flashView.getUint32(252, true)) throw new Error("the second stage's CRC is wrong");
    chip.sram.set(stage2, STAGE2 & 0xfffff);
    chip.core.SP = 0x20042000;
    chip.core.PC = STAGE2;
};

// The functions that write the flash (RP2040 Datasheet, "Bootrom Contents"), each a breakpoint that lands here, and a return.
const [, , file, kept, cut] = process.argv;
const ROM = ["", "IF", "EX", "RE", "RP", "FC", "CX"], ROM_AT = 0x100, SECTOR = 4096, PAGE = 256;
let xip = "on", cached = false, writes = 0;
const must = (holds, what) => { if (!holds) throw new Error(`the flash is written wrongly: ${what}`); };
const keep = () => { if (kept) fs.writeFileSync(kept, chip.flash.subarray(0, 1 << 21)); };
const quit = () => {
    keep();
    console.log(`core 1: ${instructions} instructions, ${top - least} bytes of stack`);
    process.exit(0);
};
function lookup(r) {
    must(r[0] === ROM_AT, "another table");
    const at = ROM.indexOf(String.fromCharCode(r[1] & 0xff, r[1] >> 8));
    r[0] = at < 1 ? 0 : (ROM_AT + 4 * at) | 1;
}
function change(at, size, work) {
    if (++writes === Number(cut)) {
        work(at, size / 2);
        quit();
    }
    work(at, size);
    cached = true;
}
function inRom(number) {
    const r = chip.core.registers, name = ROM[number];
    if (number === 0) return lookup(r);
    must(chip.core.PM, "interrupts are on");
    must(r[14] >>> 28 === 2, "by code that lies in flash");
    must(!runs || (core1.waiting && core1.PC >>> 28 === 2), "while core 1 computes, or waits in flash");
    if (name === "IF") { must(xip === "on", "connected twice"); xip = "connected"; }
    else if (name === "EX") { must(xip === "connected", "not connected"); xip = "off"; }
    else if (name === "CX") { must(xip === "off" && !cached, "the cache holds what was there before"); xip = "on"; }
    else if (name === "FC") cached = false;
    else {
        const [at, from, n] = name === "RE" ? [r[0], 0, r[1]] : r;
        const unit = name === "RE" ? SECTOR : PAGE;
        must(xip === "off" && at % unit === 0 && n % unit === 0 && at + n <= 1 << 21, `${name} of ${n} bytes at ${at}`);
        if (name === "RE") must(r[2] === SECTOR && r[3] === 0x20, "another instruction than that of a sector");
        else must(from >>> 28 === 2, "from what cannot be read meanwhile");
        for (let done = 0; done < n; done += unit)
            change(at + done, unit, name === "RE" ? (to, size) => chip.flash.fill(0xff, to, to + size)
                : (to, size) => { for (let i = 0; i < size; i++) chip.flash[to + i] &= chip.sram[(from & 0xfffff) + done + i]; });
    }
}
const rom = new Uint16Array(8192);
rom[0x14 / 2] = ROM_AT;
rom[0x18 / 2] = ROM_AT | 1;
ROM.forEach((_, i) => rom.set([0xbe00 | i, 0x4770], ROM_AT / 2 + 2 * i));
chip.onBreak = inRom;
chip.loadBootrom(new Uint32Array(rom.buffer)); // clears the flash, so first
if (kept && fs.existsSync(kept)) chip.flash.set(fs.readFileSync(kept));
else for (const [address, data] of blocks(fs.readFileSync(file))) chip.flash.set(data, address - FLASH);
boot();

let restart = false, ahead = 0; // cycles that core 0 is ahead of core 1
chip.peripherals[0x40058].onWatchdogTrigger = () => { restart = true; };

function cycles() { // one batch; false if the core waits for an interrupt
    for (let i = 0; i < BATCH; i++) {
        if (chip.core.waiting && !chip.core.interruptsUpdated) return false;
        chip.core.waiting = false; // SysTick does not do that, and a byte may have come between the program's look for one and its WFI
        const spent = chip.core.executeInstruction();
        chip.clock.tick(spent * NANOS);
        for (ahead = runs && !core1.waiting ? ahead + spent : 0; ahead > 0; instructions++) {
            ahead = core1.waiting ? 0 : ahead - core1.executeInstruction();
            if (core1.SP < least) least = core1.SP;
        }
        if (restart) {
            restart = false;
            chip.core.PM = true; // until the start switches interrupts on
            chip.core.currentMode = chip.core.IPSR = chip.core.enabledInterrupts = chip.core.pendingInterrupts = 0;
            boot();
        }
    }
    return true;
}

const uart = chip.uart[0];
let incoming = [], sent = [], client = null;
uart.onByte = (byte) => sent.push(byte);
const server = net.createServer((socket) => {
    client = socket.setNoDelay(true);
    socket.on("data", (data) => { for (const byte of data) incoming.push(byte); });
    socket.on("close", quit);
    socket.on("error", quit);
});
const tell = () => console.log(`socket://127.0.0.1:${server.address().port}`);

function run() {
    let busy = true, at = 0;
    for (let i = 0; i < BATCHES && busy; i++) {
        if (uart.enabled) while (at < incoming.length && !uart.rxFIFO.full) uart.feedByte(incoming[at++]);
        busy = cycles() || at < incoming.length;
    }
    incoming = incoming.slice(at);
    if (sent.length && client) client.write(Buffer.from(sent));
    sent = [];
    if (busy) return setImmediate(run);
    if (!server.listening) server.listen(0, "127.0.0.1", tell); // the program waits for somebody
    chip.clock.tick(chip.clock.nanosToNextAlarm);
    setTimeout(run, 1); // about as long as that takes
}
run();
