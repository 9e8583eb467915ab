//! The invalidation queue [VT-d 6.5.2].

use super::regs;
use super::scope::{ContextScope, IotlbScope};
use super::unit::Unit;
use crate::arena::{Arena, PAGE};
use crate::error::Error;
use crate::hw::{Hw, poll};

/// Bytes of a descriptor.
const DESCRIPTOR: u64 = 16;
/// Granularity fields 5:4.
const GLOBAL: u64 = 0b01 << 4;
const DOMAIN: u64 = 0b10 << 4;
const SELECTIVE: u64 = 0b11 << 4;
/// Drain reads and writes, in an IOTLB descriptor. Units that always drain ignore them.
const DRAIN: u64 = 0b11 << 6;

/// A 128-bit descriptor, low word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub [u64; 2]);

impl Descriptor {
    /// Drops context-cache entries [VT-d 6.5.2.1].
    pub const fn context(scope: ContextScope) -> Self {
        let fields = match scope {
            ContextScope::Global => GLOBAL,
            ContextScope::Domain(domain) => DOMAIN | (domain as u64) << 16,
            ContextScope::Device { domain, source } => {
                SELECTIVE | (domain as u64) << 16 | (source as u64) << 32
            }
        };
        Self([1 | fields, 0])
    }

    /// Drops IOTLB entries [VT-d 6.5.2.3].
    pub const fn iotlb(scope: IotlbScope) -> Self {
        let (fields, page) = match scope {
            IotlbScope::Global => (GLOBAL, 0),
            IotlbScope::Domain(domain) => (DOMAIN | (domain as u64) << 16, 0),
            IotlbScope::Page { domain, address, mask } => {
                (SELECTIVE | (domain as u64) << 16, address | mask as u64)
            }
        };
        Self([2 | DRAIN | fields, page])
    }

    /// Invalidation wait that writes `data` to `address` [VT-d 6.5.2.8].
    pub const fn wait_status(data: u32, address: u64) -> Self {
        Self([5 | 1 << 5 | (data as u64) << 32, address])
    }

    /// Invalidation wait that sets ICS.IWC and raises the invalidation event.
    pub const fn wait_interrupt() -> Self {
        Self([5 | 1 << 4, 0])
    }
}

/// A queue of one page: 256 descriptors.
#[derive(Debug)]
pub struct Queue {
    base: u64,
    tail: u64,
    status: u64,
    sequence: u32,
}

impl Queue {
    /// Makes a queue and enables queued invalidation.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::OutOfMemory`] or [`Error::Command`].
    pub fn enable<H: Hw>(hw: &mut H, unit: &Unit, arena: &mut Arena) -> Result<Self, Error> {
        if !unit.ecap.qi() {
            return Err(Error::Unsupported("queued invalidation"));
        }
        let queue = Self { base: arena.page(hw)?, tail: 0, status: arena.page(hw)?, sequence: 0 };
        unit.write64(hw, regs::IQT, 0);
        // Descriptor width 0 (128 bits), size 0 (one page).
        unit.write64(hw, regs::IQA, queue.base);
        unit.enable(hw, regs::QIE, "QIE=1")?;
        Ok(queue)
    }

    /// Hands descriptors to the unit and waits until it is through with them.
    ///
    /// # Errors
    /// [`Error::Queue`].
    pub fn submit<H: Hw>(
        &mut self,
        hw: &mut H,
        unit: &Unit,
        descriptors: &[Descriptor],
    ) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let (sequence, status) = (self.sequence, self.status);
        for descriptor in descriptors {
            self.put(hw, *descriptor);
        }
        self.put(hw, Descriptor::wait_status(sequence, status));
        self.ring(hw, unit);
        let done = poll(hw, |hw| {
            if hw.mem_read32(status) == sequence {
                return Some(true);
            }
            (unit.read32(hw, regs::FSTS) & regs::IQE != 0).then_some(false)
        });
        match done {
            Some(true) => Ok(()),
            Some(false) | None => {
                Err(Error::Queue { fsts: unit.read32(hw, regs::FSTS), head: unit.read64(hw, regs::IQH) })
            }
        }
    }

    /// Hands one descriptor to the unit without waiting for it.
    pub fn post<H: Hw>(&mut self, hw: &mut H, unit: &Unit, descriptor: Descriptor) {
        self.put(hw, descriptor);
        self.ring(hw, unit);
    }

    fn put<H: Hw>(&mut self, hw: &mut H, Descriptor([low, high]): Descriptor) {
        hw.mem_write64(self.base + self.tail, low);
        hw.mem_write64(self.base + self.tail + 8, high);
        self.tail = (self.tail + DESCRIPTOR) % PAGE;
    }

    fn ring<H: Hw>(&self, hw: &mut H, unit: &Unit) {
        // The index starts at bit 4, so the byte offset is the register's value.
        unit.write64(hw, regs::IQT, self.tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vtd::regs::{Cap, Ecap};

    #[test]
    fn descriptors_have_the_words_of_the_specification() {
        let rows = [
            ("context, global", Descriptor::context(ContextScope::Global), [0x11, 0]),
            ("context, domain", Descriptor::context(ContextScope::Domain(0x1234)), [0x1234_0021, 0]),
            (
                "context, device",
                Descriptor::context(ContextScope::Device { domain: 2, source: 0x0310 }),
                [0x0310_0002_0031, 0],
            ),
            ("IOTLB, global", Descriptor::iotlb(IotlbScope::Global), [0xd2, 0]),
            ("IOTLB, domain", Descriptor::iotlb(IotlbScope::Domain(0x1234)), [0x1234_00e2, 0]),
            (
                "IOTLB, four pages",
                Descriptor::iotlb(IotlbScope::Page { domain: 1, address: 0x12_3456_4000, mask: 2 }),
                [0x0001_00f2, 0x12_3456_4002],
            ),
            ("wait, status", Descriptor::wait_status(7, 0x5008), [0x7_0000_0025, 0x5008]),
            ("wait, interrupt", Descriptor::wait_interrupt(), [0x15, 0]),
        ];
        for (name, Descriptor(words), expected) in rows {
            assert_eq!(words, expected, "{name}");
        }
    }

    #[test]
    fn the_tail_wraps_after_256_descriptors_and_a_silent_unit_is_an_error() {
        let hw = &mut crate::fake::Fake::new();
        let mut queue = Queue { base: 0x4000, tail: 0xff0, status: 0x5000, sequence: 6 };
        let unit = Unit::at(0xfed9_0000, Cap(0), Ecap(0));
        let error = queue.submit(hw, &unit, &[Descriptor::iotlb(IotlbScope::Global)]).unwrap_err();
        assert_eq!(error, Error::Queue { fsts: 0, head: 0 });
        assert_eq!([hw.mem_read64(0x4ff0), hw.mem_read64(0x4ff8)], [0xd2, 0]);
        assert_eq!([hw.mem_read64(0x4000), hw.mem_read64(0x4008)], [0x7_0000_0025, 0x5000]);
        assert_eq!(hw.writes, [(0xfed9_0088, 0x10), (0xfed9_008c, 0)]);
    }
}
