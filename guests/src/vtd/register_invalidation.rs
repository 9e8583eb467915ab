//! Invalidation through registers [VT-d 6.5.1], for units of major version 5 and below and only while
//! the queue is disabled.

use super::regs;
use super::scope::{ContextScope, IotlbScope};
use super::unit::Unit;
use crate::error::Error;
use crate::hw::{Hw, poll};

/// CCMD with ICC set [VT-d 11.4.6.1].
const fn ccmd(scope: ContextScope) -> u64 {
    1 << 63
        | match scope {
            ContextScope::Global => 0b01 << 61,
            ContextScope::Domain(domain) => 0b10 << 61 | domain as u64,
            ContextScope::Device { domain, source } => 0b11 << 61 | (source as u64) << 16 | domain as u64,
        }
}

/// The IOTLB register with IVT set, draining reads and writes [VT-d 11.4.6.2].
const fn iotlb(scope: IotlbScope) -> u64 {
    1 << 63
        | 0b11 << 48
        | match scope {
            IotlbScope::Global => 0b01 << 60,
            IotlbScope::Domain(domain) => 0b10 << 60 | (domain as u64) << 32,
            IotlbScope::Page { domain, .. } => 0b11 << 60 | (domain as u64) << 32,
        }
}

impl Unit {
    /// Invalidates the context cache through CCMD.
    ///
    /// # Errors
    /// [`Error::Invalidation`] where it does not complete, or not at the granularity asked for or a
    /// coarser one.
    pub fn invalidate_context<H: Hw>(&self, hw: &mut H, scope: ContextScope) -> Result<(), Error> {
        self.write64(hw, regs::CCMD, ccmd(scope));
        // Asked for in 62:61, done in 60:59.
        self.complete(hw, regs::CCMD, "CCMD", 59, ccmd(scope) >> 61 & 0b11)
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
        self.write64(hw, offset + 8, iotlb(scope));
        // Asked for in 61:60, done in 58:57.
        self.complete(hw, offset + 8, "IOTLB_REG", 57, iotlb(scope) >> 60 & 0b11)
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
            assert_eq!(ccmd(scope), word, "{scope:?}");
        }
        let iotlbs = [
            (IotlbScope::Global, 0x9003_0000_0000_0000),
            (IotlbScope::Domain(0x1234), 0xa003_1234_0000_0000),
            (IotlbScope::Page { domain: 2, address: 0x1000, mask: 0 }, 0xb003_0002_0000_0000),
        ];
        for (scope, word) in iotlbs {
            assert_eq!(iotlb(scope), word, "{scope:?}");
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
