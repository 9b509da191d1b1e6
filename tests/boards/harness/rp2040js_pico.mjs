/*
 * rp2040js_pico.mjs: a second emulator for the Raspberry Pi Pico, by other people: rp2040js. Its ring oscillator reads as
 * stuck at one.
 *
 *     node rp2040js_pico.mjs RP2040JS UF2 [SEED]
 *
 * RP2040JS is the package's index.js. Prints "listening on 127.0.0.1:PORT", serves one peer after the other on UART0 and
 * ends when standard input closes. With SEED the oscillator's random bit is that of a small generator.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { pathToFileURL } from "node:url";

const [, , packageFile, uf2File, seed] = process.argv;
const { Simulator } = await import(pathToFileURL(packageFile));

const FLASH = 0x10000000;
const BOOT2_BYTES = 256;
const BOOT2_RUNS_AT = 0x20041f00;
const CYCLE_NANOSECONDS = 8;
const INSTRUCTIONS_AT_ONCE = 20000;
const IDLE_NANOSECONDS = 1e6;

const { clock, rp2040: chip } = new Simulator();
chip.logger = { debug() {}, info() {}, warn() {}, error() {} };

/* Flash as the boot loader writes it: blocks of 512 bytes with 256 of them to write (Microsoft's UF2). */
const uf2 = readFileSync(uf2File);
for (let at = 0; at < uf2.length; at += 512) {
  const address = uf2.readUInt32LE(at + 12);
  chip.flash.set(uf2.subarray(at + 32, at + 32 + uf2.readUInt32LE(at + 16)), address - FLASH);
}
/* What the boot ROM does: the second stage is copied to RAM and run. It sets the vector table and starts the program. */
chip.sram.set(chip.flash.subarray(0, BOOT2_BYTES), BOOT2_RUNS_AT - 0x20000000);
chip.core.SP = BOOT2_RUNS_AT;
chip.core.PC = BOOT2_RUNS_AT;

const uart = chip.uart[0];
/*
 * Version 1.4.1 raises the transmit interrupt again at every look. On the chip it is raised when the FIFO empties, and
 * here every byte is gone at once: nobody waits for it.
 */
uart.checkInterrupts = function () {
  this.rp2040.setInterrupt(this.irq, (this.interruptStatus & this.interruptMask) !== 0);
};
const toSend = [];
uart.onByte = (byte) => toSend.push(byte);

if (seed !== undefined) {
  let state = Number(seed) >>> 0 || 1;
  const oscillator = chip.peripherals[0x40060];
  const read = oscillator.readUint32.bind(oscillator);
  oscillator.readUint32 = (offset) => {
    if (offset !== 0x1c) {
      return read(offset);
    }
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    return (state >>> 16) & 1;
  };
}

let peer = null;
const incoming = [];
const server = createServer((socket) => {
  peer = socket;
  socket.setNoDelay(true);
  socket.on("data", (data) => incoming.push(...data));
  const gone = () => {
    if (peer === socket) {
      peer = null;
      incoming.length = 0;
    }
  };
  socket.on("close", gone);
  socket.on("error", gone);
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();

function run() {
  while (incoming.length > 0 && !uart.rxFIFO.full) {
    uart.feedByte(incoming.shift());
  }
  for (let i = 0; i < INSTRUCTIONS_AT_ONCE && !chip.core.waiting; ++i) {
    clock.tick(chip.core.executeInstruction() * CYCLE_NANOSECONDS);
  }
  if (toSend.length > 0 && peer !== null) {
    peer.write(Buffer.from(toSend));
  }
  toSend.length = 0;
  if (chip.core.waiting && incoming.length === 0) {
    /* While the core sleeps, time goes on about as fast as outside. */
    setTimeout(() => {
      clock.tick(IDLE_NANOSECONDS);
      chip.core.executeInstruction();
      run();
    }, 1);
  } else {
    if (chip.core.waiting) {
      chip.core.executeInstruction();
    }
    setImmediate(run);
  }
}
run();
