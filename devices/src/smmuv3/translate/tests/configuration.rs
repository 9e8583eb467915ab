//! Stream tables, CD tables, and what an STE makes of a transaction.

use super::translation::cfgi_ste;
use super::*;

/// Level-1 tables and what they lead to.
const LEVEL1: u64 = 0x5_0000;
const LEVEL2: u64 = 0x6_0000;

const BAD_STREAM: [u64; 4] = [0x02 | SID, 0, 0, 0];

#[test]
fn a_linear_table_ends_where_its_size_says() {
    for (log2size, there) in [(8, false), (9, true), (10, true), (0, false)] {
        let mut rig = Rig::new();
        rig.ste(STREAM, &[BYPASS]);
        rig.stream_table(STREAMS, log2size);
        let expected = if there { (Ok(DATA), None) } else { (Err(UR), Some(BAD_STREAM)) };
        assert_eq!((rig.read(DATA), rig.event()), expected, "LOG2SIZE {log2size}");
    }
}

#[test]
fn a_two_level_table_has_the_spans_that_its_descriptors_say() {
    // Of StreamID 0x118: the level-1 index, and the index in level 2.
    let (by_6, by_8, by_10) = ((4, 24), (1, 24), (0, 0x118));
    for (split, (first, second), span, there) in [
        (6, by_6, 0, false),
        (6, by_6, 1, false),
        (6, by_6, 5, false),
        (6, by_6, 6, true),
        (6, by_6, 7, true),
        // More than SPLIT has.
        (6, by_6, 8, false),
        // Reserved, and as 6.
        (7, by_6, 7, true),
        (7, by_6, 8, false),
        (8, by_8, 5, false),
        (8, by_8, 6, true),
        (8, by_8, 9, true),
        (8, by_8, 10, false),
        (10, by_10, 9, false),
        (10, by_10, 10, true),
        (10, by_10, 11, true),
        (10, by_10, 12, false),
        (10, by_10, 31, false),
    ] {
        let mut rig = Rig::new();
        rig.store(LEVEL1 + 8 * first, &[LEVEL2 | span]);
        rig.store(LEVEL2 + 64 * second, &[BYPASS]);
        rig.stream_table(LEVEL1, 1 << 16 | split << 6 | 12);
        let expected = if there { (Ok(DATA), None) } else { (Err(UR), Some(BAD_STREAM)) };
        assert_eq!((rig.read(DATA), rig.event()), expected, "SPLIT {split}, Span {span}");
    }
}

#[test]
fn a_substream_has_its_cd_where_the_table_says() {
    const LEAF: u64 = 0x7_0000;
    // S1Fmt, S1CDMax, SubstreamID, level-1 index and pointer, and where the CD is.
    let linear = CONTEXTS + 64 * 0x145;
    for (format, log2, substream_id, level1, cd) in [
        (0, 10, 0x145, None, linear),
        // Reserved, and as 0.
        (3, 10, 0x145, None, linear),
        (1, 10, 0x145, Some((5, LEAF)), LEAF + 64 * 5),
        (1, 7, 0x7f, Some((1, LEAF + 0x1000)), LEAF + 0x1000 + 64 * 63),
        (1, 3, 7, Some((0, LEAF)), LEAF + 64 * 7),
        // Bits 15:12 do not count.
        (2, 12, 0x8a1, Some((2, LEAF + 0x3000)), LEAF + 64 * 0xa1),
        (2, 5, 3, Some((0, LEAF)), LEAF + 64 * 3),
    ] {
        let row = format!("S1Fmt {format}, S1CDMax {log2}, substream {substream_id:#x}");
        let mut rig = Rig::new();
        let root = rig.table();
        rig.map(root, 0x1000, DATA | PAGE);
        rig.store(cd, &[CD, root, 0, 0xff]);
        if let Some((index, pointer)) = level1 {
            rig.store(CONTEXTS + 8 * index, &[pointer | 1]);
        }
        rig.ste(STREAM, &[STAGE1 | format << 4 | CONTEXTS | log2 << 59]);
        assert_eq!(rig.read_as(substream(0x1000, substream_id)), Ok(DATA), "{row}");
        assert_eq!(rig.event(), None, "{row}");
        // Above the table, below its end without a CD.
        assert_eq!(rig.read_as(substream(0x1000, 1 << log2)), Err(UR), "{row}");
        assert_eq!(rig.event(), Some([0x08 | 1 << (log2 + 12) | SID, 0, 0, 0]), "{row}");
        let Some((index, _)) = level1 else { continue };
        rig.store(CONTEXTS + 8 * index, &[0]);
        rig.commands(&[[0x06 | SID, 0], [0x30, 0]]);
        assert_eq!(rig.read_as(substream(0x1000, substream_id)), Err(UR), "{row}");
        assert_eq!(rig.event(), Some([0x08 | u64::from(substream_id) << 12 | SID, 0, 0, 0]), "{row}");
    }
}

#[test]
fn s1dss_says_what_becomes_of_those_without_a_substream() {
    const VA: u64 = DATA + 0x2000;
    let disabled = Some([0x06 | SID, 0, 0, 0]);
    let (first, fifth) = ((Ok(DATA), None), (Ok(DATA + 0x1000), None));
    for (s1dss, without, zero) in [
        (0, (Err(UR), disabled), first),
        (1, (Ok(VA), None), first),
        (2, first, (Err(UR), disabled)),
        // Reserved, and as 0.
        (3, (Err(UR), disabled), first),
    ] {
        let mut rig = Rig::new();
        for (index, page) in [(0, DATA), (5, DATA + 0x1000)] {
            let root = rig.table();
            rig.map(root, VA, page | PAGE);
            rig.store(CONTEXTS + 64 * index, &[CD | index << 48, root, 0, 0xff]);
        }
        rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59, s1dss]);
        for _ in 0..2 {
            assert_eq!((rig.read(VA), rig.event()), without, "S1DSS {s1dss}");
            assert_eq!((rig.read_as(substream(VA, 0)), rig.event()), zero, "S1DSS {s1dss}");
            assert_eq!((rig.read_as(substream(VA, 5)), rig.event()), fifth, "S1DSS {s1dss}");
        }
        let beyond = Some([0x08 | 16 << 12 | SID, 0, 0, 0]);
        assert_eq!((rig.read_as(substream(VA, 16)), rig.event()), (Err(UR), beyond), "S1DSS {s1dss}");
    }
}

#[test]
fn one_cd_serves_those_without_a_substream_only() {
    for (s1dss, format) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
        let mut rig = Rig::new();
        let root = rig.stage1();
        rig.map(root, 0x1000, DATA | PAGE);
        rig.ste(STREAM, &[STAGE1 | format << 4 | CONTEXTS, s1dss]);
        assert_eq!(rig.read(0x1000), Ok(DATA), "S1DSS {s1dss}, S1Fmt {format}");
        assert_eq!(rig.read_as(substream(0x1000, 0)), Err(UR));
        assert_eq!(rig.event(), Some([0x08 | SID, 0, 0, 0]));
    }
}

#[test]
fn s1dss_01_of_a_nested_stream_leaves_stage_2() {
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    rig.ste(STREAM, &[NESTED | CONTEXTS | 4 << 59, 1, s2_config(9), root2]);
    rig.store(CONTEXTS + 64, &[CD | 7 << 48, root1, 0, 0xff]);
    rig.map(root1, 0x1000, DATA | PAGE);
    rig.map(root2, 0x1000, (DATA + 0x1000) | S2_PAGE);
    for _ in 0..2 {
        assert_eq!(rig.read(0x1000), Ok(DATA + 0x1000));
        assert_eq!(rig.read_as(substream(0x1000, 1)), Ok(DATA));
    }
    // A fault of stage 2, which has an IPA.
    assert_eq!(rig.read(0x2000), Err(UR));
    assert_eq!(rig.event(), Some([0x10 | SID, RNW | S2 | CLASS_IN, 0x2000, 0x2000]));
}

#[test]
fn a_bypass_has_as_many_address_bits_as_the_unit() {
    for (preset, bits) in [("smmuv3.3-full", 52), ("smmuv3.2-nested", 48)] {
        let mut rig = Rig::of(config(preset));
        let (_, root2) = rig.nested();
        let steered = STAGE1 | CONTEXTS | 4 << 59;
        let nested = NESTED | CONTEXTS | 4 << 59;
        for (name, ste) in [
            ("Config 100", [BYPASS, 0, 0, 0]),
            ("stage 1 with S1DSS 01", [steered, 1, 0, 0]),
            ("nested with S1DSS 01", [nested, 1, s2_config(9), root2]),
        ] {
            rig.ste(STREAM, &ste);
            rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
            assert_eq!(rig.read(DATA), Ok(DATA), "{preset}, {name}");
            // Always an abort, and never of stage 2.
            for address in [1 << bits, 1 << 63 | DATA] {
                assert_eq!(rig.read(address), Err(UR), "{preset}, {name}");
                let record = [0x11 | SID, RNW | CLASS_IN, address, 0];
                assert_eq!(rig.event(), Some(record), "{preset}, {name}");
            }
        }
    }
}

#[test]
fn an_ste_overrides_privilege_and_instruction() {
    const PRIVCFG: u32 = 48;
    const INSTCFG: u32 = 50;
    // Readable for the privileged only, and for all but not as instructions.
    const PRIVILEGED: u64 = 0x1000;
    const DATA_ONLY: u64 = 0x2000;
    let both = |address| Request { attrs: fetch(address).attrs, ..Request::at(address) };
    for permitted in [true, false] {
        for (word, request, plain, overridden) in [
            (0 << PRIVCFG, Request::at(PRIVILEGED), false, false),
            (1 << PRIVCFG, privileged(PRIVILEGED), true, true),
            (2 << PRIVCFG, privileged(PRIVILEGED), true, false),
            (3 << PRIVCFG, Request::at(PRIVILEGED), false, true),
            (0 << INSTCFG, Request::at(DATA_ONLY), true, true),
            (1 << INSTCFG, both(DATA_ONLY), false, false),
            (2 << INSTCFG, both(DATA_ONLY), false, true),
            (3 << INSTCFG, Request::at(DATA_ONLY), true, false),
        ] {
            let base = config("smmuv3.3-full");
            let mut rig = Rig::of(Config { idr1: base.idr1.with_attr_perms_ovr(permitted), ..base });
            let root = rig.stage1();
            rig.map(root, PRIVILEGED, DATA | PAGE & !(1 << 6));
            // UXN and PXN.
            rig.map(root, DATA_ONLY, DATA | PAGE | 3 << 53);
            rig.ste(STREAM, &[STAGE1 | CONTEXTS, word]);
            let expected = if permitted { overridden } else { plain };
            for _ in 0..2 {
                assert_eq!(rig.read_as(request).is_ok(), expected, "{word:#x}, {request:?}, {permitted}");
            }
            // INSTCFG is of reads only.
            assert_eq!(rig.write(DATA_ONLY), Outcome::Done, "{word:#x}");
        }
    }
}

#[test]
fn el2_has_one_range_and_one_privilege() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    // AP[1] = 0.
    rig.map(root, 0x1000, DATA | PAGE & !(1 << 6));
    // EPD0 is ignored, as is all there is of TTB1: T1SZ is out of range.
    rig.store(CONTEXTS, &[CD & !(1 << 30) | 1 << 14 | 7 << 48, root, root]);
    rig.ste(STREAM, &[STAGE1 | CONTEXTS, 2 << 30]);
    for _ in 0..2 {
        assert_eq!(rig.read(0x1000), Ok(DATA));
        assert_eq!(rig.read(0xffff_0000_0000_1000), Err(UR));
        assert_eq!(rig.event(), Some([0x10 | SID, RNW | CLASS_IN, 0xffff_0000_0000_1000, 0]));
    }
}

#[test]
fn el2_with_e2h_has_both_ranges_and_privileges() {
    let mut rig = Rig::new();
    rig.set_register(0x20, 0xc);
    rig.set_register(0x2c, 3);
    rig.set_register(0x20, 0xd);
    let (low, high) = (rig.stage1(), rig.table());
    rig.map(low, 0x1000, DATA | PAGE & !(1 << 6));
    rig.map(high, 0x0000_8000_0000_1000, (DATA + 0x1000) | PAGE);
    // T1SZ 16, TG1 4K.
    rig.store(CONTEXTS, &[CD & !(1 << 30) | 16 << 16 | 2 << 22 | 7 << 48, low, high]);
    rig.ste(STREAM, &[STAGE1 | CONTEXTS, 2 << 30]);
    for _ in 0..2 {
        assert_eq!(rig.read(0xffff_8000_0000_1000), Ok(DATA + 0x1000));
        assert_eq!(rig.read_as(privileged(0x1000)), Ok(DATA));
        assert_eq!(rig.read(0x1000), Err(UR));
        assert_eq!(rig.event(), Some([0x13 | SID, RNW | CLASS_IN, 0x1000, 0]));
    }
}

#[test]
fn the_world_counts_with_stage_1_alone() {
    let bad = Some([0x04 | SID, 0, 0, 0]);
    for strw in [1, 3] {
        let mut rig = Rig::new();
        let (root1, root2) = rig.nested();
        rig.map(root1, 0x1000, DATA | PAGE);
        rig.ste(STREAM, &[NESTED | CONTEXTS, strw << 30, s2_config(9), root2]);
        assert_eq!(rig.read(0x1000), Ok(DATA), "STRW {strw}");
        rig.ste(STREAM, &[STAGE1 | CONTEXTS, strw << 30]);
        rig.commands(&[cfgi_ste(STREAM)]);
        assert_eq!((rig.read(0x1000), rig.event()), (Err(UR), bad), "STRW {strw}");
    }
}

#[test]
fn e0pd_closes_a_range_that_is_cached() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    rig.map(root, 0x1000, DATA | PAGE);
    // E0PD0 is bit 66.
    rig.store(CONTEXTS, &[CD | 7 << 48, root | 1 << 2]);
    for _ in 0..2 {
        assert_eq!(rig.read_as(privileged(0x1000)), Ok(DATA));
        assert_eq!(rig.read(0x1000), Err(UR));
        assert_eq!(rig.event(), Some([0x10 | SID, RNW | CLASS_IN, 0x1000, 0]));
    }
}
