use std::sync::{Arc, Mutex};

use devices::addr::{Iova, SourceId, StreamId};
use devices::fabric::{Abort, Access, Initiator, Outcome};
use expect_test::{Expect, expect};

use super::*;

fn check(format: Format, expected: Expect) {
    let mut out = Vec::new();
    let mut sink = Writer::new(format, &mut out);
    let initiator = Initiator::Pci { segment: 0, source: SourceId::new(0, 3, 0) };
    let outcome = Outcome::Abort(Abort::Ur);
    let dma = TraceEvent::Dma {
        initiator,
        address: Iova(0x1000),
        len: 64,
        access: Access::Write,
        outcome,
        done: 0,
    };
    sink.record(Time(1500), &dma);
    sink.record(Time(2000), &TraceEvent::Line { line: 23, asserted: true });
    sink.finish().unwrap();
    if format == Format::JsonLines {
        for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(serde_json::from_slice::<serde_json::Value>(line).unwrap()["time"].is_u64());
        }
    }
    expected.assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn text() {
    check(
        Format::Text,
        expect![[r#"
        [1.500 us] dma: 00:03.0 writes 64 bytes at 0x1000: aborted (UR)
        [2.000 us] interrupt line 23: asserted
    "#]],
    );
}

#[test]
fn json_lines() {
    check(
        Format::JsonLines,
        expect![[r#"
        {"time":1500,"event":"dma","initiator":{"Pci":{"segment":0,"source":24}},"address":4096,"len":64,"access":"Write","outcome":{"Abort":"Ur"},"done":0}
        {"time":2000,"event":"line","line":23,"asserted":true}
    "#]],
    );
}

/// Takes a few bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0 < data.len() {
            return Err(io::Error::other("disk full"));
        }
        self.0 -= data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_ends_the_trace_and_is_reported_once() {
    let mut sink = Writer::new(Format::Text, Full(4));
    for _ in 0..3 {
        sink.record(Time(0), &TraceEvent::Line { line: 1, asserted: false });
    }
    assert_eq!(sink.finish().unwrap_err().to_string(), "disk full");
    assert!(sink.finish().is_ok());
}

/// An output that others can read after a sink had it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_sink_keeps_the_others_neither_from_events_nor_from_their_end() {
    use std::io::BufWriter;

    let shared = Shared::default();
    // What is buffered arrives only when the writer is finished.
    let buffered = BufWriter::new(shared.clone());
    let full = Writer::new(Format::Text, Full(4));
    let mut tee = Tee::new(vec![Box::new(full), Box::new(Writer::new(Format::Text, buffered))]);
    tee.record(Time(0), &TraceEvent::Line { line: 1, asserted: true });
    assert!(shared.0.lock().unwrap().is_empty());
    assert_eq!(tee.finish().unwrap_err().to_string(), "disk full");
    assert_eq!(*shared.0.lock().unwrap(), b"[0.000 us] interrupt line 1: asserted\n");
}

mod perfetto {
    use std::collections::BTreeMap;

    use devices::addr::Pa;
    use devices::iommu::Stale;
    use devices::vtd::{Missing, StaleUse};
    use serde_json::Value;

    use super::*;
    use crate::config::MachineConfig;
    use crate::hosted::{self, Ending, Options};
    use crate::machine::Machine;
    use crate::trace::Perfetto;

    /// What holds of every trace: it parses; tracks are named; slices of a track nest; each arrow
    /// has both ends, inside slices, forward in time.
    fn events(bytes: &[u8]) -> Vec<Value> {
        let trace: Value = serde_json::from_slice(bytes).unwrap();
        let events = trace["traceEvents"].as_array().unwrap().clone();
        // Time stamps are microseconds with three decimals.
        let ns = |value: &Value| (value.as_f64().unwrap() * 1000.0).round() as u64;
        let of = |ph: &str| events.iter().filter(|event| event["ph"] == ph).collect::<Vec<_>>();
        let named: Vec<_> =
            of("M").iter().filter(|e| e["name"] == "thread_name").map(|e| e["tid"].clone()).collect();
        let mut tracks = BTreeMap::<u64, Vec<(u64, u64)>>::new();
        for slice in of("X") {
            assert!(named.contains(&slice["tid"]), "{slice}");
            let start = ns(&slice["ts"]);
            let end = start + ns(&slice["dur"]);
            assert!(end > start, "{slice}");
            tracks.entry(slice["tid"].as_u64().unwrap()).or_default().push((start, end));
        }
        for slices in tracks.values() {
            let mut open: Vec<(u64, u64)> = Vec::new();
            for (start, end) in slices {
                open.retain(|(_, outer)| outer > start);
                assert!(open.iter().all(|(outer, outer_end)| outer < start && end <= outer_end), "{start}");
                open.push((*start, *end));
            }
            assert!(slices.is_sorted_by_key(|(start, _)| start), "in order of time");
        }
        let ends =
            |ph| of(ph).into_iter().map(|e| (e["id"].as_u64().unwrap(), e)).collect::<BTreeMap<_, _>>();
        let (starts, finishes) = (ends("s"), ends("f"));
        assert_eq!(starts.len(), of("s").len(), "an id of its own for each");
        assert!(starts.keys().eq(finishes.keys()));
        for (id, start) in &starts {
            let finish = finishes[id];
            assert!(ns(&start["ts"]) < ns(&finish["ts"]), "{start} {finish}");
            assert_eq!(
                (&start["name"], &start["cat"], &finish["bp"]),
                (&finish["name"], &finish["cat"], &"e".into())
            );
            for touch in [start, &finish] {
                let (at, slices) = (ns(&touch["ts"]), &tracks[&touch["tid"].as_u64().unwrap()]);
                assert!(slices.iter().any(|(start, end)| *start < at && at < *end), "{touch}");
            }
        }
        events
    }

    /// The names of the slices that arrows join.
    fn arrows(events: &[Value]) -> Vec<(String, String)> {
        let at = |event: &Value| event["ts"].as_f64().unwrap();
        let name = |touch: &Value| {
            let inside = |slice: &&Value| {
                slice["ph"] == "X"
                    && slice["tid"] == touch["tid"]
                    && at(slice) < at(touch)
                    && at(touch) < at(slice) + slice["dur"].as_f64().unwrap()
            };
            events.iter().rfind(inside).unwrap()["name"].as_str().unwrap().to_owned()
        };
        let of = |ph: &'static str| events.iter().filter(move |event| event["ph"] == ph);
        of("s").zip(of("f")).map(|(start, finish)| (name(start), name(finish))).collect()
    }

    #[test]
    fn arrows_lead_from_the_doorbell_to_the_interrupt() {
        let source = SourceId::new(0, 3, 0);
        let initiator = Initiator::Pci { segment: 0, source };
        let dma = |address, len, access, outcome| TraceEvent::Dma {
            initiator,
            address: Iova(address),
            len,
            access,
            outcome,
            done: len,
        };
        let fetch = |table| TraceEvent::Fetch { unit: "vtd", table, address: Pa(0x1000), words: [1, 0] };
        let mut out = Vec::new();
        let mut sink = Perfetto::new(&mut out);
        let doorbell = TraceEvent::Bar {
            source,
            model: "exerciser",
            bar: 0,
            offset: 0x1c,
            len: 4,
            value: 1,
            write: true,
        };
        sink.record(Time(100), &doorbell);
        sink.record(Time(1100), &fetch("root entry"));
        let translation = TraceEvent::Translation {
            unit: "vtd",
            initiator,
            iova: Iova(0x5000),
            pa: Pa(0x2000),
            cached: false,
        };
        sink.record(Time(1100), &translation);
        sink.record(Time(1100), &dma(0x5000, 64, Access::Read, Outcome::Done));
        sink.record(Time(1100), &fetch("interrupt entry"));
        sink.record(Time(1100), &dma(0xfee0_0000, 4, Access::Write, Outcome::Done));
        sink.record(Time(1100), &TraceEvent::Interrupt { unit: None, address: 0xfee0_0000, data: 0x41 });
        sink.record(Time(1200), &dma(0x6000, 8, Access::Write, Outcome::Abort(Abort::Ur)));
        let fault = TraceEvent::Fault {
            unit: "vtd",
            source,
            reason: 5,
            what: "no write permission",
            address: 0x6000,
            fate: "recorded",
        };
        sink.record(Time(1200), &fault);
        let event_interrupt = TraceEvent::Interrupt { unit: Some("vtd"), address: 0xfee0_0000, data: 0x42 };
        sink.record(Time(1200), &event_interrupt);
        sink.finish().unwrap();
        let events = events(&out);
        let expected = [
            ("write exerciser+0x1c", "read 64 bytes"),
            ("read 64 bytes", "translate"),
            ("read 64 bytes", "write 4 bytes"),
            ("write 4 bytes", "table reads"),
            ("table reads", "interrupt, vector 0x41"),
            ("write 4 bytes", "write 8 bytes"),
            ("write 8 bytes", "fault 05h"),
            ("fault 05h", "interrupt, vector 0x42"),
        ];
        let expected = expected.map(|(from, to)| (from.to_owned(), to.to_owned()));
        assert_eq!(arrows(&events), expected);
        let first = events.iter().find(|event| event["ph"] == "X").unwrap();
        assert_eq!((first["ts"].as_f64(), first["tid"].as_u64()), (Some(0.1), Some(1)));
        let names: Vec<_> = events
            .iter()
            .filter(|e| e["name"] == "thread_name")
            .map(|e| e["args"]["name"].as_str())
            .collect();
        let expected = ["vCPU", "device 00:03.0", "IOMMU", "invalidation queue"].map(Some);
        assert_eq!(names, expected);
    }

    #[test]
    fn each_unit_has_tracks_and_arrows_of_its_own() {
        let (zero, one) = ("vtd0", "vtd1");
        let write = |unit| TraceEvent::RegisterWrite { unit, register: "IQT_REG", offset: 0x88, value: 0x10 };
        let entry = |unit, index| TraceEvent::QueueEntry { unit, index, kind: "entry", words: [0x2, 0] };
        let invalidate =
            |unit| TraceEvent::Invalidation { unit, what: "all translations", domain: None, range: None };
        let source = SourceId::new(0, 3, 0);
        let initiator = Initiator::Pci { segment: 0, source };
        let fetch = |unit, table| TraceEvent::Fetch { unit, table, address: Pa(0x1000), words: [1, 0] };
        let fault = |unit, source| TraceEvent::Fault {
            unit,
            source,
            reason: 5,
            what: "no write permission",
            address: 0x6000,
            fate: "recorded",
        };
        let interrupt = |unit, data| TraceEvent::Interrupt { unit, address: 0xfee0_0000, data };
        let dma = |address, access| TraceEvent::Dma {
            initiator,
            address: Iova(address),
            len: 4,
            access,
            outcome: Outcome::Done,
            done: 4,
        };
        let mut out = Vec::new();
        let mut sink = Perfetto::new(&mut out);
        for event in [
            // Two doorbells, then both queues in turn.
            write(one),
            write(zero),
            entry(one, 0),
            entry(zero, 0),
            invalidate(one),
            invalidate(zero),
            entry(one, 1),
            // A table read for an interrupt of no function, then a DMA through another unit.
            fetch(one, "interrupt entry"),
            fetch(zero, "root entry"),
            dma(0xfee0_0000, Access::Write),
            // Two faults, and their event interrupts before that of the device.
            fault(zero, source),
            fault(one, SourceId::new(0xff, 0, 0)),
            interrupt(Some(zero), 0x40),
            interrupt(Some(one), 0x41),
            interrupt(None, 0x42),
        ] {
            sink.record(Time(100), &event);
        }
        sink.finish().unwrap();
        let events = events(&out);
        let expected = [
            ("write IQT_REG", "entry"),
            ("write IQT_REG", "entry"),
            ("entry", "invalidate"),
            ("entry", "invalidate"),
            ("entry", "entry"),
            ("write 4 bytes", "table reads"),
            ("write 4 bytes", "fault 05h"),
            ("fault 05h", "interrupt, vector 0x40"),
            ("fault 05h", "interrupt, vector 0x41"),
            ("table reads", "interrupt, vector 0x42"),
        ];
        assert_eq!(arrows(&events), expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
        // The unit of each end: its tracks are 2 and 3, or 4 and 5; of the doorbells, the order.
        let tid = |touch: &Value| touch["tid"].as_u64().unwrap();
        let of = |ph: &'static str| events.iter().filter(move |event| event["ph"] == ph);
        let tracks: Vec<_> = of("s").zip(of("f")).map(|(s, f)| (tid(s), tid(f))).collect();
        let device = 0x1_0018;
        assert_eq!(
            tracks,
            [(1, 5), (1, 3), (5, 4), (3, 2), (5, 5), (device, 2), (device, 2), (2, 1), (4, 1), (2, 1)]
        );
        let starts: Vec<_> = of("s").map(|start| start["ts"].as_f64().unwrap()).collect();
        assert!(starts[0] < starts[1], "vtd1's doorbell was the first");
        let named = of("M").filter(|event| event["name"] == "thread_name");
        let mut names: Vec<_> = named.map(|e| (tid(e), e["args"]["name"].as_str().unwrap())).collect();
        names.sort_unstable();
        let expected = [
            (1, "vCPU"),
            (2, "IOMMU vtd0"),
            (3, "invalidation queue of vtd0"),
            (4, "IOMMU vtd1"),
            (5, "invalidation queue of vtd1"),
            (device, "device 00:03.0"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_the_iommu_keeps_out_or_finds_stale_is_joined_to_its_dma() {
        let source = SourceId::new(0, 3, 0);
        let initiator = Initiator::Pci { segment: 0, source };
        let translation = TraceEvent::Translation {
            unit: "vtd",
            initiator,
            iova: Iova(0x5000),
            pa: Pa(0x20_0000),
            cached: true,
        };
        let dma = TraceEvent::Dma {
            initiator,
            address: Iova(0x5000),
            len: 4,
            access: Access::Write,
            outcome: Outcome::Abort(Abort::Ur),
            done: 0,
        };
        let stale = StaleUse {
            source,
            address: Iova(0x5000),
            access: Access::Write,
            cached: "0x200000 read write".to_owned(),
            present: "not present".to_owned(),
            missing: Missing::Translation { domain: 7 },
        };
        let mut out = Vec::new();
        let mut sink = Perfetto::new(&mut out);
        sink.record(Time(100), &translation);
        sink.record(Time(100), &TraceEvent::Protected { unit: "vtd", initiator, pa: Pa(0x20_0000) });
        sink.record(Time(100), &dma);
        sink.record(Time(100), &TraceEvent::Stale { unit: "vtd", stale: Stale::Vtd(stale) });
        sink.finish().unwrap();
        let expected = ["IOTLB hit", "protected region", "stale entry used"];
        let expected = expected.map(|to| ("write 4 bytes".to_owned(), to.to_owned()));
        assert_eq!(arrows(&events(&out)), expected);
    }

    #[test]
    fn an_event_of_an_smmu_is_joined_to_its_dma_and_a_doorbell_to_its_commands() {
        let initiator = Initiator::Pci { segment: 0, source: SourceId(8) };
        let doorbell =
            TraceEvent::RegisterWrite { unit: "smmuv3", register: "SMMU_CMDQ_PROD", offset: 0x98, value: 1 };
        let command = TraceEvent::QueueEntry { unit: "smmuv3", index: 0, kind: "CMD_SYNC", words: [0x46, 0] };
        let dma = TraceEvent::Dma {
            initiator,
            address: Iova(0x5000),
            len: 4,
            access: Access::Write,
            outcome: Outcome::Abort(Abort::Ur),
            done: 0,
        };
        let event = TraceEvent::Event {
            unit: "smmuv3",
            stream: StreamId(8),
            kind: 0x10,
            what: "F_TRANSLATION",
            address: Iova(0x5000),
            words: [0x8_0000_0010, 0, 0x5000, 0],
            fate: "recorded",
        };
        let mut out = Vec::new();
        let mut sink = Perfetto::new(&mut out);
        [doorbell, command, dma, event].iter().for_each(|event| sink.record(Time(100), event));
        sink.finish().unwrap();
        let events = events(&out);
        let expected = [("write SMMU_CMDQ_PROD", "CMD_SYNC"), ("write 4 bytes", "F_TRANSLATION")];
        assert_eq!(arrows(&events), expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
        let named = |name: &str| events.iter().any(|event| event["args"]["name"] == name);
        assert!(named("IOMMU smmuv3") && named("command queue of smmuv3"));
    }

    #[test]
    fn an_empty_trace_is_valid() {
        let mut out = Vec::new();
        Perfetto::new(&mut out).finish().unwrap();
        assert_eq!(events(&out).iter().filter(|event| event["ph"] != "M").count(), 0);
    }

    #[test]
    fn a_whole_run_is_a_valid_trace() {
        let config = MachineConfig {
            iommus: vec!["vtd-legacy".parse().unwrap()],
            memory: "64M".parse().unwrap(),
            devices: vec!["exerciser".parse().unwrap(), "edu".parse().unwrap()],
            ..MachineConfig::default()
        };
        let out = Shared::default();
        let mut machine = Machine::new(&config).unwrap();
        machine.assign_resources().unwrap();
        machine.set_trace(Some(Box::new(Perfetto::new(out.clone()))));
        let options = Options { command_line: "cache=retain", limit: Time(60_000_000_000) };
        let program = |hw: &mut hosted::Hosted<'_>| guests::programs::run("vtd_dma", hw).unwrap();
        let mut finished = hosted::run(machine, options, &mut |_| {}, program);
        assert_eq!(finished.ending, Ending::Exited(0));
        finished.machine.set_trace(None).unwrap().finish().unwrap();
        let events = events(&out.0.lock().unwrap());
        assert!(events.len() > 1000, "{}", events.len());
    }
}
