//! SMMUs before the bus masters of a virt.

use super::*;

const SMMU: u64 = 0x0905_0000;
/// The second and the third.
const OTHERS: [u64; 2] = [0x0c00_0000, 0x0c02_0000];
const STREAM_TABLE: u64 = RAM + 0x2_0000;
const EVENTS: u64 = RAM + 0x3_0000;
/// Stage-2 tables, of three levels, a page each.
const TABLES: u64 = RAM + 0x4_0000;
/// Stage-2 page descriptor: AF, shareable, read and write, normal memory.
const PAGE: u64 = 0x7ff;

/// STEs of stage 2 (39 bits, 4-KiB pages, faults recorded) and of bypass.
const STAGE_2: [u64; 4] = [0xd, 0, 0x040d_0059_0000_0001, TABLES];
const BYPASS: [u64; 4] = [0x9, 0, 0, 0];

/// Gives the SMMU at `base` a stream table of 256 entries without a valid one and an event queue of 32,
/// and enables it. Event queue interrupts are on.
fn enable_smmu(machine: &mut Machine, base: u64) {
    write64(machine, base + 0x80, STREAM_TABLE);
    write32(machine, base + 0x88, 8);
    write64(machine, base + 0xa0, EVENTS | 5);
    write32(machine, base + 0x50, 0b101);
    write32(machine, base + 0x20, 0b101);
    assert_eq!(read32(machine, base + 0x24), 0b101);
}

fn set_ste(machine: &mut Machine, stream: u64, words: [u64; 4]) {
    for (index, word) in (0..).zip(words) {
        write64(machine, STREAM_TABLE + 64 * stream + 8 * index, word);
    }
}

/// Maps the page of an address below 2 MiB.
fn map(machine: &mut Machine, ipa: u64, pa: u64) {
    write64(machine, TABLES, (TABLES + 0x1000) | 3);
    write64(machine, TABLES + 0x1000, (TABLES + 0x2000) | 3);
    write64(machine, TABLES + 0x2000 + (ipa >> 12) * 8, pa | PAGE);
}

#[test]
fn off_it_lets_through_what_gbpa_says() {
    let mut machine = virt(&["smmuv3.2-nested"], &["iommu-testdev"]);
    enable(&mut machine, BAR);
    assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), 0);
    // Update and ABORT; Update reads 0 when it is done.
    write32(&mut machine, SMMU + 0x44, 1 << 31 | 1 << 20);
    assert_eq!(read32(&mut machine, SMMU + 0x44) >> 31, 0);
    assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), 0xdead_0002);
    write32(&mut machine, SMMU + 0x44, 1 << 31);
    assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), 0);
}

#[test]
fn on_it_translates_by_the_stream_that_the_requester_id_is() {
    for (options, stream) in [("", 8), (",sidsize=20,streams=0x10000", 0x1_0008)] {
        let mut machine = virt(&[&format!("smmuv3.2-nested{options}")], &["iommu-testdev"]);
        enable(&mut machine, BAR);
        enable_smmu(&mut machine, SMMU);
        if stream > 255 {
            // Two levels, split at 256 entries: the second table of the first level holds the stream's.
            write64(&mut machine, EVENTS + 0x1_0000 + 8 * (stream >> 8), STREAM_TABLE | 9);
            write32(&mut machine, SMMU + 0x20, 0);
            write64(&mut machine, SMMU + 0x80, EVENTS + 0x1_0000);
            write32(&mut machine, SMMU + 0x88, 1 << 16 | 8 << 6 | 17);
            write32(&mut machine, SMMU + 0x20, 0b101);
        }
        set_ste(&mut machine, 8, STAGE_2);
        map(&mut machine, 0x5000, RAM + 0x9000);
        assert_eq!(trigger(&mut machine, 0x5000, RAM + 0x9000), 0, "{options}");
        assert_eq!(read32(&mut machine, RAM + 0x9000), 0x1234_5678);
    }
}

#[test]
fn a_fault_is_an_event_and_an_edge_on_line_74() {
    let mut machine = virt(&["smmuv3.2-nested"], &["iommu-testdev"]);
    enable(&mut machine, BAR);
    enable_smmu(&mut machine, SMMU);
    set_ste(&mut machine, 8, STAGE_2);
    map(&mut machine, 0x5000, RAM + 0x9000);
    assert_eq!(trigger(&mut machine, 0x6000, RAM + 0x9000), 0xdead_0002);
    assert_eq!(machine.take_interrupts(), [Interrupt::Pulse { line: 74 }]);
    assert_eq!(read32(&mut machine, SMMU + 0x1_00a8), 1, "EVENTQ_PROD");
    // F_TRANSLATION of stream 8 at 6000h.
    assert_eq!(read32(&mut machine, EVENTS) & 0xff, 0x10);
    assert_eq!(read32(&mut machine, EVENTS + 4), 8);
    assert_eq!(read32(&mut machine, EVENTS + 16), 0x6000);
}

#[test]
fn an_edge_is_pending_at_the_interrupt_controller() {
    let mut machine = virt(&["smmuv3.2-nested"], &["iommu-testdev"]);
    enable(&mut machine, BAR);
    enable_smmu(&mut machine, SMMU);
    // INTID 106, which is SPI 74: edge triggered, by ICFGR6 bits 21:20.
    write32(&mut machine, GICD + 0xc18, 0b10 << 20);
    let ispendr = GICD + 0x20c;
    assert_eq!(read32(&mut machine, ispendr), 0);
    assert_eq!(trigger(&mut machine, 0x6000, RAM + 0x9000), 0xdead_0002);
    assert_eq!(read32(&mut machine, ispendr), 1 << 10);
}

#[test]
fn a_client_hears_of_events_and_global_errors() {
    let mut machine = virt(&["smmuv3.2-nested"], &["iommu-testdev"]);
    // The command queue at an address that is no memory: CERROR_ABT, GERROR by line 77.
    check(
        &mut machine,
        "irq_intercept_in gic\nwriteq 0x09050090 0x8\nwritel 0x09050050 1\nwritel 0x09050020 8\n\
         writel 0x09050098 1\nreadl 0x09050060\n",
        expect![[r#"
            OK
            OK
            OK
            OK
            IRQ raise 77
            IRQ lower 77
            OK
            OK 0x0000000000000001
        "#]],
    );
}

#[test]
fn the_end_of_a_sync_is_told_as_it_asks() {
    // CMD_SYNC with CS of none, an interrupt by line 76, an event to the processors.
    for (signal, expected) in
        [(0, vec![]), (1, vec![Interrupt::Pulse { line: 76 }]), (2, vec![Interrupt::Event])]
    {
        let mut machine = virt(&["smmuv3.2-nested"], &[]);
        write64(&mut machine, RAM + 0x8000, signal << 12 | 0x46);
        write64(&mut machine, SMMU + 0x90, (RAM + 0x8000) | 3);
        write32(&mut machine, SMMU + 0x20, 0b1000);
        write32(&mut machine, SMMU + 0x98, 1);
        assert_eq!(read32(&mut machine, SMMU + 0x9c), 1, "CMDQ_CONS");
        assert_eq!(machine.take_interrupts(), expected, "{signal}");
    }
}

#[test]
fn messages_go_through_translation_to_the_doorbell() {
    let mut machine = virt(&["smmuv3.2-nested"], &["edu"]);
    enable(&mut machine, BAR);
    map_messages(&mut machine, 8);
    enable_smmu(&mut machine, SMMU);
    set_ste(&mut machine, 8, STAGE_2);
    map(&mut machine, 0x7000, 0x0809_0000);
    machine.write(ECAM + 0x8042, &[1, 0]);
    machine.write(ECAM + 0x804c, &[2, 0]);
    for (address, lpis) in [(0x7040, &[8194][..]), (0x7044, &[]), (0x8040, &[]), (0x0809_0040, &[])] {
        write32(&mut machine, ECAM + 0x8044, address);
        write32(&mut machine, BAR + 0x60, 1);
        assert_eq!(lpis_of(&mut machine), lpis, "{address:#x}");
    }
    // The two last were faults: no such mapping.
    assert_eq!(read32(&mut machine, SMMU + 0x1_00a8), 2);
}

#[test]
fn its_own_messages_reach_the_doorbell_and_memory() {
    // DeviceIDs of the units follow each other.
    for (base, device) in [(SMMU, 0xf_0000), (OTHERS[0], 0xf_0001)] {
        let iommus = ["smmuv3.2-nested,devices=00:01.0", "smmuv3.2-nested"];
        let mut machine = virt(&iommus, &["iommu-testdev", "iommu-testdev"]);
        enable(&mut machine, BAR);
        if base != SMMU {
            // The same device at 00:02.0, behind the other unit.
            machine.write(ECAM + 0x8004, &[0, 0]);
            write32(&mut machine, ECAM + 0x1_0010, BAR as u32);
            machine.write(ECAM + 0x1_0004, &[6, 0]);
        }
        map_messages(&mut machine, device);
        enable_smmu(&mut machine, base);
        // EVENTQ_IRQ_CFG0 and 1.
        write32(&mut machine, base + 0x50, 0);
        write64(&mut machine, base + 0xb0, 0x0809_0040);
        write32(&mut machine, base + 0xb8, 6);
        write32(&mut machine, base + 0x50, 0b100);
        trigger(&mut machine, 0x6000, RAM);
        assert_eq!(lpis_of(&mut machine), [8198], "{base:#x}");
        write32(&mut machine, base + 0x50, 0);
        write64(&mut machine, base + 0xb0, RAM + 0x7000);
        write32(&mut machine, base + 0x50, 0b100);
        // The event queue is emptied, so that it becomes non-empty again.
        write32(&mut machine, base + 0x1_00ac, 1);
        trigger(&mut machine, 0x6000, RAM);
        assert_eq!(read32(&mut machine, RAM + 0x7000), 6, "{base:#x}");
    }
}

#[test]
fn each_has_registers_devices_and_lines_of_its_own() {
    let iommus = ["smmuv3.2-nested,devices=00:01.0", "smmuv3.0-s1,devices=00:02.0", "smmuv3.2-nested"];
    let mut machine = virt(&iommus, &["iommu-testdev", "edu"]);
    // IDR0: S2P, S1P.
    for (base, stages) in [(SMMU, 3), (OTHERS[0], 2), (OTHERS[1], 3)] {
        assert_eq!(read32(&mut machine, base) & 3, stages, "{base:#x}");
    }
    enable(&mut machine, BAR);
    for base in OTHERS {
        enable_smmu(&mut machine, base);
        assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), 0, "{base:#x}");
    }
    enable_smmu(&mut machine, SMMU);
    assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), 0xdead_0002);
    assert_eq!(machine.take_interrupts(), [Interrupt::Pulse { line: 74 }]);
    // A message of edu, at 00:02.0.
    write32(&mut machine, ECAM + 0x1_0010, BAR as u32 + 0x10_0000);
    machine.write(ECAM + 0x1_0004, &[6, 0]);
    write32(&mut machine, ECAM + 0x1_0044, 0x0809_0040);
    machine.write(ECAM + 0x1_0042, &[1, 0]);
    write32(&mut machine, BAR + 0x10_0060, 1);
    assert_eq!(machine.take_interrupts(), [Interrupt::Pulse { line: 112 }]);
}

#[test]
fn a_translation_is_still_cached_after_a_restore() {
    let build = || virt(&["smmuv3.2-nested"], &["iommu-testdev"]);
    let mut one = build();
    enable(&mut one, BAR);
    enable_smmu(&mut one, SMMU);
    set_ste(&mut one, 8, STAGE_2);
    map(&mut one, 0x5000, RAM + 0x9000);
    assert_eq!(trigger(&mut one, 0x5000, RAM + 0x9000), 0);
    // Changed without an invalidation.
    map(&mut one, 0x5000, RAM + 0xa000);
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = build();
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    for machine in [&mut one, &mut two] {
        assert_eq!(trigger(machine, 0x5000, RAM + 0x9000), 0);
    }
    assert_eq!(two.save(), one.save());
}

#[test]
fn bypass_leaves_addresses_alone() {
    let mut machine = virt(&["smmuv3.2-nested,cache=off"], &["iommu-testdev"]);
    enable(&mut machine, BAR);
    enable_smmu(&mut machine, SMMU);
    for (words, verdict) in [(BYPASS, 0), ([0; 4], 0xdead_0002)] {
        set_ste(&mut machine, 8, words);
        assert_eq!(trigger(&mut machine, RAM + 0x5000, RAM + 0x5000), verdict);
    }
}

#[test]
fn a_state_with_another_model_is_refused() {
    let mut machine = virt(&["smmuv3.2-nested"], &[]);
    let before = machine.save();
    let mut state = serde_json::to_value(&before).unwrap();
    let vtd = Machine::new(&config(Some("vtd-legacy"), &[])).unwrap().save();
    state["units"] = serde_json::to_value(vtd).unwrap()["units"].clone();
    let foreign = serde_json::from_value(state).unwrap();
    assert!(matches!(machine.restore(foreign), Err(RestoreError::OtherMachine)));
    assert_eq!(machine.save(), before);
}
