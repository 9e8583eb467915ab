//! What all sections use: the report, memory, and tables of 4-KiB pages.

use core::fmt;

use super::Tap;
use crate::arena::Arena;
use crate::bare::aarch64::vectors::{self, Taken};
use crate::bare::aarch64::{Machine, mmu};
use crate::error::Error;
use crate::hw::Hw;

/// First virtual address of the pages that [`Bench::map`] maps: nothing else is near it.
pub const WINDOW: u64 = 0x10_0000_0000;

/// Exception classes [Arm D24.2.40].
pub mod class {
    pub const UNKNOWN: u64 = 0x00;
    pub const FP_TRAPPED: u64 = 0x07;
    pub const SVC: u64 = 0x15;
    pub const INSTRUCTION_ABORT_FROM_EL0: u64 = 0x20;
    pub const INSTRUCTION_ABORT: u64 = 0x21;
    pub const DATA_ABORT_FROM_EL0: u64 = 0x24;
    pub const DATA_ABORT: u64 = 0x25;
    pub const BRK: u64 = 0x3c;
}

/// Fault status codes of aborts, and WnR.
pub mod status {
    pub const TRANSLATION_1: u64 = 0x05;
    pub const TRANSLATION_3: u64 = 0x07;
    pub const ACCESS_FLAG_3: u64 = 0x0b;
    pub const PERMISSION_3: u64 = 0x0f;
    pub const ALIGNMENT: u64 = 0x21;
    pub const WRITE: u64 = 1 << 6;
}

pub struct Bench<'h> {
    pub machine: &'h mut Machine,
    pub arena: Arena,
    tap: Tap,
    /// The table of level 3 under [`WINDOW`], once there is one.
    leaves: Option<u64>,
}

impl<'h> Bench<'h> {
    pub fn new(machine: &'h mut Machine) -> Self {
        let tap = Tap::start(machine);
        let arena = Arena::new(machine.ram());
        Self { machine, arena, tap, leaves: None }
    }

    pub fn note(&mut self, text: fmt::Arguments<'_>) {
        self.tap.note(self.machine, text);
    }

    pub fn check(&mut self, held: bool, what: fmt::Arguments<'_>) {
        self.tap.check(self.machine, held, what);
    }

    pub fn skip(&mut self, what: &str, why: &str) {
        self.tap.skip(self.machine, what, why);
    }

    pub fn finish(self) -> bool {
        self.tap.finish(self.machine)
    }

    /// Checks that two values are equal; says which, where they are not.
    pub fn equal<T: PartialEq + fmt::LowerHex>(&mut self, got: T, expected: T, what: fmt::Arguments<'_>) {
        let held = got == expected;
        self.check(held, what);
        if !held {
            self.note(format_args!("  got {got:#x}, expected {expected:#x}"));
        }
    }

    /// Checks that `attempt` raises an exception of this class and syndrome; returns it.
    pub fn raises(
        &mut self,
        (class, iss): (u64, u64),
        what: fmt::Arguments<'_>,
        attempt: impl FnOnce(),
    ) -> Option<Taken> {
        let taken = vectors::probe(attempt);
        self.expect(taken, (class, iss), what);
        taken
    }

    /// Checks an exception that was taken. The syndrome of an abort is compared in its status code and
    /// WnR, for the rest may tell of the instruction.
    pub fn expect(&mut self, taken: Option<Taken>, (class, iss): (u64, u64), what: fmt::Arguments<'_>) {
        let abort = (class::INSTRUCTION_ABORT_FROM_EL0..=class::DATA_ABORT).contains(&class);
        let mask = if abort { status::WRITE | 0x3f } else { !0 };
        let held = taken.is_some_and(|taken| taken.class() == class && taken.iss() & mask == iss);
        self.check(held, what);
        match taken {
            Some(taken) if !held => self.note(format_args!(
                "  ESR {:#x}, FAR {:#x}, ELR {:#x}; expected class {class:#x}, syndrome {iss:#x}",
                taken.esr, taken.far, taken.elr
            )),
            None => self.note(format_args!("  no exception came")),
            Some(_) => {}
        }
    }

    /// Maps the page number `index` of the window to what `entry` says, and forgets what it was; an
    /// entry of 0 unmaps it.
    pub fn map(&mut self, index: u64, entry: u64) -> Result<u64, Error> {
        let leaves = match self.leaves {
            Some(leaves) => leaves,
            None => {
                let directory = self.arena.page(self.machine)?;
                let leaves = self.arena.page(self.machine)?;
                self.machine.mem_write64(directory, mmu::table(leaves));
                mmu::hang(WINDOW, directory);
                *self.leaves.insert(leaves)
            }
        };
        let address = WINDOW + index % 512 * 4096;
        self.machine.mem_write64(leaves + index % 512 * 8, entry);
        mmu::invalidate_page(address);
        Ok(address)
    }
}
