//! Interrupts of the event queue and of global errors, and GERROR itself.

use super::*;

fn with_messages(config: Config, eventq: u64, gerror: u64) -> Rig {
    let mut rig = Rig::running(config);
    rig.w32(IRQ_CTRL, 0);
    rig.w64(0x68, gerror);
    rig.w32(0x70, 0x22);
    rig.w64(0xb0, eventq);
    rig.w32(0xb8, 0x11);
    rig.w32(0xbc, 0x3f);
    rig.w32(IRQ_CTRL, 5);
    rig
}

/// Takes what the queue holds.
fn drain(rig: &mut Rig) {
    let prod = rig.r32(EVENTQ_PROD);
    rig.w32(EVENTQ_CONS, prod);
}

#[test]
fn the_event_queue_interrupts_when_it_is_no_longer_empty() {
    let mut rig = with_messages(config(), DOORBELL, 0);
    rig.report(fault());
    rig.report(fault());
    assert_eq!((rig.messages.clone(), rig.pulses.clone()), (vec![(DOORBELL, 0x11)], vec![74]));
    rig.w32(EVENTQ_CONS, 1);
    rig.report(fault());
    assert_eq!(rig.messages.len(), 1, "never empty in between");
    drain(&mut rig);
    rig.report(fault());
    assert_eq!((rig.messages.len(), rig.pulses.clone()), (2, vec![74, 74]));
    // Off: what happens meanwhile is not told later.
    rig.w32(IRQ_CTRL, 1);
    drain(&mut rig);
    rig.report(fault());
    rig.w32(IRQ_CTRL, 5);
    assert_eq!((rig.messages.len(), rig.pulses.len()), (2, 2));
}

#[test]
fn interrupts_go_where_they_are_configured_to() {
    // (unit, message address, messages, pulses, mailbox)
    let no_wires = Config { wires: None, ..config() };
    let no_msi = Config { idr0: Idr0::from_raw(IDR0 & !(1 << 13)), ..config() };
    let no_doorbell = Config { doorbell: None, ..config() };
    for (config, address, messages, pulses, mailbox) in [
        (config(), 0, vec![], vec![74], 0),
        (config(), MAILBOX, vec![], vec![74], 0x11),
        (config(), DOORBELL, vec![(DOORBELL, 0x11)], vec![74], 0),
        (no_wires, MAILBOX, vec![], vec![], 0x11),
        (no_msi, MAILBOX, vec![], vec![74], 0),
        (no_doorbell, MAILBOX, vec![], vec![74], 0x11),
    ] {
        let mut rig = with_messages(config, address, 0);
        rig.report(fault());
        assert_eq!((rig.r32(GERROR), rig.get(MAILBOX)), (0, mailbox), "{address:#x}");
        assert_eq!((rig.messages, rig.pulses), (messages, pulses), "{address:#x}");
    }
}

#[test]
fn messages_that_nobody_takes_are_global_errors() {
    let nowhere = 0x7000_0000;
    let mut rig = with_messages(config(), nowhere, MAILBOX);
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.get(MAILBOX)), (0x20, 0x22));
    assert_eq!(rig.pulses, [77, 74]);
    // Of its own message a global error tells by the register only.
    let mut rig = with_messages(config(), nowhere, nowhere);
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.pulses.clone()), (0xa0, vec![77, 74]));
    // Acknowledging raises nothing.
    rig.w32(GERRORN, 0xa0);
    assert_eq!(rig.pulses.len(), 2);
    drain(&mut rig);
    rig.report(fault());
    assert_eq!(rig.r32(GERROR), 0, "both toggled again");
    // A doorbell that is not there takes nothing.
    let mut rig = with_messages(Config { doorbell: None, ..config() }, DOORBELL, 0);
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.messages.len()), (0x20, 0));
}

#[test]
fn a_global_error_interrupts_when_it_becomes_active() {
    let mut rig = with_messages(config(), 0, DOORBELL);
    rig.submit(&[[0xff, 0]]);
    assert_eq!((rig.messages.clone(), rig.pulses.clone()), (vec![(DOORBELL, 0x22)], vec![77]));
    // Another one while that is active.
    rig.w32(CR0, SMMUEN | CMDQEN);
    rig.w64(EVENTQ_BASE, 0x10_0000);
    rig.w32(CR0, SMMUEN | CMDQEN | EVENTQEN);
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.messages.len()), (5, 2));
    // Not wanted.
    rig.w32(IRQ_CTRL, 4);
    rig.w32(GERRORN, 4);
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.messages.len(), rig.pulses.len()), (1, 2, 2));
    // GERROR is read only, and software's toggles interrupt nobody.
    rig.w32(IRQ_CTRL, 5);
    rig.w32(GERROR, 0);
    rig.w32(CMDQ_PROD, 0);
    rig.w32(GERRORN, 0x1b5);
    assert_eq!((rig.r32(GERROR), rig.r32(GERRORN), rig.messages.len()), (0x1, 0x1b5, 2));
}
