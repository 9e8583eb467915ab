//! Every S2TG, S2SL0 and S2T0SZ together [SMMUv3 5.2, S2SL0; Arm ARM D8.2].

use super::*;
use crate::smmuv3::tables::ste::decode;
use crate::smmuv3::vmsa::Granule;

/// (S2TG, {S2SL0_2, S2SL0}, S2DS, level, least and greatest S2T0SZ) of a unit with 52-bit addresses and small
/// tables; all others are ILLEGAL.
const LEVELS: &[(u64, u64, u64, i32, u32, u32)] = &[
    (0, 0b000, 0, 2, 30, 42),
    (0, 0b001, 0, 1, 21, 33),
    (0, 0b010, 0, 0, 16, 24),
    (0, 0b011, 0, 3, 39, 48),
    // S2SL0_2 is ignored without S2DS.
    (0, 0b100, 0, 2, 30, 42),
    (0, 0b101, 0, 1, 21, 33),
    (0, 0b110, 0, 0, 16, 24),
    (0, 0b111, 0, 3, 39, 48),
    (0, 0b000, 1, 2, 30, 42),
    (0, 0b001, 1, 1, 21, 33),
    (0, 0b010, 1, 0, 12, 24),
    (0, 0b011, 1, 3, 39, 48),
    (0, 0b100, 1, -1, 12, 15),
    (2, 0b000, 0, 3, 35, 48),
    (2, 0b001, 0, 2, 24, 38),
    (2, 0b010, 0, 1, 16, 27),
    (2, 0b000, 1, 3, 35, 48),
    (2, 0b001, 1, 2, 24, 38),
    (2, 0b010, 1, 1, 13, 27),
    (2, 0b011, 1, 0, 12, 16),
    // S2DS is reserved with the 64K granule.
    (1, 0b000, 0, 3, 31, 47),
    (1, 0b001, 0, 2, 18, 34),
    (1, 0b010, 0, 1, 12, 21),
    (1, 0b000, 1, 3, 31, 47),
    (1, 0b001, 1, 2, 18, 34),
    (1, 0b010, 1, 1, 12, 21),
];

#[test]
fn start_levels_and_input_sizes_agree_with_the_table() {
    let config = with("smmuv3.3-full", "");
    let mut legal = 0;
    for (tg, sl, ds) in (0..4).flat_map(|tg| (0..8).flat_map(move |sl| [(tg, sl, 0), (tg, sl, 1)])) {
        // S2SL0_2 is not looked at with granules other than 4K.
        let row =
            LEVELS.iter().find(|row| (row.0, row.1, row.2) == (tg, if tg == 0 { sl } else { sl & 3 }, ds));
        for size in 0..64 {
            let words = changed(
                NESTED,
                &[(175, 174, tg), (167, 166, sl & 3), (194, 194, sl >> 2), (195, 195, ds), (165, 160, size)],
            );
            let decoded = decode(Ste::from_raw(words), &config, Cr2::ZERO);
            let size = size as u32;
            let expected = row.filter(|row| (row.4..=row.5).contains(&size)).map(|row| (row.3, 64 - size));
            let stage2 = match decoded {
                Ok(Stream::Serve(service)) => service.stage2,
                _ => None,
            };
            let got = stage2.map(|stage2| (stage2.start_level, stage2.input_bits));
            assert_eq!(got, expected, "S2TG {tg} S2SL0 {sl:#b} S2DS {ds} S2T0SZ {size}");
            legal += u32::from(got.is_some());
        }
    }
    assert!(legal > 200);
}

/// What Linux chooses, which concatenates where the Arm ARM says so: (granule, bits, S2SL0, first level,
/// bytes that the tables take).
#[test]
fn the_choices_of_linux_are_legal() {
    for (granule, bits, sl0, level, bytes) in [
        (Granule::K4, 40, 1, 1, 0x2000u64),
        (Granule::K4, 42, 1, 1, 0x8000),
        (Granule::K4, 44, 2, 0, 0x100),
        (Granule::K4, 48, 2, 0, 0x1000),
        (Granule::K16, 40, 1, 2, 0x4_0000),
        (Granule::K16, 48, 2, 1, 0x8000),
        (Granule::K64, 42, 1, 2, 0x1_0000),
        (Granule::K64, 48, 2, 1, 0x200),
    ] {
        let tg = [(Granule::K4, 0), (Granule::K16, 2), (Granule::K64, 1)];
        let tg = tg.into_iter().find(|(name, _)| *name == granule).unwrap().1;
        let words = changed(
            NESTED,
            &[
                (175, 174, tg),
                (167, 166, sl0),
                (165, 160, 64 - bits),
                // Every bit below 2^44 set: those inside the tables do not count.
                (247, 196, 0xff_ffff_ffff),
            ],
        );
        let stage2 = service(words, &with("smmuv3.2-nested", ""), Cr2::ZERO).stage2.unwrap();
        assert_eq!((stage2.start_level, stage2.input_bits), (level, bits as u32), "{granule:?} {bits}");
        assert_eq!(stage2.table.0, 0xfff_ffff_ffff & !(bytes - 1), "{granule:?} {bits}");
    }
}
