//! The translating half as data.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{SANITIZE, Translator, stalls};
use crate::fabric::{Outcome, Resumption};
use crate::iommu::cache;
use crate::smmuv3::control::GBPA_RESET;
use crate::smmuv3::invalidation::{BackEnd, ConfigScope, Global, Release, TlbScope};

/// A saved [`Translator`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    global: Global,
    stream_descriptors: cache::State,
    streams: cache::State,
    context_descriptors: cache::State,
    contexts: cache::State,
    tables: cache::State,
    ipas: cache::State,
    tlb: cache::State,
    hits: cache::State,
    stalls: stalls::State,
}

impl Translator {
    /// The state as data; nobody may be translating meanwhile.
    pub fn save(&self) -> State {
        let Self {
            config: _,
            mem: _,
            stes: _,
            cds: _,
            mode: _,
            gbpa: _,
            cr2: _,
            strtab_base: _,
            strtab_base_cfg: _,
            stream_descriptors,
            streams,
            context_descriptors,
            contexts,
            tables,
            ipas,
            tlb,
            hits,
            block_bits: _,
            stalls,
            guards: _,
            witness: _,
        } = self;
        State {
            global: self.global(),
            stream_descriptors: stream_descriptors.save(),
            streams: streams.save(),
            context_descriptors: context_descriptors.save(),
            contexts: contexts.save(),
            tables: tables.save(),
            ipas: ipas.save(),
            tlb: tlb.save(),
            hits: hits.save(),
            stalls: stalls.save(),
        }
    }

    /// Continues from what was saved. Whether hits are sanitized is not the machine's state.
    pub fn restore(&self, state: &State) {
        let State {
            global,
            stream_descriptors,
            streams,
            context_descriptors,
            contexts,
            tables,
            ipas,
            tlb,
            hits,
            stalls,
        } = state;
        self.set_global(*global);
        self.stream_descriptors.restore(stream_descriptors);
        self.streams.restore(streams);
        self.context_descriptors.restore(context_descriptors);
        self.contexts.restore(contexts);
        self.tables.restore(tables);
        self.ipas.restore(ipas);
        // Unknown of what follows, so that every range is looked for everywhere.
        self.block_bits.store(u64::BITS, Ordering::SeqCst);
        self.tlb.restore(tlb);
        self.hits.restore(hits);
        self.stalls.restore(stalls);
    }

    /// Off, with empty caches, holding nothing.
    pub fn reset(&self) {
        self.set_mode(!SANITIZE, 0);
        self.set_global(Global { gbpa: GBPA_RESET, ..Global::default() });
        self.invalidate_config(ConfigScope::All);
        self.invalidate_tlb(TlbScope::El1All);
        self.invalidate_tlb(TlbScope::El2All);
        // Their masters are reset as well.
        let _ = self.release(Release::All, Resumption::End(Outcome::Raz));
        self.complete();
        debug_assert!(self.mode.load(Ordering::Relaxed) & !SANITIZE == 0);
    }
}
