//! Options that judge a run, report on it, and keep what is left of a failed one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use devices::iommu::UnitKind;
use emulator::config::IommuSpec;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::report::{Expectation, Rules, Seen, Summary, Watch, bundle, to_json, to_junit};
use emulator::trace::{Sink, Tee};

use super::{Failure, OrExit};

/// Options for those who run this unattended.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Checks and reports")]
pub struct CheckArgs {
    /// Fail unless this fault, or event of an SMMU, comes (may be repeated)
    ///
    /// REASON is a code such as 0x06 or 06h, the specification's name such as LGN.3, or a name such
    /// as no-read; BDF is a PCI function such as 00:01.0, or * for any, which is the default. NAME is a
    /// code such as 0x10 or 10h, or the specification's name such as F_TRANSLATION; any StreamID and any
    /// address will do where none is given.
    #[arg(long, value_name = "fault:REASON[@BDF]|event=NAME[,stream=N][,address=N]")]
    expect: Vec<Expectation>,
    /// Fail if a fault or event comes that no --expect names; those that software is not told of, by
    /// FPD = 1 or CR2.RECINVSID = 0, do not count
    #[arg(long)]
    deny_faults: bool,
    /// Write a report of the run (may be repeated)
    #[arg(long = "report", value_name = "junit|json:FILE")]
    reports: Vec<ReportSpec>,
    /// If the run fails, write the last events, the machine's state, the console and a report to DIR
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Junit,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ReportSpec {
    format: Format,
    path: PathBuf,
}

impl FromStr for ReportSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = text.split_once(':').unwrap_or((text, ""));
        let format = match format {
            "junit" => Format::Junit,
            "json" => Format::Json,
            _ => return Err(format!("unknown report format '{format}'; known: junit, json")),
        };
        match path {
            "" => Err("the file name after ':' is missing".to_owned()),
            // The guest's console is there.
            "-" => Err("a report cannot go to standard output; name a file".to_owned()),
            path => Ok(Self { format, path: path.into() }),
        }
    }
}

impl CheckArgs {
    /// Begins to watch `machine`, whose trace goes on, and creates the files of the reports.
    pub fn start<'a>(&'a self, machine: &mut Machine) -> Result<Checks<'a>, Failure> {
        let Self { expect, deny_faults, reports, bundle } = self;
        let rules = Rules { expect: expect.clone(), deny_others: *deny_faults };
        let judged = rules != Rules::default();
        if judged && machine.config().iommus.is_empty() {
            let why = "--expect and --deny-faults need an IOMMU that could fault; add --iommu vtd-legacy";
            return Err(Failure::new(Exit::Usage, why));
        }
        // A machine has units of one model.
        let model = if machine.config().iommus.iter().any(|iommu| iommu.smmuv3().is_some()) {
            UnitKind::Smmuv3
        } else {
            UnitKind::Vtd
        };
        if let Some(other) = expect.iter().find(|expectation| expectation.model() != model) {
            let why = match model {
                UnitKind::Vtd => format!(
                    "--expect {other} is of an SMMU, and this machine has VT-d; write fault:REASON@BDF"
                ),
                _ => format!(
                    "--expect {other} is of VT-d, and this machine has an SMMU; write event=NAME,stream=N"
                ),
            };
            return Err(Failure::new(Exit::Usage, why));
        }
        let reports = reports.iter().map(Report::create).collect::<Result<Vec<_>, _>>()?;
        let watch = Watch::new(rules, bundle.as_ref().map_or(0, |_| bundle::EVENTS));
        let sanitized = machine.config().iommus.iter().any(IommuSpec::sanitizes);
        let asked_for = judged || sanitized || !reports.is_empty() || bundle.is_some();
        if asked_for {
            let sink: Box<dyn Sink> = Box::new(watch.clone());
            let sink = match machine.set_trace(None) {
                Some(trace) => Box::new(Tee::new(vec![trace, sink])),
                None => sink,
            };
            machine.set_trace(Some(sink));
        }
        Ok(Checks { watch, reports, bundle: bundle.as_deref(), asked_for })
    }
}

/// A run that is watched.
pub struct Checks<'a> {
    watch: Watch,
    reports: Vec<Report>,
    bundle: Option<&'a Path>,
    asked_for: bool,
}

/// What is known of a run before it is judged.
pub struct Ran<'a> {
    /// What ran.
    pub name: &'a str,
    /// What ran it.
    pub driver: &'a str,
    /// The value that a guest ended with (`None` where there is no guest), or why it did not.
    pub result: Result<Option<u32>, Failure>,
}

impl Checks<'_> {
    /// Whether anything is to be judged, reported or kept.
    pub fn are_asked_for(&self) -> bool {
        self.asked_for
    }

    /// What hears the guest's console.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Judges the run, says on standard error what is wrong with it, and writes what was asked for.
    pub fn finish(self, machine: &Machine, ran: Ran<'_>) -> Result<Exit, Failure> {
        let Self { watch, reports, bundle, asked_for: _ } = self;
        let seen = watch.take();
        let broken: Vec<String> = seen.broken().collect();
        let (value, failure) = match ran.result {
            Ok(value) => (value, guest_failure(value, &seen)),
            Err(failure) => (None, Some(failure)),
        };
        let exit = match &failure {
            Some(failure) => failure.exit,
            None if broken.is_empty() => Exit::Success,
            None => Exit::GuestFailed,
        };
        let message = failure.as_ref().map(|failure| format!("{:#}", failure.error));
        let command: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let summary = Summary {
            name: ran.name,
            command: &command,
            driver: ran.driver,
            machine: machine.config(),
            time: machine.now(),
            exit,
            failure: message.as_deref(),
            value,
            seen: &seen,
        };
        for sentence in &broken {
            tell!("iommulator: {sentence}");
        }
        let written = reports.into_iter().try_for_each(|report| report.write(&summary));
        if let Some(directory) = bundle.filter(|_| exit != Exit::Success) {
            match bundle::write(directory, &summary, machine) {
                Ok(()) => tell!("iommulator: the failed run's bundle is in {}", directory.display()),
                // The run's own failure is what counts.
                Err(error) => tell!("iommulator: {error}"),
            }
        }
        match (failure, written) {
            (Some(failure), written) => {
                if let Err(unwritten) = written {
                    tell!("iommulator: {:#}", unwritten.error);
                }
                Err(failure)
            }
            (None, Err(unwritten)) if exit == Exit::Success => Err(unwritten),
            (None, Err(unwritten)) => {
                tell!("iommulator: {:#}", unwritten.error);
                Ok(exit)
            }
            (None, Ok(())) => Ok(exit),
        }
    }
}

/// Why a guest that ran to its end failed, if it did.
fn guest_failure(value: Option<u32>, seen: &Seen) -> Option<Failure> {
    let reported = seen.guest_failure().map(|failure| Failure::new(Exit::GuestFailed, failure));
    let ended = || {
        let value = value.filter(|value| *value != 0)?;
        Some(Failure::new(Exit::GuestFailed, format!("the guest ended with the value {value}")))
    };
    reported.or_else(ended)
}

/// A report whose file is there already, so that a wrong name shows before the run.
struct Report {
    spec: ReportSpec,
    file: File,
}

impl Report {
    fn create(spec: &ReportSpec) -> Result<Self, Failure> {
        let file = File::create(&spec.path)
            .with_context(|| format!("cannot create the report {}", spec.path.display()))
            .or_exit(Exit::Environment)?;
        Ok(Self { spec: spec.clone(), file })
    }

    fn write(self, summary: &Summary<'_>) -> Result<(), Failure> {
        let Self { spec: ReportSpec { format, path }, file } = self;
        let mut out = BufWriter::new(file);
        match format {
            Format::Junit => out.write_all(to_junit(summary).as_bytes()),
            Format::Json => bundle::pretty(&mut out, &to_json(summary)),
        }
        .and_then(|()| out.flush())
        .with_context(|| format!("cannot write the report {}", path.display()))
        .or_exit(Exit::Environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        for (text, format, path) in
            [("junit:a.xml", Format::Junit, "a.xml"), ("json:/b:c", Format::Json, "/b:c")]
        {
            assert_eq!(text.parse(), Ok(ReportSpec { format, path: path.into() }), "{text}");
        }
        for (text, expected) in [
            ("xml:a", "unknown report format 'xml'; known: junit, json"),
            ("junit", "the file name after ':' is missing"),
            ("json:", "the file name after ':' is missing"),
            ("json:-", "a report cannot go to standard output; name a file"),
        ] {
            assert_eq!(text.parse::<ReportSpec>(), Err(expected.to_owned()));
        }
    }
}
