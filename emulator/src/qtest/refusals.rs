//! The commands of a script that failed.

use std::fmt;

/// Bytes of a line and of its reply that a [`Refusal`] keeps.
const MAX_TEXT: usize = 200;

/// The commands that were answered with `FAIL` or `ERR`. Empty lines and lines that start with `#` are
/// answered so too, but nobody takes them for commands, so they are not among these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Option<Refusal>,
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which line of the script, from 1.
    pub number: u64,
    /// The line; the beginning of it if it is long.
    pub line: String,
    /// What it was answered with, shortened in the same way.
    pub reply: String,
}

impl Refusals {
    pub(super) fn add(&mut self, number: u64, line: &[u8], reply: &str) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return;
        }
        self.count += 1;
        let refusal = || Refusal { number, line: beginning(line), reply: beginning(reply.as_bytes()) };
        self.first.get_or_insert_with(refusal);
    }
}

fn beginning(text: &[u8]) -> String {
    let kept = &text[..text.len().min(MAX_TEXT)];
    let more = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{more}", String::from_utf8_lossy(kept))
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Refusal { number, line, reply }) = &self.first else {
            return write!(f, "every command of the script was carried out");
        };
        write!(f, "line {number} of the script, '{line}', was answered with {reply}")?;
        match self.count - 1 {
            0 => Ok(()),
            more => write!(f, "; {more} more failed"),
        }
    }
}
