//! The tables as ACPICA's compiler sees them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::*;

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

#[test]
fn the_dsdt_is_what_its_source_compiles_to() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("q35.dsl"), Q35_DSDT).unwrap();
    iasl(directory.path(), &["-p", "q35", "q35.dsl"]);
    let compiled = fs::read(directory.path().join("q35.aml")).unwrap();
    assert_eq!(comparable(&table(&q35(), "DSDT")), comparable(&compiled));
}

#[test]
fn every_table_survives_disassembly_and_compilation() {
    let mut rich = rich();
    // To older versions the size of a unit is a reserved byte, which they compile to zero.
    rich.dmar.as_mut().unwrap().units[1].log2_pages = 0;
    for (machine, count) in [(q35(), 8), (rich, 8), (reduced(), 6)] {
        let directory = tempfile::tempdir().unwrap();
        let mut seen = 0;
        for table in build(&machine).unwrap().iter().skip(1) {
            let name = signature(table);
            let [binary, source] = ["dat", "dsl"].map(|extension| format!("{name}.{extension}"));
            fs::write(directory.path().join(&binary), &table.bytes).unwrap();
            iasl(directory.path(), &["-d", &binary]);
            iasl(directory.path(), &["-oa", "-p", &name, &source]);
            let compiled = fs::read(directory.path().join(format!("{name}.aml"))).unwrap();
            if name == "FACS" {
                assert_eq!(table.bytes, compiled);
            } else {
                assert_eq!(comparable(&table.bytes), comparable(&compiled), "{name}");
            }
            seen += 1;
        }
        assert_eq!(seen, count);
    }
}
