use super::*;

#[test]
fn a_message_becomes_the_mapped_lpi_and_everything_else_is_dropped() {
    let mut rig = Rig::mapped();
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 2)));
    for (device, event) in
        [(DEVICE, 4), (DEVICE, 32), (DEVICE, u32::MAX), (DEVICE + 1, 5), (0x200, 5), (0x1_0018, 5)]
    {
        assert_eq!(rig.message(device, event), None, "{device:#x} {event}");
    }
    rig.w32(CTLR, 0);
    assert_eq!(rig.message(DEVICE, 5), None);
    rig.w32(CTLR, 1);
    rig.run(&[mapc(0, 0, false)]);
    assert_eq!(rig.message(DEVICE, 5), None);
}

#[test]
fn commands_write_the_documented_entries() {
    let rig = Rig::mapped();
    assert_eq!(rig.word(DEVICE_TABLE + 8 * DEVICE), 0x8040_0000_0004_0000);
    assert_eq!(rig.word(COLLECTION_TABLE), 0x8000_0000_0000_0002);
    assert_eq!(rig.word(COLLECTION_TABLE + 8), 0x8000_0000_0000_0003);
    assert_eq!(rig.word(ITT + 8 * 5), 0x8000_0000_0000_2008);
}

#[test]
fn mapd_maps_and_unmaps_devices() {
    let mut rig = Rig::mapped();
    rig.run(&[mapd(DEVICE, 0, ITT + 0x1000, true), mapti(DEVICE, 1, 8193, 1)]);
    assert_eq!((rig.message(DEVICE, 1), rig.message(DEVICE, 5)), (Some((8193, 3)), None));
    rig.refused(mapti(DEVICE, 2, 8194, 1), "EventID out of range");
    rig.run(&[mapd(DEVICE, 0, 0, false)]);
    assert_eq!(rig.message(DEVICE, 1), None);
    rig.refused(mapd(DEVICE, 16, ITT, true), "EventID size out of range");
    rig.refused(mapd(0x1_0000, 4, ITT, true), "DeviceID out of range");
    rig.refused(mapd(0x200, 4, ITT, true), "DeviceID out of range");
    assert_eq!(rig.run(&[mapd(DEVICE, 31, 0, false)]), []);
    assert_eq!(rig.word(DEVICE_TABLE + 8 * DEVICE), 0);
}

#[test]
fn mapc_maps_and_unmaps_collections() {
    let mut rig = Rig::mapped();
    rig.run(&[mapc(0, 1, true)]);
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 1)));
    rig.refused(mapc(0, 4, true), "no such redistributor");
    rig.refused(mapc(0, 0xf_ffff_fff0, true), "no such redistributor");
    rig.refused(mapc(0x200, 1, true), "collection out of range");
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 1)));
    // The redistributor does not count here.
    rig.run(&[mapc(0, 0xffff, false)]);
    assert_eq!((rig.message(DEVICE, 5), rig.skipped().last().copied().flatten()), (None, None));
}

#[test]
fn mapti_and_mapi_map_events() {
    let mut rig = Rig::mapped();
    rig.run(&[mapd(DEVICE, 15, ITT, true), mapi(DEVICE, 8192, 1), mapti(DEVICE, 0xffff, 0xffff, 0)]);
    assert_eq!(rig.message(DEVICE, 8192), Some((8192, 3)));
    assert_eq!(rig.message(DEVICE, 0xffff), Some((0xffff, 2)));
    for intid in [0, 32, 1023, 8191, 0x1_0000, 0xffff_ffff] {
        rig.refused(mapti(DEVICE, 6, intid, 0), "INTID out of range");
    }
    rig.refused(mapi(DEVICE, 8191, 0), "INTID out of range");
    rig.refused(mapti(DEVICE, 6, 8192, 0x200), "collection out of range");
    rig.refused(mapti(DEVICE, 0x1_0000, 8192, 0), "EventID out of range");
    rig.refused(mapti(DEVICE + 1, 6, 8192, 0), "device not mapped");
    rig.refused(mapti(0x200, 6, 8192, 0), "DeviceID out of range");
    assert_eq!(rig.message(DEVICE, 6), None);
    // A collection may be mapped later.
    rig.run(&[mapti(DEVICE, 6, 8201, 7)]);
    assert_eq!(rig.message(DEVICE, 6), None);
    rig.run(&[mapc(7, 0, true)]);
    assert_eq!(rig.message(DEVICE, 6), Some((8201, 0)));
}

#[test]
fn movi_moves_pending_state_to_another_redistributor() {
    let mut rig = Rig::mapped();
    assert_eq!(rig.run(&[movi(DEVICE, 5, 1)]), [LpiAction::Move { intid: 8200, from: 2, to: 3 }]);
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 3)));
    rig.run(&[mapc(6, 3, true)]);
    assert_eq!(rig.run(&[movi(DEVICE, 5, 6)]), [], "the same redistributor");
    assert_eq!(rig.word(ITT + 8 * 5), 0x8000_0006_0000_2008);
    rig.refused(movi(DEVICE, 5, 9), "collection not mapped");
    rig.refused(movi(DEVICE, 5, 0x200), "collection out of range");
    rig.refused(movi(DEVICE, 4, 1), "event not mapped");
    rig.refused(movi(DEVICE, 32, 1), "EventID out of range");
    rig.refused(movi(DEVICE + 1, 5, 1), "device not mapped");
    assert_eq!(rig.word(ITT + 8 * 5), 0x8000_0006_0000_2008);
    // From a collection that was unmapped, there is nothing to move.
    assert_eq!(rig.run(&[mapc(6, 0, false), movi(DEVICE, 5, 0)]), []);
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 2)));
}

#[test]
fn movall_moves_everything() {
    let mut rig = Rig::mapped();
    assert_eq!(rig.run(&[movall(2, 0)]), [LpiAction::MoveAll { from: 2, to: 0 }]);
    assert_eq!(rig.run(&[movall(2, 2)]), []);
    rig.refused(movall(4, 0), "no such redistributor");
    rig.refused(movall(0, 4), "no such redistributor");
}

#[test]
fn int_clear_and_inv_name_one_lpi() {
    let mut rig = Rig::mapped();
    let (target, intid) = (2, 8200);
    assert_eq!(rig.run(&[int(DEVICE, 5)]), [LpiAction::SetPending { target, intid }]);
    assert_eq!(rig.run(&[clear(DEVICE, 5)]), [LpiAction::ClearPending { target, intid }]);
    assert_eq!(rig.run(&[inv(DEVICE, 5)]), [LpiAction::Invalidate { target, intid }]);
    for command in [int, clear, inv, discard] {
        rig.refused(command(0x200, 5), "DeviceID out of range");
        rig.refused(command(0x1_0018, 5), "DeviceID out of range");
        rig.refused(command(DEVICE + 1, 5), "device not mapped");
        rig.refused(command(DEVICE, 32), "EventID out of range");
        rig.refused(command(DEVICE, 4), "event not mapped");
    }
    rig.run(&[mapc(0, 0, false)]);
    for command in [int, clear, inv] {
        rig.refused(command(DEVICE, 5), "collection not mapped");
    }
}

#[test]
fn discard_unmaps_and_clears() {
    let mut rig = Rig::mapped();
    assert_eq!(rig.run(&[discard(DEVICE, 5)]), [LpiAction::ClearPending { target: 2, intid: 8200 }]);
    assert_eq!((rig.word(ITT + 8 * 5), rig.message(DEVICE, 5)), (0, None));
    rig.run(&[mapti(DEVICE, 5, 8200, 0), mapc(0, 0, false)]);
    assert_eq!(rig.run(&[discard(DEVICE, 5)]), []);
    assert_eq!(rig.word(ITT + 8 * 5), 0, "unmapped although its collection is");
}

#[test]
fn invall_and_sync_name_a_redistributor() {
    let mut rig = Rig::mapped();
    assert_eq!(rig.run(&[invall(1)]), [LpiAction::InvalidateAll { target: 3 }]);
    rig.refused(invall(2), "collection not mapped");
    rig.refused(invall(0x200), "collection out of range");
    assert_eq!(rig.run(&[sync(3)]), []);
    assert_eq!(rig.skipped().last(), Some(&None));
    rig.refused(sync(4), "no such redistributor");
}

#[test]
fn unknown_commands_are_skipped_and_the_queue_goes_on() {
    let mut rig = Rig::mapped();
    rig.fx.take_trace();
    assert_eq!(rig.run(&[[0; 4], [0x29, 0, 0, 0], int(DEVICE, 5)]).len(), 1);
    assert_eq!(rig.skipped(), [Some("unknown opcode"), Some("unknown opcode"), None]);
}

#[test]
fn tables_that_are_not_there_are_not_used() {
    let mut rig = Rig::new();
    rig.w64(CBASER, 1 << 63 | QUEUE);
    rig.w64(DEVICES, DEVICE_TABLE);
    rig.w64(COLLECTIONS, COLLECTION_TABLE);
    rig.w32(CTLR, 1);
    rig.refused(mapd(0, 4, ITT, true), "DeviceID out of range");
    rig.refused(mapc(0, 0, true), "collection out of range");
    rig.w32(CTLR, 0);
    // In no memory.
    rig.w64(DEVICES, 1 << 63 | MEMORY);
    rig.w64(COLLECTIONS, 1 << 63 | 0xffff_ffff_f000);
    rig.w32(CTLR, 1);
    rig.refused(mapd(0, 4, ITT, true), "table outside memory");
    rig.refused(mapc(0, 0, true), "table outside memory");
    rig.w32(CTLR, 0);
    rig.w64(DEVICES, 1 << 63 | DEVICE_TABLE);
    rig.w64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
    rig.w32(CTLR, 1);
    rig.run(&[mapd(DEVICE, 4, 0x000f_ffff_ffff_ff00, true), mapc(0, 0, true)]);
    rig.refused(mapti(DEVICE, 5, 8200, 0), "table outside memory");
    rig.refused(int(DEVICE, 5), "table outside memory");
}

/// The guest can write the tables; what it writes is checked where it is used.
#[test]
fn forged_entries_are_not_believed() {
    let mut rig = Rig::mapped();
    // More EventID bits than there are.
    rig.set_word(DEVICE_TABLE + 8 * DEVICE, 0x81f0_0000_0004_0000);
    assert_eq!(rig.message(DEVICE, 5), None);
    rig.set_word(DEVICE_TABLE + 8 * DEVICE, 0x8040_0000_0004_0000);
    assert_eq!(rig.message(DEVICE, 5), Some((8200, 2)));
    for intid in [0, 8191, 0x1_0000, 0xffff_ffff] {
        rig.set_word(ITT + 8 * 5, 1 << 63 | intid);
        assert_eq!(rig.message(DEVICE, 5), None, "{intid:#x}");
    }
    rig.set_word(ITT + 8 * 5, 0x8000_ffff_0000_2008);
    assert_eq!(rig.message(DEVICE, 5), None, "collection out of range");
    rig.set_word(ITT + 8 * 5, 0x8000_0000_0000_2008);
    rig.set_word(COLLECTION_TABLE, 0x8000_0000_0000_0004);
    assert_eq!(rig.message(DEVICE, 5), None, "no such redistributor");
}

#[test]
fn wide_device_ids_reach_large_tables() {
    let mut rig = Rig::enabled();
    rig.its = Its::new(Config { device_bits: 20, redistributors: 1 }, rig.mem.clone());
    // 128 pages of 4 KiB have room for 65,536 devices, beginning at 40000h.
    rig.w64(DEVICES, 1 << 63 | 0x4_0000 | 0x7f);
    rig.w64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
    rig.w64(CBASER, 1 << 63 | QUEUE);
    rig.w32(CTLR, 1);
    rig.tail = 0;
    rig.run(&[mapc(0, 0, true), mapd(0xffff, 0, 0xf_0000, true), mapti(0xffff, 0, 8192, 0)]);
    assert_eq!(rig.message(0xffff, 0), Some((8192, 0)));
    assert_eq!(rig.word(0x4_0000 + 8 * 0xffff), 0x8000_0000_000f_0000);
    rig.refused(mapd(0x1_0000, 0, 0xf_0000, true), "DeviceID out of range");
}
