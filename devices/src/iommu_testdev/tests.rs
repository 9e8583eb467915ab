use super::*;
use crate::addr::SourceId;
use crate::fabric::Abort;
use crate::pci::testing::{RAM, Refuse, Rig};

const BAR: u64 = 0xe000_0000;

fn set_up(mut rig: Rig) -> (Rig, SourceId) {
    let probe = rig.mem.clone();
    let source = rig.add(1, 0, Box::new(IommuTestdev::new(probe)));
    rig.config32(source, 0x10, BAR as u32);
    // Memory space only: it needs no Bus Master Enable.
    rig.config16(source, 0x04, 2);
    (rig, source)
}

fn ask(rig: &mut Rig, iova: u64, gpa: u64, length: u32, attributes: u32) {
    for (offset, value) in [
        (0x04, iova as u32),
        (0x08, (iova >> 32) as u32),
        (0x1c, gpa as u32),
        (0x20, (gpa >> 32) as u32),
        (0x0c, length),
        (0x18, attributes),
        (0x14, 1),
    ] {
        rig.write32(BAR + offset, value);
    }
}

#[test]
fn registers_at_reset_and_what_they_keep() {
    let (mut rig, _) = set_up(Rig::new());
    for (offset, reset, written) in [
        (0x04, 0, 0x89ab_cdef),
        (0x08, 0, 0x89ab_cdef),
        (0x0c, 0, 0x89ab_cdef),
        (0x10, 0xffff_ffff, 0x89ab_cdef),
        (0x14, 0, 0),
        (0x18, 0x2, 0x89ab_cdef),
        (0x1c, 0, 0x89ab_cdef),
        (0x20, 0, 0x89ab_cdef),
        (0x24, 0, 0),
        (0xffc, 0, 0),
    ] {
        assert_eq!(rig.read32(BAR + offset), reset, "{offset:#x}");
        rig.write32(BAR + offset, 0x89ab_cdef);
        assert_eq!(rig.read32(BAR + offset), written, "{offset:#x}");
    }
}

#[test]
fn the_doorbell_arms_and_disarms() {
    let (mut rig, _) = set_up(Rig::new());
    // (doorbell, RESULT then, RESULT after a trigger)
    for (doorbell, result, triggered) in [
        (None, 0xffff_ffff, 0xdead_0005),
        (Some(1), 0xffff_fffe, 0xdead_0001),
        (None, 0xdead_0001, 0xdead_0005),
        (Some(3), 0xffff_fffe, 0xdead_0001),
        (Some(2), 0xffff_ffff, 0xdead_0005),
    ] {
        if let Some(value) = doorbell {
            rig.write32(BAR + 0x14, value);
        }
        assert_eq!(rig.read32(BAR + 0x10), result, "{doorbell:?}");
        assert_eq!(rig.read32(BAR), 0, "a trigger reads as zero");
        assert_eq!(rig.read32(BAR + 0x10), triggered, "{doorbell:?}");
    }
}

#[test]
fn results() {
    let top = RAM - 0x1000;
    // (IOVA, GPA, length, attributes, RESULT)
    for (iova, gpa, length, attributes, result) in [
        (0x3000, 0x3000, 4, 0x02, 0),
        (0x3001, 0x3001, 7, 0x02, 0),
        (0x3000, 0x3000, 1, 0x0a, 0),
        (0x3ffe, 0x3ffe, 0x2345, 0x0a, 0),
        (0x3000, 0x3000, 4, 0x09, 0),
        (0x3000, 0x3000, 4, 0x05, 0),
        (0x3000, 0x3000, 0, 0x0b, 0xdead_0001),
        (0, 0, 0x10_0001, 0x02, 0xdead_0001),
        (0x3000, 0x3000, 4, 0x08, 0xdead_0006),
        (0x3000, 0x3000, 4, 0x0b, 0xdead_0006),
        (0x3000, 0x3000, 4, 0x00, 0),
        (0x3000, 0x3000, 4, 0x0c, 0),
        (0x9_0000, 0x3000, 4, 0x02, 0xdead_0002),
        (u64::MAX - 1, 0x3000, 4, 0x02, 0xdead_0002),
        (0x3000, RAM, 4, 0x02, 0xdead_0003),
        (0x3000, RAM - 2, 4, 0x02, 0xdead_0003),
        (0x3000, top, 4, 0x02, 0xdead_0004),
        (0x3000, 0x3002, 4, 0x02, 0xdead_0004),
    ] {
        let refuse = Refuse(0x9_0000..=0x9_0fff, Outcome::Abort(Abort::Ur));
        let (mut rig, _) = set_up(Rig::behind(std::sync::Arc::new(refuse)));
        ask(&mut rig, iova, gpa, length, attributes);
        assert_eq!(rig.read32(BAR + 0x10), 0xffff_fffe);
        rig.read32(BAR);
        let row = format!("{iova:#x} {gpa:#x} {length:#x} {attributes:#x}");
        assert_eq!(rig.read32(BAR + 0x10), result, "{row}");
        rig.read32(BAR);
        assert_eq!(rig.read32(BAR + 0x10), 0xdead_0005, "a trigger disarms: {row}");
    }
}

#[test]
fn what_it_writes() {
    let (mut rig, source) = set_up(Rig::new());
    ask(&mut rig, 0x3001, 0x3001, 6, 0x02);
    rig.read32(BAR);
    assert_eq!(rig.ram(0x3000, 8), [0, 0x78, 0x56, 0x34, 0x12, 0x78, 0x56, 0]);
    assert_eq!(rig.requesters(), [source]);
    ask(&mut rig, 0x4000, 0x4000, 0x10_0000, 0x02);
    rig.read32(BAR);
    assert_eq!(rig.read32(BAR + 0x10), 0xdead_0002, "the DMA leaves memory");
    assert_eq!(rig.ram(RAM - 4, 4), [0x78, 0x56, 0x34, 0x12], "but only there");
}

#[test]
fn other_sizes_do_nothing() {
    let (mut rig, _) = set_up(Rig::new());
    ask(&mut rig, 0x3000, 0x3000, 4, 0x02);
    for (offset, len) in [(0, 1), (0, 2), (0, 8), (1, 4), (2, 2)] {
        let mut data = vec![0xee; len];
        assert!(rig.host.mmio_read(BAR + offset, &mut data, &mut rig.fx));
        assert_eq!(data, vec![0; len]);
        assert!(rig.write(BAR + 0x0c + offset, &data[..len.min(2)]));
    }
    assert_eq!((rig.read32(BAR + 0x10), rig.read32(BAR + 0x0c)), (0xffff_fffe, 4));
}
