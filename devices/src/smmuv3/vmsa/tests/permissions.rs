//! What each descriptor permits to whom [Arm ARM D8.4].

use super::*;

/// `r`, `w`, `x` of unprivileged accesses, then of privileged ones, as in `r-x rwx`.
fn text(permissions: Permissions) -> String {
    let bits = permissions.bits();
    let right = |at: u32, name| if bits >> at & 1 != 0 { name } else { '-' };
    [0, 3]
        .map(|at| [right(at, 'r'), right(at + 1, 'w'), right(at + 2, 'x')].iter().collect::<String>())
        .join(" ")
}

/// What stage 1 says of a page with `leaf`, below a table descriptor with `above`, is `expected`; and
/// accesses succeed accordingly.
fn check(stage1: Stage1, above: u64, leaf: u64, expected: &str) {
    let mem = memory();
    put(&mem, FIRST[1] + 0x10, FIRST[2] | 3 | above);
    put(&mem, FIRST[3] + 0x20, 0x5_0703 | leaf);
    let row = format!("{above:#x} {leaf:#x} {stage1:?}");
    let expected = expected.replace(' ', "");
    let wanted = [READ, WRITE, FETCH, privileged(READ), privileged(WRITE), privileged(FETCH)];
    for (wanted, right) in wanted.into_iter().zip(expected.bytes()) {
        let found = first(&mem, &stage1, ADDRESS, wanted);
        if right == b'-' {
            assert_eq!(found, Err(fault1(FaultKind::Permission)), "{wanted:?} {row}");
        } else {
            assert_eq!(text(found.expect(&row).stage1).replace(' ', ""), expected, "{row}");
        }
    }
    let atomic = first(&mem, &stage1, ADDRESS, ATOMIC).is_ok();
    assert_eq!(atomic, expected.starts_with("rw"), "an atomic needs both: {row}");
}

/// AP[1], AP[2], PXN, UXN of a leaf; PXNTable, UXNTable, APTable of a table.
const AP1: u64 = 1 << 6;
const AP2: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const PXN_TABLE: u64 = 1 << 59;
const UXN_TABLE: u64 = 1 << 60;
const NO_USER: u64 = 1 << 61;
const NO_WRITE: u64 = 1 << 62;

#[test]
fn stage_1_with_two_privilege_levels() {
    let wxn = Stage1 { write_implies_xn: true, ..STAGE1 };
    let pan = Stage1 { pan: true, ..STAGE1 };
    let both = Stage1 { pan: true, ..wxn };
    // What is fetched as an instruction is judged by X alone, so X without R is a right of its own.
    let rows = [
        (STAGE1, 0, 0, "--x rwx"),
        (STAGE1, 0, AP1, "rwx rw-"),
        (STAGE1, 0, AP2, "--x r-x"),
        (STAGE1, 0, AP2 | AP1, "r-x r-x"),
        (STAGE1, 0, UXN, "--- rwx"),
        (STAGE1, 0, AP1 | UXN, "rw- rw-"),
        (STAGE1, 0, PXN, "--x rw-"),
        (STAGE1, 0, AP2 | AP1 | PXN, "r-x r--"),
        (STAGE1, 0, AP2 | PXN | UXN, "--- r--"),
        (STAGE1, NO_USER, AP1, "--x rwx"),
        (STAGE1, NO_USER, AP2 | AP1, "--x r-x"),
        (STAGE1, NO_WRITE, AP1, "r-x r-x"),
        (STAGE1, NO_WRITE, 0, "--x r-x"),
        (STAGE1, NO_WRITE | NO_USER, AP1, "--x r-x"),
        (STAGE1, UXN_TABLE, AP2 | AP1, "r-- r-x"),
        (STAGE1, PXN_TABLE, AP2 | AP1, "r-x r--"),
        (STAGE1, PXN_TABLE | UXN_TABLE, AP2 | AP1, "r-- r--"),
        (wxn, 0, 0, "--x rw-"),
        (wxn, 0, AP1, "rw- rw-"),
        (wxn, 0, AP2 | AP1, "r-x r-x"),
        (wxn, NO_WRITE, AP1, "r-x r-x"),
        (pan, 0, 0, "--x rwx"),
        (pan, 0, AP1, "rwx ---"),
        (pan, 0, AP2 | AP1, "r-x --x"),
        (pan, NO_USER, AP1, "--x rwx"),
        (both, 0, 0, "--x rw-"),
        (both, 0, AP2 | AP1, "r-x --x"),
    ];
    for (stage1, above, leaf, expected) in rows {
        check(stage1, above, leaf, expected);
    }
}

#[test]
fn stage_1_without_hierarchy() {
    let had = Stage1 { low: Some(Half { no_hierarchy: true, ..HALF }), ..STAGE1 };
    for above in [NO_USER, NO_WRITE, UXN_TABLE, PXN_TABLE, NO_USER | NO_WRITE | UXN_TABLE | PXN_TABLE] {
        check(had, above, AP1, "rwx rw-");
    }
}

#[test]
fn stage_1_with_one_privilege_level() {
    let single = Stage1 { single: true, ..STAGE1 };
    let wxn = Stage1 { write_implies_xn: true, ..single };
    let rows = [
        (single, 0, 0, "rwx rwx"),
        (single, 0, AP1, "rwx rwx"),
        (single, 0, AP2, "r-x r-x"),
        (single, 0, UXN, "rw- rw-"),
        (single, 0, PXN, "rwx rwx"),
        (single, NO_USER, AP1, "rwx rwx"),
        (single, NO_WRITE, 0, "r-x r-x"),
        (single, UXN_TABLE, 0, "rw- rw-"),
        (single, PXN_TABLE, 0, "rwx rwx"),
        (Stage1 { pan: true, ..single }, 0, AP1, "rwx rwx"),
        (wxn, 0, 0, "rw- rw-"),
        (wxn, 0, AP2, "r-x r-x"),
    ];
    for (stage1, above, leaf, expected) in rows {
        check(stage1, above, leaf, expected);
    }
}

#[test]
fn stage_2() {
    // XNX, XN[1:0], S2AP.
    let rows = [
        (true, 0b00, 0b11, "rwx rwx"),
        (true, 0b01, 0b11, "rwx rw-"),
        (true, 0b10, 0b11, "rw- rw-"),
        (true, 0b11, 0b11, "rw- rwx"),
        (false, 0b00, 0b11, "rwx rwx"),
        (false, 0b01, 0b11, "rwx rwx"),
        (false, 0b10, 0b11, "rw- rw-"),
        (false, 0b11, 0b11, "rw- rw-"),
        (true, 0b00, 0b00, "--x --x"),
        (true, 0b00, 0b01, "r-x r-x"),
        (true, 0b00, 0b10, "-wx -wx"),
        (true, 0b10, 0b00, "--- ---"),
    ];
    for (xnx, xn, s2ap, expected) in rows {
        let mem = nested_memory();
        put(&mem, SECOND[2] + 0x50 * 8, 0x105_073f | xn << 53 | s2ap << 6);
        let stage2 = Stage2 { xnx, ..STAGE2 };
        let row = format!("XNX {xnx} XN {xn:02b} S2AP {s2ap:02b}");
        let wanted = [READ, WRITE, FETCH, privileged(READ), privileged(WRITE), privileged(FETCH)];
        for (wanted, right) in wanted.into_iter().zip(expected.replace(' ', "").bytes()) {
            let found = second(&mem, &stage2, OUTPUT, wanted);
            if right == b'-' {
                assert_eq!(found, Err(fault2(FaultKind::Permission, Class::In, OUTPUT)), "{row} {wanted:?}");
            } else {
                assert_eq!(text(found.expect(&row).stage2), expected, "{row}");
            }
        }
    }
}

#[test]
fn pages_are_global_unless_they_say_otherwise() {
    for (single, descriptor, global) in
        [(false, 0x5_0743, true), (false, 0x5_0f43, false), (true, 0x5_0f43, true)]
    {
        let mem = memory();
        put(&mem, FIRST[3] + 0x20, descriptor);
        let found = first(&mem, &Stage1 { single, ..STAGE1 }, ADDRESS, READ).unwrap();
        assert_eq!(found.global, global, "{single} {descriptor:#x}");
    }
}
