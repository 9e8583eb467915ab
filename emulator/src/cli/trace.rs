//! `--trace`: where the machine's events are written.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::trace::{Format, Sink, Writer};

use super::{Failure, OrExit};

/// Options that ask for a trace.
#[derive(Debug, Default, Args)]
pub struct TraceArgs {
    /// Write what happens in the machine, to standard error or FILE ("-" is standard output)
    #[arg(long, value_name = "text|jsonl[:FILE]")]
    trace: Option<TraceSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TraceSpec {
    format: Format,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Stderr,
    Stdout,
    File(PathBuf),
}

impl FromStr for TraceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, target) = match text.split_once(':') {
            None => (text, Target::Stderr),
            Some((_, "")) => return Err("the file name after ':' is missing".to_owned()),
            Some((format, "-")) => (format, Target::Stdout),
            Some((format, file)) => (format, Target::File(file.into())),
        };
        let format = match format {
            "text" => Format::Text,
            "jsonl" => Format::JsonLines,
            _ => return Err(format!("unknown trace format '{format}'; known: text, jsonl")),
        };
        Ok(Self { format, target })
    }
}

impl TraceArgs {
    /// Starts the trace on `machine`, if one is asked for.
    pub fn start(&self, machine: &mut Machine) -> Result<(), Failure> {
        let Some(TraceSpec { format, target }) = &self.trace else { return Ok(()) };
        let sink: Box<dyn Sink> = match target {
            Target::Stderr => Box::new(Writer::new(*format, BufWriter::new(io::stderr()))),
            Target::Stdout => Box::new(Writer::new(*format, BufWriter::new(io::stdout()))),
            Target::File(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot create the trace file {}", path.display()))
                    .or_exit(Exit::Environment)?;
                Box::new(Writer::new(*format, BufWriter::new(file)))
            }
        };
        machine.set_trace(Some(sink));
        Ok(())
    }
}

/// Ends the trace of `machine`, if it has one.
pub fn finish(machine: &mut Machine) -> Result<(), Failure> {
    match machine.set_trace(None) {
        Some(mut sink) => sink.finish().context("the trace is incomplete").or_exit(Exit::Environment),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces() {
        for (text, format, target) in [
            ("text", Format::Text, Target::Stderr),
            ("jsonl", Format::JsonLines, Target::Stderr),
            ("text:-", Format::Text, Target::Stdout),
            ("jsonl:a:b", Format::JsonLines, Target::File("a:b".into())),
        ] {
            assert_eq!(text.parse(), Ok(TraceSpec { format, target }), "{text}");
        }
        for (text, expected) in [
            ("xml", "unknown trace format 'xml'; known: text, jsonl"),
            ("text:", "the file name after ':' is missing"),
        ] {
            assert_eq!(text.parse::<TraceSpec>(), Err(expected.to_owned()));
        }
    }
}
