//! The register map [VT-d 11.4], in the order and with the bit numbers of the specification.
//!
//! Only what a preset can advertise has a row here; other offsets read zero and ignore writes.

use super::fault::RECORDS;
use crate::register;

/// Bytes that the register file occupies: the page that the DRHD structure names.
pub const REGISTERS_SIZE: u64 = 0x1000;
/// Offset of IVA_REG; IOTLB_REG follows at +8. Reported in ECAP.IRO.
pub const IVA_OFFSET: u64 = 0x0f0;
/// Offset of the first fault recording register. Reported in CAP.FRO.
pub const FRCD_OFFSET: u64 = 0x220;

register! {
    /// Version Register [VT-d 11.4.1].
    pub struct Ver: u32 {
        31:8 RsvdZ _r0,
        /// Major version of the architecture.
        7:4  Ro    major: u8,
        /// Minor version.
        3:0  Ro    minor: u8,
    }
}

register! {
    /// Capability Register [VT-d 11.4.2].
    pub struct Cap: u64 {
        /// SRTP invalidates all DMA-remapping caches by itself.
        63:63 Ro    esrtps: bool,
        /// SIRTP and IRE = 0 invalidate all interrupt-remapping caches by themselves.
        62:62 Ro    esirtps: bool,
        /// Enhanced command interface.
        61:61 Ro    ecmds: bool,
        /// Five-level first-stage tables.
        60:60 Ro    fs5lp: bool,
        /// Posted interrupts.
        59:59 Ro    pi: bool,
        58:57 RsvdZ _r2,
        /// 1-GiB pages in first-stage tables.
        56:56 Ro    fs1gp: bool,
        /// Reads drain on invalidation.
        55:55 Ro    drd: bool,
        /// Writes drain on invalidation.
        54:54 Ro    dwd: bool,
        /// Largest address mask of a page-selective invalidation.
        53:48 Ro    mamv: u8,
        /// Number of fault recording registers, less one.
        47:40 Ro    nfr: u8,
        /// Page-selective invalidation.
        39:39 Ro    psi: bool,
        38:38 RsvdZ _r1,
        /// Second-stage large pages: bit 0 for 2 MiB, bit 1 for 1 GiB.
        37:34 Ro    sslps: u8,
        /// Offset of the fault recording registers, in units of 16 bytes.
        33:24 Ro    fro: u16,
        23:23 RsvdZ _dep,
        /// Zero-length reads of write-only pages succeed.
        22:22 Ro    zlr: bool,
        /// Guest address width, less one.
        21:16 Ro    mgaw: u8,
        15:13 RsvdZ _r0,
        /// Supported adjusted guest address widths: bit 1 39, bit 2 48, bit 3 57 bits.
        12:8  Ro    sagaw: u8,
        /// Caching mode.
        7:7   Ro    cm: bool,
        /// Protected high-memory region.
        6:6   Ro    phmr: bool,
        /// Protected low-memory region.
        5:5   Ro    plmr: bool,
        /// Software must flush write buffers.
        4:4   Ro    rwbf: bool,
        3:3   RsvdZ _afl,
        /// Domain-id width: 4 + 2 * nd bits.
        2:0   Ro    nd: u8,
    }
}

register! {
    /// Extended Capability Register [VT-d 11.4.3].
    pub struct Ecap: u64 {
        63:63 RsvdZ _r4,
        /// Interrupts are blocked while interrupt remapping is off.
        62:62 Ro    irreq: bool,
        /// Only extended interrupt mode is legal.
        61:61 Ro    eimer: bool,
        /// RDT configuration register.
        60:60 Ro    rdts: bool,
        /// 1-GiB entries in the host permission table.
        59:59 Ro    hpt1gps: bool,
        /// Stop-marker messages.
        58:58 Ro    sms: bool,
        /// Second-stage I/O read and write bits.
        57:57 Ro    ssirws: bool,
        /// PASID in translated requests.
        56:56 Ro    ptrs: bool,
        /// Host permission table.
        55:55 Ro    hpts: bool,
        54:54 RsvdZ _r3,
        /// RID_PRIV in scalable-mode context entries.
        53:53 Ro    rprivs: bool,
        /// Abort-DMA mode.
        52:52 Ro    adms: bool,
        /// Performance monitoring.
        51:51 Ro    pms: bool,
        /// TDX Connect.
        50:50 Ro    tdxcs: bool,
        /// RID_PASID.
        49:49 Ro    rps: bool,
        /// Snoop of walks through PASID entries.
        48:48 Ro    smpwcs: bool,
        /// First-stage translation.
        47:47 Ro    fsts: bool,
        /// Second-stage translation in scalable mode.
        46:46 Ro    ssts: bool,
        /// Second-stage accessed and dirty flags.
        45:45 Ro    ssads: bool,
        /// Virtual command interface.
        44:44 Ro    vcs: bool,
        /// Scalable mode.
        43:43 Ro    smts: bool,
        /// Page-request drain in wait descriptors.
        42:42 Ro    pds: bool,
        /// Device-TLB invalidation throttle.
        41:41 Ro    dit: bool,
        /// Requests with PASID.
        40:40 Ro    pasid: bool,
        /// PASID width, less one.
        39:35 Ro    pss: u8,
        /// Extended accessed flag.
        34:34 Ro    eafs: bool,
        /// No-write flag of translation requests.
        33:33 Ro    nwfs: bool,
        32:32 RsvdZ _r2,
        /// Supervisor requests.
        31:31 Ro    srs: bool,
        /// Execute requests.
        30:30 Ro    ers: bool,
        /// Page requests.
        29:29 Ro    prs: bool,
        28:28 RsvdZ _dep2,
        27:27 RsvdZ _r1,
        /// Nested translation.
        26:26 Ro    nest: bool,
        /// Memory types.
        25:25 Ro    mts: bool,
        24:24 RsvdZ _dep1,
        /// Largest index mask of an interrupt-entry invalidation.
        23:20 Ro    mhmv: u8,
        19:18 RsvdZ _r0,
        /// Offset of IVA_REG and IOTLB_REG, in units of 16 bytes.
        17:8  Ro    iro: u16,
        /// Snoop control.
        7:7   Ro    sc: bool,
        /// Pass-through.
        6:6   Ro    pt: bool,
        5:5   RsvdZ _dep0,
        /// Extended interrupt mode.
        4:4   Ro    eim: bool,
        /// Interrupt remapping.
        3:3   Ro    ir: bool,
        /// Device-TLBs.
        2:2   Ro    dt: bool,
        /// Queued invalidation.
        1:1   Ro    qi: bool,
        /// Table walks are coherent.
        0:0   Ro    c: bool,
    }
}

register! {
    /// Global Command Register [VT-d 11.4.4.1]. Reads as zero.
    pub struct Gcmd: u32 {
        /// Translation enable; a level.
        31:31 Wo    te: bool,
        /// Set root table pointer; one-shot.
        30:30 Wo    srtp: bool,
        29:27 RsvdZ _r1,
        /// Queued invalidation enable; a level.
        26:26 Wo    qie: bool,
        /// Interrupt remapping enable; a level.
        25:25 Wo    ire: bool,
        /// Set interrupt remap table pointer; one-shot.
        24:24 Wo    sirtp: bool,
        /// Compatibility format interrupts pass; a level.
        23:23 Wo    cfi: bool,
        22:0  RsvdZ _r0,
    }
}

register! {
    /// Global Status Register [VT-d 11.4.4.2].
    pub struct Gsts: u32 {
        /// Translation is enabled.
        31:31 Ro    tes: bool,
        /// The root table pointer has been latched.
        30:30 Ro    rtps: bool,
        29:27 RsvdZ _r1,
        /// Queued invalidation is enabled.
        26:26 Ro    qies: bool,
        /// Interrupt remapping is enabled.
        25:25 Ro    ires: bool,
        /// The interrupt remapping table pointer has been latched.
        24:24 Ro    irtps: bool,
        /// Compatibility format interrupts pass.
        23:23 Ro    cfis: bool,
        22:0  RsvdZ _r0,
    }
}

register! {
    /// Root Table Address Register [VT-d 11.4.5].
    pub struct Rtaddr: u64 {
        /// Root table address, bits 63:12.
        63:12 Rw    rta: u64,
        /// Translation table mode: 00 legacy, 01 scalable, 10 reserved, 11 abort-DMA.
        11:10 Rw    ttm: u8,
        9:0   RsvdZ _r0,
    }
}

register! {
    /// Context Command Register [VT-d 11.4.6.1].
    pub struct Ccmd: u64 {
        /// Invalidate the context cache.
        63:63 Rw    icc: bool,
        /// Granularity asked for.
        62:61 Rw    cirg: u8,
        /// Granularity done; 0 for an error.
        60:59 Ro    caig: u8,
        58:34 RsvdZ _r0,
        /// Function mask.
        33:32 Wo    fm: u8,
        /// Source id.
        31:16 Wo    sid: u16,
        /// Domain id.
        15:0  Rw    did: u16,
    }
}

register! {
    /// IOTLB Invalidate Register [VT-d 11.4.6.2.1].
    pub struct Iotlb: u64 {
        /// Invalidate the IOTLB.
        63:63 Rw    ivt: bool,
        62:62 RsvdZ _r3,
        /// Granularity asked for.
        61:60 Rw    iirg: u8,
        59:59 RsvdZ _r2,
        /// Granularity done; 0 for an error.
        58:57 Ro    iaig: u8,
        56:50 RsvdZ _r1,
        /// Drain reads.
        49:49 Rw    dr: bool,
        /// Drain writes.
        48:48 Rw    dw: bool,
        /// Domain id.
        47:32 Rw    did: u16,
        31:0  RsvdZ _r0,
    }
}

register! {
    /// Invalidate Address Register [VT-d 11.4.6.2.2]. Reads as zero.
    pub struct Iva: u64 {
        /// First page, bits 63:12.
        63:12 Wo    addr: u64,
        11:7  RsvdZ _r0,
        /// Invalidation hint: non-leaf entries did not change.
        6:6   Wo    ih: bool,
        /// Address mask: 2^am pages.
        5:0   Wo    am: u8,
    }
}

register! {
    /// Fault Status Register [VT-d 11.4.7.1].
    pub struct Fsts: u32 {
        31:16 RsvdZ _r1,
        /// Index of the first pending fault record.
        15:8  Ros   fri: u8,
        7:7   RsvdZ _r0,
        /// Invalidation time-out error.
        6:6   Rw1cs ite: bool,
        /// Invalidation completion error.
        5:5   Rw1cs ice: bool,
        /// Invalidation queue error.
        4:4   Rw1cs iqe: bool,
        3:2   RsvdZ _af,
        /// Primary pending fault: some record is valid.
        1:1   Ros   ppf: bool,
        /// Primary fault overflow.
        0:0   Rw1cs pfo: bool,
    }
}

register! {
    /// Fault, Invalidation Event and Page Request Event Control Registers [VT-d 11.4.7.2].
    pub struct EventControl: u32 {
        /// Interrupt mask.
        31:31 Rw    im: bool,
        /// Interrupt pending.
        30:30 Ro    ip: bool,
        29:0  RsvdP _r0,
    }
}

register! {
    /// Event Data Registers [VT-d 11.4.7.3].
    pub struct EventData: u32 {
        31:16 RsvdZ _r0,
        /// Interrupt message data.
        15:0  Rw    imd: u16,
    }
}

register! {
    /// Event Address Registers [VT-d 11.4.7.4].
    pub struct EventAddress: u32 {
        /// Message address, bits 31:2.
        31:2  Rw    ma: u32,
        1:0   RsvdZ _r0,
    }
}

register! {
    /// Fault Recording Register [VT-d 11.4.7.6].
    pub struct Frcd: [u64; 2] {
        /// The record is valid.
        127:127 Rw1cs f: bool,
        /// Type, bit 1: reads and atomics.
        126:126 Ros   t1: bool,
        /// Address type.
        125:124 Ros   at: u8,
        /// PASID value.
        123:104 Ros   pv: u32,
        /// Fault reason.
        103:96  Ros   fr: u8,
        /// PASID present.
        95:95   Ros   pp: bool,
        /// Execute requested.
        94:94   Ros   exe: bool,
        /// Privileged mode requested.
        93:93   Ros   privileged: bool,
        /// Type, bit 2: atomics.
        92:92   Ros   t2: bool,
        91:80   RsvdZ _r1,
        /// Source id.
        79:64   Ros   sid: u16,
        /// Fault information: bits 63:12 of the address.
        63:12   Ros   fi: u64,
        11:0    RsvdZ _r0,
    }
}

register! {
    /// Protected Memory Enable Register [VT-d 11.4.8.1].
    pub struct Pmen: u32 {
        /// Enable protected memory.
        31:31 Rw    epm: bool,
        30:1  RsvdP _r0,
        /// The regions are protected.
        0:0   Ro    prs: bool,
    }
}

register! {
    /// Protected Low-Memory Base and Limit Registers [VT-d 11.4.8.2]. Regions are multiples of
    /// 2 MiB; the low bits of a limit count as ones.
    pub struct ProtectedLow: u32 {
        31:21 Rw    address: u16,
        20:0  RsvdZ _r0,
    }
}

register! {
    /// Protected High-Memory Base and Limit Registers [VT-d 11.4.8.4].
    pub struct ProtectedHigh: u64 {
        63:48 RsvdZ _beyond_host_width,
        47:21 Rw    address: u32,
        20:0  RsvdZ _r0,
    }
}

register! {
    /// Invalidation Queue Head Register [VT-d 11.4.9.1].
    pub struct Iqh: u64 {
        63:19 RsvdZ _r1,
        /// Index of the next descriptor to fetch.
        18:4  Ro    qh: u16,
        3:0   RsvdZ _r0,
    }
}

register! {
    /// Invalidation Queue Tail Register [VT-d 11.4.9.2].
    pub struct Iqt: u64 {
        63:19 RsvdZ _r1,
        /// Index one past the last descriptor that software wrote.
        18:4  Rw    qt: u16,
        3:0   RsvdZ _r0,
    }
}

register! {
    /// Invalidation Queue Address Register [VT-d 11.4.9.3].
    pub struct Iqa: u64 {
        /// Queue address, bits 63:12.
        63:12 Rw    iqa: u64,
        /// Descriptor width: 0 128 bits, 1 256 bits.
        11:11 Rw    dw: bool,
        10:3  RsvdZ _r0,
        /// Queue size: 2^(qs + 8) descriptors of 128 bits.
        2:0   Rw    qs: u8,
    }
}

register! {
    /// Invalidation Completion Status Register [VT-d 11.4.9.4].
    pub struct Ics: u32 {
        31:1 RsvdZ _r0,
        /// A wait descriptor with its interrupt flag set has completed.
        0:0  Rw1cs iwc: bool,
    }
}

register! {
    /// Invalidation Queue Error Record Register [VT-d 11.4.9.9].
    pub struct Iqercd: u64 {
        /// Source of the completion error.
        63:48 Ros   icesid: u16,
        /// Source of the time-out error.
        47:32 Ros   itesid: u16,
        31:4  RsvdZ _r0,
        /// What was wrong with the queue.
        3:0   Ros   iqei: u8,
    }
}

register! {
    /// Interrupt Remapping Table Address Register [VT-d 11.4.10.1].
    pub struct Irta: u64 {
        /// Table address, bits 63:12.
        63:12 Rw    irta: u64,
        /// Extended interrupt mode: destinations have 32 bits.
        11:11 Rw    eime: bool,
        10:4  RsvdZ _r0,
        /// The table has 2^(s + 1) entries.
        3:0   Rw    s: u8,
    }
}

/// A place in the register file: the register and which dword of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub reg: Reg,
    pub dword: u32,
}

/// The registers that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reg {
    Ver,
    Cap,
    Ecap,
    Gcmd,
    Gsts,
    Rtaddr,
    Ccmd,
    Fsts,
    Fectl,
    Fedata,
    Feaddr,
    Feuaddr,
    Pmen,
    Plmbase,
    Plmlimit,
    Phmbase,
    Phmlimit,
    Iqh,
    Iqt,
    Iqa,
    Ics,
    Iectl,
    Iedata,
    Ieaddr,
    Ieuaddr,
    Iqercd,
    Irta,
    Iva,
    Iotlb,
    /// Fault recording register of this index.
    Frcd(u8),
}

/// (offset, dwords, register, the specification's name)
const MAP: &[(u64, u32, Reg, &str)] = &[
    (0x000, 1, Reg::Ver, "VER_REG"),
    (0x008, 2, Reg::Cap, "CAP_REG"),
    (0x010, 2, Reg::Ecap, "ECAP_REG"),
    (0x018, 1, Reg::Gcmd, "GCMD_REG"),
    (0x01c, 1, Reg::Gsts, "GSTS_REG"),
    (0x020, 2, Reg::Rtaddr, "RTADDR_REG"),
    (0x028, 2, Reg::Ccmd, "CCMD_REG"),
    (0x034, 1, Reg::Fsts, "FSTS_REG"),
    (0x038, 1, Reg::Fectl, "FECTL_REG"),
    (0x03c, 1, Reg::Fedata, "FEDATA_REG"),
    (0x040, 1, Reg::Feaddr, "FEADDR_REG"),
    (0x044, 1, Reg::Feuaddr, "FEUADDR_REG"),
    (0x064, 1, Reg::Pmen, "PMEN_REG"),
    (0x068, 1, Reg::Plmbase, "PLMBASE_REG"),
    (0x06c, 1, Reg::Plmlimit, "PLMLIMIT_REG"),
    (0x070, 2, Reg::Phmbase, "PHMBASE_REG"),
    (0x078, 2, Reg::Phmlimit, "PHMLIMIT_REG"),
    (0x080, 2, Reg::Iqh, "IQH_REG"),
    (0x088, 2, Reg::Iqt, "IQT_REG"),
    (0x090, 2, Reg::Iqa, "IQA_REG"),
    (0x09c, 1, Reg::Ics, "ICS_REG"),
    (0x0a0, 1, Reg::Iectl, "IECTL_REG"),
    (0x0a4, 1, Reg::Iedata, "IEDATA_REG"),
    (0x0a8, 1, Reg::Ieaddr, "IEADDR_REG"),
    (0x0ac, 1, Reg::Ieuaddr, "IEUADDR_REG"),
    (0x0b0, 2, Reg::Iqercd, "IQERCD_REG"),
    (0x0b8, 2, Reg::Irta, "IRTA_REG"),
    (IVA_OFFSET, 2, Reg::Iva, "IVA_REG"),
    (IVA_OFFSET + 8, 2, Reg::Iotlb, "IOTLB_REG"),
];

/// The register at `offset`, a multiple of 4.
pub(super) fn place(offset: u64) -> Option<Place> {
    let in_records = offset.checked_sub(FRCD_OFFSET).filter(|at| *at < RECORDS as u64 * 16);
    if let Some(at) = in_records {
        // Both are below RECORDS.
        return Some(Place { reg: Reg::Frcd((at / 16) as u8), dword: (at % 16 / 4) as u32 });
    }
    let (start, dwords, reg, _) = MAP.iter().rfind(|(start, ..)| *start <= offset)?;
    let dword = (offset - start) / 4;
    // The quotient is below `dwords`.
    (dword < u64::from(*dwords)).then_some(Place { reg: *reg, dword: dword as u32 })
}

/// The specification's name of the register at `offset`, or "".
pub(super) fn name_at(offset: u64) -> &'static str {
    match place(offset).map(|place| place.reg) {
        Some(Reg::Frcd(_)) => "FRCD_REG",
        Some(reg) => MAP.iter().find(|(_, _, found, _)| *found == reg).map_or("", |(.., name)| name),
        None => "",
    }
}
