//! Context descriptors and the tables of them [SMMUv3 5.3, 5.4].

use super::tables::Tables;
use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// Bytes of a CD.
const CD: u64 = 64;
/// An L1CD that names a table.
const L1_VALID: u64 = 1;
/// MAIR: attribute 0 is normal write-back memory, 1 Device-nGnRE.
const MAIR: u64 = 0x04ff;

/// What happens where stage 1 faults [SMMUv3 5.5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnFault {
    /// CD.A: the master is told, instead of reading zeros and losing its writes.
    pub abort: bool,
    /// CD.R: an event is recorded.
    pub record: bool,
    /// CD.S: the transaction is held until software decides.
    pub stall: bool,
}

impl OnFault {
    /// Abort and record.
    pub const TERMINATE: Self = Self { abort: true, record: true, stall: false };
    /// Hold the transaction.
    pub const STALL: Self = Self { abort: true, record: true, stall: true };
}

/// A context descriptor, its qword 0 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cd(pub [u64; 8]);

impl Cd {
    /// The lower half of the addresses by `tables`, the upper half disabled; `ips` is the output size,
    /// encoded as IDR5.OAS.
    pub const fn new(tables: &Tables, asid: u16, ips: u32, on_fault: OnFault) -> Self {
        let OnFault { abort, record, stall } = on_fault;
        let walks = tables.t0sz()
            | tables.granule.tg0() << 6
            // Write-back, Inner Shareable.
            | 0b01 << 8
            | 0b01 << 10
            | 0b11 << 12;
        let low = walks
            // EPD1, V.
            | 1 << 30
            | 1 << 31
            | (ips as u64) << 32
            // AA64.
            | 1 << 41
            | (stall as u64) << 44
            | (record as u64) << 45
            | (abort as u64) << 46
            // ASET: broadcasts do not concern it.
            | 1 << 47
            | (asid as u64) << 48;
        Self([low, tables.base(), 0, MAIR, 0, 0, 0, 0])
    }
}

/// How CDs are found by SubstreamID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextFormat {
    /// There is one CD, and no SubstreamIDs.
    Single,
    /// A table of CDs, S1Fmt = 00.
    Linear,
    /// Two levels with tables of 64 CDs, S1Fmt = 01.
    TwoLevel4K,
    /// Two levels with tables of 1024 CDs, S1Fmt = 10.
    TwoLevel64K,
}

impl ContextFormat {
    /// Log2 of the CDs in a table of the second level.
    const fn split(self) -> Option<u32> {
        match self {
            Self::Single | Self::Linear => None,
            Self::TwoLevel4K => Some(6),
            Self::TwoLevel64K => Some(10),
        }
    }
}

/// The CDs of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextTable {
    /// Physical address of the only or the first level.
    pub base: u64,
    format: ContextFormat,
    /// Log2 of the number of CDs.
    log2: u32,
    /// See [`Tables::link`].
    link: u64,
}

impl ContextTable {
    /// Room for 2^`log2` CDs, none of them valid.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new<H: Hw>(
        hw: &mut H,
        arena: &mut Arena,
        format: ContextFormat,
        log2: u32,
        link: u64,
    ) -> Result<Self, Error> {
        let log2 = if format == ContextFormat::Single { 0 } else { log2 };
        let bytes = match format.split() {
            None => CD << log2,
            Some(split) => 8 << log2.saturating_sub(split),
        };
        let base = arena.aligned(hw, bytes.next_multiple_of(4096))?;
        Ok(Self { base, format, log2, link })
    }

    /// STE.S1Fmt, S1ContextPtr and S1CDMax, in the first qword of an STE.
    pub const fn ste_fields(&self) -> u64 {
        let format = match self.format {
            ContextFormat::Single | ContextFormat::Linear => 0b00,
            ContextFormat::TwoLevel4K => 0b01,
            ContextFormat::TwoLevel64K => 0b10,
        };
        format << 4 | (self.base + self.link) | (self.log2 as u64) << 59
    }

    /// Where the L1CD of a substream lies, by physical address; `None` where there is one level.
    pub fn l1_at(&self, substream: u32) -> Option<u64> {
        let split = self.format.split()?;
        Some(self.base + u64::from(substream >> split) * 8)
    }

    /// Where the CD of a substream lies, by physical address; makes the table that it is in.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn cd_at<H: Hw>(&self, hw: &mut H, arena: &mut Arena, substream: u32) -> Result<u64, Error> {
        let (Some(split), Some(at)) = (self.format.split(), self.l1_at(substream)) else {
            return Ok(self.base + u64::from(substream) * CD);
        };
        let mut word = hw.mem_read64(at);
        if word & L1_VALID == 0 {
            word = (arena.aligned(hw, CD << split)? + self.link) | L1_VALID;
            hw.mem_write64(at, word);
        }
        let index = u64::from(substream & ((1 << split) - 1));
        Ok((word & !0xfff) - self.link + index * CD)
    }

    /// Writes a CD. The caller invalidates what the unit may hold.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn set<H: Hw>(&self, hw: &mut H, arena: &mut Arena, substream: u32, cd: Cd) -> Result<(), Error> {
        let at = self.cd_at(hw, arena, substream)?;
        write_words(hw, at, cd.0);
        Ok(())
    }
}

/// Writes a structure of 512 bits whose V is in the first qword, so that the unit never sees a valid
/// half-written one.
pub(super) fn write_words<H: Hw>(hw: &mut H, at: u64, words: [u64; 8]) {
    let [first, rest @ ..] = words;
    hw.mem_write64(at, 0);
    for (at, word) in (at + 8..).step_by(8).zip(rest) {
        hw.mem_write64(at, word);
    }
    hw.mem_write64(at, first);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::smmuv3::Granule;

    #[test]
    fn a_cd_has_the_words_of_the_specification() {
        let tables =
            Tables { root: 0x1234_5000, granule: Granule::K64, start: 2, bits: 39, link: 0x100_0000_0000 };
        let Cd(words) = Cd::new(&tables, 0x5678, 5, OnFault::TERMINATE);
        assert_eq!(words, [0x5678_e205_c000_3559, 0x100_1234_5000, 0, 0x04ff, 0, 0, 0, 0]);
        let silent = OnFault { abort: false, record: false, stall: true };
        let Cd(words) = Cd::new(&Tables { granule: Granule::K16, ..tables }, 1, 0, silent);
        assert_eq!(words[0], 0x0001_9200_c000_3599);
    }

    #[test]
    fn tables_of_cds_have_the_formats_of_the_specification() {
        use ContextFormat::{Linear, Single, TwoLevel4K, TwoLevel64K};
        // Format, log2, substream; STE fields beside the pointer, offset of the L1CD, index of the CD.
        for (format, log2, substream, fields, l1, index) in [
            (Single, 7, 0, 0, None, 0),
            (Linear, 6, 63, 6 << 59, None, 63),
            (TwoLevel4K, 10, 0x3c1, 10 << 59 | 1 << 4, Some(0x0f * 8), 1),
            (TwoLevel64K, 12, 0xc05, 12 << 59 | 2 << 4, Some(3 * 8), 5),
        ] {
            let hw = &mut Fake::new();
            let mut arena = Arena::new(hw.ram());
            let table = ContextTable::new(hw, &mut arena, format, log2, 0x10_0000_0000).unwrap();
            assert_eq!(table.ste_fields(), fields | (0x10_0000_0000 + table.base), "{format:?}");
            let at = table.cd_at(hw, &mut arena, substream).unwrap();
            let first = match l1 {
                None => table.base,
                Some(offset) => {
                    let word = hw.mem_read64(table.base + offset);
                    assert_eq!(word & 0xfff, 1, "{format:?}");
                    (word & !0xfff) - 0x10_0000_0000
                }
            };
            assert_eq!(at, first + index * 64, "{format:?}");
            let cd = Cd([1, 2, 3, 4, 5, 6, 7, 8]);
            table.set(hw, &mut arena, substream, cd).unwrap();
            assert_eq!((hw.mem_read64(at), hw.mem_read64(at + 56)), (1, 8));
        }
    }
}
