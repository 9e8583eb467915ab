//! Memory attributes [SMMUv3 13; Arm ARM D8.6]: what MAIR and MemAttr say, and what both stages make of
//! each other. Data moves coherently here, so attributes only decide about protected table walks and
//! are told to whoever asks.

use serde::{Deserialize, Serialize};

/// Memory type and shareability of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// As a byte of MAIR: 0000dd00 is Device, else the outer nibble and the inner one.
    pub memory: u8,
    /// 0 non-shareable, 2 outer, 3 inner.
    pub shareability: u8,
}

impl Attributes {
    /// Normal, write-back, read- and write-allocate, non-shareable: what a transaction that says
    /// nothing has [SMMUv3 13.1.2].
    pub const DEFAULT: Self = Self { memory: 0xff, shareability: NON_SHAREABLE };

    /// As stage 1 gives them: a byte of MAIR and SH.
    #[inline]
    pub const fn from_mair(byte: u8, shareability: u8) -> Self {
        let memory = match byte {
            // The bits below the Device type have meanings that are not for an SMMU.
            0x00..=0x0f => byte & DEVICE,
            // Tagged memory, and variants that transient maintenance distinguishes: inner as outer.
            _ if byte & 0x0f == 0 => byte | byte >> 4,
            _ => byte,
        };
        Self { memory, shareability }.settled()
    }

    /// As MemAttr and SH of stage 2 modify them. With `forced`, MemAttr is in the form of S2FWB
    /// [Arm ARM D8.6.6].
    #[inline]
    #[must_use]
    pub fn then(self, memattr: u8, shareability: u8, forced: bool) -> Self {
        let memory = if forced { forced_by(self.memory, memattr) } else { combined(self.memory, memattr) };
        let rank = |sh| match sh {
            OUTER_SHAREABLE => 2,
            INNER_SHAREABLE => 1,
            _ => 0,
        };
        let wider =
            if rank(shareability) > rank(self.shareability) { shareability } else { self.shareability };
        Self { memory, shareability: wider }.settled()
    }

    /// Device and non-cacheable memory is outer shareable; the reserved encoding is non-shareable.
    const fn settled(self) -> Self {
        let shareability = match self.shareability {
            _ if self.memory & !DEVICE == 0 || self.memory == NON_CACHEABLE => OUTER_SHAREABLE,
            shareable @ (OUTER_SHAREABLE | INNER_SHAREABLE) => shareable,
            _ => NON_SHAREABLE,
        };
        Self { shareability, ..self }
    }
}

/// Whether MemAttr of a stage-2 descriptor says Device.
#[inline]
pub(super) const fn is_device(memattr: u8, forced: bool) -> bool {
    if forced { memattr & 0b0100 == 0 } else { memattr & 0b1100 == 0 }
}

const NON_SHAREABLE: u8 = 0;
const OUTER_SHAREABLE: u8 = 2;
const INNER_SHAREABLE: u8 = 3;
/// Where a byte of MAIR has the Device type: the larger, the weaker.
const DEVICE: u8 = 0b1100;
/// Inner and outer non-cacheable.
const NON_CACHEABLE: u8 = 0x44;

/// How a cache treats Normal memory, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cacheability {
    None,
    WriteThrough,
    WriteBack,
}

impl Cacheability {
    /// Of a nibble of MAIR.
    const fn of(nibble: u8) -> Self {
        match nibble & 0xf {
            0b0100 => Self::None,
            0b0000..=0b0011 | 0b1000..=0b1011 => Self::WriteThrough,
            _ => Self::WriteBack,
        }
    }

    /// Of two bits of MemAttr, where 00 is reserved and taken as write-back.
    const fn of_memattr(bits: u8) -> Self {
        match bits & 3 {
            0b01 => Self::None,
            0b10 => Self::WriteThrough,
            _ => Self::WriteBack,
        }
    }

    /// The nibble of MAIR, with the allocation hints of `hints`.
    const fn nibble(self, hints: u8) -> u8 {
        let allocate = hints & 3;
        // 0RW with neither R nor W means something else.
        let transient = hints & 0b1000 == 0 && allocate != 0;
        match self {
            Self::None => 0b0100,
            Self::WriteThrough => allocate | if transient { 0 } else { 0b1000 },
            Self::WriteBack => allocate | if transient { 0b0100 } else { 0b1100 },
        }
    }
}

/// The stronger of both stages [Arm ARM D8.6.5].
fn combined(first: u8, memattr: u8) -> u8 {
    let device = first & !DEVICE == 0;
    if is_device(memattr, false) {
        let second = memattr << 2 & DEVICE;
        return if device { first.min(second) } else { second };
    }
    if device {
        return first;
    }
    let stronger =
        |nibble: u8, bits: u8| Cacheability::of(nibble).min(Cacheability::of_memattr(bits)).nibble(nibble);
    let outer = memattr >> 2;
    // 0100, 1000 and 1100 have no inner part of their own; the first of them is write-back.
    let (outer, inner) = match memattr & 3 {
        0 if outer & 3 == 1 => (0b11, 0b11),
        0 => (outer, outer),
        inner => (outer, inner),
    };
    stronger(first >> 4, outer) << 4 | stronger(first & 0xf, inner)
}

/// Stage 2 decides [Arm ARM D8.6.6].
fn forced_by(first: u8, memattr: u8) -> u8 {
    let device = first & !DEVICE == 0;
    let write_back = |nibble: u8| match Cacheability::of(nibble) {
        Cacheability::WriteBack => nibble & 0xf,
        _ => 0xf,
    };
    match memattr & 0b111 {
        0b110 if device => 0xff,
        0b110 => write_back(first >> 4) << 4 | write_back(first),
        0b111 => first,
        // 100 is reserved.
        0b101 | 0b100 if device => first,
        0b101 | 0b100 => NON_CACHEABLE,
        _ => {
            let second = memattr << 2 & DEVICE;
            if device { first.min(second) } else { second }
        }
    }
}
