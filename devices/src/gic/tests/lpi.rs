use super::*;

const DEVICE: u64 = 0x18;
/// Enabled, priority A0h, bit 1 as software sets it.
const ENABLED: u8 = 0xa3;
const DISABLED: u8 = 0xa2;

fn movi(event: u64, icid: u64) -> [u64; 4] {
    [0x01 | DEVICE << 32, event, icid, 0]
}

fn int(event: u64) -> [u64; 4] {
    [0x03 | DEVICE << 32, event, 0, 0]
}

fn clear(event: u64) -> [u64; 4] {
    [0x04 | DEVICE << 32, event, 0, 0]
}

fn inv(event: u64) -> [u64; 4] {
    [0x0c | DEVICE << 32, event, 0, 0]
}

fn invall(icid: u64) -> [u64; 4] {
    [0x0d, 0, icid, 0]
}

fn movall(from: u64, to: u64) -> [u64; 4] {
    [0x0e, 0, from << 16, to << 16]
}

fn discard(event: u64) -> [u64; 4] {
    [0x0f | DEVICE << 32, event, 0, 0]
}

/// Four processors, their LPIs enabled; collection n at processor n; events 0 to 15 of the device are
/// LPIs 8192 to 8207 of collection 0, all disabled.
fn rig() -> Rig {
    let mut rig = Rig::started(4);
    rig.set_gits64(DEVICES, 1 << 63 | DEVICE_TABLE);
    rig.set_gits64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
    rig.set_gits64(CBASER, 1 << 63 | QUEUE);
    rig.set_gits(GITS_CTLR, 1);
    rig.run(&[[0x08 | DEVICE << 32, 3, 1 << 63 | ITT, 0]]);
    for n in 0..4 {
        rig.set_gicr64(n, PROPBASER, CONFIGURATION | 15);
        rig.set_gicr64(n, PENDBASER, 1 << 62 | (PENDING + 0x1_0000 * n as u64));
        rig.set_gicr(n, GICR_CTLR, 1);
        rig.run(&[[0x09, 0, 1 << 63 | (n as u64) << 16 | n as u64, 0]]);
    }
    for event in 0..16 {
        rig.configure_lpi(8192 + event, DISABLED);
        rig.run(&[[0x0a | DEVICE << 32, (8192 + event) << 32 | event, 0, 0]]);
    }
    rig
}

fn irqs(rig: &Rig) -> [bool; 4] {
    [0, 1, 2, 3].map(|n| rig.lines(n).irq)
}

#[test]
fn an_lpi_is_taken_once_and_is_never_active() {
    let mut rig = rig();
    rig.configure_lpi(8195, ENABLED);
    assert_eq!(rig.message(DEVICE as u32, 3), Some((8195, 0)));
    assert_eq!(rig.message(DEVICE as u32, 3), Some((8195, 0)));
    assert_eq!((rig.lines(0), rig.get(0, HPPIR1)), (IRQ, 8195));
    assert_eq!((rig.iar(0), rig.get(0, RPR), rig.lines(0)), (8195, 0xa0, NONE));
    // Pending again while it is handled; signalled when the priority drops.
    rig.message(DEVICE as u32, 3);
    assert_eq!(rig.lines(0), NONE);
    rig.eoi(0, 8195);
    assert_eq!((rig.lines(0), rig.iar(0)), (IRQ, 8195));
    rig.eoi(0, 8195);
    assert_eq!((rig.get(0, RPR), rig.iar(0)), (0xff, 1023));
}

#[test]
fn the_configuration_is_cached_until_it_is_invalidated() {
    let mut rig = rig();
    rig.message(DEVICE as u32, 3);
    rig.configure_lpi(8195, ENABLED);
    assert_eq!(rig.lines(0), NONE, "disabled is what the cache says");
    rig.run(&[inv(4)]);
    assert_eq!(rig.lines(0), NONE, "that was another one");
    rig.run(&[inv(3)]);
    assert_eq!(rig.lines(0), IRQ);
    rig.configure_lpi(8195, DISABLED);
    assert_eq!(rig.lines(0), IRQ, "enabled is what the cache says");
    rig.run(&[inv(3)]);
    assert_eq!(rig.lines(0), NONE);
    // It was pending all the time.
    rig.configure_lpi(8195, 0x41);
    rig.run(&[invall(1)]);
    assert_eq!(rig.lines(0), NONE, "that was another collection");
    rig.run(&[invall(0)]);
    assert_eq!((rig.iar(0), rig.get(0, RPR)), (8195, 0x40));
    rig.eoi(0, 8195);
    // An LPI that is not pending is cached too.
    rig.configure_lpi(8195, DISABLED);
    rig.message(DEVICE as u32, 3);
    assert_eq!(rig.lines(0), IRQ);
    rig.run(&[clear(3), invall(0), int(3)]);
    assert_eq!(rig.lines(0), NONE);
}

#[test]
fn priorities_order_lpis_among_themselves_and_others() {
    let mut rig = rig();
    for (event, byte) in [(1, 0xa1), (2, 0x81), (3, 0x85), (4, 0x89)] {
        rig.configure_lpi(8192 + event, byte);
        rig.message(DEVICE as u32, event as u32);
    }
    rig.set_priority(40, 0x80);
    rig.set_gicd(ISPENDR + 4, 1 << 8);
    let order: Vec<u64> = (0..6)
        .map(|_| {
            let intid = rig.iar(0);
            rig.eoi(0, intid);
            intid
        })
        .collect();
    // Bits 2:0 of a priority are not implemented.
    assert_eq!(order, [40, 8194, 8195, 8196, 8193, 1023]);
}

#[test]
fn int_and_clear() {
    let mut rig = rig();
    rig.configure_lpi(8192, ENABLED);
    rig.run(&[int(0)]);
    assert_eq!(rig.lines(0), IRQ);
    rig.run(&[clear(0)]);
    assert_eq!((rig.lines(0), rig.iar(0)), (NONE, 1023));
}

#[test]
fn movi_takes_the_pending_state_along() {
    let mut rig = rig();
    rig.configure_lpi(8192, ENABLED);
    rig.message(DEVICE as u32, 0);
    rig.run(&[movi(0, 2)]);
    assert_eq!(irqs(&rig), [false, false, true, false]);
    assert_eq!(rig.message(DEVICE as u32, 0), Some((8192, 2)));
    assert_eq!((rig.iar(2), rig.iar(2)), (8192, 1023));
    rig.run(&[movi(0, 3)]);
    assert_eq!(irqs(&rig), [false; 4], "nothing was pending");
}

#[test]
fn movall_moves_all_pending_lpis() {
    let mut rig = rig();
    for event in 0..3 {
        rig.configure_lpi(8192 + event, ENABLED);
        rig.message(DEVICE as u32, event as u32);
    }
    rig.run(&[movi(2, 1), movall(0, 1)]);
    assert_eq!(irqs(&rig), [false, true, false, false]);
    let taken: Vec<u64> = (0..4)
        .map(|_| {
            let intid = rig.iar(1);
            rig.eoi(1, intid);
            intid
        })
        .collect();
    assert_eq!(taken, [8192, 8193, 8194, 1023]);
    // What is mapped stays where it is.
    assert_eq!(rig.message(DEVICE as u32, 0), Some((8192, 0)));
    rig.run(&[movall(0, 0)]);
    assert_eq!(irqs(&rig), [true, false, false, false]);
}

#[test]
fn discard_clears_what_is_pending() {
    let mut rig = rig();
    rig.configure_lpi(8192, ENABLED);
    rig.message(DEVICE as u32, 0);
    rig.run(&[discard(0)]);
    assert_eq!((irqs(&rig), rig.message(DEVICE as u32, 0)), ([false; 4], None));
}

#[test]
fn lpis_are_lost_where_they_are_disabled() {
    let mut rig = rig();
    rig.configure_lpi(8192, ENABLED);
    rig.set_gicr(0, GICR_CTLR, 0);
    rig.message(DEVICE as u32, 0);
    rig.set_gicr64(0, PENDBASER, 1 << 62 | PENDING);
    rig.set_gicr(0, GICR_CTLR, 1);
    assert_eq!(irqs(&rig), [false; 4]);
    rig.message(DEVICE as u32, 0);
    rig.set_gicr(1, GICR_CTLR, 0);
    rig.run(&[movall(0, 1)]);
    rig.set_gicr(1, GICR_CTLR, 1);
    assert_eq!(irqs(&rig), [false; 4]);
}

#[test]
fn numbers_beyond_those_that_software_announced_are_dropped() {
    let mut rig = rig();
    for intid in [8192, 16383, 16384, 0xffff] {
        rig.configure_lpi(intid, ENABLED);
        rig.run(&[[0x0a | DEVICE << 32, intid << 32, 0, 0]]);
        // 14 bits; 13 leave no LPI; more than 16 are 16.
        for (bits, last) in [(13, 16383), (12, 0), (15, 0xffff), (31, 0xffff), (0, 0)] {
            rig.set_gicr(0, GICR_CTLR, 0);
            rig.set_gicr64(0, PROPBASER, CONFIGURATION | bits);
            rig.set_gicr64(0, PENDBASER, 1 << 62 | PENDING);
            rig.set_gicr(0, GICR_CTLR, 1);
            rig.message(DEVICE as u32, 0);
            assert_eq!(rig.lines(0).irq, intid <= last, "{intid} {bits}");
        }
    }
}

#[test]
fn a_configuration_outside_memory_enables_nothing() {
    let mut rig = rig();
    rig.set_gicr(0, GICR_CTLR, 0);
    rig.set_gicr64(0, PROPBASER, 0x000f_ffff_ffff_f00f);
    rig.set_gicr(0, GICR_CTLR, 1);
    rig.message(DEVICE as u32, 0);
    assert_eq!(irqs(&rig), [false; 4]);
}

#[test]
fn the_pending_table_is_read_and_written_when_lpis_go_on_and_off() {
    let mut rig = rig();
    for intid in [8192, 8200, 0xffff] {
        rig.configure_lpi(intid, ENABLED);
    }
    rig.message(DEVICE as u32, 0);
    rig.message(DEVICE as u32, 8);
    // Software's bits outside the table stay.
    rig.mem.write(Pa(PENDING + 1023), &[0xee]).unwrap();
    rig.mem.write(Pa(PENDING + 8192), &[0xee]).unwrap();
    rig.set_gicr(0, GICR_CTLR, 0);
    assert_eq!(irqs(&rig), [false; 4]);
    let mut bytes = [0; 7170];
    rig.mem.read(Pa(PENDING + 1023), &mut bytes).unwrap();
    assert_eq!((bytes[0], bytes[1], bytes[2], bytes[7169]), (0xee, 1, 1, 0xee));
    assert!(bytes[3..7169].iter().all(|byte| *byte == 0));
    // Bits below 8192 have no meaning.
    rig.mem.write(Pa(PENDING + 8191), &[0x80]).unwrap();
    rig.set_gicr64(0, PENDBASER, PENDING);
    rig.set_gicr(0, GICR_CTLR, 1);
    let taken: Vec<(u32, u16)> = rig.gic.take_lpis().iter().map(|lpi| (lpi.intid, lpi.target)).collect();
    assert_eq!(taken, [(8192, 0), (8200, 0), (0xffff, 0)]);
    // PTZ says that nothing is pending.
    rig.set_gicr(0, GICR_CTLR, 0);
    rig.mem.write(Pa(PENDING + 1024), &[1]).unwrap();
    rig.set_gicr(0, PENDBASER + 4, 1 << 30);
    rig.set_gicr(0, PENDBASER, PENDING as u32);
    rig.set_gicr(0, GICR_CTLR, 1);
    assert_eq!(irqs(&rig), [false; 4]);
    // A table outside memory.
    rig.message(DEVICE as u32, 0);
    rig.set_gicr(0, GICR_CTLR, 0);
    rig.set_gicr64(0, PENDBASER, 0x000f_ffff_ffff_0000);
    rig.set_gicr(0, GICR_CTLR, 1);
    assert_eq!(irqs(&rig), [false; 4]);
    rig.message(DEVICE as u32, 0);
    rig.set_gicr(0, GICR_CTLR, 0);
}

#[test]
fn a_machine_without_processors_takes_enabled_lpis() {
    let mut rig = rig();
    // Nothing but the redistributors is set up.
    for n in 0..4 {
        rig.set_gicr(n, WAKER, 2);
        rig.set(n, IGRPEN1, 0);
    }
    rig.set_gicd(GICD_CTLR, 0);
    for (event, byte) in [(0, 0xa1), (1, 0x81), (2, DISABLED)] {
        rig.configure_lpi(8192 + event, byte);
        rig.message(DEVICE as u32, event as u32);
    }
    rig.run(&[movi(0, 1)]);
    rig.message(DEVICE as u32, 3);
    rig.configure_lpi(8195, 0x01);
    assert_eq!(irqs(&rig), [false; 4]);
    let take = |rig: &mut Rig| -> Vec<(u32, u16)> {
        rig.gic.take_lpis().iter().map(|lpi| (lpi.intid, lpi.target)).collect()
    };
    assert_eq!(take(&mut rig), [(8193, 0), (8192, 1)]);
    assert_eq!(take(&mut rig), []);
    rig.run(&[invall(0)]);
    assert_eq!(take(&mut rig), [(8195, 0)]);
}

#[test]
fn lpis_are_of_group_1() {
    let mut rig = rig();
    rig.configure_lpi(8192, ENABLED);
    rig.message(DEVICE as u32, 0);
    assert_eq!(rig.lines(0), IRQ);
    rig.set_gicd(GICD_CTLR, 0x11);
    assert_eq!(rig.lines(0), NONE);
    rig.set_gicd(GICD_CTLR, 0x13);
    rig.set(0, IGRPEN1, 0);
    assert_eq!((rig.lines(0), rig.get(0, HPPIR1)), (NONE, 1023));
}
