//! Each way in which an STE is ILLEGAL, beside the nearest one that is legal [SMMUv3 5.2.2].

use std::collections::BTreeSet;

use super::*;
use crate::smmuv3::tables::ste::{Illegal, decode};

/// Config.
const S1: Change = (3, 1, 0b101);
const S2: Change = (3, 1, 0b110);
const BYPASS: Change = (3, 1, 0b100);
/// S2TG.
const S2_64K: Change = (175, 174, 1);
const S2_16K: Change = (175, 174, 2);

struct Row {
    unit: &'static str,
    options: &'static str,
    /// Changes to [`NESTED`] that break a rule.
    illegal: &'static [Change],
    rule: Illegal,
    /// Options and changes that do not.
    legal: (&'static str, &'static [Change]),
}

const fn row(
    unit: &'static str,
    options: &'static str,
    illegal: &'static [Change],
    rule: Illegal,
    legal: (&'static str, &'static [Change]),
) -> Row {
    Row { unit, options, illegal, rule, legal }
}

const UNIT: &str = "smmuv3.2-nested";
const FULL: &str = "smmuv3.3-full";

const ROWS: &[Row] = &[
    row(UNIT, "", &[(0, 0, 0)], Illegal::NotValid, ("", &[])),
    row("smmuv3.1-s2", "", &[S1], Illegal::NoStage1, ("", &[S2])),
    row("smmuv3.1-s2", "", &[], Illegal::NoStage1, ("", &[BYPASS])),
    row("smmuv3.0-s1", "", &[S2], Illegal::NoStage2, ("", &[S1])),
    row("smmuv3.0-s1", "", &[], Illegal::NoStage2, ("", &[BYPASS])),
    // STRW counts with stage 1 alone, and where there are EL2 contexts.
    row(UNIT, "", &[S1, (95, 94, 0b01)], Illegal::ReservedWorld, ("", &[S1, (95, 94, 0b10)])),
    row(UNIT, "", &[S1, (95, 94, 0b11)], Illegal::ReservedWorld, ("", &[(95, 94, 0b11)])),
    row(UNIT, "", &[S1, (95, 94, 0b11)], Illegal::ReservedWorld, ("hyp=off", &[S1, (95, 94, 0b11)])),
    row(UNIT, "", &[S1, (95, 94, 0b11)], Illegal::ReservedWorld, ("", &[S2, (95, 94, 0b01)])),
    row(UNIT, "", &[S1, (95, 94, 0b11)], Illegal::ReservedWorld, ("", &[BYPASS, (95, 94, 0b11)])),
    row(UNIT, "stall=off", &[(91, 91, 1)], Illegal::StallNotConfigurable, ("stall=on", &[(91, 91, 1)])),
    row(UNIT, "stall=forced", &[S1, (91, 91, 1)], Illegal::StallNotConfigurable, ("stall=forced", &[S1])),
    row(UNIT, "stall=off", &[(91, 91, 1)], Illegal::StallNotConfigurable, ("stall=off", &[S2, (91, 91, 1)])),
    row(UNIT, "", &[(63, 59, 17)], Illegal::TooManyContexts, ("", &[(63, 59, 16)])),
    row(UNIT, "ssidsize=7", &[], Illegal::TooManyContexts, ("ssidsize=8", &[])),
    row(UNIT, "ssidsize=7", &[], Illegal::TooManyContexts, ("ssidsize=0", &[(63, 59, 31)])),
    row(UNIT, "", &[(63, 59, 17)], Illegal::TooManyContexts, ("", &[S2, (63, 59, 31)])),
    row(UNIT, "cd2l=off", &[], Illegal::NoTwoLevelContexts, ("cd2l=on", &[])),
    row(UNIT, "cd2l=off", &[(5, 4, 0b10)], Illegal::NoTwoLevelContexts, ("cd2l=off", &[(5, 4, 0b11)])),
    row(UNIT, "cd2l=off", &[(5, 4, 0b10)], Illegal::NoTwoLevelContexts, ("cd2l=off", &[(63, 59, 0)])),
    row(
        UNIT,
        "cd2l=off",
        &[(5, 4, 0b10)],
        Illegal::NoTwoLevelContexts,
        ("cd2l=off,ssidsize=0", &[(5, 4, 2)]),
    ),
    row(UNIT, "", &[(48, 48, 1)], Illegal::ContextPointerRange, ("", &[(47, 47, 1)])),
    row(UNIT, "", &[S1, (55, 55, 1)], Illegal::ContextPointerRange, ("", &[S2, (55, 55, 1)])),
    row(UNIT, "oas=32", &[S1, (32, 32, 1)], Illegal::ContextPointerRange, ("oas=36", &[S1, (32, 32, 1)])),
    row(UNIT, "stall=off", &[(185, 185, 1)], Illegal::StallAbsent, ("stall=on", &[(185, 185, 1)])),
    row(UNIT, "stall=off", &[(185, 185, 1)], Illegal::StallAbsent, ("stall=off", &[S1, (185, 185, 1)])),
    row(UNIT, "stall=forced", &[], Illegal::StallForced, ("stall=forced", &[(185, 185, 1)])),
    row(UNIT, "stall=forced", &[S2], Illegal::StallForced, ("stall=forced", &[S1])),
    row(UNIT, "", &[(179, 179, 0)], Illegal::Vmsav8_32, ("", &[S1, (179, 179, 0)])),
    row(FULL, "httu=off", &[(184, 184, 1)], Illegal::NoHardwareUpdate, ("httu=access", &[(184, 184, 1)])),
    row(FULL, "httu=off", &[(183, 183, 1)], Illegal::NoHardwareUpdate, ("httu=off", &[S1, (183, 183, 1)])),
    row(FULL, "httu=access", &[(184, 183, 3)], Illegal::NoDirtyUpdate, ("httu=dirty", &[(184, 183, 3)])),
    row(FULL, "httu=access", &[(183, 183, 1)], Illegal::NoDirtyUpdate, ("httu=dirty", &[(183, 183, 1)])),
    row(UNIT, "", &[(175, 174, 3)], Illegal::Granule, ("", &[S1, (175, 174, 3)])),
    row(UNIT, "granules=4k+64k", &[S2_16K], Illegal::Granule, ("granules=16k", &[S2_16K])),
    row(UNIT, "granules=4k+16k", &[S2_64K, (167, 166, 1)], Illegal::Granule, ("", &[S2_64K, (167, 166, 1)])),
    row(UNIT, "granules=16k+64k", &[], Illegal::Granule, ("granules=4k", &[])),
    row(UNIT, "", &[(240, 240, 1)], Illegal::TableRange, ("", &[(239, 239, 1)])),
    row(
        UNIT,
        "",
        &[(178, 176, 2), (232, 232, 1)],
        Illegal::TableRange,
        ("", &[(178, 176, 2), (231, 231, 1)]),
    ),
    row(UNIT, "oas=44", &[(236, 236, 1)], Illegal::TableRange, ("oas=44", &[(235, 235, 1)])),
    row(UNIT, "", &[(240, 240, 1)], Illegal::TableRange, ("", &[S1, (247, 240, 0xff)])),
    // 52 bits are for the 64K granule and for S2DS = 1.
    row(
        FULL,
        "",
        &[(178, 176, 6), (240, 240, 1)],
        Illegal::TableRange,
        ("", &[(178, 176, 6), (240, 240, 1), (195, 195, 1)]),
    ),
    row(
        FULL,
        "",
        &[(240, 240, 1), S2_64K, (167, 166, 1)],
        Illegal::TableRange,
        ("", &[(178, 176, 6), (243, 243, 1), S2_64K, (167, 166, 1)]),
    ),
    row(
        FULL,
        "ds=off",
        &[(178, 176, 7), (240, 240, 1), (195, 195, 1)],
        Illegal::TableRange,
        ("", &[(178, 176, 7), (240, 240, 1), (195, 195, 1)]),
    ),
    // S2T0SZ: at least 16, or 12 in a 52-bit form; at least what IAS leaves; at most 39, or 48 and 47 with
    // small tables.
    row(
        UNIT,
        "",
        &[(165, 160, 15), (167, 166, 2)],
        Illegal::InputSize,
        ("", &[(165, 160, 16), (167, 166, 2)]),
    ),
    row(
        UNIT,
        "oas=44",
        &[(165, 160, 19), (167, 166, 2)],
        Illegal::InputSize,
        ("oas=44", &[(165, 160, 20), (167, 166, 2)]),
    ),
    row(
        UNIT,
        "stage=nested",
        &[(165, 160, 40), (167, 166, 0)],
        Illegal::InputSize,
        ("", &[(165, 160, 39), (167, 166, 0)]),
    ),
    row(
        FULL,
        "stt=off",
        &[(165, 160, 40), (167, 166, 3)],
        Illegal::InputSize,
        ("", &[(165, 160, 40), (167, 166, 3)]),
    ),
    row(
        FULL,
        "",
        &[(165, 160, 49), (167, 166, 3)],
        Illegal::InputSize,
        ("", &[(165, 160, 48), (167, 166, 3)]),
    ),
    row(
        FULL,
        "",
        &[S2_16K, (165, 160, 49), (167, 166, 0)],
        Illegal::InputSize,
        ("", &[S2_16K, (165, 160, 48), (167, 166, 0)]),
    ),
    row(
        FULL,
        "",
        &[S2_64K, (165, 160, 48), (167, 166, 0)],
        Illegal::InputSize,
        ("", &[S2_64K, (165, 160, 47), (167, 166, 0)]),
    ),
    row(
        FULL,
        "",
        &[(165, 160, 15), (167, 166, 2)],
        Illegal::InputSize,
        ("", &[(165, 160, 12), (167, 166, 2), (195, 195, 1)]),
    ),
    row(
        FULL,
        "",
        &[(165, 160, 11), (167, 166, 2), (195, 195, 1)],
        Illegal::InputSize,
        ("", &[(165, 160, 12), (167, 166, 0), (195, 194, 3)]),
    ),
    row(
        FULL,
        "",
        &[S2_64K, (165, 160, 11), (167, 166, 2)],
        Illegal::InputSize,
        ("", &[S2_64K, (165, 160, 12), (167, 166, 2)]),
    ),
    row(
        UNIT,
        "",
        &[S2_64K, (165, 160, 15), (167, 166, 2)],
        Illegal::InputSize,
        ("", &[S2_64K, (165, 160, 16), (167, 166, 2)]),
    ),
    row(UNIT, "", &[(165, 160, 0)], Illegal::InputSize, ("", &[S1, (165, 160, 0)])),
    // Reserved encodings of S2SL0, and those that the output size forbids.
    row(
        UNIT,
        "",
        &[(167, 166, 3), (165, 160, 39)],
        Illegal::StartLevel,
        ("stt=on", &[(167, 166, 3), (165, 160, 39)]),
    ),
    row(
        UNIT,
        "",
        &[S2_16K, (167, 166, 3), (165, 160, 16)],
        Illegal::StartLevel,
        ("", &[S2_16K, (167, 166, 2), (165, 160, 16)]),
    ),
    row(UNIT, "", &[S2_64K, (167, 166, 3)], Illegal::StartLevel, ("", &[S2_64K, (167, 166, 1)])),
    row(
        UNIT,
        "oas=42",
        &[(167, 166, 2), (165, 160, 24)],
        Illegal::StartLevel,
        ("oas=44", &[(167, 166, 2), (165, 160, 24)]),
    ),
    row(
        UNIT,
        "oas=40",
        &[S2_16K, (167, 166, 2), (165, 160, 24)],
        Illegal::StartLevel,
        ("oas=42", &[S2_16K, (167, 166, 2), (165, 160, 24)]),
    ),
    // S2SL0_2 counts with S2DS = 1 and the 4K granule only.
    row(FULL, "", &[(195, 194, 3)], Illegal::StartLevel, ("", &[(195, 194, 1)])),
    row(FULL, "", &[(195, 194, 3), (167, 166, 2)], Illegal::StartLevel, ("ds=off", &[(195, 194, 3)])),
    row(
        FULL,
        "",
        &[(195, 194, 3), (167, 166, 3)],
        Illegal::StartLevel,
        ("", &[S2_16K, (195, 194, 3), (167, 166, 2)]),
    ),
    row(
        FULL,
        "oas=48",
        &[(195, 194, 3), (167, 166, 0), (165, 160, 15)],
        Illegal::InputSize,
        ("", &[(195, 194, 3), (167, 166, 0), (165, 160, 15)]),
    ),
    row(
        FULL,
        "",
        &[(195, 194, 3), (167, 166, 0), (165, 160, 16)],
        Illegal::StartLevel,
        ("", &[(195, 194, 3), (167, 166, 0), (165, 160, 15)]),
    ),
    // What S2SL0 and S2T0SZ are together: the whole table is in `start_levels`.
    row(UNIT, "", &[(165, 160, 20)], Illegal::StartLevel, ("", &[(165, 160, 21)])),
    row(UNIT, "ttendian=little", &[(180, 180, 1)], Illegal::Endianness, ("ttendian=mixed", &[(180, 180, 1)])),
    row(UNIT, "ttendian=big", &[], Illegal::Endianness, ("ttendian=big", &[(180, 180, 1)])),
    row(UNIT, "ttendian=big", &[], Illegal::Endianness, ("ttendian=big", &[S1])),
    row(UNIT, "vmid16=off", &[(143, 128, 0x100)], Illegal::WideVmid, ("vmid16=off", &[(143, 128, 0xff)])),
    row(UNIT, "vmid16=off", &[S1, (143, 128, 0x8000)], Illegal::WideVmid, ("", &[(143, 128, 0xffff)])),
    row(
        UNIT,
        "vmid16=off",
        &[S1, (143, 128, 0x100)],
        Illegal::WideVmid,
        ("vmid16=off", &[S1, (143, 128, 0x100), (95, 94, 0b10)]),
    ),
    row(
        UNIT,
        "vmid16=off",
        &[S2, (143, 128, 0x100)],
        Illegal::WideVmid,
        ("vmid16=off", &[BYPASS, (143, 128, 0x100)]),
    ),
    row(
        UNIT,
        "vmid16=off",
        &[S1, (143, 128, 0x100)],
        Illegal::WideVmid,
        ("vmid16=off,stage=1", &[S1, (143, 128, 0x100)]),
    ),
];

#[test]
fn every_rule_is_broken_by_one_step_from_a_legal_entry() {
    let mut met = BTreeSet::new();
    for (n, Row { unit, options, illegal, rule, legal }) in ROWS.iter().enumerate() {
        let words = changed(NESTED, illegal);
        assert_eq!(decode(Ste::from_raw(words), &with(unit, options), Cr2::ZERO), Err(*rule), "row {n}");
        let config = with(unit, legal.0);
        let decoded = decode(Ste::from_raw(changed(NESTED, legal.1)), &config, Cr2::ZERO);
        assert!(matches!(decoded, Ok(Stream::Serve(_))), "row {n}: {decoded:?}");
        met.insert(rule.to_string());
    }
    assert_eq!(met, Illegal::ALL.iter().map(ToString::to_string).collect());
}

#[test]
fn the_rule_that_comes_first_is_named() {
    // Each breaks its own rule and all that follow: of VMID, endianness, start level, size, …
    let steps: &[(Change, Illegal)] = &[
        ((143, 128, 0xffff), Illegal::WideVmid),
        ((180, 180, 1), Illegal::Endianness),
        ((167, 166, 3), Illegal::StartLevel),
        ((165, 160, 63), Illegal::InputSize),
        ((247, 240, 0x0f), Illegal::TableRange),
        ((175, 174, 3), Illegal::Granule),
        ((184, 183, 3), Illegal::NoHardwareUpdate),
        ((179, 179, 0), Illegal::Vmsav8_32),
        ((185, 185, 1), Illegal::StallAbsent),
        ((55, 48, 0xff), Illegal::ContextPointerRange),
        ((63, 59, 31), Illegal::TooManyContexts),
        ((91, 91, 1), Illegal::StallNotConfigurable),
        ((0, 0, 0), Illegal::NotValid),
    ];
    let config = with(UNIT, "stall=off,vmid16=off,ttendian=little");
    let mut words = NESTED;
    for (change, rule) in steps {
        words = changed(words, &[*change]);
        assert_eq!(decode(Ste::from_raw(words), &config, Cr2::ZERO), Err(*rule));
    }
    let only_stage_2 = with(UNIT, "stage=2,stall=off");
    assert_eq!(
        decode(Ste::from_raw(changed(words, &[(0, 0, 1)])), &only_stage_2, Cr2::ZERO),
        Err(Illegal::NoStage1)
    );
}

#[test]
fn a_disabled_stream_is_legal_whatever_else_it_says() {
    for config in 0..0b100u64 {
        let words = [!0xf | config << 1 | 1, !0, !0, !0, !0, !0, !0, !0];
        for unit in Config::PRESETS {
            assert_eq!(decode(Ste::from_raw(words), &with(unit, ""), Cr2::ZERO), Ok(Stream::Abort));
        }
        let invalid = [words[0] & !1, !0, !0, !0, !0, !0, !0, !0];
        assert_eq!(decode(Ste::from_raw(invalid), &with(UNIT, ""), Cr2::ZERO), Err(Illegal::NotValid));
    }
}

#[test]
fn what_is_not_advertised_is_ignored() {
    // Secure, Realm, MPAM, permission indirection, ATS, PBHA, software and implementation bits.
    let base = service(NESTED, &with(UNIT, ""), Cr2::ZERO);
    let bits = (56..59).chain(72..83).chain([84, 85, 86, 87, 88, 90, 92, 93, 110, 111]).chain(116..128);
    for bit in bits.chain(144..160).chain(187..194).chain(248..512) {
        let words = changed(NESTED, &[(bit, bit, 1)]);
        assert_eq!(service(words, &with(UNIT, ""), Cr2::ZERO), base, "bit {bit}");
    }
}
