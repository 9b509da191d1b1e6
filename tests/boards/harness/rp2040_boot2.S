@ rp2040_boot2.S: what nrl_boot2.c holds as numbers: the second stage of the RP2040's start, from RP2040 Datasheet 2.8.1.
@ The boot ROM copies it to RAM and runs it there: it may stand anywhere.
    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .section .text

    .equ SSI_BASE, 0x18000000
    .equ SSI_CTRLR0, 0x00
    .equ SSI_CTRLR1, 0x04
    .equ SSI_ENABLE, 0x08
    .equ SSI_BAUD_DIVIDER, 0x14
    .equ SSI_XIP_CTRLR0, 0xf4

start:
    ldr  r3, =SSI_BASE
    movs r1, #0
    str  r1, [r3, #SSI_ENABLE]          @ settings are taken while it is off
    movs r1, #4
    str  r1, [r3, #SSI_BAUD_DIVIDER]    @ a quarter of the system clock
    ldr  r1, =(31 << 16) | (3 << 8)     @ words of 32 bits; command and address out, then data in
    str  r1, [r3, #SSI_CTRLR0]
    movs r1, #0
    str  r1, [r3, #SSI_CTRLR1]          @ one word at a time
    ldr  r1, =(0x03 << 24) | (2 << 8) | (6 << 2)  @ the read command that every flash knows, 8 bits; address 24 bits
    ldr  r0, =SSI_BASE + SSI_XIP_CTRLR0
    str  r1, [r0]
    movs r1, #1
    str  r1, [r3, #SSI_ENABLE]
    ldr  r0, =0x10000100                @ the vector table of the program
    ldr  r1, =0xe000ed08                @ VTOR
    str  r0, [r1]
    ldmia r0!, {r1, r2}
    msr  msp, r1
    bx   r2
    .ltorg
