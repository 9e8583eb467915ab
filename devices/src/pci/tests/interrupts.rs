//! MSI, MSI-X and INTx.

use std::sync::Arc;

use crate::addr::SourceId;
use crate::exerciser::Exerciser;
use crate::fabric::{Abort, Outcome};
use crate::pci::testing::{PLAIN, Poke, Refuse, Rig};
use crate::pci::{Description, Intx, Mastering, MsiSpec, MsixSpec, Pin, gsi};

const BAR: u64 = 0xe000_0000;

const MSI: Description =
    Description { msi: Some(MsiSpec { vectors: 4, maskable: true }), express: false, ..PLAIN };

const MSIX: Description = Description {
    msix: Some(MsixSpec { vectors: 70, bar: 0, table: 0x100, pending: 0x800 }),
    express: false,
    ..PLAIN
};

fn rig(description: &'static Description) -> (Rig, SourceId) {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Poke::boxed(description));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    (rig, source)
}

/// Enables `1 << log2` vectors.
fn enable_msi(rig: &mut Rig, source: SourceId, log2: u16) {
    rig.config32(source, 0x44, 0xfee0_1000);
    rig.config32(source, 0x4c, 0x0000_0041);
    rig.config16(source, 0x42, 1 | log2 << 4);
}

fn take(rig: &mut Rig) -> Vec<(u64, u32)> {
    std::mem::take(&mut rig.messages).into_iter().map(|(_, address, data)| (address, data)).collect()
}

#[test]
fn an_msi_carries_its_vector_in_the_low_bits() {
    for (log2, vector, data) in
        [(0, 0, 0x41), (0, 3, 0x41), (1, 0, 0x40), (1, 1, 0x41), (2, 3, 0x43), (2, 5, 0x41), (7, 3, 0x43)]
    {
        let (mut rig, source) = rig(&MSI);
        enable_msi(&mut rig, source, log2);
        rig.write32(BAR, vector);
        assert_eq!(rig.messages, [(source, 0xfee0_1000, data)], "2^{log2} vectors, vector {vector}");
    }
}

#[test]
fn an_msi_needs_enable_and_bus_mastering() {
    for (command, control, sent) in [(6, 0x21, 1), (6, 0x20, 0), (2, 0x21, 0)] {
        let (mut rig, source) = rig(&MSI);
        enable_msi(&mut rig, source, 2);
        rig.config16(source, 0x04, command);
        rig.config16(source, 0x42, control);
        rig.write32(BAR, 1);
        assert_eq!(rig.messages.len(), sent, "command {command:#x}, control {control:#x}");
    }
}

#[test]
fn masked_msi_vectors_wait() {
    let (mut rig, source) = rig(&MSI);
    enable_msi(&mut rig, source, 2);
    rig.config32(source, 0x50, 0b0110);
    for vector in 0..4 {
        rig.write32(BAR, vector);
    }
    assert_eq!(take(&mut rig), [(0xfee0_1000, 0x40), (0xfee0_1000, 0x43)]);
    assert_eq!(rig.read_config32(source, 0x54), 0b0110);
    rig.config32(source, 0x50, 0b0100);
    assert_eq!(take(&mut rig), [(0xfee0_1000, 0x41)]);
    rig.config16(source, 0x42, 0x20);
    rig.config32(source, 0x50, 0);
    assert_eq!(take(&mut rig), [], "disabled");
    rig.config16(source, 0x42, 0x21);
    assert_eq!(take(&mut rig), [(0xfee0_1000, 0x42)]);
    assert_eq!(rig.read_config32(source, 0x54), 0);
}

#[test]
fn an_msi_through_an_iommu_that_refuses_it_is_lost() {
    let refuse = Refuse(0xfee0_0000..=0xfeef_ffff, Outcome::Abort(Abort::Ca));
    let mut rig = Rig::behind(Arc::new(refuse));
    let source = rig.add(3, 0, Poke::boxed(&MSI));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    enable_msi(&mut rig, source, 2);
    rig.write32(BAR, 1);
    assert_eq!(rig.messages, []);
    assert_eq!(rig.read_config16(source, 0x06), 0x1010, "received target abort");
}

#[test]
fn an_msix_table_entry_has_four_dwords_and_starts_masked() {
    let (mut rig, _) = rig(&MSIX);
    let entry = BAR + 0x100 + 16 * 69;
    let read = |rig: &mut Rig| [0, 4, 8, 12].map(|at| rig.read32(entry + at));
    assert_eq!(read(&mut rig), [0, 0, 0, 1]);
    rig.write(entry, &[0xff; 16]);
    assert_eq!(read(&mut rig), [0xffff_fffc, 0xffff_ffff, 0xffff_ffff, 1]);
    rig.write(entry + 5, &[0x12, 0x34]);
    assert_eq!(read(&mut rig), [0xffff_fffc, 0xff34_12ff, 0xffff_ffff, 1]);
    rig.write(entry + 12, &[0xfe]);
    assert_eq!(read(&mut rig), [0xffff_fffc, 0xff34_12ff, 0xffff_ffff, 0]);
    assert_eq!(rig.read32(BAR + 0x100), 0, "the first entry is another");
    // The dword behind the table is the model's: it returns the number of its resets, 0.
    assert_eq!(rig.read32(BAR + 0x100 + 16 * 70), 0);
}

/// Programs `vector` with data `0x100 + vector`, unmasked.
fn program(rig: &mut Rig, vector: u64) {
    let entry = BAR + 0x100 + 16 * vector;
    rig.write64(entry, 0xfee0_2000);
    rig.write64(entry + 8, 0x100 + vector);
}

#[test]
fn masked_msix_vectors_are_pending_until_unmasked() {
    let (mut rig, source) = rig(&MSIX);
    for vector in [0, 1, 33, 69] {
        program(&mut rig, vector);
    }
    rig.config16(source, 0x42, 0x8000);
    rig.write32(BAR + 0x100 + 16 * 33 + 12, 1);
    for vector in [1, 33, 2, 69, 70] {
        rig.write32(BAR, vector);
    }
    assert_eq!(take(&mut rig), [(0xfee0_2000, 0x101), (0xfee0_2000, 0x145)]);
    let pending = [0, 4, 8, 12].map(|at| rig.read32(BAR + 0x800 + at));
    assert_eq!(pending, [0x0000_0004, 0x0000_0002, 0, 0]);
    rig.write(BAR + 0x800, &[0xff; 16]);
    assert_eq!(rig.read32(BAR + 0x800), 0x0000_0004, "software cannot write pending bits");
    rig.write32(BAR + 0x100 + 16 * 33 + 12, 0);
    assert_eq!(take(&mut rig), [(0xfee0_2000, 0x121)]);
    assert_eq!(rig.read32(BAR + 0x804), 0);
}

#[test]
fn the_function_mask_holds_every_vector() {
    let (mut rig, source) = rig(&MSIX);
    program(&mut rig, 0);
    program(&mut rig, 64);
    rig.config16(source, 0x42, 0xc000);
    rig.write32(BAR, 64);
    rig.write32(BAR, 0);
    assert_eq!(take(&mut rig), []);
    assert_eq!((rig.read32(BAR + 0x800), rig.read32(BAR + 0x808)), (1, 1));
    rig.config16(source, 0x42, 0x4000);
    assert_eq!(take(&mut rig), [], "disabled");
    rig.config16(source, 0x42, 0x8000);
    assert_eq!(take(&mut rig), [(0xfee0_2000, 0x100), (0xfee0_2000, 0x140)]);
}

#[test]
fn an_access_across_the_borders_of_the_table_is_cut() {
    let (mut rig, _) = rig(&MSIX);
    rig.write64(BAR + 0x100, 0x1122_3344_5566_7788);
    let mut data = [0xee; 0x1000];
    assert!(rig.host.mmio_read(BAR, &mut data, &mut rig.fx));
    assert_eq!(data[0xfc..0x108], [0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    assert_eq!(data[0x560..], [0; 0xaa0], "the model's zeros and the pending bits");
    // Two bytes before the table would be the model's, which takes dwords only.
    assert!(rig.host.mmio_write(BAR + 0xfc, &[0, 0, 0, 0, 0x10, 0x20], &mut rig.fx));
    assert_eq!(rig.read32(BAR + 0x100), 0x5566_2010);
}

#[test]
fn pins_lead_to_four_lines_in_turn_where_the_host_is_generic() {
    let pins = [Pin::A, Pin::B, Pin::C, Pin::D];
    for (device, expected) in [(0, [3, 4, 5, 6]), (1, [4, 5, 6, 3]), (30, [5, 6, 3, 4]), (31, [6, 3, 4, 5])] {
        assert_eq!(pins.map(|pin| Intx::Rotated(3).line(device, pin)), expected, "device {device}");
    }
}

#[test]
fn pins_lead_to_gsi_16_to_23() {
    let pins = [Pin::A, Pin::B, Pin::C, Pin::D];
    for (device, expected) in [
        (0, [20, 21, 22, 23]),
        (1, [21, 22, 23, 20]),
        (3, [23, 20, 21, 22]),
        (24, [20, 21, 22, 23]),
        (25, [16, 17, 18, 19]),
        (30, [20, 21, 22, 23]),
        (31, [16, 17, 18, 19]),
    ] {
        assert_eq!(pins.map(|pin| gsi(device, pin)), expected, "device {device}");
    }
    for (device, expected) in
        [(0, pins), (1, [Pin::B, Pin::C, Pin::D, Pin::A]), (7, [Pin::D, Pin::A, Pin::B, Pin::C])]
    {
        assert_eq!(pins.map(|pin| pin.behind_bridge(device)), expected, "device {device}");
    }
}

#[test]
fn a_line_is_the_wired_or_of_its_pins() {
    let mut rig = Rig::new();
    // Devices 2 and 6 share GSI 22; behind the root port at 3, pin A leads to GSI 23.
    let sources = [rig.add(2, 0, Poke::boxed(&PLAIN)), rig.add(6, 0, Poke::boxed(&PLAIN))];
    rig.host.add_root_port("rp0", 3, 0).unwrap();
    rig.add_behind("rp0", 0, Poke::boxed(&PLAIN));
    let port = SourceId::new(0, 3, 0);
    rig.config32(port, 0x18, 0x0001_0100);
    rig.config32(port, 0x20, 0xe020_e020);
    rig.config16(port, 0x04, 2);
    for (source, base) in
        [(sources[0], 0xe000_0000), (sources[1], 0xe010_0000), (SourceId(0x100), 0xe020_0000)]
    {
        rig.config32(source, 0x10, base);
        rig.config16(source, 0x04, 2);
    }
    // (BAR, level, changes)
    for (base, level, expected) in [
        (0xe000_0000, 1, &[(22, true)][..]),
        (0xe010_0000, 1, &[]),
        (0xe000_0000, 0, &[]),
        (0xe020_0000, 1, &[(23, true)]),
        (0xe010_0000, 0, &[(22, false)]),
        (0xe020_0000, 0, &[(23, false)]),
    ] {
        rig.write32(base + 4, level);
        assert_eq!(std::mem::take(&mut rig.lines), expected, "{base:#x} = {level}");
    }
}

#[test]
fn interrupt_disable_and_msi_hold_the_pin() {
    let (mut rig, source) = rig(&MSI);
    rig.write32(BAR + 4, 1);
    assert_eq!(rig.lines, [(23, true)]);
    assert_eq!(rig.read_config16(source, 0x06), 0x0018, "interrupt status");
    rig.config16(source, 0x04, 0x0406);
    assert_eq!(rig.lines[1..], [(23, false)]);
    assert_eq!(rig.read_config16(source, 0x06), 0x0018, "pending all the same");
    rig.config16(source, 0x04, 0x0006);
    enable_msi(&mut rig, source, 0);
    assert_eq!(rig.lines[2..], [(23, true), (23, false)]);
    assert_eq!(rig.read_config16(source, 0x06), 0x0010);
    rig.config16(source, 0x42, 0);
    assert_eq!(rig.lines[4..], [(23, true)]);
}

#[test]
fn a_reset_lowers_the_pin() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Poke::boxed(&PLAIN));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 2);
    rig.write32(BAR + 4, 1);
    // No MSI: the PCI Express capability is the first, Device Control at 0x48.
    rig.config16(source, 0x48, 0x8000);
    assert_eq!(rig.lines, [(23, true), (23, false)]);
}

#[test]
fn a_test_device_may_master_without_the_bit() {
    const ALWAYS: Description = Description { mastering: Mastering::Always, ..PLAIN };
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Poke::boxed(&ALWAYS));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 2);
    rig.write32(BAR + 8, 0x3000);
    assert_eq!(rig.ram(0x3000, 4), [0x5a; 4]);
}

#[test]
fn no_bar_access_of_any_size_or_offset_panics() {
    let mut rig = Rig::new();
    let probe = rig.mem.clone();
    let models: [Box<dyn crate::pci::Endpoint>; 3] = [
        Box::new(Exerciser::new(0)),
        Box::new(crate::edu::Edu::new(u64::MAX)),
        Box::new(crate::iommu_testdev::IommuTestdev::new(probe)),
    ];
    for (device, model) in (1..).zip(models) {
        let size = model.describe().bars[0].size();
        let source = rig.add(device, 0, model);
        rig.config32(source, 0x10, BAR as u32);
        rig.config16(source, 0x04, 6);
        let offsets = (0..0x120).chain(0xff0..0x1010).chain(0x3ff8..0x4090).chain(0x5ff8..0x6010);
        for offset in offsets.chain(size - 16..size).filter(|offset| *offset < size) {
            for len in 0..=16 {
                for value in [0x00, 0x01, 0xff] {
                    assert!(rig.host.mmio_write(BAR + offset, &vec![value; len], &mut rig.fx));
                    assert!(rig.host.mmio_read(BAR + offset, &mut vec![0; len], &mut rig.fx));
                }
            }
        }
        rig.fx.take();
        rig.config16(source, 0x04, 0);
    }
}
