//! `--trace`: where the machine's events are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::trace::{Format, Perfetto, Sink, Writer};

use super::{Failure, OrExit};

/// Options that ask for a trace.
#[derive(Debug, Default, Args)]
pub struct TraceArgs {
    /// Write what happens in the machine, to standard error or FILE ("-" is standard output)
    ///
    /// perfetto:FILE is a time line that ui.perfetto.dev opens.
    #[arg(long, value_name = "text|jsonl|perfetto[:FILE]")]
    trace: Option<TraceSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TraceSpec {
    form: Form,
    target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines(Format),
    Perfetto,
}

impl Form {
    fn sink(self, out: impl Write + Send + 'static) -> Box<dyn Sink> {
        let out = BufWriter::new(out);
        match self {
            Self::Lines(format) => Box::new(Writer::new(format, out)),
            Self::Perfetto => Box::new(Perfetto::new(out)),
        }
    }
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
        let (form, target) = match text.split_once(':') {
            None => (text, Target::Stderr),
            Some((_, "")) => return Err("the file name after ':' is missing".to_owned()),
            Some((form, "-")) => (form, Target::Stdout),
            Some((form, file)) => (form, Target::File(file.into())),
        };
        let form = match form {
            "text" => Form::Lines(Format::Text),
            "jsonl" => Form::Lines(Format::JsonLines),
            "perfetto" => Form::Perfetto,
            _ => return Err(format!("unknown trace format '{form}'; known: text, jsonl, perfetto")),
        };
        Ok(Self { form, target })
    }
}

impl TraceArgs {
    /// Starts the trace on `machine`, if one is asked for.
    pub fn start(&self, machine: &mut Machine) -> Result<(), Failure> {
        let Some(TraceSpec { form, target }) = &self.trace else { return Ok(()) };
        let sink: Box<dyn Sink> = match target {
            Target::Stderr => form.sink(io::stderr()),
            Target::Stdout => form.sink(io::stdout()),
            Target::File(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot create the trace file {}", path.display()))
                    .or_exit(Exit::Environment)?;
                form.sink(file)
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
        for (text, form, target) in [
            ("text", Form::Lines(Format::Text), Target::Stderr),
            ("jsonl", Form::Lines(Format::JsonLines), Target::Stderr),
            ("text:-", Form::Lines(Format::Text), Target::Stdout),
            ("jsonl:a:b", Form::Lines(Format::JsonLines), Target::File("a:b".into())),
            ("perfetto:a", Form::Perfetto, Target::File("a".into())),
        ] {
            assert_eq!(text.parse(), Ok(TraceSpec { form, target }), "{text}");
        }
        for (text, expected) in [
            ("xml", "unknown trace format 'xml'; known: text, jsonl, perfetto"),
            ("text:", "the file name after ':' is missing"),
        ] {
            assert_eq!(text.parse::<TraceSpec>(), Err(expected.to_owned()));
        }
    }
}
