//! How many levels there are, how large the first table is, and where the address lies in a descriptor
//! [Arm ARM D8.2.2, D8.2.4, D8.2.5, D8.3].

use super::*;

/// Tables for the highest address of a range, whose index is all ones at every level: `root` is the
/// first table; the others follow from 0x200_0000 on. Levels fetched, and the entries' addresses.
fn highest(granule: Granule, mem: &PhysMem, root: u64, width: u32, levels: u64) -> Vec<u64> {
    let stride = granule.index_bits();
    let mut at = root + ((1 << width) - 1) * 8;
    let mut entries = vec![at];
    for level in 1..levels {
        let next = 0x200_0000 + level * 0x1_0000;
        put(mem, at, next | 3);
        at = next + ((1 << stride) - 1) * 8;
        entries.push(at);
    }
    // AF, AP = 01, S2AP = 01.
    put(mem, at, 0x30_0443);
    entries
}

fn check(log: &Log<'_>, stage: Stage, start: i32, entries: &[u64], row: &str) {
    let found: Vec<_> = log.fetched.iter().map(|(stage, level, at, _)| (*stage, *level, *at)).collect();
    let wanted: Vec<_> = (start..=3).zip(entries).map(|(level, at)| (stage, level, *at)).collect();
    assert_eq!(found, wanted, "{row}");
}

#[test]
fn stage_1_starts_where_txsz_says() {
    use Granule::{K4, K16, K64};
    // Granule, TxSZ, start level; the width of the first index is at its largest for the first TxSZ.
    let rows = [
        (K4, 12..=15, -1, 4),
        (K4, 16..=24, 0, 9),
        (K4, 25..=33, 1, 9),
        (K4, 34..=42, 2, 9),
        (K4, 43..=48, 3, 9),
        (K16, 12..=16, 0, 5),
        (K16, 17..=27, 1, 11),
        (K16, 28..=38, 2, 11),
        (K16, 39..=48, 3, 11),
        (K64, 12..=21, 1, 10),
        (K64, 22..=34, 2, 13),
        (K64, 35..=47, 3, 13),
    ];
    for (granule, sizes, start, widest) in rows {
        for txsz in sizes.clone() {
            let row = format!("{granule:?} TxSZ {txsz}");
            let mem = PhysMem::anonymous(&[(Pa(0), 0x400_0000)]).unwrap();
            let width = widest - (txsz - sizes.start());
            let root = 0x100_0000;
            let entries = highest(granule, &mem, root, width, (4 - start) as u64);
            let half = Half { granule, input_bits: 64 - txsz, table: root, ..HALF };
            let stage1 =
                Stage1 { low: Some(half), high: Some(half), ds: txsz < 16, output_bits: 48, ..STAGE1 };
            let last = (1_u64 << (64 - txsz)) - 1;
            let page = (1 << granule.bits()) - 1;
            for address in [last, u64::MAX] {
                let mut log = Log::default();
                let found = translate(&mem, &regime(Some(&stage1), None), address, READ, &mut log);
                check(&log, Stage::One, start, &entries, &row);
                let found = found.unwrap();
                assert_eq!((found.pa, found.size_bits), (Pa(0x30_0000 | page), granule.bits()), "{row}");
            }
            let beyond = first(&mem, &stage1, last + 1, READ);
            assert_eq!(beyond, Err(fault1(FaultKind::Translation)), "{row}: above the low half");
            let below = first(&mem, &stage1, !last - 1, READ);
            assert_eq!(below, Err(fault1(FaultKind::Translation)), "{row}: below the high half");
        }
    }
}

#[test]
fn stage_2_starts_where_sl0_says_with_concatenated_tables() {
    use Granule::{K4, K16, K64};
    // Granule, start level, S2T0SZ; the first index has up to four bits more than one table resolves.
    let rows = [
        (K4, -1, 12..=15, 4),
        (K4, 0, 12..=24, 13),
        (K4, 1, 21..=33, 13),
        (K4, 2, 30..=42, 13),
        (K4, 3, 39..=48, 13),
        (K16, 0, 12..=16, 5),
        (K16, 1, 13..=27, 15),
        (K16, 2, 24..=38, 15),
        (K16, 3, 35..=48, 15),
        (K64, 1, 12..=21, 10),
        (K64, 2, 18..=34, 17),
        (K64, 3, 31..=47, 17),
    ];
    for (granule, start_level, sizes, widest) in rows {
        for t0sz in sizes.clone() {
            let row = format!("{granule:?} level {start_level} S2T0SZ {t0sz}");
            let mem = PhysMem::anonymous(&[(Pa(0), 0x400_0000)]).unwrap();
            let width = widest - (t0sz - sizes.start());
            let root = 0x100_0000;
            let entries = highest(granule, &mem, root, width, (4 - start_level) as u64);
            let input_bits = 64 - t0sz;
            let stage2 = Stage2 {
                granule,
                start_level,
                input_bits,
                table: Pa(root),
                ds: t0sz < 16,
                output_bits: 48,
                ..STAGE2
            };
            let (last, page) = ((1_u64 << input_bits) - 1, (1 << granule.bits()) - 1);
            let mut log = Log::default();
            let found = translate(&mem, &regime(None, Some(&stage2)), last, READ, &mut log).unwrap();
            check(&log, Stage::Two, start_level, &entries, &row);
            assert_eq!((found.pa, found.ipa), (Pa(0x30_0000 | page), Ipa(last)), "{row}");
            let beyond = second(&mem, &stage2, last + 1, READ);
            assert_eq!(beyond, Err(fault2(FaultKind::Translation, Class::In, last + 1)), "{row}");
        }
    }
}

#[test]
fn blocks_are_where_the_granule_has_them() {
    use Granule::{K4, K16, K64};
    // Granule, 52-bit descriptors (DS, or OAS of 52 for 64K), and log2 of a block at levels -1 to 2.
    let rows = [
        (K4, false, [None, None, Some(30), Some(21)]),
        (K4, true, [None, Some(39), Some(30), Some(21)]),
        (K16, false, [None, None, None, Some(25)]),
        (K16, true, [None, None, Some(36), Some(25)]),
        (K64, false, [None, None, None, Some(29)]),
        (K64, true, [None, None, Some(42), Some(29)]),
    ];
    for (granule, long, sizes) in rows {
        for (level, size) in (-1..=2).zip(sizes) {
            let row = format!("{granule:?} long {long} level {level}");
            // Stage 2 can start anywhere, so the block is the first entry.
            let most = match granule {
                K4 => -1,
                K16 => 0,
                K64 => 1,
            };
            if level < most {
                continue;
            }
            let mem = PhysMem::anonymous(&[(Pa(0), 0x400_0000)]).unwrap();
            // Bits 47:12 set but those that are the address of 52-bit descriptors' own: the bits
            // below the block's size are ignored.
            let low = if granule == K64 { 0x0000_0abc_def0_07fd } else { 0x0000_0abc_deff_f4fd };
            put(&mem, 0x100_0000, low);
            let stage2 = Stage2 {
                granule,
                start_level: level,
                input_bits: 52,
                table: Pa(0x100_0000),
                ds: long,
                output_bits: 52,
                ..STAGE2
            };
            let regime = Regime { wide: long, ..regime(None, Some(&stage2)) };
            let found = translate(&mem, &regime, 0x1f_0123, READ, &mut ());
            match size {
                Some(size) => {
                    let found = found.expect(&row);
                    let base = 0x0abc_deff_f000_u64 >> size << size;
                    assert_eq!((found.pa, found.size_bits), (Pa(base | 0x1f_0123), size), "{row}");
                }
                None => {
                    let fault = fault2(FaultKind::Translation, Class::In, 0x1f_0123);
                    assert_eq!(found, Err(fault), "{row}");
                }
            }
        }
    }
}

#[test]
fn wide_addresses_lie_where_the_format_puts_them() {
    use Granule::{K4, K16, K64};
    // Granule, DS, OAS of 52 bits, table descriptor, page descriptor, output. The table is at
    // 0xf_8000_0000_0000 where the descriptor can say so, else at 0x1_0000.
    let rows = [
        // Bits 49:12 in place, 51:50 in 9:8.
        (K4, true, true, 0x0003_8000_0000_0303, 0x0002_1234_5678_9643, Some(0xa_1234_5678_9000)),
        (K16, true, true, 0x0003_8000_0000_0303, 0x0001_1234_5678_8543, Some(0x5_1234_5678_8000)),
        // Bits 47:16 in place, 51:48 in 15:12.
        (K64, false, true, 0x0000_8000_0000_f003, 0x0000_1234_5678_a743, Some(0xa_1234_5678_0000)),
        // DS means nothing to 64K.
        (K64, true, true, 0x0000_8000_0000_f003, 0x0000_1234_5678_a743, Some(0xa_1234_5678_0000)),
        // Without, those bits are not looked at.
        (K64, false, false, 0x0000_0000_0001_f003, 0x0000_1234_5678_a743, Some(0x0_1234_5678_0000)),
        (K4, false, true, 0x0003_0000_0001_0003, 0x0007_1234_5678_9743, Some(0x0_1234_5678_9000)),
        (K16, false, true, 0x0003_0000_0001_0003, 0x0007_1234_5678_8743, Some(0x0_1234_5678_8000)),
    ];
    for (granule, ds, wide, table, page, output) in rows {
        let row = format!("{granule:?} DS {ds} wide {wide}");
        for stage in [Stage::One, Stage::Two] {
            let mem = memory();
            put(&mem, 0x8_0000, table);
            for leaf in [0xf_8000_0000_0000, 0x1_0000] {
                let second = if stage == Stage::Two { 0xbc } else { 0 };
                put(&mem, leaf, page | second);
            }
            // One level above the last, one index bit wide.
            let input_bits = granule.bits() + granule.index_bits() + 1;
            let half = Half { granule, input_bits, table: 0x8_0000, ..HALF };
            let stage1 = Stage1 { low: Some(half), ds, output_bits: 52, ..STAGE1 };
            let (start_level, output_bits) = (2, 52);
            let stage2 =
                Stage2 { granule, ds, input_bits, start_level, table: Pa(0x8_0000), output_bits, ..STAGE2 };
            let stages = match stage {
                Stage::One => regime(Some(&stage1), None),
                Stage::Two => regime(None, Some(&stage2)),
            };
            let found = translate(&mem, &Regime { wide, ..stages }, 0x123, READ, &mut ());
            assert_eq!(
                found.map(|found| found.pa.0).ok(),
                output.map(|base| base | 0x123),
                "{row} {stage:?}"
            );
        }
    }
}

#[test]
fn shareability_of_long_descriptors_is_the_regimes() {
    // Descriptors of both stages whose bits 9:8 are 01: reserved as SH, address bit 50 as DS has it.
    for (ds, granule, sh) in [(false, Granule::K4, 0), (true, Granule::K4, 3), (true, Granule::K64, 0)] {
        let mem = memory();
        put(&mem, 0x8_0000, 0x543);
        put(&mem, 0x9_0000, 0x5ff);
        let half = Half { granule, input_bits: granule.bits() + 1, table: 0x8_0000, shareability: 3, ..HALF };
        let stage1 = Stage1 { low: Some(half), ds, output_bits: 52, ..STAGE1 };
        let found = first(&mem, &stage1, 0, READ).unwrap();
        assert_eq!(found.attributes, Attributes { memory: 0xff, shareability: sh }, "{ds} {granule:?}");
        let stage2 = Stage2 {
            granule,
            input_bits: granule.bits() + 1,
            start_level: 3,
            table: Pa(0x9_0000),
            ds,
            output_bits: 52,
            shareability: 3,
            ..STAGE2
        };
        let found = second(&mem, &stage2, 0, READ).unwrap();
        assert_eq!(found.attributes, Attributes { memory: 0xff, shareability: sh }, "{ds} {granule:?}");
    }
}

#[test]
fn halves_and_the_top_byte() {
    let (low, high) = (ADDRESS, 0xffff_0000_0000_0000 | ADDRESS);
    let tbi = Half { top_byte_ignored: true, ..HALF };
    let e0pd = Half { no_unprivileged: true, ..HALF };
    let fault = Err(fault1(FaultKind::Translation));
    // Low half, high half, one range, address, privileged, translates.
    let rows = [
        (Some(HALF), None, false, low, false, true),
        (Some(HALF), None, false, high, false, false),
        (None, Some(HALF), false, high, false, true),
        (None, Some(HALF), false, low, false, false),
        (Some(HALF), None, false, 1 << 48 | low, false, false),
        (Some(HALF), None, false, 1 << 63 | low, false, false),
        (Some(tbi), None, false, 0xab00_0000_0000_0000 | low, false, true),
        (Some(tbi), None, false, 0x0040_0000_0000_0000 | low, false, false),
        (None, Some(tbi), false, 0x12ff_0000_0000_0000 | low, false, true),
        (None, Some(tbi), false, 0x12fe_0000_0000_0000 | low, false, false),
        (None, Some(HALF), false, 0x12ff_0000_0000_0000 | low, false, false),
        (Some(e0pd), Some(HALF), false, low, false, false),
        (Some(e0pd), Some(HALF), false, low, true, true),
        (Some(e0pd), Some(HALF), false, high, false, true),
        // Where there is one range there is one privilege, and bit 55 must be 0.
        (Some(e0pd), None, true, low, false, true),
        (Some(tbi), None, true, 0xab80_0000_0000_0000 | low, false, false),
        (Some(tbi), None, true, 0xab00_0000_0000_0000 | low, false, true),
        (Some(HALF), None, true, 0x0100_0000_0000_0000 | low, false, false),
    ];
    let mem = memory();
    for (low, high, single, address, privileged, translates) in rows {
        let stage1 = Stage1 { low, high, single, ..STAGE1 };
        let found = first(&mem, &stage1, address, Wanted { privileged, ..READ });
        if translates {
            assert_eq!(found.unwrap().pa, Pa(OUTPUT), "{address:#x}");
        } else {
            assert_eq!(found, fault, "{address:#x}");
        }
    }
}

#[test]
fn descriptors_can_be_big_endian() {
    let mem = memory();
    for (table, index) in [(FIRST[0], 1), (FIRST[1], 2), (FIRST[2], 3), (FIRST[3], 4)] {
        let at = table + index * 8;
        put(&mem, at, get(&mem, at).swap_bytes());
    }
    let found = first(&mem, &Stage1 { big_endian: true, ..STAGE1 }, ADDRESS, READ);
    assert_eq!(found.unwrap().pa, Pa(OUTPUT));
    put(&mem, SECOND[0], get(&mem, SECOND[0]).swap_bytes());
    let found = second(&mem, &Stage2 { big_endian: true, ..STAGE2 }, 0x5000, READ);
    assert_eq!(found, Err(fault2(FaultKind::Translation, Class::In, 0x5000)), "only the first is turned");
}

#[test]
fn a_walk_can_start_below_the_first_table() {
    struct Start(Stage1Table, Vec<(u64, u32)>);
    impl Hooks for Start {
        fn stage1_start(&mut self, va: u64, _: Stage1Table) -> Stage1Table {
            assert_eq!(va, ADDRESS | 0xfff0_0000_0000_0000);
            self.0
        }

        fn stage1_reached(&mut self, _: u64, table: Stage1Table) {
            self.1.push((table.base.0, table.level));
        }
    }
    let mem = memory();
    let tbi = Half { top_byte_ignored: true, ..HALF };
    let stage1 = Stage1 { low: None, high: Some(Half { input_bits: 52, ..tbi }), ..STAGE1 };
    let address = ADDRESS | 0x12f0_0000_0000_0000;
    // Read only by what was found above it.
    let rights = Limits::from_bits(0b1000);
    let table = Table { base: Ipa(FIRST[2]), level: 2, rights };
    let mut start = Start(table, Vec::new());
    let found = translate(&mem, &regime(Some(&stage1), None), address, READ, &mut start).unwrap();
    assert_eq!((found.pa, start.1), (Pa(OUTPUT), vec![(FIRST[3], 1)]));
    assert_eq!(found.stage1.bits() & (Permissions::WRITE | Permissions::PRIV_WRITE), 0);
    // Levels that there are not.
    for level in [0, 9, u32::MAX] {
        let mut start = Start(Table { level, ..table }, Vec::new());
        let found = translate(&mem, &regime(Some(&stage1), None), address, READ, &mut start);
        assert!(found.is_err_and(|fault| fault == fault1(FaultKind::Translation)));
    }
}
