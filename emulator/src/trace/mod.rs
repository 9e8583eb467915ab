//! Where trace events go: text for people, JSON lines for programs.
//!
//! A machine without a sink keeps no events at all. A sink never fails towards the machine: the
//! first error of its output ends the trace and is kept for whoever asks at the end.

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use devices::events::Time;
use devices::trace::TraceEvent;
use serde::Serialize;

/// Is told what happens in a machine, as it happens.
pub trait Sink: Send {
    /// `event` happened at `time`.
    fn record(&mut self, time: Time, event: &TraceEvent);

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// The first error of the output since the sink was made.
    fn finish(&mut self) -> io::Result<()>;
}

/// One line of a JSON trace.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// Nanoseconds since reset.
    pub time: Time,
    /// What happened; its `event` member says which kind it is.
    #[serde(flatten)]
    pub event: &'a TraceEvent,
}

/// The forms a trace can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text per event.
    Text,
    /// One JSON object per line.
    JsonLines,
}

/// A trace written to a file or stream.
#[derive(Debug)]
pub struct Writer<W> {
    format: Format,
    out: W,
    error: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    /// A trace in the given format. `out` should be buffered.
    pub fn new(format: Format, out: W) -> Self {
        Self { format, out, error: None }
    }

    fn write(&mut self, time: Time, event: &TraceEvent) -> io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.out, "[{time}] {event}"),
            Format::JsonLines => {
                serde_json::to_writer(&mut self.out, &Record { time, event })?;
                self.out.write_all(b"\n")
            }
        }
    }
}

impl<W: Write + Send> Sink for Writer<W> {
    fn record(&mut self, time: Time, event: &TraceEvent) {
        if self.error.is_none() {
            self.error = self.write(time, event).err();
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

/// Several sinks that all hear the same.
pub struct Tee {
    sinks: Vec<Box<dyn Sink>>,
}

impl Tee {
    /// Tells `sinks`, in this order.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self { sinks }
    }
}

impl Sink for Tee {
    fn record(&mut self, time: Time, event: &TraceEvent) {
        for sink in &mut self.sinks {
            sink.record(time, event);
        }
    }

    /// Finishes them all, whichever fails.
    fn finish(&mut self) -> io::Result<()> {
        self.sinks.iter_mut().map(|sink| sink.finish()).fold(Ok(()), io::Result::and)
    }
}
