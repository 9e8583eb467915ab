//! Records of held transactions that could not be written yet [SMMUv3 3.12.2].
//!
//! Such a record is never lost: it waits for room. When software invalidates something meanwhile, the
//! fault may be no more; then the transaction is retried when a CMD_SYNC completes the invalidation, and
//! the record of the first attempt never appears.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::Report;
use super::invalidation::Release;

/// The records, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unwritten {
    reports: VecDeque<Report>,
    /// How many of the oldest were found before the last invalidation.
    outdated: usize,
}

impl Unwritten {
    /// Adds a record. There are no more than STAGs; should a state claim more, the last ones are not kept.
    pub fn push(&mut self, report: Report, stall_max: u16) {
        if self.reports.len() < usize::from(stall_max) {
            self.reports.push_back(report);
        }
    }

    /// The record to write next.
    pub fn first(&self) -> Option<&Report> {
        self.reports.front()
    }

    /// It was written.
    pub fn pop(&mut self) {
        self.reports.pop_front();
        self.outdated = self.outdated.saturating_sub(1);
    }

    /// Something was invalidated: what is here may be no more.
    pub fn outdate(&mut self) {
        self.outdated = self.reports.len();
    }

    /// Takes out what an invalidation may have changed, for its transactions to be retried.
    pub fn take_outdated(&mut self) -> impl Iterator<Item = Report> + use<> {
        let count = std::mem::take(&mut self.outdated).min(self.reports.len());
        let rest = self.reports.split_off(count);
        std::mem::replace(&mut self.reports, rest).into_iter()
    }

    /// Forgets records whose transactions are held no more.
    pub fn forget(&mut self, which: Release) {
        let (mut index, outdated) = (0, self.outdated);
        self.reports.retain(|report| {
            let gone = match which {
                Release::One { stream, stag } => {
                    report.subject.stream == stream && report.stall == Some(stag)
                }
                Release::Stream(stream) => report.subject.stream == stream,
                Release::All => true,
            };
            if gone && index < outdated {
                self.outdated -= 1;
            }
            index += 1;
            !gone
        });
    }

    /// Makes a saved state fit the unit.
    pub fn bounded(mut self, stall_max: u16) -> Self {
        self.reports.truncate(stall_max.into());
        self.outdated = self.outdated.min(self.reports.len());
        self
    }
}
