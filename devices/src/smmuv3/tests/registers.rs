//! The register file: reset values, access sizes, guards, Update and Ack.

use super::*;
use crate::smmuv3::regs::{Cr2, Gbpa, StrtabBase, StrtabBaseCfg};

#[test]
fn reset_values() {
    let mut rig = Rig::new(config());
    for offset in (0..0x2_0010).step_by(4) {
        let expected = match offset {
            0x00 => IDR0,
            0x04 => IDR1,
            0x0c => IDR3,
            0x14 => IDR5,
            0x1c => 2,
            0x44 => 0x1000,
            0xff0 => 0x0d,
            0xff4 => 0xf0,
            0xff8 => 0x05,
            0xffc => 0xb1,
            _ => 0,
        };
        assert_eq!(rig.r32(offset), expected, "{offset:#x}");
    }
}

/// What sticks of all ones written to each dword, with everything off. Address bits end at 43, the output
/// address size.
const WRITABLE: &[(u64, u32)] = &[
    // CR0 and CR0ACK: VMW, CMDQEN, EVENTQEN, SMMUEN; no ATS, no PRI.
    (0x20, 0x1cd),
    (0x28, 0xfff),
    // CR2: RECINVSID and E2H; nothing broadcasts, no ATS.
    (0x2c, 0x3),
    (0x44, 0x001f_3f1f),
    (0x50, 0x5),
    // GERRORN: no PRI queue.
    (0x64, 0x1b5),
    (0x68, 0xffff_fffc),
    (0x6c, 0xfff),
    (0x70, 0xffff_ffff),
    (0x74, 0x3f),
    (0x80, 0xffff_ffc0),
    (0x84, 0x4000_0fff),
    (0x88, 0x3_07ff),
    (0x90, 0xffff_ffff),
    (0x94, 0x4000_0fff),
    (0x98, 0xf_ffff),
    (0x9c, 0x7f0f_ffff),
    (0xa0, 0xffff_ffff),
    (0xa4, 0x4000_0fff),
    (0xb0, 0xffff_fffc),
    (0xb4, 0xfff),
    (0xb8, 0xffff_ffff),
    (0xbc, 0x3f),
    (0x1_00a8, 0x800f_ffff),
    (0x1_00ac, 0x800f_ffff),
];

fn writable(offset: u64) -> u32 {
    WRITABLE.iter().find(|(at, _)| *at == offset).map_or(0, |(_, mask)| *mask)
}

#[test]
fn writable_bits_stick_and_others_do_not() {
    let mut rig = Rig::new(config());
    for offset in (0..0x2_0010).step_by(4) {
        rig.control.reset();
        let before = rig.r32(offset);
        rig.w32(offset, !0);
        // Read-only registers keep what they have.
        let mask = writable(offset);
        let expected = if mask == 0 { before } else { mask };
        assert_eq!(rig.r32(offset), expected, "{offset:#x} with ones");
        rig.w32(CR0, 0);
        rig.w32(IRQ_CTRL, 0);
        rig.w32(offset, if offset == 0x44 { 1 << 31 } else { 0 });
        let expected = if mask == 0 && !matches!(offset, 0x24 | 0x54) { before } else { 0 };
        assert_eq!(rig.r32(offset), expected, "{offset:#x} with zeros");
    }
}

#[test]
fn bits_of_absent_features_do_not_stick() {
    // (IDR0, offset, what sticks of all ones)
    for (idr0, offset, mask) in [
        (IDR0 & !(1 << 17), 0x20u64, 0xd),
        (IDR0 & !(1 << 9), 0x2c, 0x2),
        (IDR0 & !(1 << 13), 0x64, 0x105),
        (IDR0 & !(1 << 13), 0x68, 0),
        (IDR0 & !(1 << 13), 0x6c, 0),
        (IDR0 & !(1 << 13), 0x70, 0),
        (IDR0 & !(1 << 13), 0x74, 0),
        (IDR0 & !(1 << 13), 0xb0, 0),
        (IDR0 & !(1 << 13), 0xb8, 0),
        (IDR0 & !(1 << 13), 0xbc, 0),
        (IDR0 | 1 << 5, 0x2c, 0x7),
        (IDR0 | 1 << 23, 0x2c, 0xb),
    ] {
        let mut rig = Rig::new(Config { idr0: Idr0::from_raw(idr0), ..config() });
        rig.w32(offset, !0);
        assert_eq!(rig.r32(offset), mask, "IDR0 {idr0:#x}, {offset:#x}");
    }
}

#[test]
fn guarded_registers_ignore_writes() {
    // (register and value that guard, offset, what sticks of all ones nevertheless)
    let rows: &[(u64, u32, u64, u32)] = &[
        (CR0, SMMUEN, 0x28, 0x03f),
        (CR0, CMDQEN, 0x28, 0xfc0),
        (CR0, EVENTQEN, 0x28, 0xfc0),
        (CR0, SMMUEN | CMDQEN, 0x28, 0),
        (CR0, SMMUEN, 0x2c, 0),
        (CR0, SMMUEN, 0x80, 0),
        (CR0, SMMUEN, 0x84, 0),
        (CR0, SMMUEN, 0x88, 0),
        (CR0, CMDQEN, 0x90, 0),
        (CR0, CMDQEN, 0x94, 0),
        (CR0, CMDQEN, 0x9c, 0),
        (CR0, EVENTQEN, 0xa0, 0),
        (CR0, EVENTQEN, 0xa4, 0),
        (CR0, EVENTQEN, 0x1_00a8, 0),
        (IRQ_CTRL, 1, 0x68, 0),
        (IRQ_CTRL, 1, 0x6c, 0),
        (IRQ_CTRL, 1, 0x70, 0),
        (IRQ_CTRL, 1, 0x74, 0),
        (IRQ_CTRL, 4, 0xb0, 0),
        (IRQ_CTRL, 4, 0xb4, 0),
        (IRQ_CTRL, 4, 0xb8, 0),
        (IRQ_CTRL, 4, 0xbc, 0),
        // Guards of others.
        (CR0, SMMUEN, 0x90, 0xffff_ffff),
        (CR0, SMMUEN, 0xa0, 0xffff_ffff),
        (CR0, CMDQEN | EVENTQEN, 0x80, 0xffff_ffc0),
        (CR0, CMDQEN | EVENTQEN, 0x2c, 0x3),
        (CR0, EVENTQEN, 0x1_00ac, 0x800f_ffff),
        (CR0, SMMUEN | CMDQEN | EVENTQEN, 0x44, 0x001f_3f1f),
        (IRQ_CTRL, 4, 0x68, 0xffff_fffc),
        (IRQ_CTRL, 1, 0xb8, 0xffff_ffff),
    ];
    for (guard, value, offset, mask) in rows {
        let mut rig = Rig::new(config());
        rig.w32(*guard, *value);
        rig.w32(*offset, !0);
        assert_eq!(rig.r32(*offset), *mask, "{offset:#x} with {guard:#x} = {value:#x}");
    }
}

#[test]
fn odd_accesses_change_nothing_and_never_panic() {
    let mut rig = Rig::new(config());
    let fresh = rig.control.save();
    let wide = [0x68, 0x80, 0x90, 0xa0, 0xb0];
    let near = [0xfd0, 0x1000, 0xfff8, 0x1_00a0, 0x1_00b0, 0x1_fff8, 0x2_0000, u64::MAX - 16];
    let offsets = (0..0x200).chain(near.into_iter().flat_map(|at| at..at + 16)).chain([u64::MAX]);
    for offset in offsets {
        for size in (0..=16).filter(|size| match size {
            4 => !offset.is_multiple_of(4),
            8 => !wide.contains(&offset),
            _ => true,
        }) {
            rig.control.write(offset, &vec![0xff; size], &mut rig.fx);
            let mut data = vec![0xee; size];
            rig.control.read(offset, &mut data, &mut rig.fx);
            assert!(data.iter().all(|byte| *byte == 0), "{offset:#x}, {size}");
        }
    }
    assert_eq!(rig.control.save(), fresh);
}

#[test]
fn wide_registers_are_served_whole_and_by_halves() {
    for (offset, value) in [
        (0x68, 0x0000_0abc_def0_1234u64),
        (0x80, 0x4000_0123_4567_89c0),
        (0x90, 0x4000_0123_4567_89ab),
        (0xa0, 0x0000_0123_4567_89ab),
        (0xb0, 0x0000_0fff_0809_0040),
    ] {
        let mut rig = Rig::new(config());
        rig.w64(offset, value);
        assert_eq!((rig.r64(offset), rig.r32(offset)), (value, value as u32), "{offset:#x}");
        assert_eq!(u64::from(rig.r32(offset + 4)), value >> 32, "{offset:#x}");
        let mut rig = Rig::new(config());
        rig.w32(offset + 4, (value >> 32) as u32);
        rig.w32(offset, value as u32);
        assert_eq!(rig.r64(offset), value, "{offset:#x} by halves");
    }
}

#[test]
fn updates_are_acknowledged_at_once() {
    let mut rig = Rig::new(config());
    for value in [SMMUEN | EVENTQEN | CMDQEN, CMDQEN, 0x1c0, 0] {
        rig.w32(CR0, value);
        assert_eq!((rig.r32(CR0), rig.r32(CR0ACK)), (value, value));
    }
    for value in [5, 4, 1, 0] {
        rig.w32(IRQ_CTRL, value);
        assert_eq!((rig.r32(IRQ_CTRL), rig.r32(0x54)), (value, value));
    }
    // An acknowledgement is read only.
    rig.w32(CR0ACK, !0);
    rig.w32(0x54, !0);
    assert_eq!((rig.r32(CR0), rig.r32(CR0ACK), rig.r32(IRQ_CTRL)), (0, 0, 0));
}

#[test]
fn gbpa_changes_with_update_only() {
    let mut rig = Rig::new(config());
    rig.calls();
    rig.w32(0x44, 0x0010_0000);
    assert_eq!((rig.r32(0x44), rig.calls()), (0x1000, vec![]));
    rig.w32(0x44, 0x8010_0000);
    assert_eq!(rig.r32(0x44), 0x0010_0000, "Update is clear when it is done");
    let gbpa = Gbpa::from_raw(0x0010_0000);
    assert_eq!(rig.calls(), [Call::Global(Global { gbpa, ..Global::default() })]);
}

#[test]
fn the_back_end_is_told_what_is_outside_memory() {
    let mut rig = Rig::new(config());
    let mut global = Global { gbpa: Gbpa::from_raw(0x1000), ..Global::default() };
    assert_eq!(rig.calls(), [Call::Global(global)], "from the beginning");
    rig.w32(CR2, 2);
    global.cr2 = Cr2::from_raw(2);
    assert_eq!(rig.calls(), [Call::Global(global)]);
    rig.w64(0x80, 0x4000_0000_0001_0000);
    global.strtab_base = StrtabBase::from_raw(0x4000_0000_0001_0000);
    assert_eq!(rig.calls().last(), Some(&Call::Global(global)));
    rig.w32(0x88, 0x1_0208);
    global.strtab_base_cfg = StrtabBaseCfg::from_raw(0x1_0208);
    assert_eq!(rig.calls(), [Call::Global(global)]);
    rig.w32(CR0, SMMUEN);
    global.enabled = true;
    assert_eq!(rig.calls().last(), Some(&Call::Global(global)));
    rig.w32(CR0, 0);
    global.enabled = false;
    assert!(rig.calls().contains(&Call::Global(global)));
    // Nothing changed, nothing told.
    rig.w32(CR2, 2);
    rig.w32(0x28, 0xd75);
    assert_eq!(rig.calls(), []);
    rig.control.reset();
    let global = Global { gbpa: Gbpa::from_raw(0x1000), ..Global::default() };
    assert_eq!(rig.calls(), [Call::Global(global)]);
}

#[test]
fn changes_are_complete_before_software_goes_on() {
    let mut rig = Rig::running(config());
    for (offset, value) in [(0x44u64, 0x8010_0000), (CR0, CMDQEN), (CR0, SMMUEN | CMDQEN)] {
        rig.w32(offset, value);
        let calls = std::mem::take(&mut *rig.back_end.calls.lock().unwrap());
        assert!(calls.len() > 1 && calls.last() == Some(&Call::Complete), "{offset:#x}: {calls:?}");
    }
}
