//! Headers and capabilities as configuration software reads them.

use crate::addr::SourceId;
use crate::edu::{DEFAULT_DMA_MASK, Edu};
use crate::exerciser::Exerciser;
use crate::iommu_testdev::IommuTestdev;
use crate::pci::testing::{PLAIN, Poke, Rig};
use crate::pci::{Description, MsiSpec};

#[test]
fn reset_values() {
    let mut rig = Rig::new();
    let bridge = SourceId(0);
    let exerciser = rig.add(3, 0, Box::new(Exerciser::new(1000)));
    let edu = rig.add(4, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    let probe = rig.mem.clone();
    let testdev = rig.add(5, 0, Box::new(IommuTestdev::new(probe)));
    rig.host.add_root_port("rp0", 6, 0).unwrap();
    let port = SourceId::new(0, 6, 0);
    rig.add_behind("rp0", 0, Box::new(Exerciser::new(1000)));
    let rows: &[(SourceId, &[(u64, u32)])] = &[
        (bridge, &[(0x00, 0x29c0_8086), (0x08, 0x0600_0000)]),
        (
            exerciser,
            &[
                (0x00, 0x1077_1234),
                (0x04, 0x0010_0000),
                (0x08, 0x0880_0001),
                (0x10, 0x0000_0004),
                (0x2c, 0x1077_1234),
                (0x34, 0x0000_0040),
                (0x40, 0x0007_4c11),
                (0x44, 0x0000_4000),
                (0x48, 0x0000_6000),
                (0x4c, 0x0092_0010),
                (0x50, 0x1000_8000),
                (0x54, 0x0000_2810),
                (0x70, 0x0000_0010),
            ],
        ),
        (
            edu,
            &[
                (0x00, 0x11e8_1234),
                (0x04, 0x0010_0000),
                (0x08, 0x00ff_0010),
                (0x2c, 0x1100_1af4),
                (0x34, 0x0000_0040),
                (0x3c, 0x0000_0100),
                (0x40, 0x0080_0005),
            ],
        ),
        (testdev, &[(0x00, 0x0005_1b36), (0x08, 0x00ff_0000), (0x2c, 0x1100_1af4)]),
        (
            port,
            &[
                (0x00, 0x000c_1b36),
                (0x04, 0x0010_0000),
                (0x08, 0x0604_0000),
                (0x0c, 0x0001_0000),
                (0x24, 0x0001_0001),
                (0x34, 0x0000_0040),
                (0x40, 0x0042_0010),
                (0x44, 0x0000_8000),
                (0x48, 0x0000_2810),
                (0x4c, 0x0010_0011),
                (0x50, 0x2011_0000),
                (0x64, 0x0000_0010),
                (0x6c, 0x0000_0002),
                (0x70, 0x0000_0001),
            ],
        ),
    ];
    for (source, expected) in rows {
        assert_eq!(rig.dump(*source), *expected, "{source}");
    }
    rig.config32(port, 0x18, 0x0001_0100);
    let below = rig.dump(SourceId::new(1, 0, 0));
    let express: Vec<_> = below.into_iter().filter(|(at, _)| (0x4c..0x88).contains(at)).collect();
    assert_eq!(
        express,
        [
            (0x4c, 0x0002_0010),
            (0x50, 0x1000_8000),
            (0x54, 0x0000_2810),
            (0x58, 0x0000_0011),
            (0x5c, 0x0011_0000),
            (0x70, 0x0000_0010),
            (0x78, 0x0000_0002),
            (0x7c, 0x0000_0001),
        ],
        "an endpoint has a link"
    );
}

/// Writes ones to every dword and compares what stuck with the bits that software may set.
#[test]
fn writable_bits() {
    let mut rig = Rig::new();
    let exerciser = rig.add(3, 0, Box::new(Exerciser::new(1000)));
    let edu = rig.add(4, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    rig.host.add_root_port("rp0", 6, 0).unwrap();
    let port = SourceId::new(0, 6, 0);
    let rows: &[(SourceId, u64, u32)] = &[
        (exerciser, 0x00, 0x1077_1234),
        (exerciser, 0x04, 0x0010_0547),
        (exerciser, 0x08, 0x0880_0001),
        (exerciser, 0x0c, 0x0000_00ff),
        (exerciser, 0x18, 0),
        (exerciser, 0x30, 0),
        (exerciser, 0x34, 0x40),
        (exerciser, 0x3c, 0x0000_00ff),
        (exerciser, 0x40, 0xc007_4c11),
        (exerciser, 0x44, 0x0000_4000),
        (exerciser, 0x74, 0x0000_0010),
        (edu, 0x3c, 0x0000_01ff),
        (edu, 0x40, 0x00f1_0005),
        (edu, 0x44, 0xffff_fffc),
        (edu, 0x48, 0xffff_ffff),
        (edu, 0x4c, 0x0000_ffff),
        (edu, 0x50, 0),
        (port, 0x04, 0x0010_0547),
        (port, 0x18, 0x00ff_ffff),
        (port, 0x1c, 0),
        (port, 0x20, 0xfff0_fff0),
        (port, 0x24, 0xfff1_fff1),
        (port, 0x28, 0xffff_ffff),
        (port, 0x2c, 0xffff_ffff),
        (port, 0x3c, 0x0043_00ff),
        (port, 0x48, 0x0000_78ff),
    ];
    for (source, offset, expected) in rows {
        rig.config32(*source, *offset, 0xffff_ffff);
        assert_eq!(rig.read_config32(*source, *offset), *expected, "{source} {offset:#x}");
    }
}

#[test]
fn msi_layouts() {
    const fn msi(vectors: u8, maskable: bool) -> Description {
        Description { msi: Some(MsiSpec { vectors, maskable }), express: false, ..PLAIN }
    }
    static ROWS: [(Description, u32, u32); 4] = [
        (msi(1, false), 0x0080_0005, 0),
        (msi(8, false), 0x0086_0005, 0),
        (msi(4, true), 0x0184_0005, 0x0000_000f),
        (msi(32, true), 0x018a_0005, 0xffff_ffff),
    ];
    for (description, control, mask) in &ROWS {
        let mut rig = Rig::new();
        let source = rig.add(1, 0, Poke::boxed(description));
        assert_eq!(rig.read_config32(source, 0x40), *control);
        for offset in [0x50, 0x54] {
            rig.config32(source, offset, 0xffff_ffff);
        }
        let (masked, pending) = (rig.read_config32(source, 0x50), rig.read_config32(source, 0x54));
        assert_eq!((masked, pending), (*mask, 0), "pending bits are read only");
    }
}

#[test]
fn functions_of_one_device_say_so() {
    let mut rig = Rig::new();
    let single = rig.add(2, 0, Poke::boxed(&PLAIN));
    let functions = [0, 1, 7].map(|function| rig.add(3, function, Poke::boxed(&PLAIN)));
    assert_eq!(rig.read_config32(single, 0x0c), 0);
    for source in functions {
        assert_eq!(rig.read_config32(source, 0x0c), 0x0080_0000, "{source}");
    }
    rig.host.reset(&mut crate::fabric::Effects::default());
    assert_eq!(rig.read_config32(functions[0], 0x0c), 0x0080_0000, "the bit survives a reset");
}

#[test]
fn status_bits_are_cleared_by_writing_ones_to_their_own_byte() {
    let mut rig = Rig::new();
    let source = rig.add(2, 0, Poke::boxed(&PLAIN));
    rig.config32(source, 0x10, 0xc000_0000);
    rig.config16(source, 0x04, 0x0006);
    rig.write32(0xc000_0008, 0x9000_0000);
    assert_eq!(rig.read_config16(source, 0x06), 0x2010, "received master abort");
    rig.config16(source, 0x04, 0x0006);
    assert_eq!(rig.read_config16(source, 0x06), 0x2010, "a write of Command leaves Status alone");
    rig.config8(source, 0x06, 0xff);
    assert_eq!(rig.read_config16(source, 0x06), 0x2010, "the bit is in the other byte");
    rig.config32(source, 0x04, 0x0000_0006);
    assert_eq!(rig.read_config16(source, 0x06), 0x2010, "zeros clear nothing");
    rig.config8(source, 0x07, 0x20);
    assert_eq!(rig.read_config16(source, 0x06), 0x0010);
}
