//! What goes over the fabric while a guest runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::io;
use std::sync::{Arc, Mutex};

use devices::addr::SourceId;
use devices::events::Time;
use devices::fabric::{Initiator, Outcome};
use devices::trace::TraceEvent;
use emulator::trace::Sink;

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// Of every event and its time.
    pub digest: Digest,
    pub events: u64,
    masters: BTreeMap<u16, Master>,
    /// Uses of translations that memory no longer bears out.
    pub stale: Vec<String>,
    /// Event records.
    pub records: Vec<[u64; 4]>,
    /// ASID of the context descriptor that was read last.
    descriptor: u16,
    /// ASID that the last command names.
    named: Option<u16>,
}

/// What was heard of a bus master.
#[derive(Clone, Debug, Default)]
pub struct Master {
    /// DMA requests that ended well.
    pub done: u64,
    /// Those that did not.
    pub refused: u64,
    /// Translations, and those of them that led to the page of the same address.
    pub translations: u64,
    pub identical: u64,
    /// ASIDs of the context descriptors that it uses.
    pub asids: BTreeSet<u16>,
    /// Pages that it has reached, and where they led, until a TLBI of its ASID names them.
    pub live: BTreeMap<u64, u64>,
    /// Pages that a TLBI of its ASID named after it had reached them.
    pub invalidated: u64,
}

impl Heard {
    pub fn master(&self, source: SourceId) -> Master {
        self.masters.get(&source.0).cloned().unwrap_or_default()
    }

    fn hear(&mut self, time: Time, event: &TraceEvent) {
        self.events += 1;
        writeln!(self.digest, "{time} {event:?}").unwrap();
        match *event {
            // ASID is in bits 63:48 of its first word, and it has 64 bytes [SMMUv3 5.4].
            TraceEvent::Fetch { table: "CD", address, words: [word, _], .. } if address.0 % 64 == 0 => {
                self.descriptor = (word >> 48) as u16;
            }
            TraceEvent::Translation {
                initiator: Initiator::Pci { source, .. }, iova, pa, cached, ..
            } => {
                let asid = self.descriptor;
                let master = self.masters.entry(source.0).or_default();
                master.translations += 1;
                master.identical += u64::from(iova.0 == pa.0);
                // The descriptor itself may be cached, by whoever used it first.
                if !cached && master.asids.is_empty() {
                    master.asids.insert(asid);
                }
                master.live.insert(iova.page().0, pa.page().0);
            }
            TraceEvent::Dma { initiator: Initiator::Pci { source, .. }, outcome, .. } => {
                let master = self.masters.entry(source.0).or_default();
                *(if outcome == Outcome::Done { &mut master.done } else { &mut master.refused }) += 1;
            }
            // They too have ASID in bits 63:48 of the first word [SMMUv3 4.4.2].
            TraceEvent::QueueEntry { kind, words: [word, _], .. } => {
                let names = ["CMD_TLBI_NH_ASID", "CMD_TLBI_NH_VA"].contains(&kind);
                self.named = names.then_some((word >> 48) as u16);
            }
            TraceEvent::Invalidation { range, .. } => self.invalidate(range),
            TraceEvent::Stale { ref stale, .. } => self.stale.push(stale.to_string()),
            TraceEvent::Event { words, .. } => self.records.push(words),
            _ => {}
        }
    }

    /// The last command invalidates a range, or everything of the ASID that it names.
    fn invalidate(&mut self, range: Option<(u64, u64)>) {
        let Some(asid) = self.named else { return };
        let (first, last) = range.unwrap_or((0, u64::MAX));
        for master in self.masters.values_mut().filter(|master| master.asids.contains(&asid)) {
            let before = master.live.len();
            master.live.retain(|page, _| !(first..=last).contains(page));
            master.invalidated += (before - master.live.len()) as u64;
        }
    }
}

/// Hears for somebody.
pub struct Ear(pub Arc<Mutex<Heard>>);

impl Sink for Ear {
    fn record(&mut self, time: Time, event: &TraceEvent) {
        self.0.lock().unwrap().hear(time, event);
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// FNV-1a of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        Ok(())
    }
}
