//! The registers that a legacy-mode driver uses [VT-d 11.4]. Rows without a name are of features that
//! it does not use.

use devices::register;

/// Offsets [VT-d 11.4].
pub(super) mod offset {
    /// Capability Register, 64 bits.
    pub(in super::super) const CAP: u64 = 0x08;
    /// Extended Capability Register, 64 bits.
    pub(in super::super) const ECAP: u64 = 0x10;
    /// Global Command Register.
    pub(in super::super) const GCMD: u64 = 0x18;
    /// Global Status Register.
    pub(in super::super) const GSTS: u64 = 0x1c;
    /// Root Table Address Register, 64 bits.
    pub(in super::super) const RTADDR: u64 = 0x20;
    /// Context Command Register, 64 bits.
    pub(in super::super) const CCMD: u64 = 0x28;
    /// Fault Status Register.
    pub(in super::super) const FSTS: u64 = 0x34;
    /// Fault Event Control Register.
    pub(in super::super) const FECTL: u64 = 0x38;
    /// Fault Event Data Register.
    pub(in super::super) const FEDATA: u64 = 0x3c;
    /// Fault Event Address Register.
    pub(in super::super) const FEADDR: u64 = 0x40;
    /// Fault Event Upper Address Register.
    pub(in super::super) const FEUADDR: u64 = 0x44;
    /// Protected Memory Enable Register.
    pub(in super::super) const PMEN: u64 = 0x64;
    /// Invalidation Queue Head Register, 64 bits.
    pub(in super::super) const IQH: u64 = 0x80;
    /// Invalidation Queue Tail Register, 64 bits.
    pub(in super::super) const IQT: u64 = 0x88;
    /// Invalidation Queue Address Register, 64 bits.
    pub(in super::super) const IQA: u64 = 0x90;
}

register! {
    /// Capability Register [VT-d 11.4.2].
    pub(super) struct Cap: u64 {
        /// SRTP invalidates all DMA-remapping caches by itself.
        63:63 Ro esrtps: bool,
        62:56 Ro _r3,
        /// Reads drain on invalidation.
        55:55 Ro drd: bool,
        /// Writes drain on invalidation.
        54:54 Ro dwd: bool,
        /// Largest address mask of a page-selective invalidation.
        53:48 Ro mamv: u8,
        /// Number of fault recording registers, less one.
        47:40 Ro nfr: u8,
        /// Page-selective invalidation.
        39:39 Ro psi: bool,
        38:38 Ro _r2,
        /// Second-stage large pages: bit 0 for 2 MiB, bit 1 for 1 GiB.
        37:34 Ro sllps: u8,
        /// Offset of the fault recording registers, in units of 16 bytes.
        33:24 Ro fro: u16,
        23:22 Ro _r1,
        /// Guest address width, less one.
        21:16 Ro mgaw: u8,
        15:13 Ro _r0,
        /// Supported widths: bit 1 39, bit 2 48, bit 3 57 bits.
        12:8  Ro sagaw: u8,
        /// Caching mode.
        7:7   Ro cm: bool,
        /// Protected high-memory region.
        6:6   Ro phmr: bool,
        /// Protected low-memory region.
        5:5   Ro plmr: bool,
        /// Software must flush write buffers.
        4:4   Ro rwbf: bool,
        3:3   Ro _afl,
        /// Domain ids have 4 + 2 * nd bits.
        2:0   Ro nd: u8,
    }
}

register! {
    /// Extended Capability Register [VT-d 11.4.3].
    pub(super) struct Ecap: u64 {
        63:18 Ro _r1,
        /// Offset of IVA_REG, which IOTLB_REG follows, in units of 16 bytes.
        17:8  Ro iro: u16,
        /// Snoop control.
        7:7   Ro sc: bool,
        /// Pass-through.
        6:6   Ro pt: bool,
        5:2   Ro _r0,
        /// Queued invalidation.
        1:1   Ro qi: bool,
        /// Table walks are coherent.
        0:0   Ro c: bool,
    }
}

register! {
    /// Global Command and Global Status Registers [VT-d 11.4.4]: bits that set something off in the
    /// one say in the other that it is done.
    pub(super) struct Global: u32 {
        /// Translation enable; a level.
        31:31 Rw te: bool,
        /// Set root table pointer; one-shot.
        30:30 Rw srtp: bool,
        29:28 Rw _r1,
        /// Write buffer flush; one-shot, and set in the status until it is done.
        27:27 Rw wbf: bool,
        /// Queued invalidation enable; a level.
        26:26 Rw qie: bool,
        /// Interrupt remapping enable; a level.
        25:25 Rw ire: bool,
        24:0  Rw _r0,
    }
}

/// Bits of GSTS that go back into GCMD: the levels [VT-d 11.4.4.1].
pub(super) const LEVELS: u32 = 0x96ff_ffff;

register! {
    /// Root Table Address Register [VT-d 11.4.5].
    pub(super) struct Rtaddr: u64 {
        63:12 Rw _root,
        /// Translation table mode; 00 is legacy.
        11:10 Rw ttm: u8,
        9:0   Rw _r0,
    }
}

register! {
    /// Context Command Register [VT-d 11.4.6.1].
    pub(super) struct Ccmd: u64 {
        /// Invalidate; clear when done.
        63:63 Rw icc: bool,
        /// Granularity; 01 is global.
        62:61 Rw cirg: u8,
        60:0  Rw _r0,
    }
}

register! {
    /// IOTLB Invalidate Register [VT-d 11.4.6.2.1].
    pub(super) struct Iotlb: u64 {
        /// Invalidate; clear when done.
        63:63 Rw ivt: bool,
        62:62 Rw _r1,
        /// Granularity; 01 is global.
        61:60 Rw iirg: u8,
        59:50 Rw _r2,
        /// Drain reads.
        49:49 Rw dr: bool,
        /// Drain writes.
        48:48 Rw dw: bool,
        47:0  Rw _r0,
    }
}

register! {
    /// Fault Status Register [VT-d 11.4.7.1].
    pub(super) struct Fsts: u32 {
        31:16 Ro   _r1,
        /// Index of the first pending fault record.
        15:8  Ro   fri: u8,
        7:7   Ro   _r0,
        /// Invalidation time-out error.
        6:6   Rw1c ite: bool,
        /// Invalidation completion error.
        5:5   Rw1c ice: bool,
        /// Invalidation queue error.
        4:4   Rw1c iqe: bool,
        3:2   Ro   _r2,
        /// Some record is valid.
        1:1   Ro   ppf: bool,
        /// Faults were lost.
        0:0   Rw1c pfo: bool,
    }
}

register! {
    /// Fault Recording Register [VT-d 11.4.7.6].
    pub(super) struct Record: [u64; 2] {
        /// The record is valid.
        127:127 Rw1c f: bool,
        /// Type, bit 1: set for reads, clear for writes.
        126:126 Ro   t1: bool,
        125:104 Ro   _r3,
        /// Fault reason.
        103:96  Ro   fr: u8,
        95:93   Ro   _r2,
        /// Type, bit 2: set with bit 1 for atomics.
        92:92   Ro   t2: bool,
        91:80   Ro   _r1,
        /// Source id.
        79:64   Ro   sid: u16,
        /// Bits 63:12 of the address.
        63:12   Ro   fi: u64,
        11:0    Ro   _r0,
    }
}

/// FECTL.IM [VT-d 11.4.7.2].
pub(super) const INTERRUPT_MASK: u32 = 1 << 31;
/// PMEN.PRS, which follows PMEN.EPM [VT-d 11.4.8.1].
pub(super) const PROTECTED_STATUS: u32 = 1;
