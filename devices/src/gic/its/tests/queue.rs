use super::*;

#[test]
fn the_queue_wraps() {
    let mut rig = Rig::mapped();
    for _ in 0..70 {
        assert_eq!(rig.run(&[int(DEVICE, 5), clear(DEVICE, 5)]).len(), 2);
    }
    // Four commands to map, then 140, in a queue of 128.
    assert_eq!(rig.r64(CREADR), 16 * 0x20);
}

#[test]
fn the_last_command_before_the_wrap_and_the_first_behind_it_run() {
    let mut rig = Rig::mapped();
    let filler = vec![sync(0); 123];
    rig.run(&filler);
    assert_eq!(rig.r64(CREADR), 127 * 0x20);
    assert_eq!(rig.run(&[int(DEVICE, 5)]).len(), 1);
    assert_eq!(rig.r64(CREADR), 0);
    assert_eq!(rig.run(&[int(DEVICE, 5)]).len(), 1);
    assert_eq!(rig.r64(CREADR), 0x20);
}

#[test]
fn nothing_runs_while_disabled_or_without_a_queue() {
    let mut rig = Rig::new();
    rig.put(&[sync(0)]);
    rig.w64(CWRITER, 0x20);
    rig.w32(CTLR, 1);
    assert_eq!(rig.r64(CREADR), 0);
    rig.w32(CTLR, 0);
    rig.w64(CBASER, 1 << 63 | QUEUE);
    rig.w64(CWRITER, 0x20);
    assert_eq!(rig.r64(CREADR), 0);
    rig.w32(CTLR, 1);
    assert_eq!(rig.r64(CREADR), 0x20);
}

#[test]
fn a_write_pointer_beyond_the_queue_stops_it() {
    let mut rig = Rig::mapped();
    rig.skipped();
    rig.w64(CWRITER, 0x1000);
    assert_eq!((rig.r64(CWRITER), rig.r64(CREADR)), (0x1000, 0x80));
    rig.w64(CWRITER, 0xffff_ffff_ffff_ffff);
    assert_eq!((rig.r64(CWRITER), rig.r64(CREADR)), (0xf_ffe0, 0x80));
    assert_eq!((rig.skipped(), rig.fx.take()), (vec![], vec![]));
    rig.put(&[int(DEVICE, 5)]);
    rig.w64(CWRITER, 0xa0);
    assert_eq!(rig.actions.len(), 1);
}

#[test]
fn a_queue_outside_memory_stalls_until_software_retries() {
    let mut rig = Rig::enabled();
    rig.w32(CTLR, 0);
    rig.w64(CBASER, 1 << 63 | MEMORY);
    rig.w32(CTLR, 1);
    rig.w64(CWRITER, 0x20);
    assert_eq!(rig.r64(CREADR), 1, "Stalled");
    rig.w64(CWRITER, 0x40);
    assert_eq!(rig.r64(CREADR), 1);
    // Retry: still no memory.
    rig.w64(CWRITER, 0x41);
    assert_eq!((rig.r64(CWRITER), rig.r64(CREADR)), (0x40, 1));
    rig.w32(CTLR, 0);
    rig.w64(CBASER, 1 << 63 | QUEUE);
    assert_eq!(rig.r64(CREADR), 0);
    rig.w32(CTLR, 1);
    assert_eq!(rig.r64(CREADR), 0x40);
}

#[test]
fn memory_that_appears_lets_a_retry_succeed() {
    let mut rig = Rig::mapped();
    // The second page of the queue is outside memory.
    rig.w32(CTLR, 0);
    rig.w64(CBASER, 1 << 63 | (MEMORY - 0x1000) | 1);
    rig.w32(CTLR, 1);
    rig.w64(CWRITER, 0x1020);
    assert_eq!(rig.r64(CREADR), 0x1001);
    let mapping = vm_memory::MmapRegion::new(0x1000).unwrap();
    rig.mem.plug(Pa(MEMORY), std::sync::Arc::new(mapping)).unwrap();
    rig.w64(CWRITER, 0x1020);
    assert_eq!(rig.r64(CREADR), 0x1001);
    rig.w64(CWRITER, 0x1021);
    assert_eq!(rig.r64(CREADR), 0x1020);
}

#[test]
fn a_long_queue_is_processed_in_steps() {
    let mut rig = Rig::mapped();
    rig.w32(CTLR, 0);
    // 6 pages: 768 commands, at 50000h.
    let queue = 0x5_0000;
    rig.w64(CBASER, 1 << 63 | queue | 5);
    for index in 0..700 {
        let bytes: Vec<u8> = int(DEVICE, 5).iter().flat_map(|word| word.to_le_bytes()).collect();
        rig.mem.write(Pa(queue + 32 * index), &bytes).unwrap();
    }
    rig.w32(CWRITER, 700 * 32);
    rig.fx.take();
    rig.w32(CTLR, 1);
    assert_eq!((rig.actions.len(), rig.r64(CREADR)), (256, 256 * 32));
    let work = || Effect::Schedule { device: Default::default(), time: Time(0), event: DeviceEvent::Work };
    assert_eq!(rig.fx.take(), [work()]);
    // Another doorbell does not ask for a second event.
    rig.w32(CWRITER, 699 * 32);
    assert_eq!((rig.actions.len(), rig.fx.take()), (512, vec![]));
    // Saved and restored in between.
    let state = rig.its.save();
    rig.its.reset();
    rig.its.restore(state);
    rig.its.event(DeviceEvent::Work, &mut rig.actions, &mut rig.fx);
    assert_eq!((rig.actions.len(), rig.r64(CREADR), rig.fx.take()), (699, 699 * 32, vec![]));
    rig.its.event(DeviceEvent::Timer(0), &mut rig.actions, &mut rig.fx);
    // Disabled, the event finds nothing to do.
    rig.w32(CTLR, 0);
    rig.w32(CWRITER, 0);
    rig.its.event(DeviceEvent::Work, &mut rig.actions, &mut rig.fx);
    assert_eq!(rig.actions.len(), 699);
}

#[test]
fn the_trace_names_commands_tables_and_messages() {
    let mut rig = Rig::mapped();
    rig.fx.take_trace();
    rig.run(&[int(DEVICE, 4)]);
    rig.message(DEVICE, 5);
    rig.message(DEVICE, 40);
    let lines: Vec<String> = rig.fx.take_trace().iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        its: write GITS_CWRITER(0x88) = 0x000000a0
        its: device table entry at 0x200c0 = 0x0000000000000000 0x8040000000040000
        its: interrupt translation entry at 0x40020 = 0x0000000000000000 0x0000000000000000
        its: queue[4] INT 0x0000001800000003 0x0000000000000004 0x0000000000000000 0x0000000000000000, skipped: event not mapped
        its: write GITS_CWRITER(0x8c) = 0x00000000
        its: read GITS_CREADR(0x90) = 0x000000a0
        its: read GITS_CREADR(0x94) = 0x00000000
        its: device table entry at 0x200c0 = 0x0000000000000000 0x8040000000040000
        its: interrupt translation entry at 0x40028 = 0x0000000000000000 0x8000000000002008
        its: collection table entry at 0x30000 = 0x0000000000000000 0x8000000000000002
        its: message of device 0x18, event 5: interrupt 8200 of processor 2
        its: device table entry at 0x200c0 = 0x0000000000000000 0x8040000000040000
        its: message of device 0x18, event 40, dropped: EventID out of range"#]]
    .assert_eq(&lines.join("\n"));
}
