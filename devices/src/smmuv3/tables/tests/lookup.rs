//! From StreamIDs and SubstreamIDs to addresses [SMMUv3 3.3.1, 3.3.2, 3.4.3].

use super::*;
use crate::addr::{Pa, StreamId};
use crate::smmuv3::regs::{StrtabBase, StrtabBaseCfg};
use crate::smmuv3::tables::Lookup;
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::ste::{ContextLayout, ContextTable, DefaultSubstream};
use crate::smmuv3::tables::stream_table::{L1Std, StreamTable};

fn streams(base: u64, cfg: u32, options: &str) -> StreamTable {
    let config = with("smmuv3.2-nested", options);
    StreamTable::new(StrtabBase::from_raw(base), StrtabBaseCfg::from_raw(cfg), &config)
}

const LINEAR: u32 = 0;
const TWO_LEVEL: u32 = 1 << 16;
const SPLIT_6: u32 = 6 << 6;
const SPLIT_8: u32 = 8 << 6;
const SPLIT_10: u32 = 10 << 6;

#[test]
fn stream_tables() {
    let linear = |pa| Some(Lookup::Linear(Pa(pa)));
    let level_1 = |l1| Some(Lookup::TwoLevel { l1: Pa(l1) });
    // (STRTAB_BASE, STRTAB_BASE_CFG, options, StreamID, what to fetch)
    for (base, cfg, options, stream, expected) in [
        (0x1_0000, LINEAR | 4, "", 0, linear(0x1_0000)),
        (0x1_0000, LINEAR | 4, "", 15, linear(0x1_03c0)),
        (0x1_0000, LINEAR | 4, "", 16, None),
        (0x1_0000, LINEAR | 4, "", u32::MAX, None),
        (0x1_0000, LINEAR, "", 0, linear(0x1_0000)),
        (0x1_0000, LINEAR, "", 1, None),
        // RA and the bits below the table's size do not count.
        (0x4000_0000_0001_ffff, LINEAR | 4, "", 1, linear(0x1_fc40)),
        // LOG2SIZE is cut to SIDSIZE, but aligns as written.
        (0x1234_5678_0000, LINEAR | 20, "", 0xffff, linear(0x1234_543f_ffc0)),
        (0x1234_5678_0000, LINEAR | 20, "", 0x1_0000, None),
        (0x1234_5678_0000, LINEAR | 63, "", 1, linear(0x40)),
        (0x1_0000, LINEAR | 63, "sidsize=32", u32::MAX, linear(0x3f_ffff_ffc0)),
        // Addresses are cut to the output size.
        (0x00ff_ffff_ffff_fc00, LINEAR | 4, "oas=44", 1, linear(0x0fff_ffff_fc40)),
        (0x0001_0000, LINEAR | 32, "sidsize=32,oas=32", u32::MAX, linear(0xffff_ffc0)),
        // Two levels.
        (0x2_0000, TWO_LEVEL | SPLIT_8 | 16, "", 0, level_1(0x2_0000)),
        (0x2_0000, TWO_LEVEL | SPLIT_8 | 16, "", 0x1ff, level_1(0x2_0008)),
        (0x2_0000, TWO_LEVEL | SPLIT_8 | 16, "", 0xffff, level_1(0x2_07f8)),
        (0x2_0000, TWO_LEVEL | SPLIT_8 | 16, "", 0x1_0000, None),
        (0x2_0000, TWO_LEVEL | SPLIT_6 | 16, "", 0xffff, level_1(0x2_1ff8)),
        (0x2_0000, TWO_LEVEL | SPLIT_10 | 16, "", 0xffff, level_1(0x2_01f8)),
        // Reserved splits behave as 6, reserved formats as linear.
        (0x2_0000, TWO_LEVEL | 7 << 6 | 16, "", 0xffff, level_1(0x2_1ff8)),
        (0x2_0000, TWO_LEVEL | 31 << 6 | 16, "", 0xffff, level_1(0x2_1ff8)),
        (0x2_0000, 2 << 16 | SPLIT_8 | 4, "", 1, linear(0x2_0040)),
        (0x2_0000, 3 << 16 | SPLIT_8 | 4, "", 1, linear(0x2_0040)),
        (0x2_0000, TWO_LEVEL | SPLIT_8 | 4, "st-level=0", 1, linear(0x2_0040)),
        // Aligned to the first level's size, 64 bytes at least.
        (0xffff_ffff, TWO_LEVEL | SPLIT_8 | 16, "", 0x100, level_1(0xffff_f808)),
        (0xffff_ffff, TWO_LEVEL | SPLIT_8 | 8, "", 0xff, level_1(0xffff_ffc0)),
        (0xffff_ffff, TWO_LEVEL | SPLIT_10 | 4, "", 0xf, level_1(0xffff_ffc0)),
        (0xffff_ffff, TWO_LEVEL | SPLIT_10 | 4, "", 0x10, None),
        (0xffff_ffff_ffc0, TWO_LEVEL | SPLIT_6 | 63, "sidsize=32", u32::MAX, level_1(0x1fff_fff8)),
    ] {
        assert_eq!(
            streams(base, cfg, options).locate(StreamId(stream)),
            expected,
            "{base:#x} {cfg:#x} {stream:#x}"
        );
    }
}

#[test]
fn level_1_stream_descriptors() {
    // (CFG, descriptor, StreamID, address of the STE)
    for (cfg, l1, stream, expected) in [
        (SPLIT_8, 0x8_0000 | 9, 0, Some(0x8_0000)),
        (SPLIT_8, 0x8_0000 | 9, 0x1ff, Some(0x8_3fc0)),
        // Span 0, beyond SPLIT, and reserved from 12 on.
        (SPLIT_8, 0x8_0000, 0, None),
        (SPLIT_8, 0x8_0000 | 10, 0, None),
        (SPLIT_10, 0x8_0000 | 10, 0x1ff, Some(0x8_7fc0)),
        (SPLIT_10, 0x8_0000 | 11, 0x3ff, Some(0x8_ffc0)),
        (SPLIT_10, 0x8_0000 | 12, 0, None),
        (SPLIT_10, 0x8_0000 | 31, 0, None),
        (SPLIT_6, 0x8_0000 | 7, 0x7f, Some(0x8_0fc0)),
        (SPLIT_6, 0x8_0000 | 8, 0, None),
        // Beyond the span.
        (SPLIT_8, 0x8_0000 | 1, 0x100, Some(0x8_0000)),
        (SPLIT_8, 0x8_0000 | 1, 0x101, None),
        (SPLIT_8, 0x8_0000 | 4, 0x107, Some(0x8_01c0)),
        (SPLIT_8, 0x8_0000 | 4, 0x108, None),
        // Aligned to the table's size, cut to the output size; reserved bits do not count.
        (SPLIT_8, 0x8_3fe0 | 9, 1, Some(0x8_0040)),
        (SPLIT_8, 0xffff_0000_0000_0020 | 1, 0, Some(0)),
        (SPLIT_8, 0xff00_8000_0000_0000 | 1, 0, Some(0x8000_0000_0000)),
    ] {
        let table = streams(0x2_0000, TWO_LEVEL | cfg | 16, "");
        let pa = table.entry(L1Std::from_raw(l1), StreamId(stream));
        assert_eq!(pa, expected.map(Pa), "{cfg:#x} {l1:#x} {stream:#x}");
    }
    assert_eq!(streams(0, LINEAR | 4, "").entry(L1Std::from_raw(1), StreamId(0)), None);
}

fn contexts(base: u64, layout: ContextLayout, log2_count: u32) -> ContextTable {
    ContextTable { base, layout, log2_count, default: DefaultSubstream::First, no_stall: false }
}

#[test]
fn cd_tables() {
    use ContextLayout::{Leaves4K, Leaves64K, Linear};
    let linear = |pa| Some(Lookup::Linear(pa));
    let level_1 = |l1| Some(Lookup::TwoLevel { l1 });
    for (layout, log2_count, index, expected) in [
        (Linear, 0, 0, linear(0x400_0000)),
        (Linear, 0, 1, None),
        (Linear, 10, 0x3ff, linear(0x400_ffc0)),
        (Linear, 10, 0x400, None),
        (Linear, 20, 0xf_ffff, linear(0x7ff_ffc0)),
        (Leaves4K, 3, 7, level_1(0x400_0000)),
        (Leaves4K, 3, 8, None),
        (Leaves4K, 20, 0x3f, level_1(0x400_0000)),
        (Leaves4K, 20, 0x40, level_1(0x400_0008)),
        (Leaves4K, 20, 0xf_ffff, level_1(0x401_fff8)),
        (Leaves64K, 20, 0x3ff, level_1(0x400_0000)),
        (Leaves64K, 20, 0xf_ffff, level_1(0x400_1ff8)),
        (Leaves64K, 20, 0x10_0000, None),
        (Leaves64K, 20, u32::MAX, None),
    ] {
        let got = contexts(0x400_0000, layout, log2_count).locate(index);
        assert_eq!(got, expected, "{layout:?} {log2_count} {index:#x}");
    }
}

#[test]
fn level_1_cd_descriptors() {
    use ContextLayout::{Leaves4K, Leaves64K, Linear};
    let config = with("smmuv3.2-nested", "");
    for (layout, l1, index, expected) in [
        (Leaves4K, 0x9000_0001, 0, Some(0x9000_0000)),
        (Leaves4K, 0x9000_0001, 0x7f, Some(0x9000_0fc0)),
        (Leaves4K, 0x9000_0000, 0, None),
        (Leaves4K, 0xff00_0000_9000_0fff, 1, Some(0x9000_0040)),
        (Leaves64K, 0x9000_0001, 0x7ff, Some(0x9000_ffc0)),
        // Bits 15:12 do not count in a leaf of 64 KiB.
        (Leaves64K, 0x9000_f001, 1, Some(0x9000_0040)),
        // Beyond 48 bits.
        (Leaves4K, 0xffff_ffff_f001, 0, Some(0xffff_ffff_f000)),
        (Leaves4K, 0x0001_0000_0000_0001, 0, None),
        (Leaves64K, 0x0080_0000_0000_0001, 0, None),
        (Linear, 0x9000_0001, 0, None),
    ] {
        let got = contexts(0x400_0000, layout, 20).entry(L1Cd::from_raw(l1), index, &config);
        assert_eq!(got, expected, "{layout:?} {l1:#x} {index:#x}");
    }
}
