//! What a legal CD means.

use super::*;
use crate::smmuv3::tables::cd::{Context, OnFault, decode};
use crate::smmuv3::vmsa::{Granule, Half, HardwareUpdate, Stage1};

const FULL: &str = "smmuv3.3-full";

fn context(words: [u64; 8], unit: &str, options: &str, strw: u64, e2h: bool) -> Context {
    let config = with(unit, options);
    let service = service(stage_1_only(strw), &config, Cr2::from_raw(e2h.into()));
    decode(Cd::from_raw(words), &config, &service).unwrap()
}

fn el1(changes: &[Change]) -> Context {
    context(changed(BOTH_HALVES, changes), FULL, "", 0, false)
}

const LOW: Half = Half {
    granule: Granule::K4,
    input_bits: 39,
    table: 0x4000_0000,
    top_byte_ignored: false,
    no_hierarchy: false,
    no_unprivileged: false,
    shareability: 3,
};

const HIGH: Half = Half { table: 0x5000_0000, ..LOW };

#[test]
fn a_descriptor_of_both_halves_is_this_context() {
    assert_eq!(
        el1(&[]),
        Context {
            stage1: Stage1 {
                low: Some(LOW),
                high: Some(HIGH),
                single: false,
                output_bits: 40,
                ds: false,
                big_endian: false,
                write_implies_xn: false,
                pan: false,
                update: HardwareUpdate { access: false, dirty: false, no_access_fault: false },
                mair: 0x00ff_4404,
            },
            asid: 0x55,
            aset: true,
            on_fault: OnFault { stall: false, abort: true, record: true },
        }
    );
}

#[test]
fn each_bit_lands_in_its_half() {
    let halves = |changes: &[Change]| {
        let Stage1 { low, high, .. } = el1(changes).stage1;
        (low, high)
    };
    let both = (Some(LOW), Some(HIGH));
    assert_eq!(halves(&[(38, 38, 1)]).0, Some(Half { top_byte_ignored: true, ..LOW }));
    assert_eq!(halves(&[(39, 39, 1)]).1, Some(Half { top_byte_ignored: true, ..HIGH }));
    assert_eq!(halves(&[(65, 65, 1)]).0, Some(Half { no_hierarchy: true, ..LOW }));
    assert_eq!(halves(&[(129, 129, 1)]).1, Some(Half { no_hierarchy: true, ..HIGH }));
    assert_eq!(halves(&[(66, 66, 1)]).0, Some(Half { no_unprivileged: true, ..LOW }));
    assert_eq!(halves(&[(130, 130, 1)]).1, Some(Half { no_unprivileged: true, ..HIGH }));
    assert_eq!(halves(&[(13, 12, 1)]).0, Some(Half { shareability: 0, ..LOW }));
    assert_eq!(halves(&[(29, 28, 2)]).1, Some(Half { shareability: 2, ..HIGH }));
    assert_eq!(halves(&[(14, 14, 1)]), (None, both.1));
    assert_eq!(halves(&[(30, 30, 1)]), (both.0, None));
    assert_eq!(halves(&[(14, 14, 1), (30, 30, 1)]), (None, None));
    let flags =
        el1(&[(15, 15, 1), (36, 36, 1), (40, 40, 1), (44, 44, 1), (47, 45, 0), (255, 224, 0x89ab_cdef)]);
    assert!(flags.stage1.big_endian && flags.stage1.write_implies_xn && flags.stage1.pan);
    assert_eq!(flags.stage1.mair, 0x89ab_cdef_00ff_4404);
    assert_eq!((flags.aset, flags.on_fault), (false, OnFault { stall: true, abort: false, record: false }));
}

#[test]
fn el2_has_one_range_and_no_asid() {
    // Everything that EL2 without E2H ignores or has reserved: EPD0, half 1, PAN, E0PD0, ASID.
    let changes = [
        (14, 14, 1),
        (30, 30, 0),
        (21, 16, 0),
        (23, 22, 0),
        (40, 40, 1),
        (66, 66, 1),
        (38, 38, 1),
        (65, 65, 1),
    ];
    let single = context(changed(BOTH_HALVES, &changes), FULL, "", 0b10, false);
    let low = Half { top_byte_ignored: true, no_hierarchy: true, ..LOW };
    assert_eq!((single.stage1.low, single.stage1.high), (Some(low), None));
    assert!(single.stage1.single && !single.stage1.pan);
    assert_eq!((single.asid, single.aset), (0, false));
    let e2h = context(changed(BOTH_HALVES, &[(40, 40, 1)]), FULL, "", 0b10, true);
    assert!(!e2h.stage1.single && e2h.stage1.pan);
    assert_eq!((e2h.asid, e2h.aset, e2h.stage1.high), (0x55, true, Some(HIGH)));
}

#[test]
fn what_idr3_and_idr5_lack_is_ignored() {
    let all = [(65, 65, 1), (66, 66, 1), (129, 129, 1), (130, 130, 1), (186, 186, 1)];
    let none = context(changed(BOTH_HALVES, &all), FULL, "had=off,e0pd=off,ds=off", 0, false).stage1;
    assert_eq!((none.low, none.high, none.ds), (Some(LOW), Some(HIGH), false));
}

/// (TG0, T0SZ, IPS, low bits of TTB0 that count as zero).
#[test]
fn tables_are_aligned_to_their_size() {
    for (tg0, size, ips, cleared) in [
        (0, 16, 5, 12),
        (0, 24, 5, 4),
        (0, 24, 6, 6),
        (0, 25, 5, 12),
        (0, 33, 5, 4),
        (0, 48, 5, 7),
        (2, 16, 5, 4),
        (2, 17, 5, 14),
        (2, 27, 5, 4),
        (2, 48, 5, 5),
        (2, 48, 6, 6),
        (1, 12, 6, 13),
        (1, 16, 5, 9),
        (1, 21, 5, 4),
        (1, 22, 5, 16),
        (1, 47, 5, 4),
        (1, 47, 6, 6),
    ] {
        let half =
            el1(&[(7, 6, tg0), (5, 0, size), (34, 32, ips), (111, 68, 0xfff_ffff_ffff)]).stage1.low.unwrap();
        assert_eq!(half.table, 0xffff_ffff_ffff >> cleared << cleared, "{tg0} {size} {ips}");
        assert_eq!(half.input_bits, 64 - size as u32);
    }
    // From level -1, which resolves 4 bits of 52.
    let half = el1(&[(5, 0, 12), (186, 186, 1), (34, 32, 6), (111, 68, 0xfff_ffff_ffff)]).stage1.low;
    assert_eq!(half, Some(Half { input_bits: 52, table: 0xffff_ffff_ff80, ..LOW }));
}

/// (options, IPS, TG0, TG1, DS, EPDs, output bits, DS in force).
#[test]
fn output_sizes() {
    for (options, ips, tg0, tg1, ds, epd, bits, effective) in [
        ("", 0, 0, 2, 0, 0, 32, false),
        ("", 5, 0, 2, 0, 0, 48, false),
        ("", 6, 0, 2, 0, 0, 48, false),
        ("", 6, 0, 2, 1, 0, 52, true),
        ("", 7, 2, 1, 1, 0, 52, true),
        ("", 6, 1, 3, 0, 0, 52, false),
        ("", 6, 1, 3, 1, 0, 52, false),
        // One half with 64K carries 52 bits, the other does not.
        ("", 6, 1, 2, 0, 0, 52, false),
        ("", 6, 1, 2, 1, 0, 52, true),
        ("", 6, 1, 2, 0, 1, 48, false),
        ("", 6, 1, 2, 1, 2, 52, false),
        ("oas=44", 6, 1, 3, 0, 0, 44, false),
        ("ds=off", 6, 0, 2, 1, 0, 48, false),
    ] {
        let epds = [(14, 14, epd & 1), (30, 30, epd >> 1)];
        let changes =
            [(34, 32, ips), (7, 6, tg0), (23, 22, tg1), (186, 186, ds), (119, 68, 0), (183, 132, 0)];
        let words = changed(changed(BOTH_HALVES, &epds), &changes);
        let stage1 = context(words, FULL, options, 0, false).stage1;
        assert_eq!(
            (stage1.output_bits, stage1.ds),
            (bits, effective),
            "{options} {ips} {tg0} {tg1} {ds} {epd}"
        );
    }
}

#[test]
fn granules_of_the_halves_are_encoded_differently() {
    use Granule::{K4, K16, K64};
    for (tg0, low) in [(0, K4), (1, K64), (2, K16)] {
        for (tg1, high) in [(1, K16), (2, K4), (3, K64)] {
            let stage1 = el1(&[(7, 6, tg0), (23, 22, tg1)]).stage1;
            assert_eq!((stage1.low.unwrap().granule, stage1.high.unwrap().granule), (low, high));
        }
    }
}

#[test]
fn hardware_update() {
    // (HA, HD, AFFD) to (access, dirty, no access fault)
    for (ha, hd, affd, expected) in [
        (0, 0, 0, (false, false, false)),
        (0, 0, 1, (false, false, true)),
        (1, 0, 1, (true, false, false)),
        (0, 1, 1, (false, false, true)),
        (1, 1, 0, (true, true, false)),
    ] {
        let update = el1(&[(43, 43, ha), (42, 42, hd), (35, 35, affd)]).stage1.update;
        assert_eq!((update.access, update.dirty, update.no_access_fault), expected, "{ha} {hd} {affd}");
    }
}

#[test]
fn table_bases_have_the_bits_of_the_version() {
    let words = changed(BOTH_HALVES, &[(115, 112, 0xf), (179, 176, 0xf)]);
    let stage1 = context(words, "smmuv3.0-s1", "", 0, false).stage1;
    assert_eq!((stage1.low, stage1.high), (Some(LOW), Some(HIGH)), "bits 51:48 are RES0 in SMMUv3.0");
}
