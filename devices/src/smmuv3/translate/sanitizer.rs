//! The sanitizer: every use of a cached entry is compared with what memory says now.
//!
//! A difference is no fault: hardware may use the old entry until software invalidates it. It is a
//! bug of the driver all the same where the entry is *used* after the change, and that is reported. An
//! entry that does not matter to the transaction at hand is not looked at: the STE first, then the CD,
//! then the translation, and the first that differs is the one.

use std::fmt;

use serde::Serialize;

use super::Translator;
use super::config::CdError;
use super::entries::{Tag, TlbEntry, wanted};
use super::request::{Binding, denied, select};
use super::walker::Walker;
use crate::addr::{Iova, Pasid, StreamId};
use crate::events::Time;
use crate::fabric::{Access, Effect, Effects, Transaction};
use crate::iommu::Stale;
use crate::smmuv3::event::{FaultKind, Reason, Stage};
use crate::smmuv3::invalidation::{Global, StreamWorld};
use crate::smmuv3::tables::Lookup;
use crate::smmuv3::tables::cd::{self, Cd};
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::ste::{self, ContextTable, Ste};
use crate::smmuv3::tables::stream_table::L1Std;
use crate::smmuv3::vmsa::{Mapping, Permissions, WalkFault, Wanted};

/// A cached entry was used although memory had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleUse {
    /// Whose transaction.
    pub stream: StreamId,
    /// Its SubstreamID.
    pub substream: Option<Pasid>,
    /// Its address.
    pub address: Iova,
    /// What it wanted.
    pub access: Access,
    /// What the cache said.
    pub cached: String,
    /// What memory says.
    pub present: String,
    /// The command that was missing.
    pub missing: Missing,
}

/// A command that software owed, with CMD_SYNC after it; a coarser one would do as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// CMD_CFGI_STE [SMMUv3 4.3.1].
    Ste,
    /// CMD_CFGI_STE with Leaf = 0: it is the level-1 descriptor that changed.
    StreamDescriptor,
    /// CMD_CFGI_CD [SMMUv3 4.3.3].
    Cd {
        /// Index of the CD.
        index: Pasid,
    },
    /// CMD_CFGI_CD with Leaf = 0: it is the level-1 descriptor that changed.
    ContextDescriptor {
        /// Index of the CD.
        index: Pasid,
    },
    /// CMD_TLBI_NH_VA [SMMUv3 4.4.3].
    Va {
        /// VMID.
        vmid: u16,
        /// ASID.
        asid: u16,
    },
    /// CMD_TLBI_EL2_VA [SMMUv3 4.4.2].
    El2Va {
        /// ASID; 0 without E2H.
        asid: u16,
    },
    /// CMD_TLBI_S2_IPA [SMMUv3 4.4.4].
    Ipa {
        /// VMID.
        vmid: u16,
    },
    /// CMD_TLBI_S2_IPA and CMD_TLBI_NH_ALL, or CMD_TLBI_S12_VMALL: the entry combines both stages, and
    /// it may be either that changed.
    Both {
        /// VMID.
        vmid: u16,
        /// ASID.
        asid: u16,
    },
}

impl fmt::Display for StaleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, substream, address, access, cached, present, missing } = self;
        let what = match missing {
            Missing::Ste => "STE",
            Missing::StreamDescriptor => "L1STD",
            Missing::Cd { .. } => "CD",
            Missing::ContextDescriptor { .. } => "L1CD",
            Missing::Va { .. } | Missing::El2Va { .. } | Missing::Ipa { .. } | Missing::Both { .. } => {
                "translation"
            }
        };
        write!(f, "stale {what} used by stream {stream}")?;
        if let Some(substream) = substream {
            write!(f, ", substream {:#x}", substream.get())?;
        }
        write!(f, " ({access:?} at {address}): cached {cached}, in memory {present}; missing: ")?;
        let page = address.page();
        match missing {
            Missing::Ste => write!(f, "CMD_CFGI_STE of stream {stream}"),
            Missing::Cd { index } => {
                write!(f, "CMD_CFGI_CD of stream {stream}, substream {:#x}", index.get())
            }
            Missing::StreamDescriptor => write!(f, "CMD_CFGI_STE of stream {stream} with Leaf = 0"),
            Missing::ContextDescriptor { index } => {
                write!(f, "CMD_CFGI_CD of stream {stream}, substream {:#x} with Leaf = 0", index.get())
            }
            Missing::Va { vmid, asid } => write!(f, "CMD_TLBI_NH_VA of {page}, VMID {vmid}, ASID {asid}"),
            Missing::El2Va { asid } => write!(f, "CMD_TLBI_EL2_VA of {page}, ASID {asid}"),
            Missing::Ipa { vmid } => write!(f, "CMD_TLBI_S2_IPA of {page}, VMID {vmid}"),
            Missing::Both { vmid, asid } => write!(
                f,
                "CMD_TLBI_NH_VA of {page}, VMID {vmid}, ASID {asid}, or, if stage 2 changed, CMD_TLBI_S2_IPA \
                 and CMD_TLBI_NH_ALL"
            ),
        }
    }
}

/// A cached entry, and what memory says in its place.
pub(in crate::smmuv3) struct Difference {
    pub cached: String,
    pub present: String,
    pub missing: Missing,
}

impl Translator {
    /// Compares what the caches hold for a transaction with memory, and reports the first difference.
    #[cold]
    pub(super) fn sanitize(&self, t: &Transaction, stream: StreamId, global: &Global, fx: &mut Effects) {
        if let Some(difference) = self.difference(t, stream, global) {
            self.report_difference(t, stream, difference, fx);
        }
    }

    /// Compares what a walk found, which used cached tables and IPAs, with memory. By value: what the caller
    /// lent out it could not keep in registers.
    #[cold]
    pub(super) fn sanitize_walk(
        &self,
        walker: &mut Walker<'_, '_>,
        binding: &Binding<'_>,
        t: &Transaction,
        found: Result<Mapping, WalkFault>,
    ) {
        let wanted: Wanted = wanted(t, &binding.service.overrides());
        let mut silent = Effects::new(Time::default(), false);
        let (stream, service) = (walker.stream, walker.service);
        let look = Walker { translator: self, stream, service, tickets: None, fx: &mut silent };
        let now = look.look(*binding, t.address.0, wanted);
        let same = match (&found, &now) {
            (Ok(found), Ok(now)) => found.pa == now.pa,
            (found, now) => found == now,
        };
        if !same {
            let missing = missing(binding.tag());
            let difference =
                Difference { cached: mapping_text(&found), present: mapping_text(&now), missing };
            self.report_difference(t, stream, difference, walker.fx);
        }
    }

    fn report_difference(
        &self,
        t: &Transaction,
        stream: StreamId,
        Difference { cached, present, missing }: Difference,
        fx: &mut Effects,
    ) {
        let (substream, address, access) = (t.pasid, t.address, t.access);
        let stale = StaleUse { stream, substream, address, access, cached, present, missing };
        fx.push(Effect::Stale { unit: self.config.unit, stale: Stale::Smmuv3(stale) });
    }

    /// The first cached entry on the way of a transaction that differs from memory in what it means.
    pub(in crate::smmuv3) fn difference(
        &self,
        t: &Transaction,
        stream: StreamId,
        global: &Global,
    ) -> Option<Difference> {
        let mut silent = Effects::new(Time::default(), false);
        let mut words = [0; 8];
        let fresh = self.ste_words(stream, global, false, &mut words, &mut silent).map(|()| words);
        if let Some(words) = self.peek_ste(stream) {
            // An illegal entry is as good as another.
            let meaning = |words| ste::decode(Ste::from_raw(words), &self.config, global.cr2).ok();
            if fresh.is_err() || fresh.is_ok_and(|fresh| meaning(fresh) != meaning(words)) {
                let present = fresh.map_or_else(|reason| reason.name().to_owned(), words_text);
                return Some(Difference { cached: words_text(words), present, missing: Missing::Ste });
            }
        } else if let Some(difference) = self.stream_descriptor_difference(stream, global) {
            return Some(difference);
        }
        let service = ste::decode(Ste::from_raw(fresh.ok()?), &self.config, global.cr2).ok()?;
        let service = ste::Packed::new(&service);
        if !service.serves() {
            return None;
        }
        let mut walker =
            Walker { translator: self, stream, service: &service, tickets: None, fx: &mut silent };
        let context = match self.fresh_context(&mut walker, t.pasid) {
            Ok(context) => context,
            Err(difference) => return difference,
        };
        self.page_difference(&walker, &Binding { service: &service, context: context.as_ref() }, t)
    }

    /// How the cached level-1 descriptor of a stream, whose STE is not cached, differs from memory.
    fn stream_descriptor_difference(&self, stream: StreamId, global: &Global) -> Option<Difference> {
        let table = self.stream_table(global);
        let Some(Lookup::TwoLevel { l1 }) = table.locate(stream) else { return None };
        let cached = self.peek_l1std(l1)?;
        let now = self.mem.load64(l1).ok();
        let meaning = |word| table.entry(L1Std::from_raw(word), stream);
        if now.map(meaning) == Some(meaning(cached)) {
            return None;
        }
        let present = now.map_or_else(|| Reason::SteFetch(l1).name().to_owned(), word_text);
        Some(Difference { cached: word_text(cached), present, missing: Missing::StreamDescriptor })
    }

    /// The same of a CD.
    fn context_descriptor_difference(
        &self,
        walker: &mut Walker<'_, '_>,
        table: &ContextTable,
        index: Pasid,
    ) -> Option<Difference> {
        let Some(Lookup::TwoLevel { l1 }) = table.locate(index.get()) else { return None };
        let cached = self.peek_l1cd(walker.stream, index)?;
        let mut word = [0];
        let now = self.fetch_context(walker, "L1CD", l1, &mut word).map(|_| word[0]);
        let meaning = |word| table.entry(L1Cd::from_raw(word), index.get(), &self.config);
        if now.as_ref().is_ok_and(|now| meaning(*now) == meaning(cached)) {
            return None;
        }
        let present = now.map_or_else(|error| error_text(&error), word_text);
        let missing = Missing::ContextDescriptor { index };
        Some(Difference { cached: word_text(cached), present, missing })
    }

    /// The CD in memory; the cached one's difference from it, or nothing where no CD is used, as error.
    fn fresh_context(
        &self,
        walker: &mut Walker<'_, '_>,
        substream: Option<Pasid>,
    ) -> Result<Option<cd::Packed>, Option<Difference>> {
        let service = &walker.service.service();
        let Some(table) = &service.contexts else {
            return if substream.is_some() { Err(None) } else { Ok(None) };
        };
        let Some(index) = select(table, substream).map_err(|_| None)? else { return Ok(None) };
        let mut words = [0; 8];
        let fresh = self.cd_words(walker, table, index, &mut words).map(|()| words);
        if let Some(words) = self.peek_cd(walker.stream, index) {
            let meaning = |words| cd::decode(Cd::from_raw(words), &self.config, service).ok();
            let same = fresh.as_ref().is_ok_and(|fresh| meaning(*fresh) == meaning(words));
            if !same {
                let present = fresh.map_or_else(|error| error_text(&error), words_text);
                let missing = Missing::Cd { index };
                return Err(Some(Difference { cached: words_text(words), present, missing }));
            }
        } else if let Some(difference) = self.context_descriptor_difference(walker, table, index) {
            return Err(Some(difference));
        }
        let words = fresh.map_err(|_| None)?;
        let context = cd::decode(Cd::from_raw(words), &self.config, service).map_err(|_| None)?;
        Ok(Some(cd::Packed::new(&context)))
    }

    /// How a cached translation differs from the tables for a transaction that meets it.
    fn page_difference(
        &self,
        walker: &Walker<'_, '_>,
        binding: &Binding<'_>,
        t: &Transaction,
    ) -> Option<Difference> {
        let wanted: Wanted = wanted(t, &binding.service.overrides());
        let tag = binding.tag();
        let entry = TlbEntry::peek(&self.tlb, tag, binding.plain(t.address.0))?;
        let denied = denied(&entry, wanted);
        if denied.is_some() && binding.permission_is_open(wanted) {
            return None;
        }
        let mut now = walker.look(*binding, t.address.0, wanted);
        if denied.is_none() && wanted.write && now.is_ok() {
            // A write to a page that has become clean would make it dirty again, had the entry been dropped:
            // what reads find tells whether it is clean.
            let clean = walker.look(*binding, t.address.0, Wanted { read: true, write: false, ..wanted });
            if clean.as_ref().is_ok_and(|clean| !clean.stage1.grant(wanted) || !clean.stage2.grant(wanted)) {
                now = clean;
            }
        }
        let same = match (&now, denied) {
            (Ok(now), None) => {
                now.pa.page() == entry.page && now.stage1.grant(wanted) && now.stage2.grant(wanted)
            }
            (Err(WalkFault::Fault(fault)), Some(stage)) => {
                fault.kind == FaultKind::Permission && fault.stage == stage
            }
            _ => false,
        };
        if same {
            return None;
        }
        let cached = page_text(entry.page.0, entry.stage1, entry.stage2);
        Some(Difference { cached, present: mapping_text(&now), missing: missing(tag) })
    }
}

/// What would have dropped a translation.
fn missing(Tag { world, vmid, asid, stage1, stage2, .. }: Tag) -> Missing {
    match (world, stage1, stage2) {
        (StreamWorld::El2 | StreamWorld::El2E2h, ..) => Missing::El2Va { asid },
        (StreamWorld::El1, true, false) => Missing::Va { vmid, asid },
        (StreamWorld::El1, true, true) => Missing::Both { vmid, asid },
        (StreamWorld::El1, false, _) => Missing::Ipa { vmid },
    }
}

fn mapping_text(mapping: &Result<Mapping, WalkFault>) -> String {
    match mapping {
        Ok(found) => page_text(found.pa.page().0, found.stage1, found.stage2),
        Err(fault) => fault_text(fault),
    }
}

/// Words, the highest first, leading zeros of them left out.
fn words_text(words: [u64; 8]) -> String {
    let last = words.iter().rposition(|word| *word != 0).unwrap_or(0);
    let words: Vec<_> = words[..=last].iter().rev().map(|word| word_text(*word)).collect();
    words.join(" ")
}

fn word_text(word: u64) -> String {
    format!("{word:#018x}")
}

fn error_text(error: &CdError) -> String {
    match error {
        CdError::Reason(reason) => reason.name().to_owned(),
        CdError::Stage2(fault) => fault_text(fault),
    }
}

fn page_text(page: u64, stage1: Permissions, stage2: Permissions) -> String {
    let bits = stage1.bits() & stage2.bits();
    let letters = |bits: u8| -> String {
        [(1, 'r'), (2, 'w'), (4, 'x')]
            .map(|(bit, letter)| if bits & bit != 0 { letter } else { '-' })
            .iter()
            .collect()
    };
    format!("{page:#x} {} privileged {}", letters(bits), letters(bits >> 3))
}

fn fault_text(fault: &WalkFault) -> String {
    let stage = |stage| match stage {
        Stage::One => "stage 1",
        Stage::Two => "stage 2",
    };
    match fault {
        WalkFault::Fault(fault) => format!("{} at {}", Reason::Fault(*fault).name(), stage(fault.stage)),
        WalkFault::Abort { stage: by, at, .. } => {
            format!("a {} descriptor at {at} that cannot be read", stage(*by))
        }
    }
}
