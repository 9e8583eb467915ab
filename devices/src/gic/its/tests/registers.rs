use super::*;

#[test]
fn identification_is_that_of_a_gicv3_of_arm() {
    let mut rig = Rig::new();
    assert_eq!(rig.r32(0x04), 0x43b);
    let found: Vec<u32> = (0..12).map(|index| rig.r32(0xffd0 + 4 * index)).collect();
    assert_eq!(found, [0x44, 0, 0, 0, 0x94, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!((rig.r64(TYPER), rig.r32(TYPER), rig.r32(TYPER + 4)), (0x1_ef71, 0x1_ef71, 0));
    rig.w64(TYPER, u64::MAX);
    rig.w32(0x04, u32::MAX);
    assert_eq!((rig.r64(TYPER), rig.r32(0x04)), (0x1_ef71, 0x43b));
}

#[test]
fn quiescent_while_disabled() {
    let mut rig = Rig::new();
    assert_eq!(rig.r32(CTLR), 0x8000_0000);
    rig.w32(CTLR, 0xffff_ffff);
    assert_eq!(rig.r32(CTLR), 1);
    rig.w32(CTLR, 0);
    assert_eq!(rig.r32(CTLR), 0x8000_0000);
}

#[test]
fn table_registers_keep_type_and_entry_size() {
    let mut rig = Rig::new();
    assert_eq!((rig.r64(DEVICES), rig.r64(COLLECTIONS)), (0x0107_0000_0000_0000, 0x0407_0000_0000_0000));
    for (offset, fixed) in [(DEVICES, 0x0107_0000_0000_0000), (COLLECTIONS, 0x0407_0000_0000_0000)] {
        for value in [0, u64::MAX, 0xb8a0_1234_5678_9555, 0x4000_0000_0000_0200] {
            rig.w64(offset, value);
            assert_eq!(rig.r64(offset), value & 0xf8e0_ffff_ffff_ffff | fixed);
        }
        rig.w32(offset, 0x1111_1111);
        rig.w32(offset + 4, 0xaa22_2222);
        assert_eq!(rig.r64(offset), 0xa820_2222_1111_1111 | fixed);
        assert_eq!(
            (rig.r32(offset), rig.r32(offset + 4)),
            (0x1111_1111, (0xa820_2222u32) | (fixed >> 32) as u32)
        );
    }
    for index in 2..8 {
        rig.w64(DEVICES + 8 * index, u64::MAX);
        assert_eq!(rig.r64(DEVICES + 8 * index), 0);
    }
}

/// What Linux does to find the page sizes of a table: whatever it writes must be read back.
#[test]
fn every_page_size_sticks() {
    let mut rig = Rig::new();
    for page_size in [2, 1, 0] {
        let value = rig.r64(DEVICES) & 0x071f_0000_0000_0000;
        let value = value | 1 << 63 | 7 << 59 | 1 << 10 | 0x12_0000 | page_size << 8 | 0x7f;
        rig.w64(DEVICES, value);
        assert_eq!(rig.r64(DEVICES), value);
    }
}

#[test]
fn queue_and_tables_cannot_move_while_enabled() {
    let mut rig = Rig::enabled();
    let before = [CBASER, DEVICES, COLLECTIONS].map(|offset| rig.r64(offset));
    rig.run(&[sync(0)]);
    for offset in [CBASER, DEVICES, COLLECTIONS] {
        rig.w64(offset, 0);
    }
    assert_eq!([CBASER, DEVICES, COLLECTIONS].map(|offset| rig.r64(offset)), before);
    assert_eq!(rig.r64(CREADR), 0x20);
}

#[test]
fn a_new_queue_starts_at_its_beginning() {
    let mut rig = Rig::enabled();
    rig.run(&[sync(0), sync(1)]);
    assert_eq!(rig.r64(CREADR), 0x40);
    rig.w64(CREADR, 0);
    assert_eq!(rig.r32(CREADR), 0x40, "read only");
    rig.w32(CTLR, 0);
    rig.w64(CBASER, 0xffff_ffff_ffff_ffff);
    assert_eq!((rig.r64(CREADR), rig.r64(CBASER)), (0, 0xb8ef_ffff_ffff_fcff));
    assert_eq!(rig.r64(CWRITER), 0x40);
}

#[test]
fn only_aligned_dwords_and_qwords_reach_a_register() {
    let mut rig = Rig::new();
    for (offset, len) in [(DEVICES, 1), (DEVICES, 2), (DEVICES + 2, 4), (DEVICES + 4, 8), (DEVICES, 16)] {
        let data = vec![0xff; len];
        rig.its.write(offset, &data, &mut rig.actions, &mut rig.fx);
        let mut read = data;
        rig.its.read(offset, &mut read, &mut rig.fx);
        assert!(read.iter().all(|byte| *byte == 0), "{offset:#x} {len}");
    }
    assert_eq!(rig.r64(DEVICES), 0x0107_0000_0000_0000);
}

#[test]
fn offsets_without_a_register_read_zero() {
    let mut rig = Rig::new();
    let known = [0x00, 0x04, 0x08, 0x100, 0x104, 0x108, 0x10c];
    for offset in
        (0..0x2_0000).step_by(4).filter(|at| !known.contains(at) && !(0xffd0..0x1_0000).contains(at))
    {
        rig.w32(offset, u32::MAX);
        let expected = match offset {
            0x80 => 0xffff_fcff,
            0x84 => 0xb8ef_ffff,
            0x88 => 0x000f_ffe0,
            _ => 0,
        };
        assert_eq!(rig.r32(offset), expected, "{offset:#x}");
    }
}

#[test]
fn state_survives_a_round_trip_and_a_reset_clears_it() {
    let mut rig = Rig::mapped();
    let json = serde_json::to_string(&rig.its.save()).unwrap();
    rig.its.reset();
    assert_eq!(rig.r32(CTLR), 0x8000_0000);
    assert_eq!(rig.message(DEVICE, 5), None);
    rig.its.restore(serde_json::from_str(&json).unwrap());
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 2)));
    assert_eq!(rig.r64(CREADR), 0x80);
}
