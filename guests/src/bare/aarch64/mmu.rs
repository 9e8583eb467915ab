//! The identity map, and tables of 4-KiB pages beside it [Arm D8].
//!
//! 39 bits of virtual addresses with 4-KiB granule: level 1 has 512 entries of 1 GiB each. The first
//! GiB and the PCI configuration space are Device memory, RAM is Normal write-back; everything else
//! is not mapped.

use core::arch::asm;

use super::cpu::{self, read_register, write_register};
use crate::hw::Range;

/// MAIR_EL1: attribute 0 is Normal write-back, 1 Device-nGnRE.
const MAIR: u64 = 0x04_ff;
/// AttrIndx of Device memory.
const DEVICE: u64 = 1 << 2;
/// Access flag.
pub const AF: u64 = 1 << 10;
/// Inner shareable.
const INNER: u64 = 0b11 << 8;
/// AP\[2\]: read-only.
pub const READ_ONLY: u64 = 1 << 7;
/// AP\[1\]: EL0 too.
pub const EL0: u64 = 1 << 6;
/// Never executed at EL1.
pub const PXN: u64 = 1 << 53;
/// Never executed at EL0.
pub const UXN: u64 = 1 << 54;
/// A block at level 1.
const BLOCK: u64 = 0b01;
/// A table, or a page at level 3.
const TABLE: u64 = 0b11;
/// A page of RAM that EL1 may read and write.
pub const PAGE: u64 = TABLE | INNER | AF;

/// T0SZ 25; walks are inner-shareable and write-back; 4-KiB granule; no walks for the upper half.
const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23;
/// MMU, data cache, instruction cache.
const SCTLR_ON: u64 = 1 << 0 | 1 << 2 | 1 << 12;
/// Writable memory may be executed.
const SCTLR_WXN: u64 = 1 << 19;

/// Log2 of what an entry of level 1 maps.
const LEVEL_1: u32 = 30;

#[repr(C, align(4096))]
struct Table([u64; 512]);

static mut ROOT: Table = Table([0; 512]);

/// Fills the identity map and switches the MMU on.
pub fn init(memory: Range, ecam: Option<u64>) {
    let ecam = ecam.map(|base| base >> LEVEL_1).filter(|gib| *gib < 512);
    for gib in ecam.into_iter().chain([0]) {
        set_root(gib, gib << LEVEL_1 | BLOCK | DEVICE | AF | PXN | UXN);
    }
    for gib in memory.start >> LEVEL_1..=memory.last >> LEVEL_1 {
        set_root(gib, gib << LEVEL_1 | BLOCK | INNER | AF);
    }
    enable();
}

/// Switches the MMU of this CPU on.
pub fn enable() {
    // Addresses of 48 bits, or what the CPU has.
    let range = (read_register!("id_aa64mmfr0_el1") & 0xf).min(5);
    write_register!("mair_el1", MAIR);
    write_register!("tcr_el1", TCR | range << 32);
    write_register!("ttbr0_el1", (&raw const ROOT) as u64);
    invalidate();
    let control = read_register!("sctlr_el1") & !SCTLR_WXN;
    write_register!("sctlr_el1", control | SCTLR_ON);
}

/// Sets the entry of level 1 for a GiB of virtual addresses; 512 of them there are.
fn set_root(gib: u64, entry: u64) {
    let root = &raw mut ROOT;
    // SAFETY: the index is in bounds; the tables are plain memory, which walks only read.
    unsafe { (&raw mut (*root).0[gib as usize % 512]).write_volatile(entry) };
}

/// Hangs a table of level 2 under the GiB that `address` is in.
pub fn hang(address: u64, table: u64) {
    set_root(address >> LEVEL_1, table | TABLE);
    cpu::synchronise();
}

/// The entry for a table of the next level.
pub const fn table(address: u64) -> u64 {
    address | TABLE
}

/// Forgets all translations, on every CPU.
pub fn invalidate() {
    // SAFETY: the tables in memory are what is meant.
    unsafe { asm!("dsb ishst", "tlbi vmalle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Forgets the translation of a page, on every CPU.
pub fn invalidate_page(address: u64) {
    // SAFETY: as for `invalidate`.
    unsafe {
        asm!("dsb ishst", "tlbi vaae1is, {}", "dsb ish", "isb", in(reg) address >> 12, options(nostack, preserves_flags));
    }
}
