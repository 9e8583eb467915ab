//! The command queue: wraps, bounds, errors, CMD_SYNC.

use super::*;

/// CMD_TLBI_NSNH_ALL: something harmless.
const FLUSH: [u64; 2] = [0x30, 0];
/// CMD_SYNC without a signal.
const SYNC: [u64; 2] = [0x46, 0];
const ILLEGAL: [u64; 2] = [0xff, 0];

/// CMD_SYNC with a message.
fn sync(address: u64, data: u64) -> [u64; 2] {
    [0x1046 | data << 32, address]
}

#[test]
fn the_queue_wraps_at_every_position() {
    for n in 0..100u32 {
        let mut rig = Rig::running(config());
        rig.w32(CR0, 0);
        rig.w32(CMDQ_PROD, n & 0x1f);
        rig.w32(CMDQ_CONS, n & 0x1f);
        rig.w32(CR0, CMDQEN);
        rig.calls();
        // A full queue: the wrap bits differ, nothing else.
        rig.submit(&[FLUSH; 16]);
        assert_eq!((rig.r32(CMDQ_PROD), rig.r32(CMDQ_CONS)), ((n + 16) & 0x1f, (n + 16) & 0x1f), "{n}");
        assert_eq!(rig.calls().len(), 16);
    }
}

#[test]
fn every_size_works_and_none_is_larger_than_reported() {
    // IDR1.CMDQS is 10. A queue as large as LOG2SIZE says would take the commands from elsewhere.
    for log2 in 0..=31u64 {
        let entries = 1u32 << log2.min(10);
        let mut rig = Rig::new(config());
        rig.w64(CMDQ_BASE, COMMANDS | log2);
        assert_eq!(rig.r64(CMDQ_BASE) & 0x1f, log2, "reads back as written");
        let base = COMMANDS & !((1u64 << (log2.min(10) + 4)) - 1);
        for n in 0..u64::from(entries) {
            rig.set(base + n * 16, 0x30);
        }
        rig.w32(CR0, CMDQEN);
        rig.calls();
        rig.w32(CMDQ_PROD, entries);
        assert_eq!((rig.r32(CMDQ_CONS), rig.calls().len()), (entries, entries as usize), "{log2}");
        rig.w32(CMDQ_PROD, 0);
        assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR)), (0, 0), "{log2}");
    }
}

#[test]
fn one_step_is_bounded() {
    let mut rig = Rig::new(config());
    for n in 0..1024u64 {
        rig.set(COMMANDS + n * 16, 0x30);
    }
    rig.w64(CMDQ_BASE, COMMANDS | 10);
    rig.w32(CR0, CMDQEN);
    rig.control.write(CMDQ_PROD, &600u32.to_le_bytes(), &mut rig.fx);
    assert_eq!(rig.r32(CMDQ_CONS), 256);
    assert_eq!(rig.fx.take().len(), 1, "asks to go on, once");
    rig.control.write(CMDQ_PROD, &601u32.to_le_bytes(), &mut rig.fx);
    assert_eq!((rig.r32(CMDQ_CONS), rig.fx.take().len()), (512, 0));
    rig.control.event(crate::events::DeviceEvent::Work, &mut rig.fx);
    assert_eq!((rig.r32(CMDQ_CONS), rig.fx.take().len()), (601, 0));
}

#[test]
fn inconsistent_indexes_stop_the_queue() {
    let mut rig = Rig::running(config());
    // 17 commands in a queue of 16.
    for prod in [17u32, 31] {
        rig.w32(CMDQ_PROD, prod);
        assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR), rig.calls()), (0, 0, vec![]), "{prod}");
    }
    // Bits above the wrap bit do not count.
    rig.place(&[]);
    rig.set(COMMANDS, 0x30);
    rig.w32(CMDQ_PROD, 0xf_ffe1);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(CMDQ_PROD), rig.calls().len()), (1, 0xf_ffe1, 1));
}

#[test]
fn a_queue_that_is_off_keeps_its_place() {
    let mut rig = Rig::running(config());
    rig.submit(&[FLUSH; 3]);
    rig.w32(CR0, 0);
    rig.calls();
    rig.submit(&[FLUSH; 2]);
    assert_eq!((rig.r32(CMDQ_CONS), rig.calls()), (3, vec![]));
    rig.w32(CR0, CMDQEN);
    assert_eq!(rig.r32(CMDQ_CONS), 5);
    assert_eq!(rig.calls().iter().filter(|call| matches!(call, Call::Tlb(_))).count(), 2);
}

#[test]
fn an_illegal_command_stops_the_queue_until_acknowledged() {
    let mut rig = Rig::running(config());
    rig.submit(&[FLUSH, ILLEGAL, FLUSH]);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR), rig.pulses.clone()), (0x0100_0001, 1, vec![77]));
    assert_eq!(rig.calls().len(), 1);
    // Neither a new command nor off and on starts it.
    rig.submit(&[FLUSH]);
    rig.w32(CR0, 0);
    rig.w32(CR0, CMDQEN);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR)), (0x0100_0001, 1));
    // Not mended: it stops again, and GERROR toggles back.
    rig.w32(GERRORN, 1);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR), rig.r32(GERRORN)), (0x0100_0001, 0, 1));
    assert_eq!(rig.pulses, [77, 77]);
    // Replaced by a CMD_SYNC, as Linux does.
    rig.calls();
    rig.set(COMMANDS + 16, 0x46);
    rig.w32(GERRORN, 0);
    assert_eq!((rig.r32(CMDQ_CONS) & 0xfffff, rig.r32(GERROR), rig.calls().len()), (4, 0, 2));
    assert_eq!(rig.pulses, [77, 77]);
}

#[test]
fn a_command_outside_memory_is_an_abort() {
    let mut rig = Rig::new(config());
    rig.w64(CMDQ_BASE, 0xfff_0000_0000 | COMMANDS_LOG2);
    rig.w32(CR0, CMDQEN);
    rig.w32(CMDQ_PROD, 1);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR), rig.pulses.clone()), (0x0200_0000, 1, vec![]));
    // Back to where it stopped: nothing to do after the acknowledgement.
    rig.w32(CMDQ_PROD, 0);
    rig.w32(GERRORN, 1);
    assert_eq!((rig.r32(CMDQ_CONS) & 0xfffff, rig.r32(GERROR)), (0, 1));
    rig.w32(CMDQ_PROD, 1);
    assert_eq!(rig.r32(GERROR), 0, "active again, the other way round");
}

#[test]
fn a_sync_completes_what_came_before_it() {
    let mut rig = Rig::running(config());
    rig.back_end.calls.lock().unwrap().clear();
    rig.place(&[FLUSH, [0x1_0000_0003, 0], SYNC, FLUSH]);
    rig.w32(CMDQ_PROD, 4);
    let calls = std::mem::take(&mut *rig.back_end.calls.lock().unwrap());
    let all = Call::Tlb(TlbScope::El1All);
    let stream = StreamId(1);
    let one = Call::Config(ConfigScope::Streams { first: stream, last: stream, leaf: false });
    assert_eq!(calls, [all, one, Call::Complete, all, Call::Complete]);
}

#[test]
fn a_sync_signals_as_it_is_told() {
    let plain = config();
    let no_msi = Config { idr0: Idr0::from_raw(IDR0 & !(1 << 13)), ..config() };
    let no_sev = Config { idr0: Idr0::from_raw(IDR0 & !(1 << 14)), ..config() };
    let no_wires = Config { wires: None, ..config() };
    // (unit, command, messages, pulses, events, mailbox)
    for (config, words, messages, pulses, sent, mailbox) in [
        (&plain, SYNC, vec![], vec![], 0, 0),
        (&plain, [0x1046 | 5 << 32, 0], vec![], vec![76], 0, 0),
        (&plain, sync(MAILBOX, 5), vec![], vec![76], 0, 5),
        // Attributes and the bits around the address do not count.
        (&plain, [0x0fc0_1046 | 5 << 32, 0xff00_0000_0003_0003], vec![], vec![76], 0, 5),
        (&plain, sync(DOORBELL, 5), vec![(DOORBELL, 5)], vec![76], 0, 0),
        // An address beyond the output size is cut.
        (&plain, sync(0xf0_0000_0000_0000 | DOORBELL, 5), vec![(DOORBELL, 5)], vec![76], 0, 0),
        (&no_wires, sync(MAILBOX, 5), vec![], vec![], 0, 5),
        (&no_msi, sync(MAILBOX, 5), vec![], vec![76], 0, 0),
        (&plain, [0x2046, MAILBOX], vec![], vec![], 1, 0),
        (&no_sev, [0x2046, MAILBOX], vec![], vec![], 0, 0),
    ] {
        let mut rig = Rig::running(config.clone());
        rig.submit(&[words]);
        assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR)), (1, 0), "{words:#x?}");
        assert_eq!((rig.messages, rig.pulses, rig.sent), (messages, pulses, sent), "{words:#x?}");
        assert_eq!(rig.mem.load64(Pa(MAILBOX)).unwrap(), mailbox, "{words:#x?}");
    }
}

#[test]
fn a_sync_may_write_over_itself() {
    // Software polls the first word of the command for the zero that the message writes there.
    let mut rig = Rig::running(config());
    for n in 0..40u64 {
        let at = COMMANDS + n % 16 * 16;
        rig.submit(&[sync(at, 0)]);
        assert_eq!((rig.get(at), rig.r32(GERROR)), (0, 0), "{n}");
        assert_eq!(u64::from(rig.r32(CMDQ_CONS)), (n + 1) % 32);
    }
}

#[test]
fn a_sync_whose_message_nobody_takes_is_consumed() {
    let mut rig = Rig::running(config());
    rig.submit(&[sync(0x7000_0000, 5), FLUSH]);
    assert_eq!((rig.r32(CMDQ_CONS), rig.r32(GERROR)), (2, 0x10));
    assert_eq!(rig.pulses, [77, 76]);
    // Active already: nothing more is told.
    rig.submit(&[sync(0x7000_0000, 5)]);
    assert_eq!((rig.r32(GERROR), rig.pulses.clone()), (0x10, vec![77, 76, 76]));
    rig.w32(GERRORN, 0x10);
    rig.submit(&[sync(0x7000_0000, 5)]);
    assert_eq!(rig.r32(GERROR), 0);
    assert_eq!(rig.pulses, [77, 76, 76, 77, 76]);
}

#[test]
fn a_full_queue_that_has_room_again_is_an_event() {
    let mut rig = Rig::running(config());
    rig.submit(&[FLUSH; 15]);
    assert_eq!(rig.sent, 0);
    rig.submit(&[FLUSH; 16]);
    assert_eq!(rig.sent, 1);
    let mut rig = Rig::running(Config { idr0: Idr0::from_raw(IDR0 & !(1 << 14)), ..config() });
    rig.submit(&[FLUSH; 16]);
    assert_eq!(rig.sent, 0);
}
