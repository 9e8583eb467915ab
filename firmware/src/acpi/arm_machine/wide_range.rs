//! QWord address space descriptors, whose flags acpi_tables does not let one choose [ACPI 6.4.3.5.1].

use std::ops::RangeInclusive;

use acpi_tables::{Aml, AmlSink};

/// Resource types.
const MEMORY: u8 = 0;
const IO: u8 = 1;
/// General flags: the limits are fixed; the device uses the range itself.
const FIXED_LIMITS: u8 = 1 << 2 | 1 << 3;
const CONSUMER: u8 = 1 << 0;
/// Type flags of memory: not cacheable, read and write.
const READ_WRITE: u8 = 1 << 0;
/// Type flags of I/O: ISA and other ports; memory on the other side.
const ENTIRE_RANGE: u8 = 3;
const TRANSLATES_TYPE: u8 = 1 << 4;

/// A range of addresses; no sound description has one of the whole 64-bit space.
pub(super) struct WideRange {
    kind: u8,
    general: u8,
    flags: u8,
    first: u64,
    last: u64,
    /// What a bridge adds towards the CPUs.
    offset: u64,
}

impl WideRange {
    /// Registers of a device.
    pub fn registers(range: &RangeInclusive<u64>) -> Self {
        let (first, last) = (*range.start(), *range.end());
        Self { kind: MEMORY, general: FIXED_LIMITS | CONSUMER, flags: READ_WRITE, first, last, offset: 0 }
    }

    /// A bridge's window for ports from 0 on: memory accesses to `range` become port accesses.
    pub fn ports(range: &RangeInclusive<u64>) -> Self {
        let (at, last) = (*range.start(), range.end() - range.start());
        let flags = ENTIRE_RANGE | TRANSLATES_TYPE;
        Self { kind: IO, general: FIXED_LIMITS, flags, first: 0, last, offset: at }
    }
}

impl Aml for WideRange {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Self { kind, general, flags, first, last, offset } = *self;
        sink.byte(0x8a);
        sink.word(43);
        sink.vec(&[kind, general, flags]);
        let granularity = 0;
        for field in [granularity, first, last, offset, last - first + 1] {
            sink.qword(field);
        }
    }
}
