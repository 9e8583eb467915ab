use devices::addr::{Iova, Pa, SourceId, StreamId};
use devices::fabric::{Abort, Access, Initiator, Outcome};
use expect_test::expect;

use super::*;

const DEVICE: Initiator = Initiator::Pci { segment: 0, source: SourceId(8) };

fn dma(address: u64, len: u64, access: Access, outcome: Outcome) -> TraceEvent {
    let done = if outcome == Outcome::Done { len } else { 0 };
    TraceEvent::Dma { initiator: DEVICE, address: Iova(address), len, access, outcome, done }
}

fn translation(iova: u64, pa: u64, cached: bool) -> TraceEvent {
    TraceEvent::Translation { unit: "vtd", initiator: DEVICE, iova: Iova(iova), pa: Pa(pa), cached }
}

fn gcmd(value: u32) -> TraceEvent {
    TraceEvent::RegisterWrite { unit: "vtd", register: "GCMD_REG", offset: 0x18, value }
}

#[test]
fn a_check_stands_above_what_led_to_it() {
    let mut out = Vec::new();
    let mut narrator = Narrator::new(&mut out);
    let mut happen = |events: &[TraceEvent], text: &str| {
        events.iter().for_each(|event| narrator.record(Time(0), event));
        narrator.console(text.as_bytes());
    };
    happen(&[], "TAP version 13\n# hello");
    happen(&[gcmd(0x4000_0000), gcmd(0x8000_0000)], " world\r\nok 1 - translation is on\n");
    happen(
        &[
            // Descriptor, data, status, message.
            translation(0x9000, 0x1000, false),
            dma(0x9000, 64, Access::Read, Outcome::Done),
            translation(0x5000, 0x7000, true),
            dma(0x5000, 256, Access::Write, Outcome::Done),
            translation(0x9030, 0x1030, true),
            dma(0x9030, 16, Access::Write, Outcome::Done),
            dma(0xfee0_0000, 4, Access::Write, Outcome::Done),
            TraceEvent::Interrupt { unit: None, address: 0xfee0_0000, data: 0x41 },
            TraceEvent::Invalidation {
                unit: "vtd",
                what: "pages",
                domain: Some(1),
                range: Some((0x5000, 0x5fff)),
            },
            dma(0x6000, 4, Access::Read, Outcome::Abort(Abort::Ur)),
            TraceEvent::Fault {
                unit: "vtd",
                source: SourceId(8),
                reason: 6,
                what: "no read permission",
                address: 0x6000,
                fate: "recorded",
            },
            dma(0x5000, 0, Access::Read, Outcome::Done),
        ],
        "not ok 2 - more\n",
    );
    let many: Vec<_> = (0..10).map(|n| dma(n, 1, Access::Atomic, Outcome::Done)).collect();
    happen(&many, "1..2\nok 3 - late");
    narrator.finish().unwrap();
    assert_eq!(
        narrator.report().verdict().unwrap_err().to_string(),
        "1 of 3 checks did not hold; see the lines 'not ok'"
    );
    drop(narrator);
    expect![[r#"
        TAP version 13
        # hello world
        ok 1 - translation is on
              The driver tells the IOMMU where its root table is.
              The driver turns translation on.
        not ok 2 - more
              Device 00:01.0 writes 256 bytes at 0x5000; the IOMMU remembers that this is memory at 0x7000.
              An interrupt message reaches the processor: vector 0x41.
              The driver has the IOMMU forget pages, domain 1, 0x5000 to 0x5fff.
              Device 00:01.0 reads 4 bytes at 0x6000: aborted (UR).
              The IOMMU blocks 00:01.0 at 0x6000: no read permission (fault reason 06h, recorded).
              Device 00:01.0 asks whether it may read 0x5000.
        1..2
        ok 3 - late
              Device 00:01.0 updates 1 byte at 0x0 in one step.
              Device 00:01.0 updates 1 byte at 0x1 in one step.
              Device 00:01.0 updates 1 byte at 0x2 in one step.
              Device 00:01.0 updates 1 byte at 0x3 in one step.
              Device 00:01.0 updates 1 byte at 0x4 in one step.
              Device 00:01.0 updates 1 byte at 0x5 in one step.
              Device 00:01.0 updates 1 byte at 0x6 in one step.
              Device 00:01.0 updates 1 byte at 0x7 in one step.
              … and 2 more events like these.
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn a_line_without_end_is_shown_in_parts() {
    let mut out = Vec::new();
    let narrator = Narrator::new(&mut out);
    narrator.console(&vec![b'x'; 10_000]);
    drop(narrator);
    assert_eq!(out.len(), 2 * 4097);
}

#[test]
fn an_smmu_is_told_of_in_words() {
    let mut out = Vec::new();
    let mut narrator = Narrator::new(&mut out);
    let cr0 = |value| TraceEvent::RegisterWrite { unit: "smmuv3", register: "SMMU_CR0", offset: 0x20, value };
    let resume = TraceEvent::QueueEntry {
        unit: "smmuv3",
        index: 0,
        kind: "CMD_RESUME",
        // Ac: retry.
        words: [0x8_0000_1044, 0],
    };
    let event = |word1| TraceEvent::Event {
        unit: "smmuv3",
        stream: StreamId(8),
        kind: 0x10,
        what: "F_TRANSLATION",
        address: Iova(0x5000),
        words: [0x8_0000_0010, word1, 0x5000, 0],
        fate: "recorded",
    };
    for event in [cr0(0xd), event(0), event(1 << 31), resume] {
        narrator.record(Time(0), &event);
    }
    narrator.console(b"ok 1 - done\n");
    drop(narrator);
    expect![[r#"
        ok 1 - done
              The driver turns the SMMU on.
              The driver turns the SMMU's event queue on.
              The driver turns the SMMU's command queue on.
              The SMMU stops stream 0x8 at 0x5000: no page is mapped there, by the device's own tables (F_TRANSLATION, recorded).
              The SMMU holds stream 0x8 at 0x5000: no page is mapped there, by the device's own tables (F_TRANSLATION, recorded).
              The driver has the transaction 0 that the SMMU holds for stream 0x8 try again.
    "#]]
    .assert_eq(std::str::from_utf8(&out).unwrap());
}
