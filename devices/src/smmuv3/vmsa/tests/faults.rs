//! Each fault, at each level of each stage [SMMUv3 7.3.13 to 7.3.16].

use super::*;

use FaultKind::{Access, AddressSize, Permission, Translation};

/// A table whose address is RAM to nobody, within the 40 bits of output.
const NOWHERE: u64 = 0x90_0000_0000;
/// An address of 41 bits.
const BEYOND: u64 = 0x100_0000_0000;

/// Where the descriptors for [`ADDRESS`] are.
const AT: [u64; 4] = [FIRST[0] + 8, FIRST[1] + 0x10, FIRST[2] + 0x18, FIRST[3] + 0x20];

#[test]
fn stage_1_at_each_level() {
    // Level, descriptor in its place, fault.
    let rows = [
        (0, 0, Translation),
        (0, FIRST[1] | 2, Translation),
        (0, FIRST[1] | 0x741, Translation),
        (0, BEYOND | 3, AddressSize),
        (1, 0, Translation),
        (1, BEYOND | 3, AddressSize),
        (1, BEYOND | 0x741, AddressSize),
        (1, 0x341, Access),
        (1, 0x701, Permission),
        (2, 0, Translation),
        (2, BEYOND | 3, AddressSize),
        (2, BEYOND | 0x741, AddressSize),
        (2, 0x341, Access),
        (2, 0x701, Permission),
        (3, 0, Translation),
        // The reserved encoding.
        (3, 0x5_0741, Translation),
        (3, 0x5_0742, Translation),
        (3, BEYOND | PAGE, AddressSize),
        (3, BEYOND | 0x3, AddressSize),
        // Neither accessed nor permitted: the access flag comes first.
        (3, 0x5_0303, Access),
        (3, 0x5_0703, Permission),
    ];
    for (level, descriptor, kind) in rows {
        let mem = memory();
        put(&mem, AT[level], descriptor);
        let found = first(&mem, &STAGE1, ADDRESS, READ);
        assert_eq!(found, Err(fault1(kind)), "level {level}: {descriptor:#x}");
    }
}

#[test]
fn stage_1_descriptors_out_of_memory() {
    let abort = |at| Err(WalkFault::Abort { stage: Stage::One, class: Class::Tt, at: Pa(at) });
    for (level, offset) in [(0, 0x10), (1, 0x18), (2, 0x20)] {
        let mem = memory();
        put(&mem, AT[level], NOWHERE | 3);
        assert_eq!(first(&mem, &STAGE1, ADDRESS, READ), abort(NOWHERE + offset), "below level {level}");
    }
    let low = Some(Half { table: NOWHERE, ..HALF });
    assert_eq!(first(&memory(), &Stage1 { low, ..STAGE1 }, ADDRESS, READ), abort(NOWHERE + 8));
}

#[test]
fn stage_2_at_each_level() {
    let at = [SECOND[0], SECOND[1], SECOND[2] + 0x50 * 8];
    // Level, descriptor in its place, fault of a write.
    let rows = [
        (1, 0, Translation),
        (1, BEYOND | 3, AddressSize),
        (1, BEYOND | 0x7fd, AddressSize),
        (1, 0x3fd, Access),
        (1, 0x77d, Permission),
        (2, 0, Translation),
        (2, BEYOND | 3, AddressSize),
        (2, BEYOND | 0x7fd, AddressSize),
        (2, 0x3fd, Access),
        (2, 0x77d, Permission),
        (3, 0, Translation),
        (3, 0x7fd, Translation),
        (3, BEYOND | PAGE2, AddressSize),
        (3, 0x33f, Access),
        (3, 0x77f, Permission),
    ];
    for (level, descriptor, kind) in rows {
        let mem = nested_memory();
        put(&mem, at[level - 1], descriptor);
        let row = format!("level {level}: {descriptor:#x}");
        // The last level's table maps the tables of stage 1 one by one.
        let found = second(&mem, &STAGE2, OUTPUT, WRITE);
        assert_eq!(found, Err(fault2(kind, Class::In, OUTPUT)), "{row}");
        if level == 3 {
            let found = both(&mem, &STAGE1, &STAGE2, WRITE);
            assert_eq!(found, Err(fault2(kind, Class::In, OUTPUT)), "{row}, nested");
        }
    }
}

#[test]
fn stage_2_descriptors_out_of_memory() {
    let abort = |class, at| WalkFault::Abort { stage: Stage::Two, class, at: Pa(at) };
    let mem = nested_memory();
    let root = Stage2 { table: Pa(NOWHERE), ..STAGE2 };
    assert_eq!(second(&mem, &root, OUTPUT, READ), Err(abort(Class::In, NOWHERE)));
    assert_eq!(both(&mem, &STAGE1, &root, READ), Err(abort(Class::Tt, NOWHERE)));
    let found = translate_ipa(&mem, &regime(Some(&STAGE1), Some(&root)), Ipa(0x6_0040), &mut ());
    assert_eq!(found, Err(abort(Class::Cd, NOWHERE)));
    put(&mem, SECOND[1], NOWHERE | 3);
    assert_eq!(second(&mem, &STAGE2, OUTPUT, READ), Err(abort(Class::In, NOWHERE + 0x50 * 8)));
    assert_eq!(both(&mem, &STAGE1, &STAGE2, READ), Err(abort(Class::Tt, NOWHERE + 0x10 * 8)));
}

#[test]
fn access_faults_can_be_switched_off() {
    let mem = nested_memory();
    put(&mem, MOVED + AT[3], 0x5_0343);
    put(&mem, SECOND[2] + 0x50 * 8, 0x105_03ff);
    let quiet = HardwareUpdate { no_access_fault: true, ..OFF };
    let (stage1, stage2) = (Stage1 { update: quiet, ..STAGE1 }, Stage2 { update: quiet, ..STAGE2 });
    assert_eq!(both(&mem, &STAGE1, &stage2, READ), Err(fault1(Access)));
    assert_eq!(both(&mem, &stage1, &STAGE2, READ), Err(fault2(Access, Class::In, OUTPUT)));
    assert_eq!(both(&mem, &stage1, &stage2, READ).unwrap().pa, Pa(MOVED + OUTPUT));
    assert_eq!(get(&mem, MOVED + AT[3]), 0x5_0343, "nothing is written");
    // AFFD means nothing where the unit sets the flag itself.
    let both_ways = HardwareUpdate { no_access_fault: true, ..ACCESS };
    both(&mem, &Stage1 { update: both_ways, ..STAGE1 }, &stage2, READ).unwrap();
    assert_eq!(get(&mem, MOVED + AT[3]), 0x5_0743);
}
