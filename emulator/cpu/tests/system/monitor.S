// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//
// Runs cases at EL1 and EL0 and records the exception that each ends in. Bare metal, without EL2.
//
//   aarch64-linux-gnu-gcc -nostdlib -static -Wl,-Ttext=0x40000000 -o monitor.elf monitor.S
//   aarch64-linux-gnu-objcopy -O binary -j .text monitor.elf monitor.bin
//
// It is entered at its first byte with the MMU off. What is behind it in memory, and what cases and
// records are made of, is said in image.rs, which also writes the tables of the safe regime: RAM
// mapped one to one for TTBR0, and at HIGH for TTBR1. A case takes one half of the address space
// away from the monitor, which lives on in the other one.

        .equ    HIGH, 0xffffff8000000000
        .equ    SAVE, 0x10000
        .equ    PARAMETERS, 0x11000
        .equ    SAFE, 0x40020000

        // Of a case; 8 bytes each.
        .equ    C_FLAGS, 0
        .equ    C_SCTLR, 8
        .equ    C_TCR, 16
        .equ    C_TTBR0, 24
        .equ    C_TTBR1, 32
        .equ    C_MAIR, 40
        .equ    C_CPACR, 48
        .equ    C_MDSCR, 56
        .equ    C_CONTEXTIDR, 64
        .equ    C_SPSR, 72
        .equ    C_ELR, 80
        .equ    C_SP0, 88
        .equ    C_SP1, 96
        .equ    C_X, 104
        .equ    C_BREAK, 184
        .equ    C_WATCH, 200
        .equ    C_SEEN, 216
        .equ    C_PATCH, 232
        .equ    C_BYTES, 296
        .equ    PATCHES, 4

        // Of a record.
        .equ    R_VECTOR, 0
        .equ    R_X, 8
        .equ    R_ESR, 88
        .equ    R_FAR, 96
        .equ    R_ELR, 104
        .equ    R_SPSR, 112
        .equ    R_PAR, 120
        .equ    R_SP0, 128
        .equ    R_SP1, 136
        .equ    R_SEEN, 144
        .equ    R_BYTES, 160

        // Of the save area: a record, then these.
        .equ    S_CASE, 256
        .equ    S_END, 264
        .equ    S_RESULT, 272

        .macro  constant register, value
        movz    \register, #(\value & 0xffff)
        movk    \register, #(\value >> 16 & 0xffff), lsl #16
        movk    \register, #(\value >> 32 & 0xffff), lsl #32
        movk    \register, #(\value >> 48 & 0xffff), lsl #48
        .endm

        // MMU on, caches on, and what is reserved as one.
        .equ    SCTLR_ON, 0x30d01805
        .equ    SCTLR_OFF, 0x30d00800
        // Both halves 39 bits, 4 KiB, write-back, inner shareable; 32 bits of output.
        .equ    SAFE_TCR, 0xb5193519

        .text
start:
        b       begin

        .balign 0x800
vectors:
        .set    number, 0
        .rept   16
        .balign 0x80
        msr     tpidr_el1, x0
        mov     x0, #number
        b       ended
        .set    number, number + 1
        .endr

        .balign 0x800
begin:
        adr     x19, start + SAVE
        adr     x20, start + PARAMETERS
        ldp     x0, x1, [x20]
        stp     x0, x1, [x19, #S_CASE]
        ldr     x0, [x20, #16]
        str     x0, [x19, #S_RESULT]

        // The MMU is off.
next:
        adr     x19, start + SAVE
        ldp     x21, x0, [x19, #S_CASE]
        cmp     x21, x0
        b.hs    finish

        add     x1, x21, #C_PATCH
        mov     x0, #PATCHES
1:      ldp     x2, x3, [x1], #16
        cbz     x2, 2f
        str     x3, [x2]
2:      subs    x0, x0, #1
        b.ne    1b

        constant x0, SAFE
        msr     ttbr0_el1, x0
        msr     ttbr1_el1, x0
        constant x0, SAFE_TCR
        msr     tcr_el1, x0
        ldr     x0, [x21, #C_MAIR]
        msr     mair_el1, x0
        ldr     x0, [x21, #C_CPACR]
        msr     cpacr_el1, x0
        ldr     x0, [x21, #C_CONTEXTIDR]
        msr     contextidr_el1, x0
        ldp     x0, x1, [x21, #C_BREAK]
        msr     dbgbvr0_el1, x0
        msr     dbgbcr0_el1, x1
        ldp     x0, x1, [x21, #C_WATCH]
        msr     dbgwvr0_el1, x0
        msr     dbgwcr0_el1, x1
        msr     oslar_el1, xzr
        ldr     x0, [x21, #C_MDSCR]
        msr     mdscr_el1, x0
        msr     esr_el1, xzr
        constant x0, 0x5555aaaa5555aaaa
        msr     far_el1, x0
        msr     par_el1, xzr
        ic      iallu
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb
        constant x0, SCTLR_ON
        msr     sctlr_el1, x0
        isb

        ldr     x0, [x21, #C_FLAGS]
        tbz     x0, #0, 3f
        adr     x0, 3f
        constant x1, HIGH
        orr     x0, x0, x1
        br      x0
3:
        // At the alias that the case leaves alone.
        adr     x0, vectors
        msr     vbar_el1, x0
        // The distance of the alias from the physical address.
        adr     x0, start
        movz    x1, #0x4000, lsl #16
        sub     x20, x0, x1
        add     x21, x21, x20
        ldr     x0, [x21, #C_SPSR]
        msr     spsr_el1, x0
        ldr     x0, [x21, #C_ELR]
        msr     elr_el1, x0
        ldr     x0, [x21, #C_SP0]
        msr     sp_el0, x0
        ldr     x0, [x21, #C_SP1]
        mov     sp, x0
        ldr     x0, [x21, #C_TCR]
        ldr     x1, [x21, #C_TTBR0]
        ldr     x2, [x21, #C_TTBR1]
        ldr     x3, [x21, #C_SCTLR]
        msr     tcr_el1, x0
        msr     ttbr0_el1, x1
        msr     ttbr1_el1, x2
        isb
        tlbi    vmalle1
        dsb     sy
        msr     sctlr_el1, x3
        isb
        add     x30, x21, #C_X
        ldp     x0, x1, [x30]
        ldp     x2, x3, [x30, #16]
        ldp     x4, x5, [x30, #32]
        ldp     x6, x7, [x30, #48]
        ldp     x8, x9, [x30, #64]
        eret

        // An exception: x0 is the vector's number, X0 is in TPIDR_EL1.
ended:
        msr     tpidrro_el0, x1
        adr     x1, start + SAVE
        str     x0, [x1, #R_VECTOR]
        stp     x2, x3, [x1, #R_X + 16]
        stp     x4, x5, [x1, #R_X + 32]
        stp     x6, x7, [x1, #R_X + 48]
        stp     x8, x9, [x1, #R_X + 64]
        mrs     x2, tpidr_el1
        mrs     x3, tpidrro_el0
        stp     x2, x3, [x1, #R_X]
        mrs     x2, esr_el1
        mrs     x3, far_el1
        stp     x2, x3, [x1, #R_ESR]
        mrs     x2, elr_el1
        mrs     x3, spsr_el1
        stp     x2, x3, [x1, #R_ELR]
        mrs     x2, par_el1
        mrs     x3, sp_el0
        stp     x2, x3, [x1, #R_PAR]
        mov     x2, sp
        str     x2, [x1, #R_SP1]

        // Back to the safe regime, to the low alias, and out of it.
        msr     mdscr_el1, xzr
        msr     dbgbcr0_el1, xzr
        msr     dbgwcr0_el1, xzr
        constant x0, SAFE
        constant x2, SAFE_TCR
        msr     tcr_el1, x2
        msr     ttbr0_el1, x0
        msr     ttbr1_el1, x0
        isb
        tlbi    vmalle1
        dsb     sy
        isb
        constant x0, SCTLR_ON
        mrs     x2, sctlr_el1
        tbz     x2, #0, 4f
        msr     sctlr_el1, x0
        isb
        adr     x0, 4f
        and     x0, x0, #0x7fffffff
        br      x0
4:      constant x0, SCTLR_OFF
        msr     sctlr_el1, x0
        isb
        clrex

        adr     x19, start + SAVE
        ldr     x21, [x19, #S_CASE]
        ldr     x22, [x19, #S_RESULT]
        // What the case wants seen.
        ldp     x0, x1, [x21, #C_SEEN]
        mov     x2, #0
        mov     x3, #0
        cbz     x0, 5f
        ldr     x2, [x0]
5:      cbz     x1, 6f
        ldr     x3, [x1]
6:      stp     x2, x3, [x19, #R_SEEN]
        mov     x0, #R_BYTES
        mov     x1, x19
7:      ldp     x2, x3, [x1], #16
        stp     x2, x3, [x22], #16
        subs    x0, x0, #16
        b.ne    7b
        str     x22, [x19, #S_RESULT]
        add     x21, x21, #C_BYTES
        str     x21, [x19, #S_CASE]
        b       next

        // PARAMETERS + 24 says whether the records go to a file of the host.
finish:
        adr     x20, start + PARAMETERS
        ldr     x0, [x20, #24]
        cbz     x0, 8f
        adr     x1, open
        mov     x0, #1
        hlt     #0xf000
        adr     x1, write
        str     x0, [x1]
        ldr     x2, [x20, #16]
        ldr     x3, [x19, #S_RESULT]
        sub     x3, x3, x2
        stp     x2, x3, [x1, #8]
        mov     x0, #5
        hlt     #0xf000
        // SYSTEM_OFF
8:      constant x0, 0x84000008
        hvc     #0
9:      b       9b

        .balign 8
        // Name, mode "wb", length of the name.
open:   .quad   name, 5, 7
write:  .quad   0, 0, 0
name:   .asciz  "records"
