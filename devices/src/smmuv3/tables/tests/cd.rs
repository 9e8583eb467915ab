//! Each way in which a CD is ILLEGAL, beside the nearest one that is legal [SMMUv3 5.4.2].

use std::collections::BTreeSet;

use super::*;
use crate::smmuv3::tables::cd::Base::{Ttb0, Ttb1};
use crate::smmuv3::tables::cd::{Illegal, decode};

const UNIT: &str = "smmuv3.2-nested";
const FULL: &str = "smmuv3.3-full";

/// The STE before a CD.
#[derive(Clone, Copy, Debug)]
enum Via {
    Nested,
    /// Nested, with S1STALLD.
    NoStall,
    El1,
    El2,
    E2h,
}
use Via::{E2h, El1, El2, Nested, NoStall};

fn service_via(via: Via, config: &Config) -> Service {
    match via {
        // Where faults must stall, those of stage 2 must, too.
        Nested if config.idr0.stall_model() == 2 => {
            service(changed(NESTED, &[(185, 185, 1)]), config, Cr2::ZERO)
        }
        Nested => service(NESTED, config, Cr2::ZERO),
        NoStall => service(changed(NESTED, &[(91, 91, 1)]), config, Cr2::ZERO),
        El1 => service(stage_1_only(0b00), config, Cr2::ZERO),
        El2 => service(stage_1_only(0b10), config, Cr2::ZERO),
        E2h => service(stage_1_only(0b10), config, Cr2::from_raw(1)),
    }
}

/// (unit, options, STE, changes to [`BOTH_HALVES`] that break the rule, the rule, and options, STE and changes
/// that break none).
type Row =
    (&'static str, &'static str, Via, &'static [Change], Illegal, (&'static str, Via, &'static [Change]));

const ROWS: &[Row] = &[
    (UNIT, "", Nested, &[(31, 31, 0)], Illegal::NotValid, ("", Nested, &[])),
    (UNIT, "", NoStall, &[(44, 44, 1)], Illegal::StallDisabled, ("", Nested, &[(44, 44, 1)])),
    (UNIT, "", NoStall, &[(44, 44, 1)], Illegal::StallDisabled, ("", NoStall, &[])),
    (UNIT, "term-model=1", El1, &[(46, 46, 0)], Illegal::AbortForced, ("", El1, &[(46, 46, 0)])),
    (UNIT, "term-model=1", El1, &[(46, 46, 0)], Illegal::AbortForced, ("term-model=1", El1, &[])),
    (UNIT, "stall=off", El1, &[(44, 44, 1)], Illegal::StallAbsent, ("stall=on", El1, &[(44, 44, 1)])),
    (UNIT, "stall=forced", Nested, &[], Illegal::StallForced, ("stall=forced", Nested, &[(44, 44, 1)])),
    (UNIT, "ttendian=little", El1, &[(15, 15, 1)], Illegal::Endianness, ("", El1, &[(15, 15, 1)])),
    (UNIT, "ttendian=big", El1, &[], Illegal::Endianness, ("ttendian=big", El1, &[(15, 15, 1)])),
    // ENDI is ignored where no half is walked, which EL2 cannot say.
    (
        UNIT,
        "ttendian=little",
        El1,
        &[(15, 15, 1), (14, 14, 1)],
        Illegal::Endianness,
        ("ttendian=little", El1, &[(15, 15, 1), (14, 14, 1), (30, 30, 1)]),
    ),
    (
        UNIT,
        "ttendian=little",
        El2,
        &[(15, 15, 1), (14, 14, 1), (30, 30, 1)],
        Illegal::Endianness,
        ("ttendian=little", E2h, &[(15, 15, 1), (14, 14, 1), (30, 30, 1)]),
    ),
    (UNIT, "", El1, &[(41, 41, 0)], Illegal::Vmsav8_32, ("", El1, &[])),
    (FULL, "httu=off", El1, &[(43, 43, 1)], Illegal::NoHardwareUpdate, ("httu=access", El1, &[(43, 43, 1)])),
    (FULL, "httu=off", El2, &[(42, 42, 1)], Illegal::NoHardwareUpdate, ("", El2, &[(42, 42, 1)])),
    (FULL, "httu=access", El1, &[(43, 42, 3)], Illegal::NoDirtyUpdate, ("httu=dirty", El1, &[(43, 42, 3)])),
    (UNIT, "asid16=off", El1, &[(63, 48, 0x100)], Illegal::WideAsid, ("asid16=off", El1, &[(63, 48, 0xff)])),
    (UNIT, "asid16=off", E2h, &[(63, 48, 0x8000)], Illegal::WideAsid, ("", E2h, &[(63, 48, 0x8000)])),
    (UNIT, "asid16=off", E2h, &[(63, 48, 0x100)], Illegal::WideAsid, ("asid16=off", El2, &[(63, 48, 0x100)])),
    // TxSZ: 16 to 39, from 12 in a 52-bit form, to 48 and 47 with small tables.
    (UNIT, "", El1, &[(5, 0, 15)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 16)])),
    (UNIT, "", El1, &[(5, 0, 40)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 39)])),
    (UNIT, "", El1, &[(21, 16, 15)], Illegal::InputSize(Ttb1), ("", El1, &[(21, 16, 16)])),
    (UNIT, "", El1, &[(21, 16, 40)], Illegal::InputSize(Ttb1), ("stt=on", El1, &[(21, 16, 40)])),
    (FULL, "", El1, &[(5, 0, 49)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 48)])),
    (FULL, "", El1, &[(5, 0, 49), (7, 6, 2)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 48), (7, 6, 2)])),
    (FULL, "", El1, &[(5, 0, 48), (7, 6, 1)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 47), (7, 6, 1)])),
    (
        FULL,
        "",
        El1,
        &[(21, 16, 48), (23, 22, 3)],
        Illegal::InputSize(Ttb1),
        ("", El1, &[(21, 16, 47), (23, 22, 3)]),
    ),
    (FULL, "", El1, &[(5, 0, 15)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 12), (186, 186, 1)])),
    (
        FULL,
        "",
        El1,
        &[(5, 0, 11), (186, 186, 1)],
        Illegal::InputSize(Ttb0),
        ("", El1, &[(5, 0, 12), (7, 6, 2), (186, 186, 1)]),
    ),
    (
        FULL,
        "ds=off",
        El1,
        &[(21, 16, 12), (186, 186, 1)],
        Illegal::InputSize(Ttb1),
        ("", El1, &[(21, 16, 12), (186, 186, 1)]),
    ),
    (FULL, "", El1, &[(5, 0, 11), (7, 6, 1)], Illegal::InputSize(Ttb0), ("", El1, &[(5, 0, 12), (7, 6, 1)])),
    // IDR5.VAX decides, not the output size.
    (
        UNIT,
        "",
        El1,
        &[(5, 0, 12), (7, 6, 1)],
        Illegal::InputSize(Ttb0),
        ("vax=52", El1, &[(5, 0, 12), (7, 6, 1)]),
    ),
    (UNIT, "", Nested, &[(7, 6, 3)], Illegal::Granule(Ttb0), ("", Nested, &[(7, 6, 3), (14, 14, 1)])),
    (UNIT, "", El1, &[(23, 22, 0)], Illegal::Granule(Ttb1), ("", El1, &[(23, 22, 0), (30, 30, 1)])),
    (UNIT, "granules=4k+64k", El1, &[(7, 6, 2)], Illegal::Granule(Ttb0), ("", El1, &[(7, 6, 2)])),
    (UNIT, "granules=4k+64k", El1, &[(23, 22, 1)], Illegal::Granule(Ttb1), ("", El1, &[(23, 22, 1)])),
    (UNIT, "granules=4k+16k", El1, &[(7, 6, 1)], Illegal::Granule(Ttb0), ("", El1, &[(7, 6, 1)])),
    (UNIT, "granules=4k", El1, &[(23, 22, 3)], Illegal::Granule(Ttb1), ("granules=4k", El1, &[])),
    (
        UNIT,
        "granules=16k",
        El1,
        &[(7, 6, 2)],
        Illegal::Granule(Ttb1),
        ("granules=16k", El1, &[(7, 6, 2), (23, 22, 1)]),
    ),
    // TTBx against IPS = 40 bits.
    (UNIT, "", El1, &[(104, 104, 1)], Illegal::TableRange(Ttb0), ("", El1, &[(103, 103, 1)])),
    (UNIT, "", El1, &[(168, 168, 1)], Illegal::TableRange(Ttb1), ("", El1, &[(167, 167, 1)])),
    (UNIT, "", El1, &[(104, 104, 1)], Illegal::TableRange(Ttb0), ("", El1, &[(104, 104, 1), (14, 14, 1)])),
    (
        UNIT,
        "",
        El1,
        &[(34, 32, 6), (112, 112, 1)],
        Illegal::TableRange(Ttb0),
        ("", El1, &[(34, 32, 6), (111, 111, 1)]),
    ),
    (
        FULL,
        "",
        El1,
        &[(34, 32, 6), (115, 112, 8)],
        Illegal::TableRange(Ttb0),
        ("", El1, &[(34, 32, 6), (115, 112, 8), (186, 186, 1)]),
    ),
    (
        FULL,
        "",
        El1,
        &[(34, 32, 6), (176, 176, 1)],
        Illegal::TableRange(Ttb1),
        ("", El1, &[(34, 32, 7), (179, 179, 1), (23, 22, 3)]),
    ),
    // The half that EL2 does not have is reserved, and cannot be wrong.
    (
        UNIT,
        "",
        E2h,
        &[(21, 16, 0)],
        Illegal::InputSize(Ttb1),
        ("", El2, &[(21, 16, 0), (23, 22, 0), (183, 132, 0xf_ffff_ffff_ffff)]),
    ),
    // EPD0 is ignored there.
    (
        UNIT,
        "",
        El2,
        &[(5, 0, 0), (14, 14, 1)],
        Illegal::InputSize(Ttb0),
        ("", E2h, &[(5, 0, 0), (14, 14, 1)]),
    ),
    (UNIT, "", El2, &[(7, 6, 3), (14, 14, 1)], Illegal::Granule(Ttb0), ("", E2h, &[(7, 6, 3), (14, 14, 1)])),
];

#[test]
fn every_rule_is_broken_by_one_step_from_a_legal_descriptor() {
    let mut met = BTreeSet::new();
    for (n, (unit, options, via, illegal, rule, legal)) in ROWS.iter().enumerate() {
        let config = with(unit, options);
        let words = changed(BOTH_HALVES, illegal);
        let decoded = decode(Cd::from_raw(words), &config, &service_via(*via, &config));
        assert_eq!(decoded, Err(*rule), "row {n}");
        let config = with(unit, legal.0);
        let words = changed(BOTH_HALVES, legal.2);
        let decoded = decode(Cd::from_raw(words), &config, &service_via(legal.1, &config));
        assert!(decoded.is_ok(), "row {n}: {decoded:?}");
        met.insert(rule.to_string());
    }
    assert_eq!(met, Illegal::ALL.iter().map(ToString::to_string).collect());
}

#[test]
fn the_rule_that_comes_first_is_named() {
    let steps: &[(Change, Illegal)] = &[
        ((183, 176, 0x0f), Illegal::TableRange(Ttb1)),
        ((23, 22, 0), Illegal::Granule(Ttb1)),
        ((119, 112, 0x0f), Illegal::TableRange(Ttb0)),
        ((7, 6, 3), Illegal::Granule(Ttb0)),
        ((21, 16, 63), Illegal::InputSize(Ttb1)),
        ((5, 0, 63), Illegal::InputSize(Ttb0)),
        ((63, 48, 0xffff), Illegal::WideAsid),
        ((42, 42, 1), Illegal::NoHardwareUpdate),
        ((41, 41, 0), Illegal::Vmsav8_32),
        ((15, 15, 1), Illegal::Endianness),
        ((44, 44, 1), Illegal::StallAbsent),
        ((46, 46, 0), Illegal::AbortForced),
        ((31, 31, 0), Illegal::NotValid),
    ];
    let config = with(UNIT, "stall=off,asid16=off,ttendian=little,term-model=1");
    let service = service_via(El1, &config);
    let mut words = BOTH_HALVES;
    for (change, rule) in steps {
        words = changed(words, &[*change]);
        assert_eq!(decode(Cd::from_raw(words), &config, &service), Err(*rule));
    }
}

#[test]
fn what_is_not_advertised_is_ignored() {
    // NSCFG, HAFT, PnCH, EPAN, HWU, AIE, PIE, AMAIR, MPAM, permission indirection, UWXN.
    let config = with(UNIT, "");
    let service = service_via(Nested, &config);
    let base = decode(Cd::from_raw(BOTH_HALVES), &config, &service).unwrap();
    let bits = [37, 64, 67, 120, 121, 122, 123, 124, 125, 126, 127, 128, 131, 184, 185].into_iter();
    // E0PD and DS, which this unit does not have; attributes of walks; address bits beyond 52.
    let gated = [66, 130, 186, 8, 9, 10, 11, 24, 25, 26, 27, 116, 117, 118, 119, 180, 181, 182, 183];
    for bit in bits.chain(gated).chain(187..192).chain(256..512) {
        let words = changed(BOTH_HALVES, &[(bit, bit, 1)]);
        assert_eq!(decode(Cd::from_raw(words), &config, &service), Ok(base), "bit {bit}");
    }
}
