//! Fault records: reading, clearing, reporting [VT-d 7.2, 7.3].

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use devices::addr::SourceId;

use super::mmio::Registers;
use super::regs::{Fsts, Record, offset};
use super::unit::Unit;

/// Faults of interrupt requests, in reason codes; 29h is of a DMA that only aimed at their range
/// [VT-d 7.1.3].
const INTERRUPTS: std::ops::RangeInclusive<u8> = 0x20..=0x2b;
const INTERRUPT_RANGE: u8 = 0x29;

/// A fault as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) source: SourceId,
    /// The page, bits 63:12.
    pub(super) address: u64,
    pub(super) write: bool,
    pub(super) reason: u8,
}

impl Recorded {
    /// `None` for a fault of an interrupt request.
    fn new(record: Record) -> Option<Self> {
        let reason = record.fr();
        if INTERRUPTS.contains(&reason) && reason != INTERRUPT_RANGE {
            return None;
        }
        // What the field holds is not defined for an access to the interrupt range.
        let address = if reason == INTERRUPT_RANGE { 0 } else { record.fi() << 12 };
        // Writes have neither bit, atomics both; reads and page requests have one.
        let write = record.t1() == record.t2();
        Some(Self { source: SourceId(record.sid()), address, write, reason })
    }
}

/// Times that one interrupt looks for faults. One that is recorded while others are cleared needs no
/// interrupt of its own, so one look is often not enough; without a limit a device that faults at the right
/// pace would keep its reader for ever.
const ROUNDS: u32 = 16;

/// The handler of the fault event interrupt. One thread is in it at a time; an interrupt that comes
/// meanwhile makes that one go round once more.
#[derive(Default)]
pub(super) struct FaultHandler {
    interrupts: AtomicU32,
}

impl FaultHandler {
    /// Handles an interrupt: `report` is told of every fault on record. Whether there may be more: the unit
    /// will send no interrupt for those, so this has to be called again.
    pub(super) fn interrupt(&self, unit: &Unit, mut report: impl FnMut(Recorded)) -> bool {
        let mut seen = match self.interrupts.fetch_add(1, Ordering::AcqRel) {
            0 => 1,
            _ => return false,
        };
        let mut rounds = 0..ROUNDS;
        while drain(unit, &mut rounds, &mut report) {
            match self.interrupts.fetch_sub(seen, Ordering::AcqRel) - seen {
                0 => return false,
                more => seen = more,
            }
        }
        // Whoever comes from now on is let in.
        self.interrupts.store(0, Ordering::Release);
        true
    }
}

/// The record at `at`, if there is one. F goes first: once it is set the record stays as it is, and before
/// that the rest is of an older fault [VT-d 11.4.7.6].
fn read(registers: &Registers, at: u64) -> Option<Record> {
    let dword = |number: u64| u64::from(registers.read32(at + number * 4));
    let third = dword(3) << 32;
    Record::from_raw([0, third]).f().then(|| Record::from_raw([dword(0) | dword(1) << 32, dword(2) | third]))
}

/// Reads and clears the records, then the overflow. Whether none is left, which is so at once where faults
/// are lost, as none is recorded then [VT-d 7.2.1].
fn drain(unit: &Unit, rounds: &mut Range<u32>, report: &mut impl FnMut(Recorded)) -> bool {
    let registers = &unit.registers;
    let records = u64::from(unit.cap.nfr()) + 1;
    while rounds.next().is_some() {
        let fsts = Fsts::from_raw(registers.read32(offset::FSTS));
        if !fsts.ppf() {
            if fsts.pfo() {
                registers.write32(offset::FSTS, Fsts::ZERO.with_pfo(true).raw());
            }
            return true;
        }
        // The oldest are from here on. A fault that came while others were being cleared lies behind a gap.
        let first = u64::from(fsts.fri());
        for number in (0..records).map(|step| (first + step) % records) {
            let at = (u64::from(unit.cap.fro()) + number) * 16;
            let Some(record) = read(registers, at) else { continue };
            registers.write32(at + 12, 1 << 31);
            if let Some(fault) = Recorded::new(record) {
                report(fault);
            }
        }
    }
    false
}
