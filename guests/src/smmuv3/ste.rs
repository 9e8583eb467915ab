//! Stream table entries [SMMUv3 5.2].

use super::cd::ContextTable;
use super::tables::Tables;

/// Config: bypass.
const BYPASS: u64 = 0b100;
/// Config: stage 1.
const STAGE1: u64 = 0b101;
/// Config: stage 2.
const STAGE2: u64 = 0b110;
/// Config: both stages.
const NESTED: u64 = 0b111;
/// SHCFG: as the transaction has it.
const SHCFG_INCOMING: u64 = 0b01 << 44;

/// What transactions without a SubstreamID are, where there are SubstreamIDs (S1DSS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Refused.
    Terminate,
    /// Not translated by stage 1.
    Bypass,
    /// Translated by the first CD, whose SubstreamID means nothing then.
    First,
}

/// Stage 2 of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2 {
    /// Tables.
    pub tables: Tables,
    /// VMID.
    pub vmid: u16,
    /// Output size, encoded as IDR5.OAS.
    pub ps: u32,
    /// S2R: faults are recorded.
    pub record: bool,
    /// S2S: faults stall.
    pub stall: bool,
}

/// An STE, its qword 0 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ste(pub [u64; 8]);

impl Ste {
    /// Not valid.
    pub const INVALID: Self = Self([0; 8]);
    /// Valid, and every transaction is aborted without an event.
    pub const ABORT: Self = Self([1, 0, 0, 0, 0, 0, 0, 0]);
    /// Addresses are physical.
    pub const BYPASS: Self = Self([1 | BYPASS << 1, SHCFG_INCOMING, 0, 0, 0, 0, 0, 0]);

    /// Stage 1 alone.
    pub const fn stage1(contexts: &ContextTable, plain: Plain) -> Self {
        Self::configured(STAGE1).with_contexts(contexts, plain)
    }

    /// Stage 2 alone.
    pub const fn stage2(stage2: &Stage2) -> Self {
        Self::configured(STAGE2).with_stage2(stage2)
    }

    /// Stage 1, and what comes of it and of its tables through stage 2.
    pub const fn nested(contexts: &ContextTable, plain: Plain, stage2: &Stage2) -> Self {
        Self::configured(NESTED).with_contexts(contexts, plain).with_stage2(stage2)
    }

    const fn configured(config: u64) -> Self {
        Self([1 | config << 1, 0, 0, 0, 0, 0, 0, 0])
    }

    const fn with_contexts(self, contexts: &ContextTable, plain: Plain) -> Self {
        let Self([w0, w1, rest @ ..]) = self;
        let dss = match plain {
            Plain::Terminate => 0b00,
            Plain::Bypass => 0b01,
            Plain::First => 0b10,
        };
        // S1CIR and S1COR write-back, S1CSH Inner Shareable.
        let fetches = 0b01 << 2 | 0b01 << 4 | 0b11 << 6;
        let [w2, w3, w4, w5, w6, w7] = rest;
        Self([w0 | contexts.ste_fields(), w1 | dss | fetches, w2, w3, w4, w5, w6, w7])
    }

    const fn with_stage2(self, stage2: &Stage2) -> Self {
        let Stage2 { tables, vmid, ps, record, stall } = *stage2;
        let walks = tables.t0sz()
            | tables.sl0() << 6
            // Write-back, Inner Shareable.
            | 0b01 << 8
            | 0b01 << 10
            | 0b11 << 12
            | tables.granule.tg0() << 14
            | (ps as u64) << 16
            // S2AA64.
            | 1 << 19
            // S2PTW: walks of Device memory are refused.
            | 1 << 22
            | (stall as u64) << 25
            | (record as u64) << 26;
        let Self([w0, w1, w2, w3, w4, w5, w6, w7]) = self;
        Self([w0, w1, w2 | vmid as u64 | walks << 32, w3 | tables.base(), w4, w5, w6, w7])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::fake::Fake;
    use crate::hw::Hw;
    use crate::smmuv3::{ContextFormat, Granule};

    #[test]
    fn entries_have_the_words_of_the_specification() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        let single = ContextTable::new(hw, &mut arena, ContextFormat::Single, 0, 0).unwrap();
        let linear = ContextTable::new(hw, &mut arena, ContextFormat::Linear, 4, 0x10_0000_0000).unwrap();
        let tables = Tables { root: 0x8_0000, granule: Granule::K4, start: 1, bits: 40, link: 0 };
        let stage2 = Stage2 { tables, vmid: 0x1234, ps: 5, record: true, stall: false };
        let rows = [
            ("abort", Ste::ABORT, [1, 0, 0, 0]),
            ("bypass", Ste::BYPASS, [9, 1 << 44, 0, 0]),
            ("stage 1", Ste::stage1(&single, Plain::Terminate), [0x100b, 0xd4, 0, 0]),
            ("stage 1, substreams", Ste::stage1(&linear, Plain::First), [0x2000_0010_0000_200b, 0xd6, 0, 0]),
            ("stage 2", Ste::stage2(&stage2), [0xd, 0, 0x044d_3558_0000_1234, 0x8_0000]),
            (
                "both, stalling",
                Ste::nested(&linear, Plain::Bypass, &Stage2 { stall: true, record: false, ..stage2 }),
                [0x2000_0010_0000_200f, 0xd5, 0x024d_3558_0000_1234, 0x8_0000],
            ),
        ];
        for (name, Ste(words), expected) in rows {
            assert_eq!(words[..4], expected, "{name}");
            assert_eq!(words[4..], [0; 4], "{name}");
        }
    }
}
