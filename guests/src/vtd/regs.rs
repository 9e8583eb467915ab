//! Offsets and bits of the register file [VT-d 11.4], as far as the driver uses them.
//!
//! They are written out here instead of shared with the emulator's model: a guest that took its bit
//! numbers from the model could not find a mistake in them.

/// Version, 32 bits.
pub const VER: u64 = 0x00;
/// Capability, 64 bits.
pub const CAP: u64 = 0x08;
/// Extended Capability, 64 bits.
pub const ECAP: u64 = 0x10;
/// Global Command, 32 bits.
pub const GCMD: u64 = 0x18;
/// Global Status, 32 bits.
pub const GSTS: u64 = 0x1c;
/// Root Table Address, 64 bits.
pub const RTADDR: u64 = 0x20;
/// Context Command, 64 bits.
pub const CCMD: u64 = 0x28;
/// Fault Status, 32 bits.
pub const FSTS: u64 = 0x34;
/// Fault Event Control, 32 bits; Data, Address and Upper Address follow.
pub const FECTL: u64 = 0x38;
/// Invalidation Queue Head, 64 bits.
pub const IQH: u64 = 0x80;
/// Invalidation Queue Tail, 64 bits.
pub const IQT: u64 = 0x88;
/// Invalidation Queue Address, 64 bits.
pub const IQA: u64 = 0x90;
/// Invalidation Completion Status, 32 bits.
pub const ICS: u64 = 0x9c;
/// Invalidation Event Control, 32 bits; Data, Address and Upper Address follow.
pub const IECTL: u64 = 0xa0;

/// Translation Enable, in GCMD and GSTS.
pub const TE: u32 = 1 << 31;
/// Set Root Table Pointer.
pub const SRTP: u32 = 1 << 30;
/// Queued Invalidation Enable.
pub const QIE: u32 = 1 << 26;
/// What GSTS may contribute to a GCMD value: all but the one-shot bits [VT-d 11.4.4.1].
pub const GCMD_KEEP: u32 = 0x96ff_ffff;

/// Primary Fault Overflow, in FSTS.
pub const PFO: u32 = 1 << 0;
/// Primary Pending Fault.
pub const PPF: u32 = 1 << 1;
/// Invalidation Queue Error.
pub const IQE: u32 = 1 << 4;
/// Invalidation Wait Descriptor Complete, in ICS.
pub const IWC: u32 = 1 << 0;
/// Interrupt Mask, in FECTL and IECTL.
pub const IM: u32 = 1 << 31;
/// Interrupt Pending.
pub const IP: u32 = 1 << 30;

/// The Capability Register [VT-d 11.4.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(pub u64);

impl Cap {
    fn bits(self, hi: u32, lo: u32) -> u64 {
        self.0 >> lo & ((1 << (hi - lo + 1)) - 1)
    }

    /// Width of a domain id in bits.
    pub fn domain_id_width(self) -> u32 {
        4 + 2 * self.bits(2, 0) as u32
    }

    /// Caching mode: entries that fault may be cached as well.
    pub fn cm(self) -> bool {
        self.bits(7, 7) == 1
    }

    /// Bit `levels - 2` is set for every supported number of table levels.
    pub fn sagaw(self) -> u64 {
        self.bits(12, 8)
    }

    /// Maximum guest address width in bits.
    pub fn mgaw(self) -> u32 {
        self.bits(21, 16) as u32 + 1
    }

    /// Zero-length reads of write-only pages succeed.
    pub fn zlr(self) -> bool {
        self.bits(22, 22) == 1
    }

    /// Offset of the first fault recording register.
    pub fn fault_offset(self) -> u64 {
        self.bits(33, 24) * 16
    }

    /// Large second-stage pages: bit 0 2 MiB, bit 1 1 GiB.
    pub fn sslps(self) -> u64 {
        self.bits(37, 34)
    }

    /// Page-selective invalidation.
    pub fn psi(self) -> bool {
        self.bits(39, 39) == 1
    }

    /// Number of fault recording registers.
    pub fn fault_records(self) -> u64 {
        self.bits(47, 40) + 1
    }

    /// Largest address mask of a page-selective invalidation.
    pub fn mamv(self) -> u64 {
        self.bits(53, 48)
    }

    /// Levels of the shallowest tables on offer.
    pub fn fewest_levels(self) -> Option<u32> {
        self.level_choices().next()
    }

    /// Levels of the deepest tables on offer.
    pub fn most_levels(self) -> Option<u32> {
        self.level_choices().last()
    }

    /// All numbers of table levels on offer, in ascending order.
    pub fn level_choices(self) -> impl Iterator<Item = u32> {
        (3..=5).filter(move |levels| self.sagaw() & 1 << (levels - 2) != 0)
    }
}

/// The Extended Capability Register [VT-d 11.4.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecap(pub u64);

impl Ecap {
    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Table walks are coherent with CPU caches.
    pub fn coherent(self) -> bool {
        self.bit(0)
    }

    /// Queued invalidation.
    pub fn qi(self) -> bool {
        self.bit(1)
    }

    /// Device TLBs.
    pub fn dt(self) -> bool {
        self.bit(2)
    }

    /// Pass-through translation type.
    pub fn pt(self) -> bool {
        self.bit(6)
    }

    /// Offset of the Invalidate Address register; the IOTLB Invalidate register follows it.
    pub fn iotlb_offset(self) -> u64 {
        (self.0 >> 8 & 0x3ff) * 16
    }

    /// Requests with PASID can be remapped.
    pub fn pasid(self) -> bool {
        self.bit(40)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn capability_fields_have_the_bits_of_the_specification() {
        // A walking one through CAP: every field sees its own bits and no other.
        type Field = fn(Cap) -> u64;
        let fields: [(&str, Field, u32, u32, u64); 8] = [
            ("CM", |cap| cap.cm().into(), 7, 7, 1),
            ("SAGAW", Cap::sagaw, 12, 8, 1),
            ("MGAW - 1", |cap| u64::from(cap.mgaw()) - 1, 21, 16, 1),
            ("ZLR", |cap| cap.zlr().into(), 22, 22, 1),
            ("FRO", Cap::fault_offset, 33, 24, 16),
            ("SSLPS", Cap::sslps, 37, 34, 1),
            ("PSI", |cap| cap.psi().into(), 39, 39, 1),
            ("MAMV", Cap::mamv, 53, 48, 1),
        ];
        for (name, field, hi, lo, unit) in fields {
            for bit in 0..64 {
                let expected = if (lo..=hi).contains(&bit) { unit << (bit - lo) } else { 0 };
                assert_eq!(field(Cap(1 << bit)), expected, "{name}, bit {bit}");
            }
        }
        assert_eq!(Cap(0b110).domain_id_width(), 16);
        assert_eq!(Cap(0b110 | !0b111).domain_id_width(), 16);
        assert_eq!(Cap(7 << 40).fault_records(), 8);
        assert_eq!(Cap(255 << 40).fault_records(), 256);
    }

    #[test]
    fn table_depths_follow_sagaw() {
        let rows: [(u64, &[u32]); 5] =
            [(0x0200, &[3]), (0x0400, &[4]), (0x0600, &[3, 4]), (0x0e00, &[3, 4, 5]), (0x1100, &[])];
        for (cap, levels) in rows {
            assert_eq!(Cap(cap).level_choices().collect::<Vec<_>>(), levels, "{cap:#x}");
            assert_eq!(Cap(cap).fewest_levels(), levels.first().copied());
            assert_eq!(Cap(cap).most_levels(), levels.last().copied());
        }
    }

    #[test]
    fn extended_capability_fields_have_the_bits_of_the_specification() {
        type Row = (&'static str, fn(Ecap) -> bool, u32);
        let fields: [Row; 5] = [
            ("C", Ecap::coherent, 0),
            ("QI", Ecap::qi, 1),
            ("DT", Ecap::dt, 2),
            ("PT", Ecap::pt, 6),
            ("PASID", Ecap::pasid, 40),
        ];
        for (name, field, at) in fields {
            for bit in 0..64 {
                assert_eq!(field(Ecap(1 << bit)), bit == at, "{name}, bit {bit}");
            }
        }
        assert_eq!(Ecap(0x0003_ff00).iotlb_offset(), 0x3ff0);
        assert_eq!(Ecap(0x0000_0f00).iotlb_offset(), 0x00f0);
    }
}
