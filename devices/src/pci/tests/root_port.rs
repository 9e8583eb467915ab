//! What a root port passes on, and what it holds back.

use crate::addr::SourceId;
use crate::exerciser::Exerciser;
use crate::pci::testing::{PLAIN, Poke, Rig};
use crate::pci::{BarKind, BarSpec, Description};

const PORT: SourceId = SourceId(0x0010);

const WIDE: Description = Description {
    bars: &[
        BarSpec::new(0, BarKind::Memory32, 0x1000),
        BarSpec::new(2, BarKind::Memory64 { prefetchable: true }, 0x1000),
    ],
    ..PLAIN
};

/// A [`Poke`] at bus 5 behind the port, BAR 0 at 0xe0000000 and BAR 2 at 0x12_0000_0000, everything
/// enabled, windows from each BAR's megabyte to the next.
fn rig() -> (Rig, SourceId) {
    let mut rig = Rig::new();
    rig.host.add_root_port("rp0", 2, 0).unwrap();
    rig.add_behind("rp0", 0, Poke::boxed(&WIDE));
    let source = SourceId::new(5, 0, 0);
    rig.config32(PORT, 0x18, 0x0005_0500);
    rig.config32(PORT, 0x20, 0xe010_e000);
    rig.config32(PORT, 0x24, 0x0010_0000);
    rig.config32(PORT, 0x28, 0x12);
    rig.config32(PORT, 0x2c, 0x12);
    rig.config16(PORT, 0x04, 6);
    rig.config32(source, 0x10, 0xe000_0000);
    rig.config32(source, 0x1c, 0x12);
    rig.config16(source, 0x04, 6);
    rig.fx.take_trace();
    (rig, source)
}

#[test]
fn configuration_requests_follow_the_secondary_bus_number() {
    let (mut rig, _) = rig();
    for (numbers, bus) in [(0x0005_0500, Some(5)), (0x00ff_0900, Some(9)), (0x0000_0000, None)] {
        rig.config32(PORT, 0x18, numbers);
        for candidate in 1..=255 {
            let expected = if bus == Some(candidate) { 0x5678_1234 } else { 0xffff_ffff };
            let source = SourceId::new(candidate, 0, 0);
            assert_eq!(rig.read_config32(source, 0), expected, "{numbers:#x} {source}");
        }
    }
}

#[test]
fn the_requester_id_is_the_one_captured_from_configuration_writes() {
    let (mut rig, source) = rig();
    rig.write32(0xe000_0008, 0x1000);
    assert_eq!(rig.requesters(), [source]);
    rig.config32(PORT, 0x18, 0x0007_0700);
    rig.write32(0xe000_0008, 0x1000);
    assert_eq!(rig.requesters(), [source], "the function does not know yet");
    rig.config16(SourceId::new(7, 0, 0), 0x04, 6);
    rig.write32(0xe000_0008, 0x1000);
    assert_eq!(rig.requesters(), [SourceId::new(7, 0, 0)]);
}

#[test]
fn memory_is_decoded_inside_the_windows() {
    let (mut rig, _) = rig();
    let (low, high) = (0xe000_0000, 0x12_0000_0000);
    assert_eq!((rig.decodes(low), rig.decodes(high)), (true, true));
    assert!(!rig.decodes(low + 0x1000), "in the window, but in no BAR");
    // (offset, value, BAR 0 reachable, BAR 2 reachable)
    for (offset, value, low_ok, high_ok) in [
        (0x04, 0x0000_0004, false, false),
        (0x04, 0x0000_0006, true, true),
        (0x20, 0xe020_e010, false, true),
        (0x20, 0xdff0_e000, false, true),
        (0x20, 0xe000_dff0, true, true),
        (0x28, 0x0000_0013, true, false),
        (0x28, 0x0000_0012, true, true),
        (0x2c, 0x0000_0011, true, false),
        (0x2c, 0x0000_0012, true, true),
        (0x24, 0x0020_0010, true, false),
    ] {
        rig.config32(PORT, offset, value);
        assert_eq!((rig.decodes(low), rig.decodes(high)), (low_ok, high_ok), "{offset:#x} = {value:#x}");
    }
}

#[test]
fn windows_have_whole_megabytes() {
    const LARGE: Description =
        Description { bars: &[BarSpec::new(0, BarKind::Memory32, 0x40_0000)], ..PLAIN };
    let mut rig = Rig::new();
    rig.host.add_root_port("rp0", 2, 0).unwrap();
    rig.add_behind("rp0", 0, Poke::boxed(&LARGE));
    let source = SourceId::new(5, 0, 0);
    rig.config32(PORT, 0x18, 0x0005_0500);
    rig.config32(PORT, 0x20, 0xe020_e010);
    rig.config16(PORT, 0x04, 2);
    rig.config32(source, 0x10, 0xe000_0000);
    rig.config16(source, 0x04, 2);
    for (address, decoded) in
        [(0xe00f_ffff, false), (0xe010_0000, true), (0xe02f_ffff, true), (0xe030_0000, false)]
    {
        assert_eq!(rig.decodes(address), decoded, "{address:#x}");
    }
    let mut data = [0x5a; 8];
    assert!(rig.host.mmio_read(0xe02f_fffc, &mut data, &mut rig.fx));
    assert_eq!(data, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "the port passes on what is in its window");
}

#[test]
fn bus_mastering_needs_the_port_too() {
    let (mut rig, source) = rig();
    for (port, function, reaches) in [(6, 6, true), (2, 6, false), (6, 2, false), (6, 6, true)] {
        rig.config16(PORT, 0x04, port);
        rig.config16(source, 0x04, function);
        rig.mem.write(crate::addr::Pa(0x1000), &[0; 4]).unwrap();
        rig.write32(0xe000_0008, 0x1000);
        let expected = if reaches { [0x5a; 4] } else { [0; 4] };
        assert_eq!(rig.ram(0x1000, 4), expected, "port {port:#x}, function {function:#x}");
    }
}

#[test]
fn secondary_bus_reset_resets_and_holds_what_is_behind() {
    let (mut rig, source) = rig();
    assert_eq!(rig.read32(0xe000_0000), 0);
    rig.config16(PORT, 0x3e, 0x0040);
    assert_eq!(rig.read_config32(source, 0), 0xffff_ffff, "held in reset");
    assert!(!rig.decodes(0xe000_0000));
    rig.config16(PORT, 0x3e, 0x0040);
    rig.config16(PORT, 0x3e, 0x0000);
    assert_eq!(rig.read_config32(source, 0x10), 0, "BARs are gone");
    assert_eq!(rig.read_config16(source, 0x04), 0);
    rig.config32(source, 0x10, 0xe000_0000);
    rig.config16(source, 0x04, 6);
    assert_eq!(rig.read32(0xe000_0000), 0x0101_0101, "once, not for every write");
}

#[test]
fn function_level_reset_is_of_one_function() {
    let mut rig = Rig::new();
    let (first, second) =
        (rig.add(3, 0, Box::new(Exerciser::new(77))), rig.add(3, 1, Box::new(Exerciser::new(77))));
    for (source, base) in [(first, 0xe000_0000_u64), (second, 0xe001_0000)] {
        rig.config32(source, 0x10, base as u32);
        rig.config16(source, 0x04, 6);
        rig.config32(source, 0x40, 0x8000_0000);
        rig.write32(base + 0x28, 5);
        rig.write32(base + 0x4000, 0xfee0_0000);
    }
    rig.config16(first, 0x54, 0xa810);
    assert_eq!(rig.read_config32(first, 0x54), 0x0000_2810, "the bit reads as zero");
    let registers = [0x04, 0x10, 0x40].map(|at| rig.read_config32(first, at));
    assert_eq!(registers, [0x0010_0000, 0x0000_0004, 0x0007_4c11]);
    assert!(!rig.decodes(0xe000_0000));
    rig.config32(first, 0x10, 0xe000_0000);
    rig.config16(first, 0x04, 6);
    assert_eq!(rig.read32(0xe000_0028), 77, "the model was reset");
    assert_eq!((rig.read32(0xe000_4000), rig.read32(0xe000_400c)), (0, 1), "the table too");
    assert_eq!(rig.read32(0xe001_0028), 5, "the other function was not");
}
