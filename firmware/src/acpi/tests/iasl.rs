//! The tables as ACPICA's compiler sees them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::arm::{arm_table, tables};
use super::*;
use crate::arm::{Description, samples};

/// The DSDT of [`q35`], written by hand.
const Q35_DSDT: &str = r#"
DefinitionBlock ("", "DSDT", 2, "IOMMUL", "IOMMULTR", 1)
{
    Scope (\_SB)
    {
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xB0000000, 0xBFFFFFFF, 0, 0x10000000)
            })
        }
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 255, 0, 256)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0xCF7, 0, 0xCF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0xD00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x8000000000, 0xFFFFFFFFFF, 0, 0x8000000000)
            })
            Name (_PRT, Package ()
            {
                Package () { 0x0002FFFF, 0, 0, 18 },
                Package () { 0x001FFFFF, 3, 0, 23 },
                Package () { 0x0000FFFF, 1, 0, 0x12345678 }
            })
        }
    }
}
"#;

/// The DSDT of [`small_arm`], written by hand, but for the interrupt routing, which is in `{prt}`.
const ARM_DSDT: &str = r#"
DefinitionBlock ("", "DSDT", 2, "IOMMUL", "IOMMULTR", 1)
{
    Scope (\_SB)
    {
        Device (C000)
        {
            Name (_HID, "ACPI0007")
            Name (_UID, 0)
        }
        Device (C001)
        {
            Name (_HID, "ACPI0007")
            Name (_UID, 1)
        }
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x4010000000, 0x401FFFFFFF, 0, 0x10000000)
            })
        }
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 255, 0, 256)
                QWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0, 0xFFFF, 0x3EFF0000, 0x10000, , , , TypeTranslation, DenseTranslation)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x10000000, 0x3EFEFFFF, 0, 0x2EFF0000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x8000000000, 0xFFFFFFFFFF, 0, 0x8000000000)
            })
            Name (_PRT, Package ()
            {
{prt}
            })
            Name (_CCA, 1)
            Method (_OSC, 4, Serialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766"))
                {
                    CreateDWordField (Arg3, 8, CDW3)
                    Local0 = CDW3 & 0x1D
                    If (Arg1 != 1) { CDW1 |= 8 }
                    If (Local0 != CDW3) { CDW1 |= 16 }
                    CDW3 = Local0
                }
                Else
                {
                    CDW1 |= 4
                }
                Return (Arg3)
            }
        }
        Device (U000)
        {
            Name (_HID, "ARMH0011")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x09000000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 33 }
            })
        }
        Device (U001)
        {
            Name (_HID, "ARMH0011")
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x09040000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 40 }
            })
        }
        Device (D000)
        {
            Name (_HID, "PRP0001")
            Name (_UID, 0)
            Name (_CCA, 1)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x0C000000, 0x10000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 144 }
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 145 }
            })
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package ()
                {
                    Package () { "compatible", Package () { "iommulator,exerciser-2", "iommulator,exerciser" } }
                }
            })
        }
        Device (D001)
        {
            Name (_HID, "PRP0001")
            Name (_UID, 1)
            Name (_CCA, 0)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x4000000000, 0x4000000FFF, 0, 0x1000)
            })
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package ()
                {
                    Package () { "compatible", Package () { "iommulator,plain" } }
                }
            })
        }
    }
}
"#;

/// Two platform devices, one above 4 GiB. Not all versions of the compiler know reserved memory and
/// PASIDs.
fn small_arm() -> Description {
    let mut machine = samples::rich();
    machine.cpus.truncate(2);
    machine.devices.truncate(2);
    machine.devices[1].registers = 0x40_0000_0000..=0x40_0000_0fff;
    machine.reserved.clear();
    machine.pci.pasid_bits = 0;
    machine
}

/// The elements of _PRT: pins swizzle over SPIs 3 to 6.
fn arm_routing() -> String {
    let element = |index: u32| {
        let (device, pin) = (index / 4, index % 4);
        format!("Package () {{ 0x{device:04X}FFFF, {pin}, 0, {} }}", 35 + (device + pin) % 4)
    };
    (0..128).map(element).collect::<Vec<_>>().join(",\n")
}

/// Runs the compiler and insists on its being content.
fn iasl(directory: &Path, arguments: &[&str]) {
    let output = match Command::new("iasl").current_dir(directory).args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("there is no iasl: install acpica-tools"),
        output => output.unwrap(),
    };
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let content = ["Error    ", "Warning  ", "Invalid", "incorrect", "Incorrect", "Could not"];
    let complaint = content.iter().any(|word| text.contains(word));
    assert!(output.status.success() && !complaint, "iasl {arguments:?}: {text}");
}

/// Without the checksum and the compiler's name and revision, which the compiler makes its own.
fn comparable(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..9], &bytes[10..28], &bytes[36..]].concat()
}

/// An IORT without its nodes' identifiers, which older versions of the compiler take for reserved, and
/// with the checksum that it has then.
fn without_identifiers(iort: &[u8]) -> Vec<u8> {
    let mut plain = iort.to_vec();
    let mut at = 48;
    while at < plain.len() {
        plain[at + 4..at + 8].fill(0);
        at += usize::from(u16::from_le_bytes([plain[at + 1], plain[at + 2]]));
    }
    let sum = plain.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    plain[9] = plain[9].wrapping_sub(sum);
    plain
}

#[test]
fn the_dsdt_is_what_its_source_compiles_to() {
    let arm = ARM_DSDT.replace("{prt}", &arm_routing());
    for (source, dsdt) in [(Q35_DSDT, table(&q35(), "DSDT")), (arm.as_str(), arm_table(&small_arm(), "DSDT"))]
    {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("dsdt.dsl"), source).unwrap();
        iasl(directory.path(), &["-p", "dsdt", "dsdt.dsl"]);
        let compiled = fs::read(directory.path().join("dsdt.aml")).unwrap();
        assert_eq!(comparable(&dsdt), comparable(&compiled));
    }
}

#[test]
fn every_table_survives_disassembly_and_compilation() {
    let mut rich = rich();
    // To older versions the size of a unit is a reserved byte, which they compile to zero.
    rich.dmar.as_mut().unwrap().units[1].log2_pages = 0;
    let pcs = [(q35(), 8), (rich, 8), (reduced(), 6)];
    let pcs = pcs.map(|(machine, count)| (build(&machine).unwrap(), count));
    let arms = [samples::virt(), small_arm()].map(|machine| (tables(&machine), 9));
    for (tables, count) in pcs.into_iter().chain(arms) {
        let directory = tempfile::tempdir().unwrap();
        let mut seen = 0;
        for table in tables.iter().skip(1) {
            let name = signature(table);
            let [binary, source] = ["dat", "dsl"].map(|extension| format!("{name}.{extension}"));
            let bytes = if name == "IORT" { without_identifiers(&table.bytes) } else { table.bytes.clone() };
            fs::write(directory.path().join(&binary), &bytes).unwrap();
            iasl(directory.path(), &["-d", &binary]);
            iasl(directory.path(), &["-oa", "-p", &name, &source]);
            let compiled = fs::read(directory.path().join(format!("{name}.aml"))).unwrap();
            if name == "FACS" {
                assert_eq!(bytes, compiled);
            } else {
                assert_eq!(comparable(&bytes), comparable(&compiled), "{name}");
            }
            seen += 1;
        }
        assert_eq!(seen, count);
    }
}
