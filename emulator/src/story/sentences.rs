//! Trace events as sentences for somebody who has never seen an IOMMU.

use devices::addr::{Iova, Pa};
use devices::fabric::{Access, Initiator, Outcome, is_message};
use devices::trace::TraceEvent;

use super::smmu;

/// GCMD bits [VT-d 11.4.4.1].
const TRANSLATION_ENABLE: u32 = 1 << 31;
const SET_ROOT_TABLE: u32 = 1 << 30;
const QUEUED_INVALIDATION: u32 = 1 << 26;

/// Size of an exerciser's descriptor and place of the status in it.
const DESCRIPTOR: u64 = 64;
const STATUS_OFFSET: u64 = 48;
const STATUS_SIZE: u64 = 16;

/// A sentence, and the DMA it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sentence {
    text: String,
    dma: Option<Dma>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dma {
    source: Initiator,
    address: u64,
    len: u64,
    read: bool,
}

#[derive(Clone, Copy, Debug)]
struct Translation {
    initiator: Initiator,
    iova: Iova,
    pa: Pa,
    cached: bool,
}

/// Turns events into sentences and keeps them until somebody wants them.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    waiting: Vec<Sentence>,
    /// Sentences that found no room.
    more: usize,
    gcmd: u32,
    /// CR0 of an SMMU.
    cr0: u32,
    /// The first translation of the request under way.
    translation: Option<Translation>,
}

impl Sentences {
    /// Sentences kept; a reader wants the gist of a check, not a log.
    const MAX: usize = 8;

    /// Takes the sentences since the last call, and how many more there were.
    pub(super) fn take(&mut self) -> (Vec<String>, usize) {
        let more = std::mem::take(&mut self.more);
        (self.waiting.drain(..).map(|sentence| sentence.text).collect(), more)
    }

    pub(super) fn add(&mut self, event: &TraceEvent) {
        match event {
            TraceEvent::RegisterWrite { register: "GCMD_REG", value, .. } => self.command(*value),
            TraceEvent::Translation { initiator, iova, pa, cached, .. } => {
                let (initiator, iova, pa, cached) = (*initiator, *iova, *pa, *cached);
                self.translation.get_or_insert(Translation { initiator, iova, pa, cached });
            }
            TraceEvent::Dma { initiator, address, len, access, outcome, done } => {
                self.dma(*initiator, *address, *len, *access, *outcome, *done);
            }
            TraceEvent::Fault { source, reason, what, address, fate, .. } => self.say(format!(
                "The IOMMU blocks {source} at {address:#x}: {what} (fault reason {reason:02x}h, {fate})."
            )),
            TraceEvent::RegisterWrite { register: "SMMU_CR0", value, .. } => {
                let before = std::mem::replace(&mut self.cr0, *value);
                smmu::switches(before, *value).for_each(|sentence| self.say(sentence));
            }
            TraceEvent::Event { stream, kind, what, words, fate, .. } => {
                let (stream, kind, words) = (*stream, *kind, *words);
                self.say(smmu::Event { stream, kind, name: what, words, fate }.sentence());
            }
            TraceEvent::QueueEntry { kind: "CMD_RESUME" | "CMD_STALL_TERM", words, .. } => {
                smmu::decision(*words).into_iter().for_each(|sentence| self.say(sentence));
            }
            TraceEvent::Message { device_id, event_id, interrupt: Some(intid), .. } => self.say(format!(
                "A message of device {device_id:#x}, event {event_id}, reaches the interrupt controller: interrupt {intid}."
            )),
            TraceEvent::Invalidation { what, domain, range, .. } => {
                let domain = domain.map(|domain| format!(", domain {domain}")).unwrap_or_default();
                let range =
                    range.map(|(first, last)| format!(", {first:#x} to {last:#x}")).unwrap_or_default();
                self.say_once(format!("The driver has the IOMMU forget {what}{domain}{range}."));
            }
            TraceEvent::Interrupt { data, .. } => {
                self.say(format!("An interrupt message reaches the processor: vector {:#x}.", data & 0xff));
            }
            TraceEvent::Line { line, asserted } => self.line(*line, *asserted),
            TraceEvent::Acknowledged { intid, .. } => {
                self.say(format!("The processor takes interrupt {intid}."));
            }
            TraceEvent::Stale { stale, .. } => self.say(format!("Sanitizer: {stale}.")),
            TraceEvent::Protected { initiator, pa, .. } => {
                self.say(format!("The IOMMU keeps {initiator} out of the protected region at {:#x}.", pa.0));
            }
            TraceEvent::RegisterRead { .. }
            | TraceEvent::RegisterWrite { .. }
            | TraceEvent::Bar { .. }
            | TraceEvent::QueueEntry { .. }
            | TraceEvent::Fetch { .. }
            | TraceEvent::ItsCommand { .. }
            | TraceEvent::Message { .. }
            | TraceEvent::Unclaimed { .. } => {}
        }
    }

    /// An edge is both levels at once, and no story before a processor takes it.
    fn line(&mut self, line: u32, asserted: bool) {
        let rises = format!("Interrupt line {line} rises.");
        if asserted {
            self.say(rises);
        } else if self.waiting.pop_if(|last| last.text == rises).is_none() {
            self.say(format!("Interrupt line {line} falls."));
        }
    }

    fn command(&mut self, gcmd: u32) {
        let changed = std::mem::replace(&mut self.gcmd, gcmd) ^ gcmd;
        if gcmd & SET_ROOT_TABLE != 0 {
            self.say("The driver tells the IOMMU where its root table is.".to_owned());
        }
        for (bit, what) in
            [(TRANSLATION_ENABLE, "translation"), (QUEUED_INVALIDATION, "its invalidation queue")]
        {
            if changed & bit != 0 {
                let state = if gcmd & bit != 0 { "on" } else { "off" };
                self.say(format!("The driver turns {what} {state}."));
            }
        }
    }

    fn dma(
        &mut self,
        initiator: Initiator,
        Iova(address): Iova,
        len: u64,
        access: Access,
        outcome: Outcome,
        done: u64,
    ) {
        let translation = self.translation.take();
        let source = initiator;
        if is_message(address) && outcome == Outcome::Done {
            // The interrupt that follows says it.
            return;
        }
        let dma = Dma { source, address, len, read: access == Access::Read };
        if self.completes_descriptor(dma) {
            return;
        }
        let bytes = if len == 1 { "byte" } else { "bytes" };
        let name = match source {
            Initiator::Pci { .. } | Initiator::IoApic { .. } => format!("Device {source}"),
            Initiator::Platform { .. } => format!("The device of {source}"),
        };
        let what = match (access, len) {
            (Access::Read, 0) => format!("{name} asks whether it may read {address:#x}"),
            (Access::Read, _) => format!("{name} reads {len} {bytes} at {address:#x}"),
            (Access::Write, _) => format!("{name} writes {len} {bytes} at {address:#x}"),
            (Access::Atomic, _) => format!("{name} updates {len} {bytes} at {address:#x} in one step"),
        };
        let translation = translation.filter(|t| t.initiator == initiator && t.iova.0 == address);
        let way = match translation {
            _ if outcome != Outcome::Done && done > 0 => format!(": {outcome} after {done} bytes"),
            _ if outcome != Outcome::Done => format!(": {outcome}"),
            Some(Translation { pa: Pa(pa), .. }) if pa == address => {
                "; the IOMMU leaves the address as it is".to_owned()
            }
            Some(Translation { pa, cached: true, .. }) => {
                format!("; the IOMMU remembers that this is memory at {pa}")
            }
            Some(Translation { pa, .. }) => format!("; the IOMMU finds in its tables: memory at {pa}"),
            None => String::new(),
        };
        self.push(Sentence { text: format!("{what}{way}."), dma: Some(dma) });
    }

    /// A device that writes status into the descriptor it has read only does its housekeeping;
    /// neither is part of the story.
    fn completes_descriptor(&mut self, dma: Dma) -> bool {
        let Dma { source, address, len, read } = dma;
        let Some(descriptor) = address.checked_sub(STATUS_OFFSET) else { return false };
        if read || len != STATUS_SIZE {
            return false;
        }
        let fetch = Dma { source, address: descriptor, len: DESCRIPTOR, read: true };
        let Some(at) = self.waiting.iter().rposition(|sentence| sentence.dma == Some(fetch)) else {
            return false;
        };
        self.waiting.remove(at);
        true
    }

    /// Says what makes no difference when said again, unless a DMA came in between.
    fn say_once(&mut self, text: String) {
        let since_dma = self.waiting.iter().rev().take_while(|sentence| sentence.dma.is_none());
        if !since_dma.map(|sentence| &sentence.text).any(|said| *said == text) {
            self.say(text);
        }
    }

    fn say(&mut self, text: String) {
        self.push(Sentence { text, dma: None });
    }

    fn push(&mut self, sentence: Sentence) {
        if self.waiting.len() < Self::MAX {
            self.waiting.push(sentence);
        } else {
            self.more += 1;
        }
    }
}
