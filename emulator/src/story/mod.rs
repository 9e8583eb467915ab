//! A run as a story: the guest's report, and under each of its lines what the machine did for it.
//!
//! A [`Narrator`] is two ends of one thing: a [`Sink`] that hears what happens
//! in the machine, and a console that hears what the guest says. It keeps count of the report, so
//! that at the end it can say whether all checks held.

pub mod lines;
mod sentences;
mod smmu;
pub mod tap;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devices::events::Time;
use devices::trace::TraceEvent;

use crate::trace::Sink;
use lines::Lines;
use sentences::Sentences;
use tap::{Line, Report};

/// Tells a run's story as it happens. Clones tell the same story.
#[derive(Debug)]
pub struct Narrator<W> {
    story: Arc<Mutex<Story<W>>>,
}

impl<W> Clone for Narrator<W> {
    fn clone(&self) -> Self {
        Self { story: self.story.clone() }
    }
}

#[derive(Debug)]
struct Story<W> {
    out: W,
    error: Option<io::Error>,
    sentences: Sentences,
    lines: Lines,
    report: Report,
}

impl<W: Write> Narrator<W> {
    /// Tells the story on `out`.
    pub fn new(out: W) -> Self {
        let story = Story {
            out,
            error: None,
            sentences: Sentences::default(),
            lines: Lines::default(),
            report: Report::default(),
        };
        Self { story: Arc::new(Mutex::new(story)) }
    }

    /// The guest wrote `bytes` to its console.
    pub fn console(&self, bytes: &[u8]) {
        let mut story = self.lock();
        let mut lines = std::mem::take(&mut story.lines);
        lines.push(bytes, |text| story.tell(text));
        story.lines = lines;
    }

    /// What the guest's report comes to so far.
    pub fn report(&self) -> Report {
        self.lock().report.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Story<W>> {
        // A story that was interrupted in mid-sentence is still a story.
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Story<W> {
    /// Shows the guest's line, and below a check what led to it.
    fn tell(&mut self, text: &str) {
        let line = Line::parse(text);
        self.report.add(line);
        // Room before the heading of a section.
        let room = if text.starts_with("# ---") { "\n" } else { "" };
        self.print(format_args!("{room}{text}\n"));
        if let Line::Check { .. } | Line::BailOut(_) = line {
            let (sentences, more) = self.sentences.take();
            for sentence in sentences {
                self.print(format_args!("      {sentence}\n"));
            }
            if more > 0 {
                self.print(format_args!("      … and {more} more events like these.\n"));
            }
        }
    }

    fn print(&mut self, text: std::fmt::Arguments<'_>) {
        if self.error.is_none() {
            self.error = self.out.write_fmt(text).and_then(|()| self.out.flush()).err();
        }
    }
}

impl<W: Write + Send> Sink for Narrator<W> {
    fn record(&mut self, _: Time, event: &TraceEvent) {
        self.lock().sentences.add(event);
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut story = self.lock();
        if let Some(rest) = story.lines.rest() {
            story.tell(&rest);
        }
        match story.error.take() {
            Some(error) => Err(error),
            None => story.out.flush(),
        }
    }
}
