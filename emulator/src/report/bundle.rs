//! What a failed run leaves behind for whoever looks into it.
//!
//! | file | is |
//! |---|---|
//! | `README` | what this is, what went wrong, how to repeat it |
//! | `command` | the command line, for a shell |
//! | `console.txt` | what the guest printed: the end of it, if it was much |
//! | `report.json` | the report |
//! | `state.json` | the machine at its end, all RAM that is not zero included |
//! | `trace.jsonl` | the last events, one JSON object per line |

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::{Summary, to_json};
use crate::machine::Machine;
use crate::trace::Record;

/// Events that are kept for a bundle.
pub const EVENTS: usize = 4096;

/// A bundle that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}; give --bundle a directory that can be written", path.display())]
pub struct BundleError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the host said.
    pub source: io::Error,
}

/// Writes the bundle of a failed run into `directory`, which is made if it is not there.
///
/// # Errors
/// The first file that cannot be written.
pub fn write(directory: &Path, summary: &Summary<'_>, machine: &Machine) -> Result<(), BundleError> {
    fs::create_dir_all(directory).map_err(|source| BundleError { path: directory.to_owned(), source })?;
    let report = to_json(summary);
    file(directory, "README", |out| readme(out, summary))?;
    file(directory, "command", |out| writeln!(out, "{}", shell_words(summary.command)))?;
    file(directory, "console.txt", |out| out.write_all(&summary.seen.console))?;
    file(directory, "report.json", |out| pretty(out, &report))?;
    file(directory, "state.json", |out| pretty(out, &machine.save()))?;
    file(directory, "trace.jsonl", |out| {
        summary.seen.events.iter().try_for_each(|(time, event)| {
            serde_json::to_writer(&mut *out, &Record { time: *time, event })?;
            out.write_all(b"\n")
        })
    })
}

/// Pretty JSON with a newline at its end.
pub fn pretty(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

fn file(
    directory: &Path,
    name: &str,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), BundleError> {
    let path = directory.join(name);
    let written = File::create(&path).and_then(|file| {
        let mut out = BufWriter::new(file);
        content(&mut out)?;
        out.flush()
    });
    written.map_err(|source| BundleError { path, source })
}

fn readme(out: &mut dyn Write, summary: &Summary<'_>) -> io::Result<()> {
    let Summary { name, command, driver, exit, failure, seen, .. } = summary;
    writeln!(out, "The run of {name} ({driver}) failed with exit code {}:", exit.code())?;
    failure.iter().try_for_each(|failure| writeln!(out, "- {failure}"))?;
    seen.broken().try_for_each(|broken| writeln!(out, "- {broken}"))?;
    writeln!(out, "Repeat it, in the same directory and with the same input, by: {}", shell_words(command))?;
    writeln!(
        out,
        "Beside this: the end of the console, the report, the machine's state at the end, and its last {} events.",
        seen.events.len()
    )
}

/// Words as a POSIX shell reads them.
pub(super) fn shell_words(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
