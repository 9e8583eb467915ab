//! Uses of what is cached and no longer true.

use super::translation::cfgi_ste;
use super::*;
use crate::smmuv3::Missing;

const VA: u64 = 0x1000;

fn sanitized() -> Rig {
    Rig::of(Config { sanitize: true, ..config("smmuv3.3-full") })
}

/// What was reported since the last time.
fn reports(rig: &mut Rig) -> Vec<(Missing, String)> {
    std::mem::take(&mut rig.stale).into_iter().map(|stale| (stale.missing, stale.to_string())).collect()
}

#[track_caller]
fn check(rig: &mut Rig, missing: Missing, text: &str) {
    assert_eq!(reports(rig), [(missing, text.to_owned())]);
}

#[test]
fn an_ste() {
    let mut rig = sanitized();
    rig.ste(STREAM, &[BYPASS]);
    assert_eq!(rig.read(DATA), Ok(DATA));
    assert_eq!(reports(&mut rig), []);
    rig.ste(STREAM, &[1]);
    assert_eq!(rig.read(DATA), Ok(DATA), "the report changes nothing");
    check(
        &mut rig,
        Missing::Ste,
        "stale STE used by stream 0x118 (Read at 0x400000): cached 0x0000000000000009, in memory \
         0x0000000000000001; missing: CMD_CFGI_STE of stream 0x118",
    );
    // An invalid one that is cached is stale too.
    rig.ste(STREAM, &[0]);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(DATA), Err(UR));
    rig.ste(STREAM, &[BYPASS]);
    assert_eq!(rig.read(DATA), Err(UR));
    assert_eq!(reports(&mut rig).iter().map(|(missing, _)| *missing).collect::<Vec<_>>(), [Missing::Ste]);
}

#[test]
fn a_cd() {
    let mut rig = sanitized();
    let root = rig.table();
    rig.map(root, VA, DATA | PAGE);
    rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59]);
    rig.store(CONTEXTS + 64 * 5, &[CD, root, 0, 0xff]);
    assert_eq!(rig.read_as(substream(VA, 5)), Ok(DATA));
    rig.store(CONTEXTS + 64 * 5, &[0, 0, 0, 0]);
    assert_eq!(rig.read_as(substream(VA, 5)), Ok(DATA));
    let index = Pasid::new(5).unwrap();
    let [(missing, text)] = &reports(&mut rig)[..] else { panic!("one report") };
    assert_eq!(*missing, Missing::Cd { index });
    assert!(
        text.starts_with("stale CD used by stream 0x118, substream 0x5 (Read at 0x1000): cached "),
        "{text}"
    );
    let end = ", in memory 0x0000000000000000; missing: CMD_CFGI_CD of stream 0x118, substream 0x5";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn level_1_descriptors() {
    // Two streams of one level-1 descriptor, SPLIT 8.
    let mut rig = sanitized();
    rig.store(0x5_0008, &[0x6_0000 | 9]);
    rig.store(0x6_0000 + 64 * 0x18, &[BYPASS]);
    rig.stream_table(0x5_0000, 1 << 16 | 8 << 6 | 10);
    assert_eq!(rig.read(DATA), Ok(DATA));
    rig.store(0x5_0008, &[0]);
    let port = rig.platform(STREAM + 1);
    assert_eq!(rig.read_by(&port, Request::at(DATA)), Err(UR));
    check(
        &mut rig,
        Missing::StreamDescriptor,
        "stale L1STD used by stream 0x119 (Read at 0x400000): cached 0x0000000000060009, in memory \
         0x0000000000000000; missing: CMD_CFGI_STE of stream 0x119 with Leaf = 0",
    );
    let mut rig = sanitized();
    let root = rig.table();
    rig.map(root, VA, DATA | PAGE);
    for index in [5, 6] {
        rig.store(0x6_0000 + 64 * index, &[CD, root, 0, 0xff]);
    }
    rig.store(CONTEXTS, &[0x6_0000 | 1]);
    rig.ste(STREAM, &[STAGE1 | 1 << 4 | CONTEXTS | 10 << 59]);
    assert_eq!(rig.read_as(substream(VA, 5)), Ok(DATA));
    rig.store(CONTEXTS, &[0]);
    assert_eq!(rig.read_as(substream(VA, 6)), Ok(DATA));
    check(
        &mut rig,
        Missing::ContextDescriptor { index: Pasid::new(6).unwrap() },
        "stale L1CD used by stream 0x118, substream 0x6 (Read at 0x1000): cached 0x0000000000060001, in \
         memory 0x0000000000000000; missing: CMD_CFGI_CD of stream 0x118, substream 0x6 with Leaf = 0",
    );
}

/// A stream of each kind with [`VA`] mapped to [`DATA`], and the place of what maps it.
fn streams() -> [(Rig, u64, u64, Missing, &'static str); 4] {
    let (mut one, mut two, mut both, mut el2) = (sanitized(), sanitized(), sanitized(), sanitized());
    let root = one.stage1();
    one.ste(STREAM, &[STAGE1 | CONTEXTS, 0, 9]);
    let one_leaf = one.map(root, VA, DATA | PAGE);
    let root = two.stage2();
    let two_leaf = two.map(root, VA, DATA | S2_PAGE);
    let (root, _) = both.nested();
    let both_leaf = both.map(root, VA, DATA | PAGE);
    let root = el2.stage1();
    el2.ste(STREAM, &[STAGE1 | CONTEXTS, 2 << 30]);
    let el2_leaf = el2.map(root, VA, DATA | PAGE);
    [
        (one, one_leaf, PAGE, Missing::Va { vmid: 9, asid: 7 }, "CMD_TLBI_NH_VA of 0x1000, VMID 9, ASID 7"),
        (two, two_leaf, S2_PAGE, Missing::Ipa { vmid: 9 }, "CMD_TLBI_S2_IPA of 0x1000, VMID 9"),
        (
            both,
            both_leaf,
            PAGE,
            Missing::Both { vmid: 9, asid: 7 },
            "CMD_TLBI_NH_VA of 0x1000, VMID 9, ASID 7, or, if stage 2 changed, CMD_TLBI_S2_IPA and \
             CMD_TLBI_NH_ALL",
        ),
        (el2, el2_leaf, PAGE, Missing::El2Va { asid: 0 }, "CMD_TLBI_EL2_VA of 0x1000, ASID 0"),
    ]
}

#[test]
fn a_translation_of_each_kind() {
    let all = "rwx privileged rwx";
    for ((mut rig, leaf, bits, missing, command), rights) in
        streams().into_iter().zip(["rwx privileged rw-", all, "rwx privileged rw-", all])
    {
        let start = "stale translation used by stream 0x118 (Read at 0x1000): cached";
        assert_eq!(rig.read(VA), Ok(DATA));
        assert_eq!(reports(&mut rig), [], "{command}");
        rig.store(leaf, &[(DATA + 0x1000) | bits]);
        assert_eq!(rig.read(VA), Ok(DATA));
        let now = format!("in memory 0x401000 {rights}; missing: {command}");
        check(&mut rig, missing, &format!("{start} 0x400000 {rights}, {now}"));
        rig.store(leaf, &[0]);
        assert_eq!(rig.read(VA), Ok(DATA));
        let stage = if matches!(missing, Missing::Ipa { .. }) { 2 } else { 1 };
        let now = format!("in memory F_TRANSLATION at stage {stage}; missing: {command}");
        check(&mut rig, missing, &format!("{start} 0x400000 {rights}, {now}"));
        rig.commands(&[[0x30, 0], [0x20, 0]]);
        assert_eq!(rig.read(VA), Err(UR));
        assert_eq!(reports(&mut rig), []);
    }
}

#[test]
fn a_walk_by_way_of_what_is_cached() {
    for (mut rig, leaf, bits, missing, _) in streams() {
        assert_eq!(rig.read(VA), Ok(DATA));
        // The last table moves; a page that was never used is walked for in the old one.
        let other = rig.table();
        rig.store(other + (leaf & 0xfff) + 8, &[(DATA + 0x1000) | bits]);
        let above = (TABLES..rig.free).step_by(8).find(|at| rig.load(*at) == leaf & !0xfff | TABLE);
        rig.store(above.unwrap(), &[other | TABLE]);
        assert_eq!(rig.read(VA + 0x1000), Err(UR));
        let [(seen, text)] = &reports(&mut rig)[..] else { panic!("{missing:?}: one report") };
        assert_eq!(*seen, missing);
        assert!(
            text.contains("cached F_TRANSLATION at stage ") && text.contains("in memory 0x401000 "),
            "{text}"
        );
    }
    // An IPA that stage 2 no longer maps there, of an address that was never used.
    let mut rig = sanitized();
    let (root1, root2) = rig.nested();
    rig.map(root1, VA, 0x4321_5000 | PAGE);
    rig.map(root1, VA + 0x1000, 0x4321_5000 | PAGE);
    let leaf = rig.map(root2, 0x4321_5000, DATA | S2_PAGE);
    assert_eq!(rig.read(VA), Ok(DATA));
    rig.store(leaf, &[(DATA + 0x1000) | S2_PAGE]);
    assert_eq!(rig.read(VA + 0x1000), Ok(DATA));
    let missing: Vec<_> = reports(&mut rig).into_iter().map(|(missing, _)| missing).collect();
    assert_eq!(missing, [Missing::Both { vmid: 9, asid: 7 }]);
}

#[test]
fn a_permission_that_was_given_or_taken() {
    let mut rig = sanitized();
    let root = rig.stage1();
    let leaf = rig.map(root, VA, DATA | PAGE);
    assert_eq!(rig.write(VA), Outcome::Done);
    rig.store(leaf, &[DATA | PAGE | 1 << 7]);
    // It does not matter to reads.
    assert!(rig.read(VA).is_ok());
    assert_eq!(reports(&mut rig), []);
    assert_eq!(rig.write(VA), Outcome::Done);
    assert_eq!(reports(&mut rig).len(), 1);
    rig.commands(&[[0x30, 0]]);
    assert_eq!(rig.write(VA), UR);
    assert!(rig.read(VA).is_ok());
    rig.store(leaf, &[DATA | PAGE]);
    assert_eq!(rig.write(VA), UR);
    assert_eq!(reports(&mut rig).len(), 1);
}

#[test]
fn nothing_is_said_after_an_invalidation() {
    for (mut rig, leaf, bits, ..) in streams() {
        for round in 0..4 {
            rig.store(leaf, &[(DATA + (round & 1) * 0x1000) | bits]);
            rig.commands(&[[0x30, 0], [0x20, 0]]);
            assert_eq!(rig.read(VA), Ok(DATA + (round & 1) * 0x1000));
            assert!(rig.read(VA).is_ok());
        }
        rig.ste(STREAM, &[BYPASS]);
        rig.commands(&[cfgi_ste(STREAM)]);
        assert_eq!(rig.read(DATA), Ok(DATA));
        assert_eq!(reports(&mut rig), []);
    }
}

#[test]
fn nothing_is_said_of_the_unit_s_own_updates() {
    let mut rig = sanitized();
    let (root1, root2) = rig.nested();
    // HA and HD of both stages: DBM, clean, not accessed.
    rig.store(CONTEXTS, &[CD | 7 << 48 | 3 << 42]);
    rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9) | 3 << 55, root2]);
    rig.map(root1, VA, 0x4321_5000 | PAGE & !(1 << 10) | 1 << 7 | 1 << 51);
    rig.map(root2, 0x4321_5000, DATA | S2_PAGE & !(1 << 10 | 1 << 7) | 1 << 51);
    assert_eq!((rig.read(VA), rig.read(VA)), (Ok(DATA), Ok(DATA)));
    assert_eq!((rig.write(VA), rig.write(VA)), (Outcome::Done, Outcome::Done));
    assert!(rig.read(VA).is_ok());
    assert_eq!(rig.event(), None);
    assert_eq!(reports(&mut rig), []);
}

/// Software that takes a page's dirty state and invalidates nothing misses the next write.
#[test]
fn a_page_that_was_made_clean() {
    const DBM: u64 = 1 << 51;
    const IPA: u64 = 0x4321_5000;
    let (dirty1, clean1) = (PAGE | DBM, PAGE | DBM | 1 << 7);
    let (dirty2, clean2) = (S2_PAGE | DBM, S2_PAGE & !(1 << 7) | DBM);
    for stage in [1, 2] {
        let mut rig = sanitized();
        let (root1, root2) = rig.nested();
        // HA and HD of both stages.
        rig.store(CONTEXTS, &[CD | 7 << 48 | 3 << 42]);
        rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9) | 3 << 55, root2]);
        let leaf1 = rig.map(root1, VA, IPA | dirty1);
        let leaf2 = rig.map(root2, IPA, DATA | dirty2);
        let (leaf, clean, dirty) = if stage == 1 {
            (leaf1, IPA | clean1, IPA | dirty1)
        } else {
            (leaf2, DATA | clean2, DATA | dirty2)
        };
        assert_eq!((rig.write(VA), rig.write(VA)), (Outcome::Done, Outcome::Done));
        rig.store(leaf, &[clean]);
        // It does not matter to reads.
        assert!(rig.read(VA).is_ok());
        assert_eq!(reports(&mut rig), []);
        assert_eq!(rig.write(VA), Outcome::Done);
        assert_eq!(rig.load(leaf), clean, "the write is missed");
        let [(missing, text)] = &reports(&mut rig)[..] else { panic!("one report of stage {stage}") };
        assert_eq!(*missing, Missing::Both { vmid: 9, asid: 7 });
        assert!(text.contains("in memory 0x400000 r-x privileged r--;"), "{text}");
        rig.commands(&[[0x30, 0]]);
        assert_eq!(rig.write(VA), Outcome::Done);
        assert_eq!(rig.load(leaf), dirty, "it is noted after the invalidation");
        assert_eq!(reports(&mut rig), []);
    }
}

#[test]
fn nothing_is_said_of_what_does_not_matter() {
    let mut rig = sanitized();
    let root = rig.stage1();
    let leaf = rig.map(root, VA, DATA | PAGE);
    assert_eq!(rig.read(VA), Ok(DATA));
    // Software's own bits: of the STE (1.23:20), of the descriptor (58:55), and AMAIR of the CD.
    rig.ste(STREAM, &[STAGE1 | CONTEXTS, 0xf << 20]);
    rig.store(leaf, &[DATA | PAGE | 0xf << 55]);
    rig.store(CONTEXTS + 32, &[u64::MAX]);
    // Other streams, substreams and pages.
    rig.ste(STREAM + 1, &[BYPASS]);
    rig.store(CONTEXTS + 64, &[u64::MAX]);
    rig.map(root, VA + 0x1000, DATA | PAGE);
    assert_eq!((rig.read(VA), rig.read(VA + 0x1000)), (Ok(DATA), Ok(DATA)));
    assert_eq!(reports(&mut rig), []);
    // What is illegal for another reason is as illegal.
    rig.ste(STREAM, &[0]);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(VA), Err(UR));
    rig.ste(STREAM, &[STAGE1 | CONTEXTS | 31 << 59]);
    assert_eq!(rig.read(VA), Err(UR));
    assert_eq!(reports(&mut rig), []);
}
