//! Interrupt remapping: requests of devices, entries in memory, messages out.

use super::*;
use crate::fabric::Abort;

const UR: Outcome = Outcome::Abort(Abort::Ur);
const IRTA: u64 = 0xb8;
const IRE: u32 = 1 << 25;
const SIRTP: u32 = 1 << 24;
const CFI: u32 = 1 << 23;
const TABLE: u64 = 0x30_0000;
/// Remappable format, handle 5, no subhandle.
const REQUEST: u64 = 0xfee0_0010 | 5 << 5;

/// A unit with a table of 256 entries, destinations of 32 bits, interrupt remapping on.
fn rig(irta: u64) -> Rig {
    let mut rig = Rig::legacy();
    rig.w64(IRTA, TABLE | irta);
    rig.w32(GCMD, SIRTP);
    rig.w64(IQA, QUEUE);
    rig.w32(GCMD, QIE);
    rig.w32(GCMD, QIE | IRE);
    assert_eq!(rig.r32(GSTS), QIE | IRE | SIRTP);
    rig
}

fn entry(rig: &Rig, index: u64, low: u64, high: u64) {
    rig.set(TABLE + index * 16, low);
    rig.set(TABLE + index * 16 + 8, high);
}

fn send(rig: &mut Rig, address: u64, data: u32) -> Outcome {
    rig.write(address, &data.to_le_bytes())
}

#[test]
fn entries_become_messages() {
    // (EIME, entry, address, data)
    for (eime, low, address, data) in [
        (true, 0x0000_0003_0041_0001u64, 0xfee0_3000u64, 0x4041u32),
        // The trigger mode is the entry's; the level is always asserted.
        (true, 0x0000_0003_0041_0011, 0xfee0_3000, 0xc041),
        // Lowest priority, redirection hint, logical mode.
        (true, 0x0000_0003_0041_002d, 0xfee0_300c, 0x4141),
        (true, 0x1234_5678_00ff_0001, 0x1234_5600_fee7_8000, 0x40ff),
        (false, 0x0000_7f00_0041_0009, 0xfee7_f008, 0x4041),
        (true, 0x0000_0003_0041_0f81, 0xfee0_3000, 0x4441),
    ] {
        let mut rig = rig(7 | if eime { 1 << 11 } else { 0 });
        entry(&rig, 5, low, 0);
        assert_eq!(send(&mut rig, REQUEST, 0xffff_ffff), Outcome::Done, "without SHV the data is ignored");
        assert_eq!(rig.messages, [(address, data)], "{low:#x}");
    }
}

#[test]
fn handle_and_subhandle_make_the_index() {
    for (address, data, index) in [
        (0xfee0_0010u64, 0, 0u64),
        (0xfee0_0018, 3, 3),
        (0xfee0_0018 | 0xf0 << 5, 0x0f, 0xff),
        (0xfee0_0010 | 0x7f << 5, 9, 0x7f),
        (0xfee0_0010 | 1 << 5, 0, 1),
    ] {
        let mut rig = rig(7);
        entry(&rig, index, 0x0041_0001, 0);
        assert_eq!(send(&mut rig, address, data), Outcome::Done, "{address:#x}");
        assert_eq!(rig.messages.len(), 1);
    }
    // Bit 15 of the handle is bit 2 of the address: 64 Ki entries.
    let mut rig = rig(15);
    entry(&rig, 0x8001, 0x0041_0001, 0);
    assert_eq!(send(&mut rig, 0xfee0_0014 | 1 << 5, 0), Outcome::Done);
}

#[test]
fn every_reason_leaves_its_raw_record() {
    type Row = (&'static str, u64, fn(&mut Rig), u64, u32, [u64; 2]);
    let none: fn(&mut Rig) = |_| {};
    let rows: &[Row] = &[
        ("20h", 7, none, 0xfee0_0018, 0x1_0000, [0, 0x8000_0020_0000_0018]),
        ("21h", 6, none, 0xfee0_0010 | 128 << 5, 0, [128 << 48, 0x8000_0021_0000_0018]),
        // 17 bits: FFFFh + 1 does not wrap to 0; the record keeps 16.
        ("21h wide", 15, none, 0xfeef_fffc, 1, [0, 0x8000_0021_0000_0018]),
        (
            "21h HAW",
            7,
            |r| {
                r.w64(IRTA, 1 << 48 | 7);
                r.w32(GCMD, QIE | IRE | SIRTP)
            },
            REQUEST,
            0,
            [5 << 48, 0x8000_0021_0000_0018],
        ),
        ("22h", 7, none, REQUEST, 0, [5 << 48, 0x8000_0022_0000_0018]),
        (
            "23h",
            7,
            |r| {
                r.w64(IRTA, 0x1000_0007);
                r.w32(GCMD, QIE | IRE | SIRTP)
            },
            REQUEST,
            0,
            [5 << 48, 0x8000_0023_0000_0018],
        ),
        ("24h", 7, |r| entry(r, 5, 0x1041_0001, 0), REQUEST, 0, [5 << 48, 0x8000_0024_0000_0018]),
        ("24h posted", 7, |r| entry(r, 5, 0x0041_8001, 0), REQUEST, 0, [5 << 48, 0x8000_0024_0000_0018]),
        (
            "24h destination",
            7,
            |r| entry(r, 5, 0x1_0041_0001, 0),
            REQUEST,
            0,
            [5 << 48, 0x8000_0024_0000_0018],
        ),
        ("24h mode", 7, |r| entry(r, 5, 0x0041_0061, 0), REQUEST, 0, [5 << 48, 0x8000_0024_0000_0018]),
        ("24h SVT", 7, |r| entry(r, 5, 0x0041_0001, 0xc_0018), REQUEST, 0, [5 << 48, 0x8000_0024_0000_0018]),
        ("25h", 7, none, 0xfee0_0000, 0x41, [0, 0x8000_0025_0000_0018]),
        ("26h", 7, |r| entry(r, 5, 0x0041_0001, 0x4_0019), REQUEST, 0, [5 << 48, 0x8000_0026_0000_0018]),
        // The source is checked before the format.
        (
            "26h and 24h",
            7,
            |r| entry(r, 5, 0x1041_0001, 0x4_0019),
            REQUEST,
            0,
            [5 << 48, 0x8000_0026_0000_0018],
        ),
    ];
    for (name, irta, set_up, address, data, record) in rows {
        let mut rig = rig(*irta);
        set_up(&mut rig);
        assert_eq!(send(&mut rig, *address, *data), UR, "{name}");
        assert_eq!(rig.record(0), *record, "{name}: {:#x?}", rig.record(0));
        assert_eq!(rig.messages, [], "{name}");
    }
}

#[test]
fn fpd_silences_qualified_reasons_only() {
    for (low, high, silent) in [
        (2u64, 0u64, true),
        (0x1041_0003, 0, true),
        (0x0041_0003, 0x4_0019, true),
        (0x0041_0001, 0x4_0019, false),
    ] {
        let mut rig = rig(7);
        entry(&rig, 5, low, high);
        assert_eq!(send(&mut rig, REQUEST, 0), UR);
        assert_eq!(rig.r32(FSTS) & 2 == 0, silent, "{low:#x} {high:#x}");
    }
}

#[test]
fn reserved_entry_bits_one_by_one() {
    for bit in 0..128u32 {
        let reserved =
            (12..16).contains(&bit) || (24..40).contains(&bit) || (48..64).contains(&bit) || bit >= 84;
        let mut words = [0x0041_0001u64, 0];
        words[bit as usize / 64] |= 1 << (bit % 64);
        let mut rig = rig(7);
        entry(&rig, 5, words[0], words[1]);
        send(&mut rig, REQUEST, 0);
        assert_eq!(rig.record(0)[1] >> 32 & 0xff == 0x24, reserved, "bit {bit}");
    }
}

#[test]
fn sources_are_verified() {
    // (SVT, SQ and SID, the source that asks, whether it passes); the port is 00:03.0 = 0018h.
    for (high, source, passes) in [
        (0u64, 0x1234u16, true),
        (0x4_0018, 0x18, true),
        (0x4_0018, 0x1c, false),
        (0x5_0018, 0x1c, true),
        (0x5_0018, 0x1a, false),
        (0x6_0018, 0x1e, true),
        (0x6_0018, 0x19, false),
        (0x7_0018, 0x1f, true),
        (0x7_0018, 0x20, false),
        // First bus 02h, last bus 04h.
        (0x8_0204, 0x0300, true),
        (0x8_0204, 0x0200, true),
        (0x8_0204, 0x04ff, true),
        (0x8_0204, 0x0100, false),
        (0x8_0204, 0x0500, false),
    ] {
        let mut rig = rig(7);
        rig.port = port(source, &rig.mem, &rig.unit);
        entry(&rig, 5, 0x0041_0001, high);
        assert_eq!(send(&mut rig, REQUEST, 0) == Outcome::Done, passes, "{high:#x} {source:#x}");
    }
}

#[test]
fn compatibility_format_needs_cfi_and_plain_destinations() {
    for (eime, cfi, passes) in
        [(false, false, false), (false, true, true), (true, false, false), (true, true, false)]
    {
        let mut rig = rig(7 | if eime { 1 << 11 } else { 0 });
        rig.w32(GCMD, QIE | IRE | if cfi { CFI } else { 0 });
        assert_eq!(rig.r32(GSTS) & CFI != 0, cfi);
        let outcome = send(&mut rig, 0xfee0_1000, 0x31);
        assert_eq!(outcome == Outcome::Done, passes, "EIME {eime}, CFI {cfi}");
        assert_eq!(rig.messages.len(), usize::from(passes));
    }
}

#[test]
fn off_means_untouched() {
    let mut rig = rig(7);
    rig.w32(GCMD, QIE);
    assert_eq!(send(&mut rig, REQUEST, 0x31), Outcome::Done);
    assert_eq!(rig.messages, [(REQUEST, 0x31)]);
}

#[test]
fn entries_are_stale_until_invalidated_in_the_right_scope() {
    let by_index = |index: u64, mask: u64| [0x14 | mask << 27 | index << 32, 0];
    for (descriptor, reaches) in [
        ([0x4, 0], true),
        (by_index(5, 0), true),
        (by_index(4, 0), false),
        (by_index(4, 1), true),
        (by_index(0, 2), false),
        (by_index(0, 3), true),
        (by_index(0x8000, 15), false),
        ([0x12, 0], false),
        ([0x11, 0], false),
    ] {
        let mut rig = rig(7);
        entry(&rig, 5, 0x0041_0001, 0);
        send(&mut rig, REQUEST, 0);
        entry(&rig, 5, 0x0042_0001, 0);
        send(&mut rig, REQUEST, 0);
        rig.submit(&[descriptor]);
        send(&mut rig, REQUEST, 0);
        let vectors: Vec<_> = rig.messages.iter().map(|(_, data)| data & 0xff).collect();
        assert_eq!(vectors, [0x41, 0x41, if reaches { 0x42 } else { 0x41 }], "{descriptor:#x?}");
    }
}

#[test]
fn an_entry_that_faulted_is_kept_in_caching_mode_only() {
    for caching_mode in [false, true] {
        // Not present, then malformed.
        for faulting in [0, 0x1041_0001] {
            let mut rig = Rig::new(Config { caching_mode, ..Config::preset("vtd-legacy").unwrap() });
            rig.w64(IRTA, TABLE | 7);
            rig.w64(IQA, QUEUE);
            for command in [SIRTP, QIE, QIE | IRE] {
                rig.w32(GCMD, command);
            }
            entry(&rig, 5, faulting, 0);
            assert_eq!(send(&mut rig, REQUEST, 0), UR);
            entry(&rig, 5, 0x0041_0001, 0);
            assert_eq!(send(&mut rig, REQUEST, 0) == UR, caching_mode, "{faulting:#x}");
            rig.submit(&[[0x4, 0]]);
            assert_eq!(send(&mut rig, REQUEST, 0), Outcome::Done);
        }
    }
}

#[test]
fn a_unit_without_it_has_none_of_it() {
    let config = Config { interrupt_remapping: false, ..Config::preset("vtd-legacy").unwrap() };
    let mut rig = Rig::new(config);
    assert_eq!(rig.r64(0x10) & 0xf0_0018, 0);
    rig.w64(IRTA, !0);
    rig.w64(IQA, QUEUE);
    rig.w32(GCMD, QIE | IRE | SIRTP | CFI);
    assert_eq!((rig.r64(IRTA), rig.r32(GSTS)), (0, QIE));
    assert_eq!(send(&mut rig, 0xfee0_1000, 0x31), Outcome::Done);
    rig.submit(&[[0x4, 0]]);
    assert_eq!(rig.r64(IQERCD), 3);
}
