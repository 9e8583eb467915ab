//! What becomes of a transaction that faults, and which fault it is.

use super::translation::cfgi_ste;
use super::*;

const A: u64 = 1 << 46;
const R: u64 = 1 << 45;
/// STE word 2: S2R and S2S.
const S2R: u64 = 1 << 58;
const S2S: u64 = 1 << 57;

/// How a PCIe function's read and a platform master's end, and whether a record is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    Raz,
    Aborts,
    Stalls,
}

/// Provokes a fault at `address` from a function and from a master that can be held.
#[track_caller]
fn check(rig: &mut Rig, address: u64, ends: Ends, recorded: bool, row: &str) {
    let outcome = if ends == Ends::Raz { Outcome::Raz } else { UR };
    for (what, seen) in [("read", rig.read(address).err()), ("write", Some(rig.write(address)))] {
        assert_eq!(seen, Some(outcome), "{row}: {what}");
        let record = rig.event();
        assert_eq!(record.is_some(), recorded, "{row}: {what}");
        // A function is not held, and its record does not say so.
        assert_eq!(record.unwrap_or_default()[1] & 0x8000_ffff, 0, "{row}: {what}");
    }
    let port = rig.platform(STREAM);
    let seen = rig.read_by(&port, Request::at(address)).unwrap_err();
    let held = matches!(seen, Outcome::Stalled(_));
    assert_eq!(held, ends == Ends::Stalls, "{row}: {seen:?}");
    assert!(held || seen == outcome, "{row}: {seen:?}");
    let record = rig.event();
    assert_eq!(record.map(|words| words[1] & 1 << 31 != 0), recorded.then_some(held), "{row}");
}

#[test]
fn stage_1_does_as_a_r_s_say() {
    for (word, ends, recorded) in [
        (0, Ends::Raz, false),
        (R, Ends::Raz, true),
        (A, Ends::Aborts, false),
        (A | R, Ends::Aborts, true),
        (CD_S, Ends::Stalls, true),
        (CD_S | R, Ends::Stalls, true),
        (CD_S | A, Ends::Stalls, true),
        (CD_S | A | R, Ends::Stalls, true),
    ] {
        let mut rig = Rig::new();
        let root = rig.stage1();
        rig.store(CONTEXTS, &[CD & !(A | R | 7 << 32) | word | 7 << 48]);
        // F_TRANSLATION, F_ADDR_SIZE with IPS 32 bits, F_ACCESS, and F_PERMISSION.
        rig.map(root, 0x2000, 1 << 32 | PAGE);
        rig.map(root, 0x3000, DATA | PAGE & !(1 << 10));
        rig.map(root, 0x4000, DATA | PAGE & !(1 << 6));
        for address in [0x1000, 0x2000, 0x3000, 0x4000] {
            check(&mut rig, address, ends, recorded, &format!("{word:#x} at {address:#x}"));
        }
        assert_eq!(rig.load(DATA), DATA, "nothing was written");
    }
}

#[test]
fn stage_2_does_as_s2r_s2s_say_and_never_raz() {
    for (word, ends, recorded) in [
        (0, Ends::Aborts, false),
        (S2R, Ends::Aborts, true),
        (S2S, Ends::Stalls, true),
        (S2S | S2R, Ends::Stalls, true),
    ] {
        let mut rig = Rig::new();
        let (root1, root2) = rig.nested();
        // What the CD says of the faults of stage 1 does not matter.
        rig.store(CONTEXTS, &[CD & !(A | R) | 7 << 48]);
        rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9) & !S2R | word, root2]);
        let descriptor = rig.map(root1, 0x1000, 0x4321_5000 | PAGE);
        check(&mut rig, 0x1000, ends, recorded, &format!("{word:#x}: IPA"));
        rig.map(root2, descriptor, 0);
        rig.commands(&[[0x30, 0]]);
        check(&mut rig, 0x1000, ends, recorded, &format!("{word:#x}: descriptor"));
        rig.map(root2, CONTEXTS, 0);
        rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
        check(&mut rig, 0x1000, ends, recorded, &format!("{word:#x}: CD"));
        rig.ste(STREAM, &[STAGE2, 0, s2_config(9) & !S2R | word, root2]);
        rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
        check(&mut rig, 0x4321_5000, ends, recorded, &format!("{word:#x}: stage 2 alone"));
    }
}

#[test]
fn only_the_four_faults_are_software_s_to_choose() {
    let quiet = CD & !(A | R) | CD_S;
    let s2 = s2_config(9) & !S2R | S2S;
    for (name, ste, cd) in [
        ("C_BAD_CD", [STAGE1 | CONTEXTS, 0, 0, 0], [quiet & !(1 << 31), 0]),
        ("C_BAD_STE", [STAGE1 & !1 | CONTEXTS, 0, 0, 0], [quiet, 0]),
        ("F_CD_FETCH", [STAGE1 | 0x100_0000, 0, 0, 0], [quiet, 0]),
        ("F_WALK_EABT", [STAGE1 | CONTEXTS, 0, 0, 0], [quiet, 0x100_0000]),
        ("F_WALK_EABT of stage 2", [STAGE2, 0, s2, 0x100_0000], [quiet, 0]),
        ("F_STREAM_DISABLED", [STAGE1 | CONTEXTS | 4 << 59, 0, 0, 0], [quiet, 0]),
    ] {
        let mut rig = Rig::new();
        rig.store(CONTEXTS, &cd);
        rig.ste(STREAM, &ste);
        check(&mut rig, 0x1000, Ends::Aborts, true, name);
    }
    // F_ADDR_SIZE of a bypass, before a stage 2 that stalls.
    let mut rig = Rig::new();
    let (_, root2) = rig.nested();
    rig.ste(STREAM, &[STAGE2, 0, s2, root2]);
    check(&mut rig, 1 << 52, Ends::Aborts, true, "F_ADDR_SIZE");
}

#[test]
fn where_terminating_is_aborting_a_cd_cannot_say_otherwise() {
    let base = config("smmuv3.3-full");
    for (term_model, cd, kind) in [(false, CD & !A, 0x10), (true, CD & !A, 0x0a), (true, CD, 0x10)] {
        let mut rig = Rig::of(Config { idr0: base.idr0.with_term_model(term_model), ..base.clone() });
        rig.stage1();
        rig.store(CONTEXTS, &[cd]);
        assert!(rig.read(0x1000).is_err());
        assert_eq!(rig.event().map(|words| words[0] & 0xff), Some(kind), "TERM_MODEL {term_model}");
    }
}

/// The record of the first thing found wrong, of several.
#[track_caller]
fn first(rig: &mut Rig, request: Request, write: bool, expected: u64) {
    let outcome = if write { rig.write_as(request) } else { rig.read_as(request).unwrap_err() };
    assert_eq!(outcome, UR);
    assert_eq!(rig.event().map(|words| words[0] & 0xff), Some(expected));
    assert_eq!(rig.event(), None, "one record of one transaction");
}

#[test]
fn configuration_is_found_wrong_in_the_order_that_it_is_read() {
    let mut rig = Rig::new();
    let mut with_ste = |ste: &[u64], request, expected| {
        rig.ste(STREAM, &[0; 8]);
        rig.ste(STREAM, ste);
        rig.commands(&[[0x04, 31]]);
        first(&mut rig, request, false, expected);
    };
    // An illegal STE hides a substream that cannot be.
    with_ste(&[BYPASS & !1], substream(0, 5), 0x04);
    // A substream hides an address out of range.
    with_ste(&[BYPASS], substream(1 << 52, 5), 0x08);
    with_ste(&[BYPASS], Request::at(1 << 52), 0x11);
    // What S1DSS says comes before the fetch of a CD, and its number before what S1DSS says.
    with_ste(&[STAGE1 | 0x100_0000 | 4 << 59, 0], Request::at(0), 0x06);
    with_ste(&[STAGE1 | 0x100_0000 | 4 << 59, 2], substream(0, 0), 0x06);
    with_ste(&[STAGE1 | 0x100_0000 | 4 << 59, 2], substream(0, 16), 0x08);
    with_ste(&[STAGE1 | 0x100_0000 | 4 << 59, 2], substream(0, 1), 0x09);
    // An illegal CD hides an address out of range.
    with_ste(&[STAGE1 | CONTEXTS], Request::at(u64::MAX), 0x0a);
}

#[test]
fn stage_2_of_a_cd_comes_before_the_cd() {
    let mut rig = Rig::new();
    let (_, root2) = rig.nested();
    rig.store(CONTEXTS, &[0]);
    rig.map(root2, CONTEXTS, 0);
    assert_eq!(rig.read(0x1000), Err(UR));
    assert_eq!(rig.event(), Some([0x10 | SID, RNW | S2, 0x1000, CONTEXTS]));
    // Neither the fault nor an invalid descriptor was cached.
    rig.map(root2, CONTEXTS, CONTEXTS | S2_PAGE);
    first(&mut rig, Request::at(0x1000), false, 0x0a);
}

#[test]
fn a_walk_is_found_wrong_step_by_step() {
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    let in_stage_1 = |rig: &mut Rig| {
        let words = rig.event().unwrap();
        ((words[0] & 0xff), words[1] & S2 == 0)
    };
    // The range of stage 1, before its first descriptor, which stage 2 does not map.
    rig.store(CONTEXTS, &[CD | 7 << 48, 0x7654_3000]);
    assert_eq!(rig.read(1 << 50), Err(UR));
    assert_eq!(in_stage_1(&mut rig), (0x10, true));
    assert_eq!(rig.read(0x1000), Err(UR));
    assert_eq!(in_stage_1(&mut rig), (0x10, false));
    rig.store(CONTEXTS, &[CD | 7 << 48, root1]);
    rig.commands(&[cfgi_ste(STREAM), [0x30, 0]]);
    // AF and AP[2], and an IPA that is not mapped: F_ACCESS, F_PERMISSION, then stage 2.
    for (leaf, write, kind, stage_1) in [
        (0, true, 0x10, true),
        (PAGE & !(1 << 10) | 1 << 7, true, 0x12, true),
        (PAGE | 1 << 7, true, 0x13, true),
        (PAGE | 1 << 7, false, 0x10, false),
    ] {
        rig.map(root1, 0x1000, if leaf == 0 { 0 } else { 0x4321_5000 | leaf });
        rig.commands(&[[0x30, 0]]);
        let outcome = if write { rig.write(0x1000) } else { rig.read(0x1000).unwrap_err() };
        assert_eq!(outcome, UR);
        assert_eq!(in_stage_1(&mut rig), (kind, stage_1), "{leaf:#x}");
        assert_eq!(rig.event(), None);
    }
    // The same of stage 2: AF before S2AP.
    rig.map(root2, 0x4321_5000, DATA | S2_PAGE & !(1 << 10 | 3 << 6));
    assert_eq!(rig.read(0x1000), Err(UR));
    assert_eq!(in_stage_1(&mut rig), (0x12, false));
}
