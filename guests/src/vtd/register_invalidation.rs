//! Invalidation through registers [VT-d 6.5.1], for units of major version 5 and below and only while
//! the queue is disabled.

use super::regs;
use super::unit::Unit;
use crate::error::Error;
use crate::hw::{Hw, poll};

/// What to drop from the context cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextScope {
    /// Everything.
    Global,
    /// Entries with a domain id.
    Domain(u16),
    /// The entry of one requester.
    Device {
        /// Domain id of the entry as it was.
        domain: u16,
        /// Requester id.
        source: u16,
    },
}

impl ContextScope {
    /// CCMD with ICC set [VT-d 11.4.6.1].
    const fn word(self) -> u64 {
        1 << 63
            | match self {
                Self::Global => 0b01 << 61,
                Self::Domain(domain) => 0b10 << 61 | domain as u64,
                Self::Device { domain, source } => 0b11 << 61 | (source as u64) << 16 | domain as u64,
            }
    }
}

/// What to drop from the IOTLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IotlbScope {
    /// Everything.
    Global,
    /// Everything of a domain.
    Domain(u16),
    /// The `2^mask` pages of a domain around an address.
    Page {
        /// Domain id.
        domain: u16,
        /// First address, a multiple of the size.
        address: u64,
        /// Logarithm of the number of pages.
        mask: u8,
    },
}

impl IotlbScope {
    /// The IOTLB register with IVT set, draining reads and writes [VT-d 11.4.6.2].
    const fn word(self) -> u64 {
        1 << 63
            | 0b11 << 48
            | match self {
                Self::Global => 0b01 << 60,
                Self::Domain(domain) => 0b10 << 60 | (domain as u64) << 32,
                Self::Page { domain, .. } => 0b11 << 60 | (domain as u64) << 32,
            }
    }
}

impl Unit {
    /// Invalidates the context cache through CCMD.
    ///
    /// # Errors
    /// [`Error::Invalidation`] where it does not complete, or not at the granularity asked for or a
    /// coarser one.
    pub fn invalidate_context<H: Hw>(&self, hw: &mut H, scope: ContextScope) -> Result<(), Error> {
        self.write64(hw, regs::CCMD, scope.word());
        // Asked for in 62:61, done in 60:59.
        self.complete(hw, regs::CCMD, "CCMD", 59, scope.word() >> 61 & 0b11)
    }

    /// Invalidates the IOTLB through its register.
    ///
    /// # Errors
    /// [`Error::Invalidation`], as above.
    pub fn invalidate_iotlb<H: Hw>(&self, hw: &mut H, scope: IotlbScope) -> Result<(), Error> {
        let offset = self.ecap.iotlb_offset();
        if let IotlbScope::Page { address, mask, .. } = scope {
            self.write64(hw, offset, address | u64::from(mask));
        }
        self.write64(hw, offset + 8, scope.word());
        // Asked for in 61:60, done in 58:57.
        self.complete(hw, offset + 8, "IOTLB_REG", 57, scope.word() >> 60 & 0b11)
    }

    fn complete<H: Hw>(
        &self,
        hw: &mut H,
        offset: u64,
        register: &'static str,
        done_at: u32,
        asked: u64,
    ) -> Result<(), Error> {
        let value = poll(hw, |hw| {
            let value = self.read64(hw, offset);
            (value >> 63 == 0).then_some(value)
        });
        // 1 is global, 3 the finest: a unit may do more than it was asked for.
        match value {
            Some(value) if (1..=asked).contains(&(value >> done_at & 0b11)) => Ok(()),
            Some(value) => Err(Error::Invalidation { register, value }),
            None => Err(Error::Invalidation { register, value: self.read64(hw, offset) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::vtd::regs::{Cap, Ecap};

    #[test]
    fn commands_have_the_words_of_the_specification() {
        let contexts = [
            (ContextScope::Global, 0xa000_0000_0000_0000),
            (ContextScope::Domain(0x1234), 0xc000_0000_0000_1234),
            (ContextScope::Device { domain: 1, source: 0x0310 }, 0xe000_0000_0310_0001),
        ];
        for (scope, word) in contexts {
            assert_eq!(scope.word(), word, "{scope:?}");
        }
        let iotlbs = [
            (IotlbScope::Global, 0x9003_0000_0000_0000),
            (IotlbScope::Domain(0x1234), 0xa003_1234_0000_0000),
            (IotlbScope::Page { domain: 2, address: 0x1000, mask: 0 }, 0xb003_0002_0000_0000),
        ];
        for (scope, word) in iotlbs {
            assert_eq!(scope.word(), word, "{scope:?}");
        }
    }

    #[test]
    fn completion_is_judged_by_the_granularity_done() {
        let unit = Unit::at(0xfed9_0000, Cap(0), Ecap(0));
        // (name, CCMD as it reads, granularity asked for, complete)
        let rows: [(&str, u64, u64, bool); 5] = [
            ("as asked", 0x1800_0000_0000_0000, 3, true),
            ("coarser", 0x0800_0000_0000_0000, 3, true),
            ("finer than asked", 0x1000_0000_0000_0000, 1, false),
            ("refused", 0x0000_0000_0000_0000, 1, false),
            ("busy for ever", 0x8800_0000_0000_0000, 1, false),
        ];
        for (name, value, asked, complete) in rows {
            let hw = &mut Fake::new();
            hw.mmio_write64(0xfed9_0028, value);
            let result = unit.complete(hw, 0x28, "CCMD", 59, asked);
            let refused = Err(Error::Invalidation { register: "CCMD", value });
            assert_eq!(result, if complete { Ok(()) } else { refused }, "{name}");
        }
    }
}
