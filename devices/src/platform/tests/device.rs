//! What is different from a PCI function.

use super::*;

#[test]
fn registers_at_reset_and_what_they_keep() {
    let mut rig = Rig::new();
    for (offset, reset, written) in [
        (0x00, 0x494f_4d55, 0x494f_4d55),
        (0x04, 1, 1),
        (0x28, 0, 0xffff_ffff),
        (0x2c, 0, 1),
        (0x30, 0, 0),
        (0x34, 0, 0),
        (0x1000, 0, 0xffff_ffff),
        (0x2000, 0, 0),
        (0x4000, 0, 0xffff_fffc),
        (0x4004, 0, 0xffff_ffff),
        (0x4008, 0, 0xffff_ffff),
        (0x400c, 1, 1),
        (0x407c, 1, 1),
        (0x4080, 0, 0),
        (0x6000, 0, 0),
        (0x8000, 0, 0),
        (0xfffc, 0, 0),
    ] {
        assert_eq!(rig.read(offset), reset, "{offset:#x}");
        rig.write(offset, 0xffff_ffff);
        assert_eq!(rig.read(offset), written, "{offset:#x}");
    }
    // A byte of a register, and an access across two.
    rig.device.write(0x2d, &[0], &mut rig.fx);
    assert_eq!(rig.read(0x2c), 1);
    rig.device.write(0x2b, &[0x12, 0], &mut rig.fx);
    assert_eq!((rig.read(0x28), rig.read(0x2c)), (0x12ff_ffff, 0));
}

#[test]
fn without_messages_events_raise_the_line() {
    let mut rig = Rig::new();
    rig.raise(3);
    assert_eq!((rig.read(INTERRUPT_STATUS), rig.lines.as_slice()), (1 << 3, &[true][..]));
    rig.raise(0);
    assert_eq!((rig.lines.len(), rig.read(INTERRUPT_STATUS)), (1, 1 << 3 | 1));
    rig.write(INTERRUPT_STATUS, 1);
    assert_eq!((rig.lines.len(), rig.read(INTERRUPT_STATUS)), (1, 1 << 3), "one is left");
    rig.write(INTERRUPT_STATUS, 1 << 3);
    assert_eq!(rig.lines, [true, false]);
    assert_eq!((rig.messages.len(), rig.read(PENDING)), (0, 0));
    rig.raise(7);
    // Messages silence the line; events that went to it are not lost.
    rig.write(INTERRUPT_CONTROL, 1);
    assert_eq!((rig.read(INTERRUPT_STATUS), rig.lines.as_slice()), (1 << 7, &[true, false, true, false][..]));
    rig.write(INTERRUPT_CONTROL, 0);
    assert_eq!(rig.lines.last(), Some(&true));
}

#[test]
fn messages_are_written_where_the_table_says() {
    let mut rig = Rig::new();
    rig.write(INTERRUPT_CONTROL, 1);
    rig.raise(6);
    assert_eq!((rig.messages.len(), rig.read(PENDING), rig.lines.len()), (0, 1 << 6, 0), "masked");
    rig.message(6);
    assert_eq!((rig.read(PENDING), rig.messages.as_slice()), (0, &[(DOORBELL, 6)][..]));
    // To memory.
    rig.write(TABLE + 16 * 6, 0x7000);
    rig.raise(6);
    assert_eq!((rig.messages.len(), rig.ram(0x7000, 4)), (1, vec![6, 0, 0, 0]));
    // To nothing: it is lost.
    rig.write(TABLE + 16 * 6, 0x30_0000);
    rig.raise(6);
    assert_eq!((rig.messages.len(), rig.read(PENDING), rig.read(STATUS)), (1, 0, 0));
    // Pending while messages are off, where its event went to the line.
    rig.write(TABLE + 16 * 6 + 12, 1);
    rig.raise(6);
    rig.write(INTERRUPT_CONTROL, 0);
    rig.write(TABLE + 16 * 6, DOORBELL as u32);
    rig.write(TABLE + 16 * 6 + 12, 0);
    assert_eq!((rig.messages.len(), rig.read(PENDING)), (1, 1 << 6));
    rig.write(INTERRUPT_CONTROL, 1);
    assert_eq!((rig.messages.len(), rig.read(PENDING)), (2, 0));
}

#[test]
fn substream_ids_are_as_wide_as_the_device_s() {
    for (bits, pasid, done) in [
        (0, None, true),
        (0, Some(0), false),
        (1, Some(1), true),
        (1, Some(2), false),
        (8, Some(0xff), true),
        (8, Some(0x100), false),
        (20, Some(0xf_ffff), true),
    ] {
        let mut rig = Rig::with(0, bits);
        let command = 2 | u64::from(pasid.is_some()) << 11 | 4 << 32;
        rig.put(0, [command, 0x3000, 0, 0, 0, pasid.unwrap_or(0xf_ffff) << 32]);
        rig.write(TAIL, 1);
        let expected = if done { (DONE, 4, 0) } else { (0x8000_0005, 0, 0) };
        assert_eq!(rig.written(0), expected, "{bits} {pasid:x?}");
    }
}

#[test]
fn a_device_can_be_made_to_do_dma() {
    let mut rig = Rig::new();
    let written = rig.device.dma_write(Request::at(0x3000), &[0x5a; 4], &mut rig.fx);
    assert_eq!((written.outcome, rig.ram(0x3000, 4)), (Outcome::Done, vec![0x5a; 4]));
    rig.take_away(0x3000, false);
    let mut data = [0; 4];
    let read = rig.device.dma_read(Request::at(0x2ffe), &mut data, &mut rig.fx);
    assert_eq!((read.done, read.outcome), (2, Outcome::Stalled(tag(0))));
    assert!(!rig.resume(0, RETRY), "nobody waits for it");
    assert_eq!(rig.read(STATUS), 0);
}

#[test]
fn foreign_events_are_ignored() {
    let mut rig = Rig::with(1000, 0);
    rig.put(0, [0; 6]);
    rig.write(TAIL, 1);
    for event in [DeviceEvent::Work, DeviceEvent::Timer(1), DeviceEvent::Timer(u32::MAX)] {
        rig.device.event(event, &mut rig.fx);
        rig.deliver();
    }
    // Too early.
    rig.device.event(DeviceEvent::Timer(0), &mut rig.fx);
    rig.deliver();
    assert_eq!((rig.read(STATUS), rig.read(HEAD)), (1, 0));
    rig.run_until(1000);
    assert_eq!((rig.read(STATUS), rig.read(HEAD)), (0, 1));
}
