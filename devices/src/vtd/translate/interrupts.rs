//! Interrupt remapping as requests meet it [VT-d 5.1.4].

use std::sync::atomic::Ordering;

use super::{Blocked, CFIS, SANITIZE, Translator};
use crate::fabric::{Effects, Initiator};
use crate::mem::NotRam;
use crate::vtd::fault::Reason;
use crate::vtd::interrupt_remapping::{self, Format, Irte};
use crate::vtd::regs::Irta;

impl Translator {
    /// What an interrupt request becomes while remapping is on. An error carries the index, where
    /// there is one.
    pub(super) fn remap_interrupt(
        &self,
        initiator: Initiator,
        address: u64,
        data: u32,
        mode: u32,
        fx: &mut Effects,
    ) -> Result<(u64, u32), (Blocked, u32)> {
        // Before the table's address is read: what lies in one that SIRTP replaces meanwhile must not be
        // cached.
        let ticket = self.interrupts.ticket();
        let irta = Irta::from_raw(self.interrupt_table.load(Ordering::Acquire));
        let plain = |reason| (Blocked::new(reason), 0);
        let index = match interrupt_remapping::decode_request(address, data).map_err(plain)? {
            Format::Compatibility if mode & CFIS != 0 && !irta.eime() => return Ok((address, data)),
            Format::Compatibility => return Err(plain(Reason::InterruptCompatibility)),
            Format::Remappable(index) => index,
        };
        let key = u64::from(index);
        let cached = self.interrupts.lookup(key, key);
        let words = match cached {
            Some(words) => {
                if mode & SANITIZE != 0 {
                    self.check_interrupt(initiator, index, words, fx);
                }
                words
            }
            None => {
                let blocked = |reason| (Blocked::new(reason), index);
                let at = interrupt_remapping::entry_address(irta, index).map_err(blocked)?;
                let words = self.fetch128("interrupt entry", at, fx);
                words.map_err(|NotRam| blocked(Reason::InterruptTableAccess))?
            }
        };
        let entry = Irte::from_raw(words);
        let message = interrupt_remapping::remap(entry, initiator.verified_source(), irta.eime())
            .map_err(|reason| (Blocked { reason, fpd: entry.fpd() }, index));
        // With caching mode, entries that fault may be cached as well [VT-d 6.1].
        if cached.is_none() && (message.is_ok() || self.cap.cm()) {
            self.interrupts.insert(ticket, key, key, words);
        }
        message
    }
}
