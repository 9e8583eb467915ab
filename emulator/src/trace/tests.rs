use devices::addr::{Iova, SourceId};
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

#[test]
fn a_failing_sink_keeps_the_others_neither_from_events_nor_from_their_end() {
    use std::io::BufWriter;
    use std::sync::{Arc, Mutex};

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
