/*
 * nrl_boot2.c: the second stage of the RP2040's start: the first 256 bytes of flash, which the boot ROM copies to RAM and
 * runs. It lets the core read flash as memory (command 03h, which every flash knows), and starts the program behind it.
 *
 * In assembler, with the literals behind it (RP2040 Datasheet 2.8.1, SSI in 4.10, VTOR in the core's manual):
 *
 *     ldr r3, =0x18000000          SSI
 *     movs r1, #0                  off, as it takes settings only then
 *     str r1, [r3, #0x08]
 *     movs r1, #4                  a quarter of the system clock
 *     str r1, [r3, #0x14]
 *     ldr r1, =0x001f0300          words of 32 bits; command and address out, then data in
 *     str r1, [r3, #0x00]
 *     movs r1, #0                  one word at a time
 *     str r1, [r3, #0x04]
 *     ldr r1, =0x03000218          command 03h of 8 bits, address of 24
 *     ldr r0, =0x180000f4
 *     str r1, [r0]
 *     movs r1, #1                  on
 *     str r1, [r3, #0x08]
 *     ldr r0, =0x10000100          the program's vector table
 *     ldr r1, =0xe000ed08          VTOR
 *     str r0, [r1]
 *     ldmia r0!, {r1, r2}          its stack, and where it starts
 *     msr msp, r1
 *     bx r2
 *
 * The last word is the CRC-32 (polynomial 04c11db7, no reflection, from ffffffff) of the 252 bytes before it: the ROM
 * starts nothing whose CRC is wrong.
 */
#include <stdint.h>

#define BOOT2_WORDS 64

__attribute__((section(".boot2"), used)) static const uint32_t nrl_boot2[BOOT2_WORDS] = {
    UINT32_C(0x21004b0a), UINT32_C(0x21046099), UINT32_C(0x49096159), UINT32_C(0x21006019), UINT32_C(0x49086059), UINT32_C(0x60014808),
    UINT32_C(0x60992101), UINT32_C(0x49084807), UINT32_C(0xc8066008), UINT32_C(0x8808f381), UINT32_C(0x00004710), UINT32_C(0x18000000),
    UINT32_C(0x001f0300), UINT32_C(0x03000218), UINT32_C(0x180000f4), UINT32_C(0x10000100), UINT32_C(0xe000ed08),
    [BOOT2_WORDS - 1] = UINT32_C(0x42f48ac0),
};
