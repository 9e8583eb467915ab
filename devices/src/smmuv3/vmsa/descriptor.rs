//! What descriptors of both stages share: the geometry of tables, which descriptors are valid at which
//! level, and where the address lies [Arm ARM D8.2, D8.3].

use std::hint::cold_path;

use super::Granule;
use crate::addr::Pa;
use crate::iommu::walk::{Accumulate, Address, Entry, Format};
use crate::register;

register! {
    /// Table descriptor of stage 1 [Arm ARM D8.3.1]; one of stage 2 has no limits.
    pub struct TableDescriptor: u64 {
        63:63 Ignored _ns,
        /// APTable, UXNTable (XNTable where there is one privilege level) and PXNTable.
        62:59 Field   limits: u8,
        58:52 Ignored _software,
        /// Output address; which bits belong where depends on the granule, DS and the OAS.
        51:8  Field   address: u64,
        7:2   Ignored _r0,
        1:0   Field   kind: u8,
    }
}

register! {
    /// Block or page descriptor of stage 1 [Arm ARM D8.3.1].
    pub struct Stage1Descriptor: u64 {
        63:55 Ignored _software,
        /// UXN; XN where there is one privilege level.
        54:54 Field   uxn: bool,
        53:53 Field   pxn: bool,
        // A hint, which is not taken: pages are cached one by one.
        52:52 Ignored _contiguous,
        51:51 Field   dbm: bool,
        /// Output address; which bits belong where depends on the granule, DS and the OAS.
        50:12 Field   address: u64,
        11:11 Field   ng: bool,
        10:10 Field   af: bool,
        /// Address bits where descriptors are 52-bit.
        9:8   Field   sh: u8,
        /// AP, bit 2: not writable.
        7:7   Field   ap2: bool,
        /// AP, bit 1: unprivileged access.
        6:6   Field   ap1: bool,
        5:5   Ignored _ns,
        4:2   Field   attrindx: u8,
        1:0   Field   kind: u8,
    }
}

register! {
    /// Block or page descriptor of stage 2 [Arm ARM D8.3.2].
    pub struct Stage2Descriptor: u64 {
        63:55 Ignored _software,
        /// XN, bits 1:0.
        54:53 Field   xn: u8,
        // A hint, which is not taken.
        52:52 Ignored _contiguous,
        51:51 Field   dbm: bool,
        /// Output address; which bits belong where depends on the granule, DS and the OAS.
        50:12 Field   address: u64,
        11:11 Ignored _fnxs,
        10:10 Field   af: bool,
        /// Address bits where descriptors are 52-bit.
        9:8   Field   sh: u8,
        /// S2AP: bit 0 reads, bit 1 writes.
        7:6   Field   s2ap: u8,
        5:2   Field   memattr: u8,
        1:0   Field   kind: u8,
    }
}

/// Bit 0: the descriptor is valid.
const VALID: u64 = 1 << 0;
/// Bit 1: a table; in the last level, a page.
const TABLE: u64 = 1 << 1;

/// The Arm ARM's number of a level that the walker counts from the page up: 3 to -1.
pub(super) const fn architected(level: u32) -> i32 {
    // At most five levels.
    4 - level as i32
}

/// How the tables of one tree are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bits that a full table resolves.
    stride: u32,
    /// The bits of an entry's offset in a full table.
    within: u64,
    /// Level of the first table, counted from the page up.
    top: u32,
    /// Address bits that lie in the descriptor where they belong.
    low: u64,
    /// Address bits that lie elsewhere, and how far up they belong.
    high: (u64, u32),
    /// Address bits that no output may have.
    beyond: u64,
    /// Bit n: level n may map blocks.
    blocks: u32,
}

impl Layout {
    /// Tables of `granule` from level `top` down, which the granule's number of levels limits. `ds` is
    /// CD.DS or STE.S2DS; `wide` says that physical addresses have 52 bits.
    #[inline]
    pub fn new(granule: Granule, top: u32, ds: bool, wide: bool, output_bits: u32) -> Self {
        let (low, high, blocks, levels) = match granule {
            Granule::K4 if ds => (BITS_49, BITS_51_50, 0b1_1100, 5),
            Granule::K16 if ds => (BITS_49, BITS_51_50, 0b1100, 4),
            Granule::K4 => (BITS_47, NO_BITS, 0b1100, 5),
            Granule::K16 => (BITS_47, NO_BITS, 0b0100, 4),
            Granule::K64 if wide => (BITS_47, BITS_51_48, 0b1100, 3),
            Granule::K64 => (BITS_47, NO_BITS, 0b0100, 3),
        };
        Self {
            stride: granule.index_bits(),
            within: (8 << granule.index_bits()) - 8,
            top: top.clamp(1, levels),
            low: low & (u64::MAX << granule.bits()),
            high,
            beyond: u64::MAX.checked_shl(output_bits).unwrap_or(0),
            blocks,
        }
    }

    /// The address in a descriptor, to a multiple of the granule.
    #[inline]
    fn address(&self, raw: u64) -> u64 {
        let address = raw & self.low;
        let (mask, shift) = self.high;
        if mask == 0 {
            return address;
        }
        // A branch, which is predicted, so that the next fetch need not wait for this.
        cold_path();
        address | (raw & mask) << shift
    }

    /// What `raw` means at `level`; `limits` is asked for what a table descriptor limits.
    #[inline]
    pub fn entry<R: Accumulate, A: Address>(
        &self,
        level: u32,
        raw: u64,
        limits: impl FnOnce(TableDescriptor) -> R,
    ) -> Entry<R, A> {
        if raw & VALID == 0 {
            return Entry::Absent;
        }
        let address = self.address(raw);
        if level > 1 && raw & TABLE != 0 {
            if address & self.beyond != 0 {
                return Entry::Reserved;
            }
            return Entry::Table { next: A::new(address), rights: limits(TableDescriptor::from_raw(raw)) };
        }
        // A block where there is none, or the last level's reserved encoding.
        if level > 1 && self.blocks >> level & 1 == 0 || level == 1 && raw & TABLE == 0 {
            return Entry::Absent;
        }
        let base = address & (u64::MAX << self.page_bits(level));
        if base & self.beyond != 0 {
            return Entry::Reserved;
        }
        Entry::Page { base: A::new(base), rights: R::START }
    }
}

/// Bits 47:12.
const BITS_47: u64 = 0x0000_ffff_ffff_f000;
/// Bits 49:12.
const BITS_49: u64 = 0x0003_ffff_ffff_f000;
/// No further bits.
const NO_BITS: (u64, u32) = (0, 0);
/// Bits 51:50 in 9:8.
const BITS_51_50: (u64, u32) = (0x300, 42);
/// Bits 51:48 in 15:12.
const BITS_51_48: (u64, u32) = (0xf000, 36);

/// As stage 2 has it, whose table descriptors limit nothing.
impl Format for Layout {
    type Rights = ();
    type Address = Pa;

    #[inline]
    fn top(&self) -> u32 {
        self.top
    }

    /// At most 48.
    #[inline]
    fn page_bits(&self, level: u32) -> u32 {
        // A page has room for as many entries as a level resolves, of 8 bytes each.
        self.stride * level + 3
    }

    /// The first table is as large as the input needs: smaller than a page, or several pages in a row
    /// [Arm ARM D8.2.2].
    #[inline]
    fn offset(&self, level: u32, input: u64) -> u64 {
        // Entries have 8 bytes, so what indexes a full table takes as many bits as a page has.
        let mask = if level == self.top { !7 } else { self.within };
        input >> (self.stride * level) & mask
    }

    #[inline]
    fn decode(&self, level: u32, raw: u64) -> Entry<(), Pa> {
        self.entry(level, raw, |_| ())
    }
}

impl Accumulate for () {
    const START: Self = ();

    #[inline]
    fn then(self, (): ()) {}
}
