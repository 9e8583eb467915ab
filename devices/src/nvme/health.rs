//! What the SMART / Health Information log counts [NVMe 5.14.1.2].

use serde::{Deserialize, Serialize};

use crate::events::Time;

/// Composite Temperature in kelvins. Nothing here gets warm.
pub(super) const TEMPERATURE: u16 = 310;
/// The warning and the critical composite temperature.
pub(super) const WARNING_TEMPERATURE: u16 = 343;
pub(super) const CRITICAL_TEMPERATURE: u16 = 353;
/// Nanoseconds of an hour.
const HOUR: u64 = 3_600_000_000_000;

/// Counters since the controller was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Health {
    blocks_read: u64,
    blocks_written: u64,
    reads: u64,
    writes: u64,
    media_errors: u64,
}

impl Health {
    /// A Read or Compare of `blocks` has completed.
    pub(super) fn read(&mut self, blocks: u64) {
        self.blocks_read = self.blocks_read.saturating_add(blocks);
        self.reads = self.reads.saturating_add(1);
    }

    /// A Write of `blocks` has completed.
    pub(super) fn wrote(&mut self, blocks: u64) {
        self.blocks_written = self.blocks_written.saturating_add(blocks);
        self.writes = self.writes.saturating_add(1);
    }

    /// The medium failed.
    pub(super) fn media_error(&mut self) {
        self.media_errors = self.media_errors.saturating_add(1);
    }

    /// The log page; `hot` says that the temperature is past a threshold, `errors` how many entries the
    /// error log has had.
    pub(super) fn page(&self, hot: bool, errors: u64, now: Time) -> Vec<u8> {
        let mut page = vec![0; 512];
        page[0] = u8::from(hot) << 1;
        page[1..3].copy_from_slice(&TEMPERATURE.to_le_bytes());
        // Available spare and its threshold in percent.
        page[3] = 100;
        page[4] = 10;
        for (at, value) in [
            // In thousands of 512 bytes, rounded up.
            (32, self.blocks_read.div_ceil(1000)),
            (48, self.blocks_written.div_ceil(1000)),
            (64, self.reads),
            (80, self.writes),
            // Power cycles and power on hours.
            (112, 1),
            (128, now.0 / HOUR),
            (160, self.media_errors),
            (176, errors),
        ] {
            page[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        page
    }
}
