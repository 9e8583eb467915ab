//! Explanations, where several units and the I/O APIC have to be told apart.

use devices::addr::{Iova, SourceId};
use devices::fabric::{Access, Attrs, Initiator, Kind, Transaction};
use devices::vtd::explain::Answer;

use super::*;

const UNITS: [u64; 2] = [0xfed9_0000, 0xfed9_1000];

fn machine(iommus: &[&str], board: &str) -> Machine {
    let config = MachineConfig {
        iommus: iommus.iter().map(|text| text.parse().unwrap()).collect(),
        machine: board.parse().unwrap(),
        ..config(None, &["edu", "root-port,id=rp", "edu,bus=rp"])
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    machine
}

fn explain(machine: &Machine, source: &str, access: Access, address: u64) -> Result<Explained, ProbeError> {
    let source: SourceId = source.parse().unwrap();
    let initiator = Initiator::Pci { segment: 0, source };
    let (address, attrs, kind) = (Iova(address), Attrs::default(), Kind::Untranslated);
    machine.explain(&Transaction { initiator, pasid: None, address, len: 4, access, attrs, kind }, 0)
}

fn write32(machine: &mut Machine, address: u64, value: u32) {
    machine.write(address, &value.to_le_bytes());
}

#[test]
fn the_unit_that_serves_the_source_explains() {
    let mut machine = machine(&["vtd-legacy,devices=00:01.0", "vtd-legacy"], "q35");
    // Translation on, without a root entry, at the first unit only.
    write32(&mut machine, UNITS[0] + 0x20, 0x8000);
    write32(&mut machine, UNITS[0] + 0x18, 1 << 30);
    write32(&mut machine, UNITS[0] + 0x18, 1 << 31);
    let unit =
        |index: usize| format!("this is what unit {index} says, whose registers are at {:#x}", UNITS[index]);
    // The last two are the function behind the root port, and one that is not there.
    for (source, index) in [("00:01.0", 0), ("00:02.0", 1), ("01:00.0", 1), ("05:00.0", 1)] {
        let explained = explain(&machine, source, Access::Read, 0x5000).unwrap();
        let refused = matches!(explained.explanation.vtd().unwrap().answer, Answer::Refused(_));
        assert_eq!(refused, index == 0, "{explained}");
        assert!(explained.notes.contains(&unit(index)), "{explained}");
    }
    let explained = explain(&machine, "05:00.0", Access::Read, 0x5000).unwrap();
    assert_eq!(explained.notes[0], "there is no function 05:00.0 in this machine now");
}

#[test]
fn a_source_behind_no_unit_has_nothing_to_explain() {
    let machine = machine(&["vtd-legacy,devices=00:01.0"], "q35");
    assert!(explain(&machine, "00:01.0", Access::Read, 0x5000).is_ok());
    let error = explain(&machine, "00:02.0", Access::Read, 0x5000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no unit serves 00:02.0, so its addresses are physical; name it in devices= of an --iommu"
    );
}

#[test]
fn the_io_apic_is_explained_as_remapping_treats_it() {
    // Whether an entry for 00:01.0 lets the I/O APIC in.
    for (board, ioapic, admitted) in [
        ("q35", "ff:00.0", false),
        ("q35,ioapic-verify=off", "ff:00.0", true),
        ("q35,ioapic-verify=off,ioapic-source=f0:1f.0", "f0:1f.0", true),
        ("q35,ioapic-verify=off,ioapic-source=f0:1f.0", "ff:00.0", false),
    ] {
        let mut machine = machine(&["vtd-legacy"], board);
        machine.write(0x1_0010, &0x0051_0001_u64.to_le_bytes());
        machine.write(0x1_0018, &0x0004_0008_u64.to_le_bytes());
        machine.write(UNITS[0] + 0xb8, &0x1_0000_u64.to_le_bytes());
        write32(&mut machine, UNITS[0] + 0x18, 1 << 24);
        write32(&mut machine, UNITS[0] + 0x18, 1 << 25);
        for (source, admitted) in [(ioapic, admitted), ("00:01.0", true), ("00:02.0", false)] {
            // Remappable format, index 1.
            let explained = explain(&machine, source, Access::Write, 0xfee0_0030).unwrap();
            let code = explained.explanation.vtd().unwrap().answer.cause().map(|cause| cause.code.0);
            assert_eq!(code, (!admitted).then_some(0x26), "{board}, {source}: {explained}");
        }
    }
}
