//! Access flags and dirty state [SMMUv3 3.13; Arm ARM D8.5].

use std::cell::Cell;

use super::*;

use FaultKind::{Access, Permission, Translation};

const LEAF: u64 = FIRST[3] + 0x20;
/// DBM.
const DBM: u64 = 1 << 51;
/// A page of stage 1 that is writable, clean and was never used, and what becomes of it.
const CLEAN: u64 = DBM | 0x5_03c3;
const CLEAN_USED: u64 = DBM | 0x5_07c3;
const DIRTIED: u64 = DBM | 0x5_0743;
/// The same for stage 2.
const CLEAN2: u64 = DBM | 0x105_037f;
const CLEAN2_USED: u64 = DBM | 0x105_077f;
const DIRTIED2: u64 = DBM | 0x105_07ff;
const MAPPER: u64 = SECOND[2] + 0x50 * 8;

const WRITES: u8 = Permissions::WRITE | Permissions::PRIV_WRITE;

#[test]
fn stage_1() {
    let read_only = CLEAN & !DBM;
    // Update, descriptor, access; descriptor after, or the fault.
    let rows = [
        (OFF, CLEAN, READ, Err(Access)),
        (ACCESS, CLEAN, READ, Ok(CLEAN_USED)),
        // Without HD, DBM means nothing.
        (ACCESS, CLEAN, WRITE, Err(Permission)),
        (OFF, CLEAN_USED, WRITE, Err(Permission)),
        (DIRTY, CLEAN, READ, Ok(CLEAN_USED)),
        (DIRTY, CLEAN, WRITE, Ok(DIRTIED)),
        (DIRTY, CLEAN, ATOMIC, Ok(DIRTIED)),
        (DIRTY, CLEAN_USED, WRITE, Ok(DIRTIED)),
        (DIRTY, DIRTIED, WRITE, Ok(DIRTIED)),
        (DIRTY, DIRTIED & !0x400, READ, Ok(DIRTIED)),
        (DIRTY, read_only, WRITE, Err(Permission)),
        // {HD, HA} = 10 is reserved.
        (HardwareUpdate { dirty: true, ..OFF }, CLEAN_USED, WRITE, Err(Permission)),
        // Not for the unprivileged: the flag stays as it is.
        (DIRTY, CLEAN & !0x40, WRITE, Err(Permission)),
        (DIRTY, CLEAN & !0x40, privileged(WRITE), Ok(DIRTIED & !0x40)),
    ];
    for (update, descriptor, wanted, after) in rows {
        let mem = memory();
        put(&mem, LEAF, descriptor);
        let row = format!("{update:?} {descriptor:#x} {wanted:?}");
        let found = first(&mem, &Stage1 { update, ..STAGE1 }, ADDRESS, wanted);
        match after {
            Ok(after) => {
                let found = found.expect(&row);
                assert_eq!(get(&mem, LEAF), after, "{row}");
                assert_eq!(found.stage1.bits() & WRITES != 0, after & 0x80 == 0, "{row}: the right to write");
            }
            Err(kind) => {
                assert_eq!(found, Err(fault1(kind)), "{row}");
                assert_eq!(get(&mem, LEAF), descriptor, "{row}: nothing is written");
            }
        }
    }
}

#[test]
fn what_a_table_forbids_is_not_repaired() {
    let mem = memory();
    put(&mem, FIRST[2] + 0x18, FIRST[3] | 3 | 1 << 62);
    put(&mem, LEAF, CLEAN_USED);
    let stage1 = Stage1 { update: DIRTY, ..STAGE1 };
    assert_eq!(first(&mem, &stage1, ADDRESS, WRITE), Err(fault1(Permission)));
    assert_eq!(get(&mem, LEAF), CLEAN_USED);
}

#[test]
fn a_clean_page_counts_as_writable_for_execution() {
    let mem = memory();
    put(&mem, LEAF, CLEAN_USED);
    let stage1 = Stage1 { update: DIRTY, ..STAGE1 };
    assert_eq!(first(&mem, &stage1, ADDRESS, privileged(FETCH)), Err(fault1(Permission)));
    first(&mem, &stage1, ADDRESS, FETCH).unwrap();
    let wxn = Stage1 { write_implies_xn: true, ..stage1 };
    assert_eq!(first(&mem, &wxn, ADDRESS, FETCH), Err(fault1(Permission)));
}

#[test]
fn stage_2() {
    let rows = [
        (OFF, CLEAN2, READ, Err(Access)),
        (ACCESS, CLEAN2, READ, Ok(CLEAN2_USED)),
        (ACCESS, CLEAN2_USED, WRITE, Err(Permission)),
        (DIRTY, CLEAN2, READ, Ok(CLEAN2_USED)),
        (DIRTY, CLEAN2, WRITE, Ok(DIRTIED2)),
        (DIRTY, CLEAN2_USED, ATOMIC, Ok(DIRTIED2)),
        (DIRTY, CLEAN2_USED & !DBM, WRITE, Err(Permission)),
        (HardwareUpdate { dirty: true, ..OFF }, CLEAN2_USED, WRITE, Err(Permission)),
    ];
    for (update, descriptor, wanted, after) in rows {
        let mem = nested_memory();
        put(&mem, MAPPER, descriptor);
        let row = format!("{update:?} {descriptor:#x} {wanted:?}");
        let stage2 = Stage2 { update, ..STAGE2 };
        let (alone, nested) = (second(&mem, &stage2, OUTPUT, wanted), both(&mem, &STAGE1, &stage2, wanted));
        match after {
            Ok(after) => {
                assert_eq!(get(&mem, MAPPER), after, "{row}");
                assert_eq!(alone.expect(&row).stage2, nested.expect(&row).stage2);
                assert_eq!(alone.unwrap().stage2.bits() & WRITES != 0, after & 0x80 != 0, "{row}");
            }
            Err(kind) => {
                let fault = Err(fault2(kind, Class::In, OUTPUT));
                assert_eq!((alone, nested), (fault, fault), "{row}");
                assert_eq!(get(&mem, MAPPER), descriptor, "{row}: nothing is written");
            }
        }
    }
}

#[test]
fn an_update_of_stage_1_is_a_write_to_stage_2() {
    let page_of_table = SECOND[2] + (FIRST[3] >> 12) * 8;
    let stage1 = Stage1 { update: DIRTY, ..STAGE1 };
    let with = |update, table_page| {
        let mem = nested_memory();
        put(&mem, MOVED + LEAF, CLEAN);
        put(&mem, page_of_table, (MOVED + FIRST[3]) | table_page);
        let found = both(&mem, &stage1, &Stage2 { update, ..STAGE2 }, WRITE);
        (found, get(&mem, MOVED + LEAF), get(&mem, page_of_table) - MOVED - FIRST[3])
    };
    let refused = TranslationFault {
        kind: Permission,
        stage: Stage::Two,
        class: Class::Tt,
        ipa: Some(Ipa(LEAF)),
        descriptor_read: false,
    };
    let (found, leaf, page) = with(OFF, 0x77f);
    assert_eq!((found, leaf, page), (Err(WalkFault::Fault(refused)), CLEAN, 0x77f));
    let (found, leaf, page) = with(DIRTY, DBM | 0x37f);
    assert!(found.is_ok());
    assert_eq!((leaf, page), (DIRTIED, DBM | 0x7ff), "the table's own page is dirty");
    // The flag alone is an update as well.
    let mem = nested_memory();
    put(&mem, MOVED + LEAF, CLEAN);
    put(&mem, page_of_table, (MOVED + FIRST[3]) | DBM | 0x77f);
    both(&mem, &stage1, &Stage2 { update: DIRTY, ..STAGE2 }, READ).unwrap();
    assert_eq!(get(&mem, page_of_table), (MOVED + FIRST[3]) | DBM | 0x7ff);
}

#[test]
fn updates_keep_the_byte_order() {
    let mem = memory();
    for (table, index) in [(FIRST[0], 1), (FIRST[1], 2), (FIRST[2], 3)] {
        put(&mem, table + index * 8, get(&mem, table + index * 8).swap_bytes());
    }
    put(&mem, LEAF, CLEAN.swap_bytes());
    let stage1 = Stage1 { big_endian: true, update: DIRTY, ..STAGE1 };
    first(&mem, &stage1, ADDRESS, WRITE).unwrap();
    assert_eq!(get(&mem, LEAF), DIRTIED.swap_bytes());
}

#[test]
fn a_walk_that_only_looks_ends_the_same_and_writes_nothing() {
    struct Look;
    impl Hooks for Look {
        const UPDATES: bool = false;
    }
    let mem = nested_memory();
    put(&mem, MOVED + LEAF, CLEAN);
    put(&mem, MAPPER, CLEAN2);
    let (stage1, stage2) = (Stage1 { update: DIRTY, ..STAGE1 }, Stage2 { update: DIRTY, ..STAGE2 });
    let regime = regime(Some(&stage1), Some(&stage2));
    let looked = translate(&mem, &regime, ADDRESS, WRITE, &mut Look);
    assert_eq!((get(&mem, MOVED + LEAF), get(&mem, MAPPER)), (CLEAN, CLEAN2));
    assert_eq!(looked, translate(&mem, &regime, ADDRESS, WRITE, &mut ()));
    assert_eq!((get(&mem, MOVED + LEAF), get(&mem, MAPPER)), (DIRTIED, DIRTIED2));
    // Also in what stage 2 refuses.
    put(&mem, MOVED + LEAF, CLEAN);
    put(&mem, SECOND[2] + (FIRST[3] >> 12) * 8, (MOVED + FIRST[3]) | 0x77f);
    let looked = translate(&mem, &regime, ADDRESS, WRITE, &mut Look);
    assert_eq!(looked, translate(&mem, &regime, ADDRESS, WRITE, &mut ()));
    assert!(looked.is_err());
}

#[test]
fn a_descriptor_that_changes_meanwhile_is_read_again() {
    // What somebody else writes between the fetch and the update; the outcome, and what is left.
    let rows = [
        (CLEAN | 1 << 55, Ok(0x5_0567), DIRTIED | 1 << 55),
        (CLEAN & !0xf_f000 | 0x6_0000, Ok(0x6_0567), DIRTIED & !0xf_f000 | 0x6_0000),
        (0, Err(Translation), 0),
        (CLEAN & !DBM, Err(Permission), CLEAN & !DBM),
        (DIRTIED, Ok(0x5_0567), DIRTIED),
    ];
    for (written, outcome, left) in rows {
        let mem = memory();
        put(&mem, LEAF, CLEAN);
        let meddle = |_, level| {
            if level == 3 && get(&mem, LEAF) == CLEAN {
                put(&mem, LEAF, written);
            }
        };
        let stage1 = Stage1 { update: DIRTY, ..STAGE1 };
        let mut log = Log { meddle: Some(&meddle), ..Log::default() };
        let found = translate(&mem, &regime(Some(&stage1), None), ADDRESS, WRITE, &mut log);
        assert_eq!(found.map(|found| found.pa), outcome.map(Pa).map_err(fault1), "{written:#x}");
        assert_eq!((get(&mem, LEAF), log.fetched.len()), (left, 8), "{written:#x}: walked twice");
    }
}

#[test]
fn a_descriptor_that_never_rests_ends_in_an_abort() {
    let step = Cell::new(0);
    let spin = |mem: &PhysMem, at: u64, base: u64| {
        step.set(step.get() + 1);
        put(mem, at, base | (step.get() % 2) << 56);
    };
    let mem = nested_memory();
    put(&mem, MOVED + LEAF, CLEAN);
    put(&mem, MAPPER, CLEAN2);
    let (stage1, stage2) = (Stage1 { update: DIRTY, ..STAGE1 }, Stage2 { update: DIRTY, ..STAGE2 });
    let regime = regime(Some(&stage1), Some(&stage2));
    let on_first = |stage, level| {
        if (stage, level) == (Stage::One, 3) {
            spin(&mem, MOVED + LEAF, CLEAN);
        }
    };
    let mut log = Log { meddle: Some(&on_first), ..Log::default() };
    let found = translate(&mem, &regime, ADDRESS, WRITE, &mut log);
    let abort = WalkFault::Abort { stage: Stage::One, class: Class::Tt, at: Pa(MOVED + LEAF) };
    assert_eq!(found, Err(abort));
    let on_second = |stage, level| {
        if (stage, level) == (Stage::Two, 3) && get(&mem, MAPPER) & 0x400 == 0 {
            spin(&mem, MAPPER, CLEAN2);
        }
    };
    let mut log = Log { meddle: Some(&on_second), ..Log::default() };
    let found = translate(&mem, &Regime { stage1: None, ..regime }, OUTPUT, WRITE, &mut log);
    assert_eq!(found, Err(WalkFault::Abort { stage: Stage::Two, class: Class::In, at: Pa(MAPPER) }));
    assert_eq!(log.fetched.len(), 3 * 16, "a fixed number of walks");
}

#[test]
fn updates_are_told() {
    let mem = nested_memory();
    put(&mem, MOVED + LEAF, CLEAN);
    put(&mem, MAPPER, CLEAN2);
    let (stage1, stage2) = (Stage1 { update: DIRTY, ..STAGE1 }, Stage2 { update: DIRTY, ..STAGE2 });
    let mut log = Log::default();
    translate(&mem, &regime(Some(&stage1), Some(&stage2)), ADDRESS, WRITE, &mut log).unwrap();
    assert_eq!(log.updated, [(Stage::One, MOVED + LEAF, DIRTIED), (Stage::Two, MAPPER, DIRTIED2)]);
}
