//! What Linux does to bring the controller up, register by register, and a device's first interrupt.

use super::*;

const PAGE_SIZES: [(u64, u64); 3] = [(2, 0x1_0000), (1, 0x4000), (0, 0x1000)];

/// GICD: identified, disabled, configured, enabled.
fn distributor(rig: &mut Rig) {
    assert_eq!(rig.gicd(0xffe8) & 0xf0, 0x30);
    let typer = rig.gicd(0x0004);
    assert_eq!((typer >> 19 & 0x1f, typer >> 17 & 1, typer >> 16 & 1), (15, 1, 0));
    let lines = u64::from(typer & 0x1f) + 1;
    rig.set_gicd(GICD_CTLR, 0);
    assert_eq!(rig.gicd(GICD_CTLR) & 1 << 31, 0, "RWP");
    for bank in 1..lines {
        rig.set_gicd(IGROUPR + 4 * bank, u32::MAX);
        rig.set_gicd(ICFGR + 8 * bank, 0);
        rig.set_gicd(ICFGR + 8 * bank + 4, 0);
        rig.set_gicd(ICACTIVER + 4 * bank, u32::MAX);
        rig.set_gicd(ICENABLER + 4 * bank, u32::MAX);
    }
    for word in 8..8 * lines {
        rig.set_gicd(IPRIORITYR + 4 * word, 0xa0a0_a0a0);
    }
    rig.set_gicd(GICD_CTLR, 0x13);
    assert_eq!(rig.gicd(GICD_CTLR), 0x53);
    for intid in 32..32 * lines {
        rig.set_gicd64(IROUTER + 8 * intid, 0);
    }
}

/// The frame with this processor's affinity, found as Linux walks them.
fn find_redistributor(rig: &mut Rig, affinity: u64) -> usize {
    for n in 0.. {
        assert_eq!(rig.gicr(n, 0xffe8) & 0xf0, 0x30);
        let typer = rig.gicr64(n, 0x0008);
        if typer >> 32 == affinity {
            return n;
        }
        assert_eq!(typer & 0x10, 0, "Last came before the processor");
    }
    unreachable!()
}

fn wake(rig: &mut Rig, n: usize) {
    let waker = rig.gicr(n, WAKER);
    rig.set_gicr(n, WAKER, waker & !2);
    assert_eq!(rig.gicr(n, WAKER) & 4, 0);
    rig.set_gicr(n, SGI + IGROUPR, u32::MAX);
    rig.set_gicr(n, SGI + ICACTIVER, u32::MAX);
    rig.set_gicr(n, SGI + ICENABLER, u32::MAX);
    for word in 0..8 {
        rig.set_gicr(n, SGI + IPRIORITYR + 4 * word, 0xa0a0_a0a0);
    }
    assert_eq!(rig.gicr(n, GICR_CTLR) & 1 << 3, 0, "RWP");
}

fn cpu_interface(rig: &mut Rig, n: usize) {
    assert_eq!(rig.get(n, SRE) & 1, 1);
    let priority_bits = (rig.get(n, CTLR) >> 8 & 7) + 1;
    assert_eq!(priority_bits, 5);
    rig.set(n, PMR, 1 << (8 - priority_bits));
    assert_ne!(rig.get(n, PMR), 0, "group 0 is there");
    rig.set(n, PMR, 0xf0);
    rig.set(n, BPR1, 0);
    rig.set(n, CTLR, 0);
    rig.set(n, AP0R0, 0);
    rig.set(n, AP1R0, 0);
    rig.set(n, IGRPEN1, 1);
}

/// Finds by what sticks how a table register takes memory, in Linux's order of preference.
fn table(rig: &mut Rig, offset: u64, address: u64, indirect: bool) -> u64 {
    let fixed = rig.gits64(offset) & 0x071f_0000_0000_0000;
    for (code, bytes) in PAGE_SIZES {
        let pages = 0x1000_u64.div_ceil(bytes);
        let value = 1 << 63
            | u64::from(indirect) << 62
            | 7 << 59
            | fixed
            | address
            | 1 << 10
            | code << 8
            | (pages - 1);
        rig.set_gits64(offset, value);
        let read = rig.gits64(offset);
        assert_eq!(read >> 10 & 3, 1, "shareable, or Linux flushes caches");
        if read >> 8 & 3 == code {
            assert_eq!(read, value, "the register does not stick");
            return bytes;
        }
    }
    unreachable!("no page size sticks")
}

fn its(rig: &mut Rig) {
    assert_eq!(rig.gits(0xffe8) & 0xf0, 0x30);
    let ctlr = rig.gits(GITS_CTLR);
    rig.set_gits(GITS_CTLR, ctlr & !1);
    assert_eq!(rig.gits(GITS_CTLR) >> 31, 1, "Quiescent");
    let typer = rig.gits64(0x0008);
    // Physical LPIs, 16-bit DeviceIDs and EventIDs, entries of 8 bytes, processor numbers.
    assert_eq!((typer & 1, typer >> 13 & 0x1f, typer >> 8 & 0x1f, typer >> 4 & 0xf), (1, 15, 15, 7));
    assert_eq!((typer >> 19 & 1, typer >> 24 & 0xff), (0, 0));
    for index in 0..8 {
        let offset = 0x100 + 8 * index;
        match rig.gits64(offset) >> 56 & 7 {
            0 => {}
            1 => assert_eq!(table(rig, offset, 0x2_0000, true), 0x1_0000),
            4 => assert_eq!(table(rig, offset, 0x3_0000, false), 0x1_0000),
            other => panic!("table type {other}"),
        }
    }
    let value = 1 << 63 | 7 << 59 | QUEUE | 1 << 10;
    rig.set_gits64(CBASER, value);
    assert_eq!(rig.gits64(CBASER), value);
    rig.set_gits64(CWRITER, 0);
    let ctlr = rig.gits(GITS_CTLR);
    rig.set_gits(GITS_CTLR, ctlr | 1);
}

/// LPIs of a processor, and its collection.
fn lpis(rig: &mut Rig, n: usize) {
    assert_eq!(rig.gicr(n, GICR_CTLR) & 1, 0, "LPIs are on already");
    let propbaser = CONFIGURATION | 7 << 7 | 1 << 10 | 15;
    rig.set_gicr64(n, PROPBASER, propbaser);
    assert_eq!(rig.gicr64(n, PROPBASER), propbaser);
    let pendbaser = (0x6_0000 + 0x1_0000 * n as u64) | 7 << 7 | 1 << 10;
    rig.set_gicr64(n, PENDBASER, pendbaser | 1 << 62);
    assert_eq!(rig.gicr64(n, PENDBASER), pendbaser);
    let ctlr = rig.gicr(n, GICR_CTLR);
    rig.set_gicr(n, GICR_CTLR, ctlr | 1);
    let target = rig.gicr64(n, 0x0008) >> 8 & 0xffff;
    let collection = n as u64;
    rig.run(&[[0x09, 0, 1 << 63 | target << 16 | collection, 0], [0x05, 0, target << 16, 0]]);
    rig.run(&[[0x0d, 0, collection, 0], [0x05, 0, target << 16, 0]]);
}

#[test]
fn bring_up_and_the_first_message() {
    let mut rig = Rig::new(2);
    // The configuration table: all disabled, priority A0h.
    rig.mem.write(Pa(CONFIGURATION), &vec![0xa2; 57344]).unwrap();
    distributor(&mut rig);
    its(&mut rig);
    for affinity in [0, 1] {
        let n = find_redistributor(&mut rig, affinity);
        wake(&mut rig, n);
        cpu_interface(&mut rig, n);
        lpis(&mut rig, n);
    }
    // A device with 32 vectors: the second level of the device table, then MAPD.
    let device = 0x0100_u64;
    rig.mem.write(Pa(0x2_0000 + 8 * (device / 0x2000)), &(1_u64 << 63 | 0x4_0000).to_le_bytes()).unwrap();
    rig.run(&[[0x08 | device << 32, 4, 1 << 63 | ITT, 0], [0x05, 0, 0, 0]]);
    // Two vectors, LPIs 8192 and 8193, one at each processor, as they are activated.
    for (event, collection) in [(0, 0), (1, 1)] {
        let sync = [0x05, 0, collection << 16, 0];
        rig.run(&[[0x0a | device << 32, (8192 + event) << 32 | event, collection, 0], sync]);
        rig.configure_lpi(8192 + event, 0xa3);
        rig.run(&[[0x0c | device << 32, event, 0, 0], sync]);
    }
    for (event, processor) in [(0, 0), (1, 1)] {
        assert_eq!(rig.message(device as u32, event), Some((8192 + event, processor as u16)));
        assert_eq!(rig.lines(processor), IRQ);
        let intid = rig.iar(processor);
        assert_eq!(intid, u64::from(8192 + event));
        rig.eoi(processor, intid);
        assert_eq!((rig.lines(processor), rig.iar(processor)), (NONE, 1023));
    }
    // Another affinity, then the driver lets go of its vectors.
    rig.run(&[[0x01 | device << 32, 0, 1, 0], [0x05, 0, 1 << 16, 0]]);
    assert_eq!(rig.message(device as u32, 0), Some((8192, 1)));
    rig.configure_lpi(8192, 0xa2);
    rig.run(&[[0x0c | device << 32, 0, 0, 0], [0x0f | device << 32, 0, 0, 0], [0x05, 0, 1 << 16, 0]]);
    rig.run(&[[0x08 | device << 32, 4, ITT, 0], [0x05, 0, 0, 0]]);
    assert_eq!((rig.message(device as u32, 1), rig.lines(0), rig.lines(1)), (None, NONE, NONE));
}
