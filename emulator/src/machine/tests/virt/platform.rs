//! Masters on the platform bus, before an SMMU or none.

use devices::fabric::{Abort, Outcome, Request};
use firmware::arm::{PlatformDevice, PlatformMaster, Spi, Trigger};

use super::*;
use crate::machine::ProbeError;

const DEVICE: u64 = 0x0c80_0000;
const LINE: u32 = 144;
const SMMU: u64 = 0x0905_0000;
/// Of the two levels of the stream table; the second is that of streams 10000 to 100ff.
const STREAMS: [u64; 2] = [RAM + 0x5_0000, RAM + 0x2_0000];
const EVENTS: u64 = RAM + 0x3_0000;
const COMMANDS: u64 = RAM + 0x6_0000;
/// Stage-2 tables, of three levels, a page each.
const TABLES: u64 = RAM + 0x4_0000;
/// Stage-2 page descriptor: AF, shareable, read and write, normal memory.
const PAGE: u64 = 0x7ff;
/// S2S of word 2: faults stall.
const STALL: u64 = 1 << 57;
/// Where the ring is for the device, and in memory; the page of data that is mapped later.
const RING: (u64, u64) = (0x1000, RAM + 0x7000);
const DATA: (u64, u64) = (0x5000, RAM + 0x9000);
const STREAM: u64 = 0x1_0000;
const CAN_STALL: &str = "exerciser,bus=platform,stream=0x10000,can-stall=on,ssid-bits=4,latency=0";

/// A machine whose device has an enabled ring of 4 descriptors, behind an SMMU with stage-2 tables that
/// stall and map the ring.
fn behind_smmu(device: &str) -> Machine {
    let mut machine = virt(&["smmuv3.2-nested,sidsize=17"], &[device]);
    let m = &mut machine;
    // Two levels, split at 256 entries.
    write64(m, STREAMS[0] + 8 * (STREAM >> 8), STREAMS[1] | 9);
    // Stage 2: 39 bits, 4-KiB pages, faults recorded, and stalled.
    for (index, word) in (0..).zip([0xd, 0, 0x040d_0059_0000_0001 | STALL, TABLES]) {
        write64(m, STREAMS[1] + 8 * index, word);
    }
    write64(m, SMMU + 0x80, STREAMS[0]);
    write32(m, SMMU + 0x88, 1 << 16 | 8 << 6 | 17);
    write64(m, SMMU + 0x90, COMMANDS | 5);
    write64(m, SMMU + 0xa0, EVENTS | 5);
    write32(m, SMMU + 0x20, 0b1101);
    map(m, RING);
    start(m, RING.0);
    machine
}

fn start(machine: &mut Machine, ring: u64) {
    write64(machine, DEVICE + 0x10, ring);
    write32(machine, DEVICE + 0x18, 4);
    write32(machine, DEVICE + 0x08, 1);
}

/// Maps a page of addresses below 2 MiB.
fn map(machine: &mut Machine, (ipa, pa): (u64, u64)) {
    write64(machine, TABLES, (TABLES + 0x1000) | 3);
    write64(machine, TABLES + 0x1000, (TABLES + 0x2000) | 3);
    write64(machine, TABLES + 0x2000 + (ipa >> 12) * 8, pa | PAGE);
}

/// Puts a descriptor of command and length, address, and PASID into the ring, and rings.
fn run(machine: &mut Machine, command: u64, address: u64, pasid: u64) {
    let index = u64::from(read32(machine, DEVICE + 0x1c));
    for (word, value) in [(0, command), (1, address), (5, pasid << 32), (6, 0)] {
        write64(machine, RING.1 + 64 * index + 8 * word, value);
    }
    write32(machine, DEVICE + 0x1c, (index as u32 + 1) % 4);
}

/// The status of the descriptor at `index`.
fn status(machine: &mut Machine, index: u64) -> u32 {
    read32(machine, RING.1 + 64 * index + 48)
}

/// STATUS and COMPLETED.
fn progress(machine: &mut Machine) -> [u32; 2] {
    [0x0c, 0x24].map(|at| read32(machine, DEVICE + at))
}

fn read64(machine: &mut Machine, address: u64) -> u64 {
    let mut bytes = [0; 8];
    machine.read(address, &mut bytes);
    u64::from_le_bytes(bytes)
}

/// Words 0 to 2 of a record, and how many there are.
fn record(machine: &mut Machine, index: u64) -> ([u64; 3], u32) {
    let words = [0, 8, 16].map(|at| read64(machine, EVENTS + 32 * index + at));
    (words, read32(machine, SMMU + 0x1_00a8))
}

fn command(machine: &mut Machine, words: [u64; 2]) {
    let prod = read32(machine, SMMU + 0x98);
    for (index, word) in (0..).zip(words) {
        write64(machine, COMMANDS + 16 * u64::from(prod % 32) + 8 * index, word);
    }
    write32(machine, SMMU + 0x98, prod + 1);
    assert_eq!((read32(machine, SMMU + 0x9c), read32(machine, SMMU + 0x60)), (prod + 1, 0));
}

/// A machine whose device is held at a read of 8 bytes, the page not being mapped; and the STAG.
fn stalled() -> (Machine, u64) {
    let mut machine = behind_smmu(CAN_STALL);
    write64(&mut machine, DATA.1 + 0x18, 0x1122_3344_5566_7788);
    run(&mut machine, 1 | 8 << 32, DATA.0 + 0x18, 0);
    assert_eq!(progress(&mut machine), [9, 0], "BUSY and HELD");
    let ([what, how, address], count) = record(&mut machine, 0);
    // F_TRANSLATION of the stream with Stall, stage 2.
    assert_eq!((what, count, address), (STREAM << 32 | 0x10, 1, DATA.0 + 0x18));
    assert_eq!(how >> 31 & 1, 1);
    (machine, how & 0xffff)
}

#[test]
fn devices_have_registers_and_lines_of_their_own() {
    let devices =
        ["exerciser,bus=platform,stream=0x10000", "exerciser,bus=platform,stream=0x10001,latency=7"];
    let mut machine = virt(&[], &devices);
    for (address, value) in [
        (DEVICE, 0x494f_4d55),
        (DEVICE + 0x28, 1000),
        (DEVICE + 0x1_0000, 0x494f_4d55),
        (DEVICE + 0x1_0028, 7),
        (DEVICE + 0x2_0000, 0xffff_ffff),
        (DEVICE - 4, 0xffff_ffff),
    ] {
        assert_eq!(read32(&mut machine, address), value, "{address:#x}");
    }
    for (base, line) in [(DEVICE, LINE), (DEVICE + 0x1_0000, LINE + 1)] {
        // A descriptor that does nothing but interrupt; without IOMMU the ring's address is physical.
        write32(&mut machine, RING.1, 1 << 8);
        write64(&mut machine, base + 0x10, RING.1);
        write32(&mut machine, base + 0x18, 4);
        write32(&mut machine, base + 0x08, 1);
        write32(&mut machine, base + 0x1c, 1);
        machine.advance(Time(machine.now().0 + 1000));
        assert_eq!(machine.take_interrupts(), [Interrupt::Line { line, asserted: true }]);
        write32(&mut machine, base + 0x30, 1);
        assert_eq!(machine.take_interrupts(), [Interrupt::Line { line, asserted: false }]);
    }
}

#[test]
fn a_stalled_dma_ends_as_the_command_says() {
    // CMD_RESUME: retry, abort, RAZ; CMD_STALL_TERM.
    for (words, mapped, code) in [
        (0x1044, true, 0x8000_0001),
        (0x2044, false, 0x8000_0003),
        (0x0044, false, 0x8000_0002),
        (0x45, false, 0x8000_0003),
    ] {
        let (mut machine, stag) = stalled();
        write32(&mut machine, DEVICE + 0x1000, 0xeeee_eeee);
        if mapped {
            map(&mut machine, DATA);
        }
        // Of another stream, and of another STAG: nothing comes of them.
        command(&mut machine, [(STREAM + 1) << 32 | 0x1044, stag]);
        command(&mut machine, [STREAM << 32 | 0x1044, stag ^ 1]);
        assert_eq!(progress(&mut machine), [9, 0], "{words:#x}");
        command(&mut machine, [STREAM << 32 | words, stag]);
        assert_eq!(progress(&mut machine), [0, 1], "{words:#x}");
        assert_eq!(status(&mut machine, 0), code, "{words:#x}");
        let buffer = match code & 0xff {
            1 => 0x5566_7788,
            // What reads as zero does.
            2 => 0,
            _ => 0xeeee_eeee,
        };
        assert_eq!(read32(&mut machine, DEVICE + 0x1000), buffer, "{words:#x}");
        assert_eq!(record(&mut machine, 1).1, 1, "no further record");
        // It is over.
        command(&mut machine, [STREAM << 32 | words, stag]);
        assert_eq!(progress(&mut machine), [0, 1], "{words:#x}");
    }
}

#[test]
fn a_retry_that_faults_again_is_recorded_again() {
    let (mut machine, mut stag) = stalled();
    for count in 1..4 {
        command(&mut machine, [STREAM << 32 | 0x1044, stag]);
        let ([what, how, _], now) = record(&mut machine, count);
        assert_eq!((what, how >> 31 & 1, u64::from(now)), (STREAM << 32 | 0x10, 1, count + 1));
        assert_eq!(progress(&mut machine), [9, 0]);
        stag = how & 0xffff;
    }
    map(&mut machine, DATA);
    command(&mut machine, [STREAM << 32 | 0x1044, stag]);
    assert_eq!((progress(&mut machine), status(&mut machine, 0)), ([0, 1], 0x8000_0001));
}

#[test]
fn translation_that_is_switched_off_ends_what_is_stalled() {
    let (mut machine, _) = stalled();
    write32(&mut machine, SMMU + 0x20, 0b1100);
    // The read ended; the status goes to a bypassed address, where no memory is.
    assert_eq!(progress(&mut machine), [2, 0]);
}

#[test]
fn a_reset_device_has_nothing_to_resume() {
    let (mut machine, stag) = stalled();
    write32(&mut machine, DEVICE + 0x08, 3);
    map(&mut machine, DATA);
    command(&mut machine, [STREAM << 32 | 0x1044, stag]);
    assert_eq!((progress(&mut machine), status(&mut machine, 0)), ([0, 0], 0));
}

#[test]
fn a_master_that_cannot_stall_is_given_an_abort() {
    let mut machine = behind_smmu("exerciser,bus=platform,stream=0x10000,latency=0");
    run(&mut machine, 1 | 8 << 32, DATA.0, 0);
    assert_eq!((progress(&mut machine), status(&mut machine, 0)), ([0, 1], 0x8000_0003));
    let ([what, how, _], count) = record(&mut machine, 0);
    assert_eq!((what, how >> 31 & 1, count), (STREAM << 32 | 0x10, 0, 1));
}

#[test]
fn pasids_are_substream_ids() {
    let mut machine = behind_smmu(CAN_STALL);
    map(&mut machine, DATA);
    run(&mut machine, 1 | 1 << 11 | 8 << 32, DATA.0, 5);
    // C_BAD_SUBSTREAMID with the SubstreamID: this stream has no context descriptors.
    assert_eq!(record(&mut machine, 0).0[0], STREAM << 32 | 5 << 12 | 0x08);
    assert_eq!(status(&mut machine, 0), 0x8000_0003);
    // More than 4 bits.
    run(&mut machine, 1 | 1 << 11 | 8 << 32, DATA.0, 0x10);
    assert_eq!((status(&mut machine, 1), record(&mut machine, 1).1), (0x8000_0005, 1));
}

#[test]
fn a_substream_stalls_at_its_own_tables() {
    const CONTEXTS: u64 = RAM + 0x6_1000;
    const ROOT: u64 = RAM + 0x6_2000;
    let mut machine = behind_smmu(CAN_STALL);
    let m = &mut machine;
    // Stage 1 with 16 context descriptors; without SubstreamID it is bypassed.
    write32(m, DEVICE + 0x08, 2);
    write32(m, SMMU + 0x20, 0b1100);
    for (index, word) in (0..).zip([4 << 59 | CONTEXTS | 0xb, 1, 0, 0]) {
        write64(m, STREAMS[1] + 8 * index, word);
    }
    // CFGI_ALL, TLBI_NSNH_ALL, SYNC.
    for words in [[4, 31], [0x30, 0], [0x46, 0]] {
        command(m, words);
    }
    write32(m, SMMU + 0x20, 0b1101);
    // Context 5: 48 bits from 4-KiB pages, V, AA64, and R, A and S: faults stall.
    let word = 0x10 | 1 << 30 | 1 << 31 | 5 << 32 | 1 << 41 | 0b111 << 44 | 7 << 48;
    for (index, word) in (0..).zip([word, ROOT, 0, 0xff]) {
        write64(m, CONTEXTS + 64 * 5 + 8 * index, word);
    }
    for level in 0..3 {
        write64(m, ROOT + 0x1000 * level, ROOT + 0x1000 * (level + 1) + 3);
    }
    start(m, RING.1);
    run(m, 1 | 1 << 11 | 8 << 32, DATA.0, 5);
    // F_TRANSLATION with SSV and the SubstreamID, stalled, stage 1.
    let ([what, how, address], count) = record(m, 0);
    assert_eq!((what, address, count), (STREAM << 32 | 5 << 12 | 1 << 11 | 0x10, DATA.0, 1));
    assert_eq!((how >> 31 & 1, progress(m)), (1, [9, 0]));
    write64(m, ROOT + 0x3000 + 8 * 5, DATA.1 | 0xf43);
    command(m, [STREAM << 32 | 0x1044, how & 0xffff]);
    assert_eq!((progress(m), status(m, 0)), ([0, 1], 0x8000_0001));
}

#[test]
fn messages_have_the_stream_id_for_device_id_and_can_be_stalled() {
    let mut machine = behind_smmu(CAN_STALL);
    map_messages(&mut machine, STREAM);
    // Vector 2 is event 3.
    write64(&mut machine, DEVICE + 0x4020, 0xb040);
    write64(&mut machine, DEVICE + 0x4028, 3);
    write32(&mut machine, DEVICE + 0x2c, 1);
    run(&mut machine, 1 << 8 | 2 << 16, 0, 0);
    assert_eq!((progress(&mut machine), read32(&mut machine, DEVICE + 0x30)), ([0, 1], 1 << 10));
    assert!(lpis_of(&mut machine).is_empty());
    let ([what, how, address], _) = record(&mut machine, 0);
    assert_eq!((what, how >> 31 & 1, address), (STREAM << 32 | 0x10, 1, 0xb040));
    map(&mut machine, (0xb000, 0x0809_0000));
    command(&mut machine, [STREAM << 32 | 0x1044, how & 0xffff]);
    assert_eq!((lpis_of(&mut machine), read32(&mut machine, DEVICE + 0x30)), (vec![8195], 0));
    run(&mut machine, 1 << 8 | 2 << 16, 0, 0);
    assert_eq!(lpis_of(&mut machine), [8195]);
}

#[test]
fn a_stalled_dma_is_saved() {
    let (mut one, stag) = stalled();
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = behind_smmu(CAN_STALL);
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    for machine in [&mut one, &mut two] {
        map(machine, DATA);
        command(machine, [STREAM << 32 | 0x1044, stag]);
        assert_eq!((progress(machine), status(machine, 0)), ([0, 1], 0x8000_0001));
    }
    assert_eq!(two.save(), one.save());
}

#[test]
fn damaged_devices_are_refused_and_change_nothing() {
    let mut machine = stalled().0;
    let before = machine.save();
    let good = serde_json::to_value(&before).unwrap();
    let restore = |machine: &mut Machine, state: serde_json::Value| {
        machine.restore(serde_json::from_value(state).unwrap()).unwrap_err().to_string()
    };
    let mut state = good.clone();
    state["platform"][0]["exerciser"]["buffer"] = serde_json::json!([1]);
    assert_eq!(
        restore(&mut machine, state),
        "the saved state of the exerciser of stream 0x10000 is damaged (the length of its buffer); save it again"
    );
    let mut state = good.clone();
    state["platform"] = serde_json::json!([]);
    assert!(restore(&mut machine, state).contains("by another machine"));
    // The platform devices are not restored where PCI is refused.
    let mut state = good.clone();
    state["pci"]["functions"] = serde_json::json!([]);
    state["platform"][0]["interrupts"]["events"] = serde_json::json!(1);
    assert!(restore(&mut machine, state).contains("PCI functions"));
    assert_eq!(machine.save(), before);
}

#[test]
fn a_device_does_dma_on_demand() {
    let mut machine = behind_smmu(CAN_STALL);
    map(&mut machine, DATA);
    let written = machine.dma_write("stream=0x10000", Request::at(DATA.0), &[0x5a; 4]).unwrap();
    assert_eq!((written.outcome, read32(&mut machine, DATA.1)), (Outcome::Done, 0x5a5a_5a5a));
    let mut data = [0; 4];
    machine.dma_read("stream=65536", Request::at(DATA.0), &mut data).unwrap();
    assert_eq!(data, [0x5a; 4]);
    let held = machine.dma_read("stream=0x10000", Request::at(DATA.0 + 0xffe), &mut data).unwrap();
    assert!(matches!((held.done, held.outcome), (2, Outcome::Stalled(_))), "{held:?}");
    let how = record(&mut machine, 0).0[1];
    command(&mut machine, [STREAM << 32 | 0x1044, how & 0xffff]);
    assert_eq!(progress(&mut machine), [0, 0], "nobody waited");
    for name in ["stream=0x10001", "stream=x", "stream=0x100010000", "exerciser"] {
        let error = machine.dma_read(name, Request::at(0), &mut data).unwrap_err();
        let known = "stream=0x10000".to_owned();
        assert_eq!(error, ProbeError::NoDevice { name: name.to_owned(), known });
    }
    // No memory there.
    let mut machine = virt(&[], &["exerciser,bus=platform,stream=0x10000"]);
    let refused = machine.dma_read("stream=0x10000", Request::at(0), &mut data).unwrap();
    assert_eq!(refused.outcome, Outcome::Abort(Abort::Ur));
}

#[test]
fn firmware_is_told_what_is_there() {
    let device = |index: u64, stream, master| PlatformDevice {
        name: "exerciser".to_owned(),
        compatible: vec!["iommulator,exerciser".to_owned()],
        registers: 0x0c80_0000 + 0x1_0000 * index..=0x0c80_ffff + 0x1_0000 * index,
        interrupts: vec![Spi { number: 144 + index as u32, trigger: Trigger::Level }],
        coherent: true,
        master,
        msi_device: Some(stream),
    };
    let master = |smmu, stream, substream_bits, can_stall| {
        Some(PlatformMaster { smmu, streams: vec![stream], substream_bits, can_stall })
    };
    let iommus = ["smmuv3.2-nested,devices=00:00.0,sidsize=17", "smmuv3.2-nested,sidsize=17"];
    let other = "exerciser,bus=platform,stream=0x10001,iommu=0";
    let machine = virt(&iommus, &["edu", CAN_STALL, other]);
    let expected = [
        device(0, 0x1_0000, master(1, 0x1_0000, 4, true)),
        device(1, 0x1_0001, master(0, 0x1_0001, 0, false)),
    ];
    assert_eq!(machine.platform_devices(), expected);
    let machine = virt(&[], &["exerciser,bus=platform,stream=0x10000"]);
    assert_eq!(machine.platform_devices(), [device(0, 0x1_0000, None)]);
    assert_eq!(super::machine().platform_devices(), []);
}
