//! The control frame's registers [GICv3 12.19] and where they are.

use crate::register;

/// Bytes of the control frame and the translation frame together.
pub const FRAMES_SIZE: u64 = 0x2_0000;
/// Offset of GITS_TRANSLATER: a message interrupt is a write of its EventID there.
pub const TRANSLATER: u64 = 0x1_0040;
/// Table registers, of which the first two are implemented.
pub const BASERS: usize = 8;

register! {
    /// ITS Control Register [GICv3 GITS_CTLR].
    pub struct Ctlr: u32 {
        /// Nothing is under way.
        31:31 Ro    quiescent: bool,
        30:8  RsvdZ _r1,
        /// Number of this ITS, for lists of GICv4.
        7:4   RsvdZ _its_number,
        3:2   RsvdZ _r0,
        1:1   RsvdZ _imde,
        /// Messages are translated and commands processed.
        0:0   Rw    enabled: bool,
    }
}

register! {
    /// ITS Type Register [GICv3 GITS_TYPER].
    pub struct Typer: u64 {
        63:38 RsvdZ _r2,
        /// VMOVP names all ITSs by itself.
        37:37 Ro    vmovp: bool,
        /// `cidbits` is valid; 0: collection ids have 16 bits.
        36:36 Ro    cil: bool,
        /// Collection id bits, less one.
        35:32 Ro    cidbits: u8,
        /// Collections that the ITS holds without memory.
        31:24 Ro    hcc: u8,
        23:20 RsvdZ _r1,
        /// RDbase is a physical address; 0: a processor number.
        19:19 Ro    pta: bool,
        /// Reports errors by SError.
        18:18 Ro    seis: bool,
        /// DeviceID bits, less one.
        17:13 Ro    devbits: u8,
        /// EventID bits, less one.
        12:8  Ro    id_bits: u8,
        /// Bytes of an interrupt translation entry, less one.
        7:4   Ro    itt_entry_size: u8,
        3:3   RsvdZ _r0,
        /// Cumulative collection tables.
        2:2   Ro    cct: bool,
        /// Virtual LPIs.
        1:1   Ro    virtual_lpis: bool,
        /// Physical LPIs.
        0:0   Ro    physical: bool,
    }
}

register! {
    /// The Command Queue Descriptor [GICv3 GITS_CBASER].
    pub struct Cbaser: u64 {
        /// Memory is allocated.
        63:63 Rw    valid: bool,
        62:62 RsvdZ _r2,
        /// Inner cacheability.
        61:59 Rw    inner_cache: u8,
        58:56 RsvdZ _r1,
        /// Outer cacheability.
        55:53 Rw    outer_cache: u8,
        52:52 RsvdZ _r0,
        /// Address, bits 51:12.
        51:12 Rw    address: u64,
        /// Shareability.
        11:10 Rw    shareability: u8,
        9:8   RsvdZ _r3,
        /// 4-KiB pages, less one.
        7:0   Rw    size: u8,
    }
}

register! {
    /// ITS Write Register [GICv3 GITS_CWRITER].
    pub struct Cwriter: u64 {
        63:20 RsvdZ _r1,
        /// Offset of the next command that software writes, in units of 32 bytes.
        19:5  Rw    offset: u16,
        4:1   RsvdZ _r0,
        /// Try a stalled command again.
        0:0   Wo    retry: bool,
    }
}

register! {
    /// ITS Read Register [GICv3 GITS_CREADR].
    pub struct Creadr: u64 {
        63:20 RsvdZ _r1,
        /// Offset of the next command to process, in units of 32 bytes.
        19:5  Ro    offset: u16,
        4:1   RsvdZ _r0,
        /// The queue stands still because of an error.
        0:0   Ro    stalled: bool,
    }
}

register! {
    /// ITS Translation Table Descriptor [GICv3 GITS_BASER].
    pub struct Baser: u64 {
        /// Memory is allocated.
        63:63 Rw    valid: bool,
        /// The table has two levels.
        62:62 Rw    indirect: bool,
        /// Inner cacheability.
        61:59 Rw    inner_cache: u8,
        /// What the table holds: 1 devices, 4 collections.
        58:56 Ro    table_type: u8,
        /// Outer cacheability.
        55:53 Rw    outer_cache: u8,
        /// Bytes of an entry, less one.
        52:48 Ro    entry_size: u8,
        /// Address, bits 47:12; with pages of 64 KiB, bits 15:12 are bits 51:48 of it.
        47:12 Rw    address: u64,
        /// Shareability.
        11:10 Rw    shareability: u8,
        /// 00 4 KiB, 01 16 KiB, 10 and 11 64 KiB.
        9:8   Rw    page_size: u8,
        /// Pages, less one.
        7:0   Rw    size: u8,
    }
}

/// The registers that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reg {
    Ctlr,
    Iidr,
    Typer,
    Cbaser,
    Cwriter,
    Creadr,
    /// GITS_BASER of this index, below [`BASERS`].
    Baser(usize),
}

/// (offset, dwords, register, the specification's name)
const MAP: &[(u64, u32, Reg, &str)] = &[
    (0x000, 1, Reg::Ctlr, "GITS_CTLR"),
    (0x004, 1, Reg::Iidr, "GITS_IIDR"),
    (0x008, 2, Reg::Typer, "GITS_TYPER"),
    (0x080, 2, Reg::Cbaser, "GITS_CBASER"),
    (0x088, 2, Reg::Cwriter, "GITS_CWRITER"),
    (0x090, 2, Reg::Creadr, "GITS_CREADR"),
];

const FIRST_BASER: u64 = 0x100;

/// The register at `offset`, a multiple of 4, and which dword of it.
pub(super) fn place(offset: u64) -> Option<(Reg, u32)> {
    let in_basers = offset.checked_sub(FIRST_BASER).filter(|at| *at < BASERS as u64 * 8);
    if let Some(at) = in_basers {
        // Both are below BASERS.
        return Some((Reg::Baser((at / 8) as usize), (at % 8 / 4) as u32));
    }
    let (start, dwords, reg, _) = MAP.iter().rfind(|(start, ..)| *start <= offset)?;
    let dword = (offset - start) / 4;
    // The quotient is below `dwords`.
    (dword < u64::from(*dwords)).then_some((*reg, dword as u32))
}

/// The specification's name of the register at `offset`, or "".
pub(super) fn name_at(offset: u64) -> &'static str {
    match place(offset) {
        Some((Reg::Baser(_), _)) => "GITS_BASER",
        Some((reg, _)) => MAP.iter().find(|(_, _, found, _)| *found == reg).map_or("", |(.., name)| name),
        None if offset == TRANSLATER => "GITS_TRANSLATER",
        None => "",
    }
}
