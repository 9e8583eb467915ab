//! BARs: sizing, decoding, overlaps.

use crate::addr::SourceId;
use crate::fabric::Effects;
use crate::pci::testing::{PLAIN, Poke, Rig};
use crate::pci::{BarKind, BarSpec, Description};

const SMALL: Description = Description {
    bars: &[
        BarSpec::new(0, BarKind::Io, 0x20),
        BarSpec::new(1, BarKind::Memory32, 0x1000),
        BarSpec::new(2, BarKind::Memory64 { prefetchable: false }, 0x8000),
        BarSpec::new(4, BarKind::Memory64 { prefetchable: true }, 1 << 33),
    ],
    ..PLAIN
};

#[test]
fn sizing() {
    let mut rig = Rig::new();
    let source = rig.add(1, 0, Poke::boxed(&SMALL));
    let rows = [
        (0x10, 0x0000_0001, 0xffff_ffe1),
        (0x14, 0x0000_0000, 0xffff_f000),
        (0x18, 0x0000_0004, 0xffff_8004),
        (0x1c, 0x0000_0000, 0xffff_ffff),
        (0x20, 0x0000_000c, 0x0000_000c),
        (0x24, 0x0000_0000, 0xffff_fffe),
    ];
    for (offset, reset, mask) in rows {
        assert_eq!(rig.read_config32(source, offset), reset, "{offset:#x}");
        rig.config32(source, offset, 0xffff_ffff);
        assert_eq!(rig.read_config32(source, offset), mask, "{offset:#x}");
        rig.config32(source, offset, 0);
        assert_eq!(rig.read_config32(source, offset), reset, "{offset:#x}");
    }
}

#[test]
fn decoding_follows_the_bars_and_the_command_register() {
    let mut rig = Rig::new();
    let source = rig.add(1, 0, Poke::boxed(&SMALL));
    for (offset, value) in [(0x10, 0xc040), (0x14, 0xe000_0000), (0x18, 0x1_8000), (0x1c, 0x12), (0x24, 0x80)]
    {
        rig.config32(source, offset, value);
    }
    // First and last byte of each BAR, and their neighbours.
    let memory = [
        (0xdfff_ffff, false),
        (0xe000_0000, true),
        (0xe000_0fff, true),
        (0xe000_1000, false),
        (0x12_0001_7fff, false),
        (0x12_0001_8000, true),
        (0x12_0001_ffff, true),
        (0x12_0002_0000, false),
        (0x0001_8000, false),
        (0x80_0000_0000, true),
        (0x81_ffff_ffff, true),
        (0x82_0000_0000, false),
        (u64::MAX, false),
    ];
    let ports = [(0xc03f, false), (0xc040, true), (0xc05f, true), (0xc060, false)];
    for command in [0, 1, 2, 3] {
        rig.config16(source, 0x04, command);
        for (address, decoded) in memory {
            assert_eq!(rig.decodes(address), decoded && command & 2 != 0, "{address:#x}, command {command}");
        }
        for (port, decoded) in ports {
            let claimed = rig.host.io_read(port, &mut [0], &mut Effects::default());
            assert_eq!(claimed, decoded && command & 1 != 0, "{port:#x}, command {command}");
        }
    }
}

#[test]
fn the_top_of_the_address_space_can_be_decoded() {
    let mut rig = Rig::new();
    let source = rig.add(1, 0, Poke::boxed(&SMALL));
    rig.config32(source, 0x18, 0xffff_ffff);
    rig.config32(source, 0x1c, 0xffff_ffff);
    rig.config16(source, 0x04, 2);
    assert!(rig.decodes(u64::MAX));
    let mut data = [0x77; 16];
    assert!(rig.host.mmio_read(u64::MAX - 3, &mut data, &mut Effects::default()));
    assert_eq!(data[..4], [0; 4]);
    assert_eq!(data[4..], [0xff; 12], "beyond the BAR there is nothing");
}

#[test]
fn of_overlapping_bars_the_lowest_requester_id_decodes() {
    let mut rig = Rig::new();
    // Added in the other order on purpose.
    let high = rig.add(9, 0, Poke::boxed(&PLAIN));
    let low = rig.add(2, 1, Poke::boxed(&PLAIN));
    for source in [high, low] {
        rig.config32(source, 0x10, 0xe000_0000);
        rig.config16(source, 0x04, 6);
    }
    rig.fx.take_trace();
    rig.write32(0xe000_0008, 0x100);
    assert_eq!(rig.requesters(), [low]);
    rig.config16(low, 0x04, 4);
    rig.write32(0xe000_0008, 0x100);
    assert_eq!(rig.requesters(), [SourceId::new(0, 9, 0)]);
}

#[test]
fn accesses_nobody_decodes_leave_the_data_alone() {
    let mut rig = Rig::new();
    rig.add(1, 0, Poke::boxed(&PLAIN));
    let mut data = [0x5a; 4];
    assert!(!rig.host.mmio_read(0xe000_0000, &mut data, &mut Effects::default()));
    assert!(!rig.host.io_read(0xc000, &mut data, &mut Effects::default()));
    assert_eq!(data, [0x5a; 4]);
    assert!(!rig.write(0xe000_0000, &[0; 4]));
    assert!(!rig.host.io_write(0xc000, &[0; 4], &mut Effects::default()));
}

#[test]
fn a_function_masters_the_bus_only_with_bus_master_enable() {
    let mut rig = Rig::new();
    let source = rig.add(1, 0, Poke::boxed(&PLAIN));
    rig.config32(source, 0x10, 0xe000_0000);
    for (command, written, status) in [(2, [0; 4], 0x0010), (6, [0x5a; 4], 0x0010)] {
        rig.config16(source, 0x04, command);
        rig.write32(0xe000_0008, 0x2000);
        assert_eq!(rig.ram(0x2000, 4), written, "command {command}");
        assert_eq!(rig.read_config16(source, 0x06), status, "nothing on the bus, no abort");
    }
}
