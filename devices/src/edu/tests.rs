use super::*;
use crate::addr::{Pa, SourceId};
use crate::fabric::{Abort, Outcome};
use crate::pci::testing::{Refuse, Rig};

const BAR: u64 = 0xe000_0000;
const MS: u64 = 1_000_000;

fn with_mask(dma_mask: u64) -> (Rig, SourceId) {
    set_up(Rig::new(), dma_mask)
}

fn set_up(mut rig: Rig, dma_mask: u64) -> (Rig, SourceId) {
    let source = rig.add(4, 0, Box::new(Edu::new(dma_mask)));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    (rig, source)
}

fn start_dma(rig: &mut Rig, source: u64, destination: u64, count: u64, command: u64) {
    rig.write64(BAR + 0x80, source);
    rig.write64(BAR + 0x88, destination);
    rig.write64(BAR + 0x90, count);
    rig.write64(BAR + 0x98, command);
}

#[test]
fn registers_at_reset_and_what_they_keep() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    // (offset, at reset, after a write of 0xa5a5a5a4)
    for (offset, reset, written) in [
        (0x00, 0x0100_00ed, 0x0100_00ed),
        (0x04, 0x0000_0000, 0x5a5a_5a5b),
        (0x20, 0, 0x80),
        (0x24, 0, 0),
        (0x28, 0xffff_ffff, 0xffff_ffff),
        (0x60, 0xffff_ffff, 0xffff_ffff),
        (0x64, 0xffff_ffff, 0xffff_ffff),
        (0x80, 0, 0xa5a5_a5a4),
        (0x84, 0xffff_ffff, 0xffff_ffff),
        (0x88, 0, 0xa5a5_a5a4),
        (0x90, 0, 0xa5a5_a5a4),
        (0x98, 0, 0),
        (0x9c, 0xffff_ffff, 0xffff_ffff),
        (0x4_0000, 0xffff_ffff, 0xffff_ffff),
        (0xf_fffc, 0xffff_ffff, 0xffff_ffff),
    ] {
        assert_eq!(rig.read32(BAR + offset), reset, "{offset:#x}");
        if offset != 0x60 {
            rig.write32(BAR + offset, 0xa5a5_a5a4);
        }
        assert_eq!(rig.read32(BAR + offset), written, "{offset:#x}");
    }
}

#[test]
fn access_sizes() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    rig.write64(BAR + 0x80, 0x1122_3344_5566_7788);
    let rows: [(u64, &[u8]); 9] = [
        (0x00, &[0xed, 0x00, 0x00, 0x01]),
        (0x00, &[0xff, 0xff]),
        (0x01, &[0xff, 0xff, 0xff, 0xff]),
        (0x00, &[0xff; 8]),
        (0x80, &[0x88, 0x77, 0x66, 0x55]),
        (0x80, &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]),
        (0x80, &[0xff, 0xff]),
        (0x84, &[0xff; 4]),
        (0x80, &[0xff; 16]),
    ];
    for (offset, expected) in rows {
        let mut data = vec![0; expected.len()];
        assert!(rig.host.mmio_read(BAR + offset, &mut data, &mut rig.fx));
        assert_eq!(data, expected, "{offset:#x}");
    }
    for (offset, data) in [(0x80, &[0; 2][..]), (0x84, &[0; 4]), (0x80, &[0; 16]), (0x04, &[0; 8])] {
        rig.write(BAR + offset, data);
    }
    rig.write64(BAR + 0x04, 0);
    assert_eq!(rig.read32(BAR + 0x80), 0x5566_7788, "nothing was written");
    assert_eq!(rig.read32(BAR + 0x04), 0);
    rig.write32(BAR + 0x80, 1);
    let mut data = [0; 8];
    rig.host.mmio_read(BAR + 0x80, &mut data, &mut rig.fx);
    assert_eq!(data, [1, 0, 0, 0, 0, 0, 0, 0], "four bytes set all eight");
}

#[test]
fn factorials() {
    for (n, expected) in [
        (0, 1),
        (1, 1),
        (5, 120),
        (12, 479_001_600),
        (13, 1_932_053_504),
        (33, 0x8000_0000),
        (34, 0),
        (u32::MAX, 0),
    ] {
        let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
        rig.write32(BAR + 0x20, 0x80);
        rig.write32(BAR + 0x08, n);
        assert_eq!(rig.read32(BAR + 0x20), 0x81, "{n}! is being computed");
        rig.write32(BAR + 0x08, 3);
        assert_eq!(rig.run_until(999 + u64::from(n)), 0);
        assert_eq!((rig.read32(BAR + 0x08), rig.read32(BAR + 0x24)), (n, 0));
        assert_eq!(rig.run_until(1000 + u64::from(n)), 1);
        assert_eq!(rig.read32(BAR + 0x20), 0x80);
        assert_eq!((rig.read32(BAR + 0x08), rig.read32(BAR + 0x24)), (expected, 1), "{n}!");
    }
}

#[test]
fn a_factorial_interrupts_only_if_asked_to() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    rig.write32(BAR + 0x08, 3);
    rig.run_until(MS);
    assert_eq!((rig.read32(BAR + 0x08), rig.read32(BAR + 0x24)), (6, 0));
    assert_eq!(rig.lines, []);
}

#[test]
fn interrupts_by_pin() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    rig.write32(BAR + 0x60, 0);
    assert_eq!(rig.lines, [], "nothing raised");
    rig.write32(BAR + 0x60, 0x6);
    rig.write32(BAR + 0x60, 0x1);
    assert_eq!((rig.read32(BAR + 0x24), &rig.lines[..]), (7, &[(20, true)][..]));
    rig.write32(BAR + 0x64, 0x3);
    assert_eq!((rig.read32(BAR + 0x24), rig.lines.len()), (4, 1));
    rig.write32(BAR + 0x64, 0xff);
    assert_eq!((rig.read32(BAR + 0x24), &rig.lines[1..]), (0, &[(20, false)][..]));
    assert_eq!(rig.messages, []);
}

#[test]
fn every_raise_sends_an_msi() {
    let (mut rig, source) = with_mask(DEFAULT_DMA_MASK);
    rig.config32(source, 0x44, 0xfee0_0000);
    rig.config32(source, 0x4c, 0x30);
    rig.config16(source, 0x42, 1);
    rig.write32(BAR + 0x60, 1);
    rig.write32(BAR + 0x60, 1);
    rig.write32(BAR + 0x64, 1);
    assert_eq!(rig.messages, [(source, 0xfee0_0000, 0x30); 2]);
    assert_eq!(rig.lines, []);
}

#[test]
fn dma_both_ways_takes_100_ms() {
    let (mut rig, source) = with_mask(DEFAULT_DMA_MASK);
    let data: Vec<u8> = (0..4096).map(|i| (i % 253) as u8).collect();
    rig.mem.write(Pa(0x2003), &data).unwrap();
    start_dma(&mut rig, 0x2003, 0x4_0000, 4096, 1);
    assert_eq!(rig.read32(BAR + 0x98), 1);
    // While it runs the registers ignore writes.
    start_dma(&mut rig, 0, 0, 0, 7);
    rig.run_until(100 * MS - 1);
    assert_eq!(rig.read32(BAR + 0x98), 1);
    rig.run_until(100 * MS);
    assert_eq!(rig.read32(BAR + 0x98), 0);
    assert_eq!(rig.read32(BAR + 0x80), 0x2003);
    assert_eq!(rig.requesters(), [source]);

    start_dma(&mut rig, 0x4_0010, 0x8000, 0xff0, 7);
    rig.run_until(200 * MS);
    assert_eq!(rig.ram(0x8000, 0xff0), data[0x10..]);
    assert_eq!(rig.read32(BAR + 0x98), 6, "direction and interrupt stay");
    assert_eq!((rig.read32(BAR + 0x24), &rig.lines[..]), (0x100, &[(20, true)][..]));
}

#[test]
fn a_command_without_run_is_ignored() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    start_dma(&mut rig, 0x2000, 0x4_0000, 16, 6);
    assert_eq!(rig.read32(BAR + 0x98), 0);
    assert_eq!(rig.run_until(1000 * MS), 0);
}

#[test]
fn transfers_outside_the_buffer_move_nothing_and_complete() {
    // (device address, count, moves)
    for (device, count, moved) in [
        (0x4_0000, 0x1000, true),
        (0x4_0fff, 1, true),
        (0x4_0fff, 2, false),
        (0x3_ffff, 1, false),
        (0x3_ffff, 2, false),
        (0x4_0000, 0x1001, false),
        (0x4_1000, 1, false),
        (0x4_0800, u64::MAX, false),
        (u64::MAX, 0x4_0001, false),
        (0, 1, false),
    ] {
        let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
        rig.mem.write(Pa(0x2000), &[0xee; 0x1004]).unwrap();
        start_dma(&mut rig, device, 0x2000, count, 7);
        rig.run_until(100 * MS);
        assert_eq!(rig.read32(BAR + 0x98), 6, "{device:#x}, {count:#x}");
        assert_eq!(rig.read32(BAR + 0x24), 0x100, "{device:#x}, {count:#x}");
        let expected = if moved { 0 } else { 0xee };
        assert_eq!(rig.ram(0x2000, 1), [expected], "{device:#x}, {count:#x}");
    }
}

#[test]
fn the_mask_cuts_memory_addresses_only() {
    for (mask, address, lands) in
        [(0x0fff_ffff, 0x7000_3000, 0x3000), (0xffff, 0x1_2000, 0x2000), (u64::MAX, 0x4000, 0x4000)]
    {
        let (mut rig, _) = with_mask(mask);
        rig.mem.write(Pa(lands), &[0xee; 8]).unwrap();
        start_dma(&mut rig, 0x4_0000, address, 8, 3);
        rig.run_until(100 * MS);
        assert_eq!(rig.ram(lands, 8), [0; 8], "{mask:#x}");
    }
}

#[test]
fn a_refused_dma_completes_without_a_word() {
    let (mut rig, source) =
        set_up(Rig::behind(std::sync::Arc::new(Refuse(0..=0xffff, Outcome::Abort(Abort::Ur)))), u64::MAX);
    start_dma(&mut rig, 0x4_0000, 0x3000, 8, 7);
    rig.run_until(100 * MS);
    assert_eq!((rig.read32(BAR + 0x98), rig.read32(BAR + 0x24)), (6, 0x100));
    assert_eq!(rig.read_config16(source, 0x06) & 0x2000, 0x2000, "received master abort");
}

#[test]
fn a_reset_in_mid_dma_drops_it() {
    let mut rig = Rig::new();
    rig.host.add_root_port("rp0", 2, 0).unwrap();
    rig.add_behind("rp0", 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    let (port, source) = (SourceId::new(0, 2, 0), SourceId::new(1, 0, 0));
    rig.config32(port, 0x18, 0x0001_0100);
    rig.config32(port, 0x20, 0xe000_e000);
    rig.config16(port, 0x04, 6);
    for reset in [false, true] {
        rig.config32(source, 0x10, BAR as u32);
        rig.config16(source, 0x04, 6);
        rig.write32(BAR + 0x08, 5);
        start_dma(&mut rig, 0x4_0000, 0x2000, 8, 7);
        if reset {
            rig.config16(port, 0x3e, 0x40);
            rig.config16(port, 0x3e, 0x00);
            rig.config32(source, 0x10, BAR as u32);
            rig.config16(source, 0x04, 6);
        }
        rig.mem.write(Pa(0x2000), &[0xee]).unwrap();
        let now = rig.fx.now().0;
        rig.run_until(now + 200 * MS);
        let expected = if reset { (0, 0, 0xee) } else { (120, 0x100, 0) };
        let found = (rig.read32(BAR + 0x08), rig.read32(BAR + 0x24), rig.ram(0x2000, 1)[0]);
        assert_eq!(found, expected, "reset: {reset}");
    }
}

#[test]
fn save_and_restore_in_mid_dma() {
    let (mut rig, _) = with_mask(DEFAULT_DMA_MASK);
    rig.mem.write(Pa(0x2000), b"mid-transfer").unwrap();
    start_dma(&mut rig, 0x2000, 0x4_0000, 12, 5);
    rig.write32(BAR + 0x08, 4);
    rig.run_until(50 * MS);
    let (host, queue) = (rig.host.save(), rig.queue.save());
    let host = serde_json::from_str(&serde_json::to_string(&host).unwrap()).unwrap();
    let (mut other, _) = with_mask(DEFAULT_DMA_MASK);
    other.mem.write(Pa(0x2000), b"mid-transfer").unwrap();
    other.host.restore(host).unwrap();
    other.queue.restore(queue);
    for rig in [&mut rig, &mut other] {
        rig.run_until(100 * MS);
        assert_eq!((rig.read32(BAR + 0x98), rig.read32(BAR + 0x24)), (4, 0x100));
        start_dma(rig, 0x4_0000, 0x5000, 12, 3);
        rig.run_until(200 * MS);
        assert_eq!(rig.ram(0x5000, 12), b"mid-transfer");
    }
    assert_eq!(rig.host.save(), other.host.save());
}
