use std::sync::Arc;

use super::*;
use crate::addr::Pa;
use crate::events::Time;
use crate::fabric::Direct;
use crate::mem::PhysMem;
use crate::vtd;

/// Redirection entries, low dwords: vector 41h.
const EDGE: u32 = 0x41;
const LEVEL: u32 = 0x8041;
const MASKED: u32 = 0x1_0000;
const REMOTE_IRR: u32 = 0x4000;
const SEND_PENDING: u32 = 0x1000;

/// An I/O APIC, perhaps behind a VT-d unit, and the messages that came out since last asked.
struct Rig {
    ioapic: IoApic,
    vtd: vtd::Unit,
    mem: PhysMem,
    fx: Effects,
    messages: Vec<(u64, u32)>,
}

const TABLE: u64 = 0x1_0000;

impl Rig {
    fn build(config: Config, behind_vtd: bool) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x2_0000)]).unwrap();
        let vtd = vtd::Unit::new(vtd::Config::preset("vtd-legacy").unwrap(), mem.clone());
        let translate = if behind_vtd { vtd.translator() } else { Arc::new(Direct) };
        let (ioapic, fx) = (IoApic::new(config, translate), Effects::new(Time(0), true));
        Self { ioapic, vtd, mem, fx, messages: Vec::new() }
    }

    fn new() -> Self {
        Self::build(Config::default(), false)
    }

    /// Behind a unit whose table has 256 entries and that blocks compatibility format.
    fn remapped(config: Config) -> Self {
        let mut rig = Self::build(config, true);
        for (offset, value) in [(0xb8, TABLE | 7), (0x18, 1 << 24), (0x18, 1 << 25)] {
            rig.vtd.write(offset, &value.to_le_bytes()[..if offset == 0xb8 { 8 } else { 4 }], &mut rig.fx);
        }
        rig
    }

    fn interrupt_entry(&self, index: u64, low: u64, high: u64) {
        let bytes: Vec<u8> = [low, high].iter().flat_map(|word| word.to_le_bytes()).collect();
        self.mem.write(Pa(TABLE + index * 16), &bytes).unwrap();
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.ioapic.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.ioapic.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn indirect(&mut self, index: u32) -> u32 {
        self.w32(0x00, index);
        self.r32(0x10)
    }

    fn set_indirect(&mut self, index: u32, value: u32) {
        self.w32(0x00, index);
        self.w32(0x10, value);
    }

    /// Writes an entry as drivers do: high half first.
    fn set_entry(&mut self, pin: u32, raw: u64) {
        self.set_indirect(0x11 + 2 * pin, (raw >> 32) as u32);
        self.set_indirect(0x10 + 2 * pin, raw as u32);
    }

    fn set_low(&mut self, pin: u32, low: u32) {
        self.set_indirect(0x10 + 2 * pin, low);
    }

    fn low(&mut self, pin: u32) -> u32 {
        self.indirect(0x10 + 2 * pin)
    }

    fn line(&mut self, pin: u32, asserted: bool) {
        self.ioapic.set_line(pin, asserted, &mut self.fx);
        self.deliver();
    }

    fn eoi(&mut self, vector: u8) {
        self.ioapic.eoi(vector, &mut self.fx);
        self.deliver();
    }

    /// Delivers effects as a machine does.
    fn deliver(&mut self) {
        for effect in self.fx.take() {
            match effect {
                Effect::Interrupt { address, data, .. } => self.messages.push((address, data)),
                Effect::Fault { fault, .. } => self.vtd.fault(fault, &mut self.fx),
                other => panic!("{other:?} from an I/O APIC"),
            }
        }
    }

    /// How many messages came out since the last call.
    fn sent(&mut self) -> usize {
        std::mem::take(&mut self.messages).len()
    }

    /// Takes the high word of the oldest fault record, or 0 if none is pending.
    fn fault(&mut self) -> u64 {
        let mut status = [0; 4];
        self.vtd.read(0x34, &mut status, &mut self.fx);
        if status[0] & 2 == 0 {
            return 0;
        }
        let record = 0x220 + 16 * u64::from(status[1]);
        let mut data = [0; 8];
        self.vtd.read(record + 8, &mut data, &mut self.fx);
        self.vtd.write(record + 12, &0x8000_0000u32.to_le_bytes(), &mut self.fx);
        u64::from_le_bytes(data)
    }
}

#[test]
fn indirect_registers_keep_what_the_data_sheet_lets_software_write() {
    for (index, reset, ones) in [
        (0x00, 0x0000_0000, 0x0f00_0000),
        (0x01, 0x0017_0020, 0x0017_0020),
        (0x02, 0x0000_0000, 0x0000_0000),
        (0x03, 0, 0),
        (0x0f, 0, 0),
        (0x10, 0x0001_0000, 0x0001_afff),
        (0x11, 0x0000_0000, 0xffff_0000),
        (0x3e, 0x0001_0000, 0x0001_afff),
        (0x3f, 0x0000_0000, 0xffff_0000),
        (0x40, 0, 0),
        (0xff, 0, 0),
    ] {
        let mut rig = Rig::new();
        assert_eq!(rig.indirect(index), reset, "index {index:#x} after reset");
        rig.set_indirect(index, 0xffff_ffff);
        assert_eq!(rig.indirect(index), ones, "index {index:#x} written with ones");
        rig.set_indirect(index, 0);
        assert_eq!(rig.indirect(index), if index == 1 { reset } else { 0 }, "index {index:#x}");
        assert_eq!(rig.sent(), 0);
    }
}

#[test]
fn the_arbitration_id_is_loaded_with_the_id() {
    let mut rig = Rig::new();
    rig.set_indirect(0, 0x0500_0000);
    assert_eq!(rig.indirect(2), 0x0500_0000);
}

#[test]
fn every_pin_has_its_own_entry() {
    let mut rig = Rig::new();
    for pin in 0..24 {
        rig.set_entry(pin, u64::from(pin) << 56 | u64::from(0x30 + pin));
    }
    for pin in 0..24 {
        assert_eq!((rig.low(pin), rig.indirect(0x11 + 2 * pin)), (0x30 + pin, pin << 24));
        rig.line(pin, true);
        assert_eq!(rig.messages.pop(), Some((0xfee0_0000 | u64::from(pin) << 12, 0x30 + pin)));
    }
}

#[test]
fn entries_become_messages() {
    for (what, raw, address, data) in [
        ("fixed, physical", 0x0300_0000_0000_0041u64, 0xfee0_3000u64, 0x41u32),
        ("fixed, logical", 0xff00_0000_0000_0841, 0xfeef_f004, 0x41),
        ("lowest priority", 0x0100_0000_0000_0941, 0xfee0_100c, 0x141),
        ("SMI", 0x0000_0000_0000_0200, 0xfee0_0000, 0x200),
        ("NMI", 0x0200_0000_0000_0400, 0xfee0_2000, 0x400),
        ("INIT", 0x0000_0000_0000_0500, 0xfee0_0000, 0x500),
        ("ExtINT", 0x0000_0000_0000_0700, 0xfee0_0000, 0x700),
        ("level, active low", 0x0300_0000_0000_a041, 0xfee0_3000, 0xc041),
        ("level, NMI", 0x0000_0000_0000_8400, 0xfee0_0000, 0xc400),
        ("extended destination", 0x0304_0000_0000_0041, 0xfee0_3040, 0x41),
        ("remappable, index 5", 0x000b_0000_0000_0010, 0xfee0_00b0, 0x10),
        ("remappable, index FFFFh, level", 0xffff_0000_0000_8810, 0xfeef_fff4, 0xc010),
    ] {
        let mut rig = Rig::new();
        rig.set_entry(7, raw);
        rig.line(7, true);
        assert_eq!(rig.messages, [(address, data)], "{what}");
    }
}

#[test]
fn an_edge_is_sent_once_and_lost_while_masked() {
    let mut rig = Rig::new();
    rig.set_low(3, EDGE);
    for (asserted, sent) in [(true, 1), (true, 0), (false, 0), (false, 0), (true, 1)] {
        rig.line(3, asserted);
        assert_eq!(rig.sent(), sent);
        assert_eq!(rig.low(3), EDGE, "no Remote IRR");
    }
    rig.eoi(0x41);
    rig.set_low(3, EDGE);
    rig.set_low(3, EDGE | MASKED);
    rig.line(3, false);
    rig.line(3, true);
    rig.set_low(3, EDGE);
    assert_eq!(rig.sent(), 0, "neither an EOI, nor a write, nor unmasking makes an edge");
    rig.line(3, false);
    rig.line(3, true);
    assert_eq!(rig.sent(), 1);
}

#[test]
fn a_level_is_sent_again_after_each_eoi_while_it_lasts() {
    let by_broadcast: fn(&mut Rig, u8) = |rig, vector| rig.eoi(vector);
    let by_register: fn(&mut Rig, u8) = |rig, vector| rig.w32(0x40, u32::from(vector));
    // Lowest priority has levels too.
    for (end, low) in [(by_broadcast, LEVEL), (by_register, LEVEL), (by_register, LEVEL | 0x100)] {
        let mut rig = Rig::new();
        rig.set_low(3, low);
        assert_eq!((rig.sent(), rig.low(3)), (0, low));
        rig.line(3, true);
        assert_eq!((rig.sent(), rig.low(3)), (1, low | REMOTE_IRR));
        rig.line(3, false);
        rig.line(3, true);
        rig.set_low(3, low);
        end(&mut rig, 0x40);
        assert_eq!((rig.sent(), rig.low(3)), (0, low | REMOTE_IRR), "in service");
        end(&mut rig, 0x41);
        assert_eq!((rig.sent(), rig.low(3)), (1, low | REMOTE_IRR), "still asserted");
        rig.line(3, false);
        assert_eq!(rig.low(3), low | REMOTE_IRR);
        end(&mut rig, 0x41);
        assert_eq!((rig.sent(), rig.low(3)), (0, low));
        end(&mut rig, 0x41);
        assert_eq!(rig.sent(), 0);
    }
}

#[test]
fn a_masked_level_waits_and_its_eoi_still_counts() {
    let mut rig = Rig::new();
    rig.set_low(3, LEVEL | MASKED);
    rig.line(3, true);
    assert_eq!((rig.sent(), rig.low(3)), (0, LEVEL | MASKED));
    rig.set_low(3, LEVEL);
    assert_eq!((rig.sent(), rig.low(3)), (1, LEVEL | REMOTE_IRR));
    rig.set_low(3, LEVEL | MASKED);
    assert_eq!(rig.low(3), LEVEL | MASKED | REMOTE_IRR);
    rig.eoi(0x41);
    assert_eq!((rig.sent(), rig.low(3)), (0, LEVEL | MASKED));
    rig.set_low(3, LEVEL);
    assert_eq!(rig.sent(), 1);
}

#[test]
fn an_eoi_reaches_every_level_entry_of_its_vector() {
    let mut rig = Rig::new();
    for (pin, low) in [(1, LEVEL), (2, LEVEL), (3, 0x8042), (4, EDGE)] {
        rig.set_low(pin, low);
        rig.line(pin, true);
    }
    assert_eq!(rig.sent(), 4);
    rig.line(2, false);
    // Bits 31:8 of the EOI register are ignored.
    rig.w32(0x40, 0xffff_ff41);
    assert_eq!(rig.messages, [(0xfee0_0000, 0xc041)]);
    let lows = [1, 2, 3, 4].map(|pin| rig.low(pin));
    assert_eq!(lows, [LEVEL | REMOTE_IRR, LEVEL, 0x8042 | REMOTE_IRR, EDGE]);
}

#[test]
fn remote_irr_goes_with_level_triggering() {
    for (what, low) in [("edge", EDGE | MASKED), ("NMI", 0x8441 | MASKED)] {
        let mut rig = Rig::new();
        rig.set_low(3, LEVEL);
        rig.line(3, true);
        rig.line(3, false);
        rig.set_low(3, low);
        assert_eq!(rig.low(3), low, "{what}");
        rig.set_low(3, LEVEL | MASKED);
        assert_eq!(rig.low(3), LEVEL | MASKED, "{what}");
    }
}

#[test]
fn modes_without_a_level_are_edge_triggered_whatever_the_entry_says() {
    for mode in [2, 4, 5, 7] {
        let mut rig = Rig::new();
        let low = 0x8000 | mode << 8;
        rig.line(3, true);
        rig.set_low(3, low);
        assert_eq!(rig.sent(), 0, "mode {mode}: no edge");
        rig.line(3, false);
        rig.line(3, true);
        assert_eq!((rig.sent(), rig.low(3)), (1, low), "mode {mode}");
        rig.eoi(0);
        assert_eq!(rig.sent(), 0, "mode {mode}: nothing to end");
    }
}

#[test]
fn remappable_entries_go_through_the_table() {
    let mut rig = Rig::remapped(Config::default());
    // Vector 55h, to APIC FFh; from ff:00.0 only.
    rig.interrupt_entry(5, 0x0000_ff00_0055_0001, 0x4_ff00);
    rig.set_entry(3, 0x000b_0000_0000_0003);
    rig.set_entry(4, 0x000b_0000_0000_8004);
    rig.line(3, true);
    rig.line(4, true);
    assert_eq!(rig.messages, [(0xfeef_f000, 0x4055); 2]);
    assert_eq!((rig.low(3), rig.low(4)), (0x3, 0xc004));
    // The processors know vector 55h; the entry answers to its own.
    rig.eoi(0x55);
    assert_eq!(rig.low(4), 0xc004);
    rig.line(4, false);
    rig.w32(0x40, 0x04);
    assert_eq!((rig.low(4), rig.fault()), (0x8004, 0));
}

#[test]
fn a_blocked_edge_is_lost_and_a_blocked_level_waits_for_a_cause() {
    let mut rig = Rig::remapped(Config::default());
    rig.set_entry(3, 0x000b_0000_0000_0003);
    rig.line(3, true);
    // Entry not present, index 5, ff:00.0.
    assert_eq!((rig.sent(), rig.low(3), rig.fault()), (0, 3, 0x8000_0022_0000_ff00));
    type Cause = fn(&mut Rig);
    let causes: [Cause; 5] = [
        |rig| rig.set_low(4, 0x8004),
        |rig| rig.set_indirect(0x19, 0x000b_0000),
        |rig| rig.eoi(4),
        |rig| rig.w32(0x40, 4),
        |rig| {
            rig.line(4, false);
            rig.line(4, true);
        },
    ];
    for (number, cause) in causes.iter().enumerate() {
        let mut rig = Rig::remapped(Config::default());
        rig.set_entry(4, 0x000b_0000_0000_8004);
        rig.line(4, true);
        assert_eq!((rig.low(4), rig.fault()), (0x8004 | SEND_PENDING, 0x8000_0022_0000_ff00));
        rig.line(4, true);
        rig.eoi(5);
        assert_eq!((rig.sent(), rig.fault()), (0, 0), "no retry without a cause");
        cause(&mut rig);
        assert_eq!((rig.sent(), rig.fault()), (0, 0x8000_0022_0000_ff00), "one retry, cause {number}");
        rig.interrupt_entry(5, 0x0055_0001, 0);
        cause(&mut rig);
        assert_eq!((rig.sent(), rig.low(4), rig.fault()), (1, 0xc004, 0), "cause {number}");
    }
    let mut rig = Rig::remapped(Config::default());
    rig.set_entry(4, 0x000b_0000_0000_8004);
    rig.line(4, true);
    rig.line(4, false);
    assert_eq!(rig.low(4), 0x8004, "withdrawn: nothing is pending");
}

#[test]
fn compatibility_format_is_blocked_by_remapping_alone() {
    let mut rig = Rig::remapped(Config::default());
    rig.set_entry(3, u64::from(LEVEL));
    rig.line(3, true);
    assert_eq!((rig.sent(), rig.fault()), (0, 0x8000_0025_0000_ff00));
    rig.vtd.write(0x18, &0u32.to_le_bytes(), &mut rig.fx);
    rig.set_low(3, LEVEL);
    assert_eq!((rig.messages.pop(), rig.fault()), (Some((0xfee0_0000, 0xc041)), 0));
}

#[test]
fn sources_are_verified_unless_told_otherwise() {
    let source = SourceId(0xf0f8);
    let lax = Config { verify: false, ..Config::default() };
    for (config, high, fault) in [
        (Config::default(), 0x4_ff00u64, 0u64),
        (Config::default(), 0x4_0018, 0x8000_0026_0000_ff00),
        (Config::default(), 0x8_0102, 0x8000_0026_0000_ff00),
        (Config { source, verify: true }, 0x4_f0f8, 0),
        (Config { source, verify: true }, 0x4_ff00, 0x8000_0026_0000_f0f8),
        (lax, 0x4_0018, 0),
        (lax, 0x8_0102, 0),
        // A reserved validation type is the entry's fault, not the requester's.
        (lax, 0xc_0018, 0x8000_0024_0000_ff00),
    ] {
        let mut rig = Rig::remapped(config);
        rig.interrupt_entry(5, 0x0055_0001, high);
        rig.set_entry(3, 0x000b_0000_0000_0003);
        rig.line(3, true);
        assert_eq!((rig.sent(), rig.fault()), (usize::from(fault == 0), fault), "{config:?} {high:#x}");
    }
}

#[test]
fn interrupts_name_their_requester() {
    let mut rig = Rig::new();
    rig.set_low(3, EDGE);
    rig.ioapic.set_line(3, true, &mut rig.fx);
    let initiator = Initiator::IoApic { source: SourceId(0xff00), verify: true };
    assert_eq!(rig.fx.take(), [Effect::Interrupt { initiator, address: 0xfee0_0000, data: 0x41 }]);
    assert_eq!(initiator.to_string(), "ff:00.0");
}

#[test]
fn level_routes_are_what_processors_see() {
    let mut rig = Rig::remapped(Config::default());
    rig.interrupt_entry(5, 0x0000_ff00_0055_0011, 0x4_ff00);
    let index_5 = 0x000b_0000_0000_0000u64;
    rig.set_entry(1, index_5 | 0x8001);
    rig.set_entry(2, index_5 | 0x0002);
    rig.set_entry(3, index_5 | 0x1_8003);
    // Index 6 is not present.
    rig.set_entry(4, 0x000d_0000_0000_8004);
    rig.set_entry(23, index_5 | 0x8017);
    let route = |pin| LevelRoute { pin, address: 0xfeef_f000, data: 0xc055 };
    assert_eq!(rig.ioapic.level_routes(), [route(1), route(23)]);
    assert_eq!((rig.fault(), rig.sent()), (0, 0), "asking leaves no trace");
    // Masked while in service: its EOI is still to come.
    rig.line(23, true);
    rig.set_low(23, 0x1_8017);
    assert_eq!(rig.ioapic.level_routes(), [route(1), route(23)]);
    rig.w32(0x40, 0x17);
    assert_eq!(rig.ioapic.level_routes(), [route(1)]);
}

#[test]
fn pins_that_do_not_exist_are_ignored() {
    let mut rig = Rig::new();
    let before = rig.ioapic.save();
    for pin in [24, 31, 32, 255, u32::MAX] {
        rig.line(pin, true);
    }
    assert_eq!(rig.ioapic.save(), before);
}

#[test]
fn the_index_and_the_eoi_take_bytes_and_the_window_takes_dwords() {
    // (offset, bytes written, IOREGSEL and the entry's low half afterwards)
    let rows: &[(u64, &[u8], u32, u32)] = &[
        (0x00, &[0x12], 0x12, 0xc041),
        (0x00, &[0x12, 0x34], 0x12, 0xc041),
        (0x00, &[0x12, 0, 0, 0, 9, 9, 9, 9], 0x12, 0xc041),
        (0x01, &[0x12], 0x10, 0xc041),
        (0x10, &[0x77], 0x10, 0xc041),
        (0x10, &[0x77, 0, 0], 0x10, 0xc041),
        (0x11, &[0x77, 0, 0, 0], 0x10, 0xc041),
        (0x0e, &[0, 0, 0x77, 0], 0x10, 0xc041),
        (0x10, &[0x77, 0, 0, 0], 0x10, 0x0077),
        (0x10, &[0x77, 0, 0, 0, 9, 9, 9, 9], 0x10, 0x0077),
        (0x0c, &[9, 9, 9, 9, 0x77, 0, 0, 0], 0x10, 0x0077),
        (0x40, &[0x41], 0x10, 0x8041),
        (0x40, &[0x41, 9, 9, 9, 9, 9, 9, 9], 0x10, 0x8041),
        (0x3f, &[0, 0x41], 0x10, 0x8041),
        (0x41, &[0x41, 0, 0], 0x10, 0xc041),
        (0x14, &[0x77, 0, 0, 0], 0x10, 0xc041),
        (0x20, &[0x00, 0, 0, 0], 0x10, 0xc041),
        (0x110, &[0x77, 0, 0, 0], 0x10, 0xc041),
        (u64::MAX, &[0x77, 0, 0, 0], 0x10, 0xc041),
        (0x00, &[], 0x10, 0xc041),
    ];
    for &(offset, data, index, low) in rows {
        let mut rig = Rig::new();
        rig.set_low(0, LEVEL);
        rig.line(0, true);
        rig.line(0, false);
        rig.ioapic.write(offset, data, &mut rig.fx);
        assert_eq!((rig.r32(0), rig.low(0)), (index, low), "{offset:#x} {data:x?}");
    }
}

#[test]
fn an_eoi_needs_its_lowest_byte() {
    for (offset, low) in [(0x41, 0xc000), (0x40, 0x8000)] {
        let mut rig = Rig::new();
        rig.set_low(0, 0x8000);
        rig.line(0, true);
        rig.line(0, false);
        rig.ioapic.write(offset, &[0], &mut rig.fx);
        assert_eq!(rig.low(0), low, "vector 0 written at {offset:#x}");
    }
}

#[test]
fn reads_of_every_size_and_offset_are_parts_of_the_same_bytes() {
    let mut rig = Rig::new();
    rig.set_entry(23, 0x1234_0000_0000_8041);
    rig.w32(0x00, 0x3e);
    let mut expected = [0; 0x60];
    expected[0] = 0x3e;
    expected[0x10..0x12].copy_from_slice(&[0x41, 0x80]);
    let before = rig.ioapic.save();
    for offset in 0..0x50 {
        for size in 0..=16 {
            let mut data = [0xee; 16];
            rig.ioapic.read(offset as u64, &mut data[..size], &mut rig.fx);
            assert_eq!(data[..size], expected[offset..offset + size], "{size} bytes at {offset:#x}");
        }
    }
    for offset in [0x1000, u64::MAX - 3, u64::MAX] {
        let mut data = [0xee; 8];
        rig.ioapic.read(offset, &mut data, &mut rig.fx);
        assert_eq!(data, [0; 8], "{offset:#x}");
    }
    assert_eq!(rig.ioapic.save(), before);
}

#[test]
fn a_saved_one_continues_where_it_was_and_a_reset_one_starts_anew() {
    let mut rig = Rig::new();
    rig.set_indirect(0, 0x0300_0000);
    rig.set_low(3, LEVEL);
    rig.line(3, true);
    rig.line(4, true);
    let json = serde_json::to_string(&rig.ioapic.save()).unwrap();
    let mut other = Rig::new();
    other.ioapic.restore(serde_json::from_str(&json).unwrap());
    assert_eq!(other.r32(0), 0x16, "IOREGSEL");
    assert_eq!((other.indirect(0), other.low(3)), (0x0300_0000, LEVEL | REMOTE_IRR));
    other.eoi(0x41);
    assert_eq!(other.messages, [(0xfee0_0000, 0xc041)]);
    other.set_low(4, LEVEL);
    assert_eq!(other.messages.len(), 2, "inputs are restored too");
    other.ioapic.reset();
    assert_eq!(other.ioapic.save(), Rig::new().ioapic.save());
}

#[test]
fn register_accesses_are_traced_by_name() {
    let mut rig = Rig::new();
    rig.set_low(3, EDGE);
    rig.r32(0x10);
    rig.w32(0x40, 0x41);
    rig.w32(0x30, 1);
    let lines: Vec<_> = rig.fx.take_trace().iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        ioapic: write IOREGSEL(0x0) = 0x00000016
        ioapic: write IOREDTBL(0x10) = 0x00000041
        ioapic: read IOREDTBL(0x10) = 0x00000041
        ioapic: write EOI(0x40) = 0x00000041
        ioapic: write (0x30) = 0x00000001"#]]
    .assert_eq(&lines.join("\n"));
}
