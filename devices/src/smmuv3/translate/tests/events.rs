//! The records that DMA can provoke, word by word.

use super::translation::cfgi_ste;
use super::*;

/// Memory that is not there.
const NOWHERE: u64 = 0x100_0000;

/// One transaction, one record.
#[track_caller]
fn check(rig: &mut Rig, request: Request, record: [u64; 4]) {
    assert_eq!(rig.read_as(request), Err(UR));
    assert_eq!(rig.event(), Some(record));
    assert_eq!(rig.event(), None);
}

#[test]
fn f_uut_is_of_secure_transactions() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    rig.map(root, DATA, DATA | PAGE);
    // Not even what a Non-secure transaction has left in the caches serves one.
    assert_eq!(rig.read(DATA), Ok(DATA));
    let attrs = Attrs { secure: true, privileged: true, ..Attrs::default() };
    let secure = Request { attrs, ..Request::at(DATA) };
    check(&mut rig, secure, [0x01 | SID, 1 << 33 | 1 << 35, DATA, 0]);
    // It is recorded while translation is off, too.
    rig.set_register(0x20, 0xc);
    check(&mut rig, secure, [0x01 | SID, 1 << 33 | 1 << 35, DATA, 0]);
}

#[test]
fn c_bad_streamid() {
    let mut rig = Rig::new();
    let port = rig.platform(0x400);
    for (request, ssid) in [(Request::at(DATA), 0), (substream(DATA, 5), ssid(5))] {
        assert_eq!(rig.read_by(&port, request), Err(UR));
        assert_eq!(rig.event(), Some([0x02 | ssid | 0x400 << 32, 0, 0, 0]));
    }
    // Without RECINVSID it is aborted all the same.
    rig.set_register(0x20, 0xc);
    rig.set_register(0x2c, 0);
    rig.set_register(0x20, 0xd);
    assert_eq!(rig.read_by(&port, Request::at(DATA)), Err(UR));
    assert_eq!(rig.event(), None);
}

#[test]
fn f_ste_fetch() {
    let mut rig = Rig::new();
    rig.stream_table(NOWHERE, 10);
    check(&mut rig, Request::at(DATA), [0x03 | SID, 0, 0, NOWHERE + 0x4600]);
    // L1STD, SPLIT 8.
    rig.stream_table(NOWHERE, 1 << 16 | 8 << 6 | 10);
    check(&mut rig, substream(DATA, 3), [0x03 | ssid(3) | SID, 0, 0, NOWHERE + 8]);
    // The STE that it leads to.
    rig.store(0x5_0008, &[NOWHERE | 9]);
    rig.stream_table(0x5_0000, 1 << 16 | 8 << 6 | 10);
    check(&mut rig, Request::at(DATA), [0x03 | SID, 0, 0, NOWHERE + 0x600]);
}

#[test]
fn c_bad_ste() {
    let mut rig = Rig::new();
    // V; S1CDMax beyond SSIDSIZE.
    for ste in [BYPASS & !1, STAGE1 | CONTEXTS | 21 << 59] {
        rig.ste(STREAM, &[ste]);
        rig.commands(&[cfgi_ste(STREAM)]);
        check(&mut rig, Request::at(DATA), [0x04 | SID, 0, 0, 0]);
        check(&mut rig, substream(DATA, 0xf_ffff), [0x04 | ssid(0xf_ffff) | SID, 0, 0, 0]);
    }
}

#[test]
fn f_stream_disabled_says_no_substream() {
    let mut rig = Rig::new();
    for (s1dss, request) in [(0, Request::at(DATA)), (2, substream(DATA, 0))] {
        rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59, s1dss]);
        rig.commands(&[cfgi_ste(STREAM)]);
        check(&mut rig, request, [0x06 | SID, 0, 0, 0]);
    }
}

#[test]
fn c_bad_substreamid() {
    let (root, two_level) = (0x10_0000, STAGE1 | 1 << 4 | CONTEXTS | 10 << 59);
    // The second leaf has no table, the third one is beyond IAS.
    let level1 = [0, 0, 1 << 52 | 1];
    for (name, ste, request, id) in [
        ("bypass", [BYPASS, 0, 0, 0], substream(DATA, 5), 5),
        ("stage 2 only", [STAGE2, 0, s2_config(9), root], substream(DATA, 5), 5),
        ("one CD", [STAGE1 | CONTEXTS, 0, 0, 0], substream(DATA, 5), 5),
        ("beyond S1CDMax", [STAGE1 | CONTEXTS | 4 << 59, 2, 0, 0], substream(DATA, 16), 16),
        ("no leaf", [two_level, 2, 0, 0], substream(DATA, 64), 64),
        ("leaf out of range", [two_level, 2, 0, 0], substream(DATA, 130), 130),
        ("no leaf for the first CD", [two_level, 2, 0, 0], Request::at(DATA), 0),
    ] {
        let mut rig = Rig::new();
        rig.store(CONTEXTS, &level1);
        rig.ste(STREAM, &ste);
        assert_eq!(rig.read_as(request), Err(UR), "{name}");
        // SSV is reserved here.
        assert_eq!(rig.event(), Some([0x08 | id << 12 | SID, 0, 0, 0]), "{name}");
    }
}

#[test]
fn f_cd_fetch() {
    let mut rig = Rig::new();
    for (ste, request, record) in [
        (STAGE1 | NOWHERE, Request::at(DATA), [0x09 | SID, 0, 0, NOWHERE]),
        (STAGE1 | NOWHERE | 4 << 59, substream(DATA, 3), [0x09 | ssid(3) | SID, 0, 0, NOWHERE + 0xc0]),
        // L1CD.
        (
            STAGE1 | 1 << 4 | NOWHERE | 10 << 59,
            substream(DATA, 64),
            [0x09 | ssid(64) | SID, 0, 0, NOWHERE + 8],
        ),
    ] {
        rig.ste(STREAM, &[ste]);
        rig.commands(&[cfgi_ste(STREAM)]);
        check(&mut rig, request, record);
    }
    // Through stage 2 it is the physical address.
    let (_, root2) = rig.nested();
    rig.map(root2, CONTEXTS, (NOWHERE + 0x5000) | S2_PAGE);
    rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
    check(&mut rig, Request::at(DATA), [0x09 | SID, 0, 0, NOWHERE + 0x5000]);
}

#[test]
fn c_bad_cd() {
    let mut rig = Rig::new();
    rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59, 2]);
    // V; AA64.
    for cd in [CD & !(1 << 31), CD & !(1 << 41)] {
        rig.store(CONTEXTS, &[cd]);
        rig.store(CONTEXTS + 64, &[cd]);
        rig.commands(&[cfgi_ste(STREAM)]);
        check(&mut rig, Request::at(DATA), [0x0a | SID, 0, 0, 0]);
        check(&mut rig, substream(DATA, 1), [0x0a | ssid(1) | SID, 0, 0, 0]);
    }
}

#[test]
fn f_walk_eabt() {
    const VA: u64 = 0x80_0000_1000;
    let mut rig = Rig::new();
    rig.stage1();
    rig.store(CONTEXTS, &[CD, NOWHERE]);
    check(&mut rig, Request::at(VA), [0x0b | SID, RNW | CLASS_TT, VA, NOWHERE + 8]);
    // A write is no read of a descriptor.
    assert_eq!(rig.write(VA), UR);
    assert_eq!(rig.event(), Some([0x0b | SID, CLASS_TT, VA, NOWHERE + 8]));
    // Stage 2: of the address itself.
    rig.ste(STREAM, &[STAGE2, 0, s2_config(9), NOWHERE]);
    rig.commands(&[cfgi_ste(STREAM)]);
    check(&mut rig, Request::at(VA), [0x0b | SID, RNW | S2 | CLASS_IN, VA, NOWHERE + 8]);
    // Of the CD.
    rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9), NOWHERE]);
    rig.commands(&[cfgi_ste(STREAM)]);
    check(&mut rig, Request::at(VA), [0x0b | SID, RNW | S2, VA, NOWHERE]);
    // Of a descriptor of stage 1, at IPA 1 GiB: the level-1 descriptor of stage 2 leads nowhere.
    let (_, root2) = rig.nested();
    rig.store(CONTEXTS, &[CD, 0x4000_0000]);
    let level1 = rig.load(root2) & !0xfff;
    rig.store(level1 + 8, &[NOWHERE | TABLE]);
    rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
    check(&mut rig, Request::at(VA), [0x0b | SID, RNW | S2 | CLASS_TT, VA, NOWHERE]);
    // Stage 2 maps it to where nothing is: the descriptor is of stage 1.
    rig.store(level1 + 8, &[0]);
    rig.map(root2, 0x4000_0000, (NOWHERE + 0x3000) | S2_PAGE);
    rig.commands(&[[0x30, 0]]);
    check(&mut rig, Request::at(VA), [0x0b | SID, RNW | CLASS_TT, VA, NOWHERE + 0x3008]);
}

/// Addresses of [`faulty`], and what is wrong with each.
const ABSENT: u64 = 0x5000;
const TOO_WIDE: u64 = 0x6000;
const NOT_ACCESSED: u64 = 0x7000;
const READ_ONLY: u64 = 0x8000;
const WRITE_ONLY: u64 = 0x9000;
const NO_FETCH: u64 = 0xa000;
const NO_ACCESS: u64 = 0xb000;

/// Stage 1 with 32-bit output, one page for each fault.
fn faulty(rig: &mut Rig) {
    let root = rig.stage1();
    rig.store(CONTEXTS, &[CD & !(7 << 32) | 7 << 48]);
    rig.map(root, TOO_WIDE, 1 << 32 | PAGE);
    rig.map(root, NOT_ACCESSED, DATA | PAGE & !(1 << 10));
    rig.map(root, READ_ONLY, DATA | PAGE | 1 << 7);
    rig.map(root, NO_FETCH, DATA | PAGE | 3 << 53);
}

#[test]
fn faults_of_stage_1() {
    let mut rig = Rig::new();
    faulty(&mut rig);
    for (kind, address) in [(0x10, ABSENT), (0x11, TOO_WIDE), (0x12, NOT_ACCESSED)] {
        check(&mut rig, Request::at(address + 0x123), [kind | SID, RNW | CLASS_IN, address + 0x123, 0]);
        check(&mut rig, privileged(address), [kind | SID, RNW | PNU | CLASS_IN, address, 0]);
        check(&mut rig, fetch(address), [kind | SID, RNW | IND | CLASS_IN, address, 0]);
        assert_eq!(rig.write(address), UR);
        assert_eq!(rig.event(), Some([kind | SID, CLASS_IN, address, 0]));
        // A write is never of an instruction.
        assert_eq!(rig.write_as(fetch(address)), UR);
        assert_eq!(rig.event(), Some([kind | SID, CLASS_IN, address, 0]));
        assert_eq!(rig.atomic(Request::at(address)), UR);
        assert_eq!(rig.event(), Some([kind | SID, CLASS_IN, address, 0]));
    }
    // The first time by a walk, then by the TLB.
    for _ in 0..2 {
        assert_eq!(rig.write(READ_ONLY), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, CLASS_IN, READ_ONLY, 0]));
        assert_eq!(rig.atomic(Request::at(READ_ONLY)), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, CLASS_IN, READ_ONLY, 0]));
        check(&mut rig, fetch(NO_FETCH), [0x13 | SID, RNW | IND | CLASS_IN, NO_FETCH, 0]);
        assert_eq!((rig.read(READ_ONLY), rig.read(NO_FETCH)), (Ok(DATA), Ok(DATA)));
    }
}

#[test]
fn faults_of_stage_2() {
    let mut rig = Rig::new();
    let root = rig.stage2();
    // S2PS 32 bits.
    rig.ste(STREAM, &[STAGE2, 0, s2_config(9) & !(7 << 48), root]);
    rig.map(root, TOO_WIDE, 1 << 32 | S2_PAGE);
    rig.map(root, NOT_ACCESSED, DATA | S2_PAGE & !(1 << 10));
    rig.map(root, READ_ONLY, DATA | S2_PAGE & !(1 << 7));
    rig.map(root, WRITE_ONLY, DATA | S2_PAGE & !(1 << 6));
    rig.map(root, NO_ACCESS, DATA | S2_PAGE & !(3 << 6));
    for (kind, address) in [(0x10, ABSENT), (0x11, TOO_WIDE), (0x12, NOT_ACCESSED), (0x13, WRITE_ONLY)] {
        let found = S2 | CLASS_IN;
        check(&mut rig, Request::at(address + 0x123), [kind | SID, RNW | found, address + 0x123, address]);
    }
    for _ in 0..2 {
        assert_eq!(rig.write(READ_ONLY), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, S2 | CLASS_IN, READ_ONLY, READ_ONLY]));
        assert_eq!(rig.atomic(Request::at(READ_ONLY)), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, S2 | CLASS_IN, READ_ONLY, READ_ONLY]));
        assert_eq!(rig.read(READ_ONLY), Ok(DATA));
    }
    // What an atomic lacks here is the right to read.
    for _ in 0..2 {
        assert_eq!(rig.atomic(Request::at(WRITE_ONLY)), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, RNW | S2 | CLASS_IN, WRITE_ONLY, WRITE_ONLY]));
        assert_eq!(rig.write(WRITE_ONLY), Outcome::Done);
    }
    // Where it lacks both, the right to write is what it lacks first.
    for _ in 0..2 {
        assert_eq!(rig.atomic(Request::at(NO_ACCESS)), UR);
        assert_eq!(rig.event(), Some([0x13 | SID, S2 | CLASS_IN, NO_ACCESS, NO_ACCESS]));
    }
    // The range that S2T0SZ leaves.
    check(&mut rig, Request::at(1 << 48), [0x10 | SID, RNW | S2 | CLASS_IN, 1 << 48, 1 << 48]);
}

#[test]
fn faults_of_stage_2_behind_stage_1() {
    const VA: u64 = 0x1234;
    const IPA: u64 = 0x4321_5000;
    let no_read = DATA | S2_PAGE & !(1 << 6);
    for (kind, leaf) in
        [(0x10, 0), (0x11, 1 << 32 | S2_PAGE), (0x12, DATA | S2_PAGE & !(1 << 10)), (0x13, no_read)]
    {
        let mut rig = Rig::new();
        let (root1, root2) = rig.nested();
        rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9) & !(7 << 48), root2]);
        let descriptor = rig.map(root1, VA, IPA | PAGE);
        rig.map(root2, IPA, leaf);
        check(&mut rig, Request::at(VA), [kind | SID, RNW | S2 | CLASS_IN, VA, IPA]);
        // The descriptor that leads there.
        rig.map(root2, descriptor, leaf);
        rig.commands(&[[0x30, 0]]);
        let walked_for_read = if kind == 0x13 { TTRNW } else { 0 };
        let found = RNW | S2 | CLASS_TT | walked_for_read;
        check(&mut rig, Request::at(VA), [kind | SID, found, VA, descriptor & !0xfff]);
        // The CD.
        rig.map(root2, CONTEXTS, leaf);
        rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
        check(&mut rig, Request::at(VA), [kind | SID, RNW | S2, VA, CONTEXTS]);
    }
}

#[test]
fn an_update_that_stage_2_does_not_permit() {
    const VA: u64 = 0x1000;
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    // HA.
    rig.store(CONTEXTS, &[CD | 7 << 48 | 1 << 43]);
    let descriptor = rig.map(root1, VA, DATA | PAGE & !(1 << 10));
    rig.map(root2, descriptor, descriptor & !0xfff | S2_PAGE & !(1 << 7));
    // The descriptor was to be written.
    check(&mut rig, Request::at(VA), [0x13 | SID, RNW | S2 | CLASS_TT, VA, descriptor & !0xfff]);
}

#[test]
fn substreams_are_named_in_faults() {
    let mut rig = Rig::new();
    let root = rig.table();
    rig.ste(STREAM, &[STAGE1 | CONTEXTS | 10 << 59, 2]);
    rig.store(CONTEXTS, &[CD, root]);
    rig.store(CONTEXTS + 64 * 0x3ff, &[CD, root]);
    check(&mut rig, substream(ABSENT, 0x3ff), [0x10 | ssid(0x3ff) | SID, RNW | CLASS_IN, ABSENT, 0]);
    check(&mut rig, Request::at(ABSENT), [0x10 | SID, RNW | CLASS_IN, ABSENT, 0]);
}

#[test]
fn f_transl_forbidden() {
    let mut rig = Rig::new();
    rig.ste(STREAM, &[BYPASS]);
    let translated = |address| Request { kind: crate::fabric::Kind::Translated, ..substream(address, 5) };
    for cr0 in [0xd, 0xc] {
        rig.set_register(0x20, cr0);
        check(&mut rig, translated(DATA), [0x07 | SID, RNW, DATA, 0]);
        assert_eq!(rig.write_as(translated(DATA)), UR);
        assert_eq!(rig.event(), Some([0x07 | SID, 0, DATA, 0]));
    }
}
