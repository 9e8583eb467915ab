//! From a StreamID to its STE, from a SubstreamID to its CD [SMMUv3 3.3.1, 3.3.2].

use super::walker::{Tickets, Walker};
use super::{Sight, Translator};
use crate::addr::{Ipa, Pa, Pasid, StreamId};
use crate::fabric::Effects;
use crate::iommu::cache::Cache;
use crate::mem::NotRam;
use crate::smmuv3::event::Reason;
use crate::smmuv3::invalidation::Global;
use crate::smmuv3::tables::Lookup;
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::ste::ContextTable;
use crate::smmuv3::tables::stream_table::{L1Std, StreamTable};
use crate::smmuv3::vmsa::WalkFault;
use crate::trace::TraceEvent;

/// Why a CD cannot be used.
pub(super) enum CdError {
    /// As the record says.
    Reason(Reason),
    /// Stage 2 does not let it be read.
    Stage2(WalkFault),
}

impl From<Reason> for CdError {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl Translator {
    /// The stream table.
    pub(super) fn stream_table(&self, global: &Global) -> StreamTable {
        StreamTable::new(global.strtab_base, global.strtab_base_cfg, &self.config)
    }

    /// Puts the STE of a stream, from the caches if `cached`, or else from memory, into `words`: handed over
    /// as a result, they are copied in pieces that were not stored as such, for which processors wait. In
    /// line, as [`Self::cd_words`] is: there is one caller beside the sanitizer.
    #[inline(always)]
    pub(super) fn ste_words(
        &self,
        stream: StreamId,
        global: &Global,
        cached: bool,
        words: &mut [u64; 8],
        fx: &mut Effects,
    ) -> Result<(), Reason> {
        let key = u64::from(stream.0);
        if cached && self.streams.lookup_into(place(key), key, words) {
            self.note(|| Sight::Ste { at: None, words: *words });
            return Ok(());
        }
        let ticket = self.streams.ticket();
        let table = self.stream_table(global);
        let at = match table.locate(stream).ok_or(Reason::BadStreamId)? {
            Lookup::Linear(at) => at,
            Lookup::TwoLevel { l1 } => {
                let word = match lookup(&self.stream_descriptors, cached, l1.0) {
                    Some([word]) => {
                        self.note(|| Sight::L1Std { at: None, word });
                        word
                    }
                    None => {
                        let ticket = self.stream_descriptors.ticket();
                        let mut word = [0];
                        self.fetch("L1STD", l1, &mut word, fx).map_err(|NotRam| Reason::SteFetch(l1))?;
                        let [word] = word;
                        self.note(|| Sight::L1Std { at: Some(l1), word });
                        if cached {
                            self.stream_descriptors.insert(ticket, place(l1.0), l1.0, [word]);
                        }
                        word
                    }
                };
                table.entry(L1Std::from_raw(word), stream).ok_or(Reason::BadStreamId)?
            }
        };
        self.fetch("STE", at, words, fx).map_err(|NotRam| Reason::SteFetch(at))?;
        self.note(|| Sight::Ste { at: Some(at), words: *words });
        if cached && self.streams.sets() != 0 {
            // Invalid entries may be cached as well [SMMUv3 16.2].
            self.streams.insert(ticket, place(key), key, *words);
        }
        Ok(())
    }

    /// Puts the CD of a substream, from the caches if the walker uses them, or else from memory, into
    /// `words`: `index` is below the size of `table`.
    #[inline(always)]
    pub(super) fn cd_words(
        &self,
        walker: &mut Walker<'_, '_>,
        table: &ContextTable,
        index: Pasid,
        words: &mut [u64; 8],
    ) -> Result<(), CdError> {
        let stream = u64::from(walker.stream.0) << 20;
        let key = stream | u64::from(index.get());
        if walker.tickets.is_some() && self.contexts.lookup_into(place(key), key, words) {
            self.note(|| Sight::Cd { at: None, words: *words });
            return Ok(());
        }
        let at = match table.locate(index.get()).ok_or(Reason::BadSubstreamId)? {
            Lookup::Linear(at) => at,
            Lookup::TwoLevel { l1 } => {
                let key = descriptor_key(walker.stream, index);
                let word = match lookup(&self.context_descriptors, walker.tickets.is_some(), key) {
                    Some([word]) => {
                        self.note(|| Sight::L1Cd { at: None, word });
                        word
                    }
                    None => {
                        let mut word = [0];
                        let at = self.fetch_context(walker, "L1CD", l1, &mut word)?;
                        let [word] = word;
                        self.note(|| Sight::L1Cd { at: Some(at), word });
                        if let Some(Tickets { context_descriptors: ticket, .. }) = walker.tickets {
                            self.context_descriptors.insert(*ticket, place(key), key, [word]);
                        }
                        word
                    }
                };
                let at = table.entry(L1Cd::from_raw(word), index.get(), &self.config);
                at.ok_or(Reason::BadSubstreamId)?
            }
        };
        let at = self.fetch_context(walker, "CD", at, words)?;
        self.note(|| Sight::Cd { at: Some(at), words: *words });
        // From before the STE was read: that may have led to another table.
        if let Some(Tickets { contexts: ticket, .. }) = walker.tickets
            && self.contexts.sets() != 0
        {
            self.contexts.insert(*ticket, place(key), key, *words);
        }
        Ok(())
    }

    /// Reads words of a CD table: at a PA, or through stage 2; and says where they lie.
    #[inline]
    pub(super) fn fetch_context<const N: usize>(
        &self,
        walker: &mut Walker<'_, '_>,
        table: &'static str,
        at: u64,
        words: &mut [u64; N],
    ) -> Result<Pa, CdError> {
        let pa = if walker.service.stage2() {
            walker.context_ipa(Ipa(at)).map_err(CdError::Stage2)?
        } else {
            Pa(at)
        };
        self.fetch(table, pa, words, walker.fx).map_err(|NotRam| Reason::CdFetch(pa))?;
        Ok(pa)
    }

    /// Reads words of a table, each at once [SMMUv3 3.21.3].
    #[inline(always)]
    fn fetch<const N: usize>(
        &self,
        table: &'static str,
        at: Pa,
        words: &mut [u64; N],
        fx: &mut Effects,
    ) -> Result<(), NotRam> {
        self.mem.load_words_into(at, words)?;
        if fx.traced() {
            self.trace_fetch(table, at, words, fx);
        }
        Ok(())
    }

    #[cold]
    fn trace_fetch(&self, table: &'static str, at: Pa, words: &[u64], fx: &mut Effects) {
        let unit = self.config.unit.name();
        for (pair, offset) in words.chunks(2).zip((0..).step_by(16)) {
            let words = [pair[0], pair.get(1).copied().unwrap_or(0)];
            fx.trace(|| TraceEvent::Fetch { unit, table, address: Pa(at.0 + offset), words });
        }
    }
}

impl Translator {
    /// The cached STE of a stream, without the effects of a lookup.
    pub(super) fn peek_ste(&self, stream: StreamId) -> Option<[u64; 8]> {
        self.streams.peek(place(stream.0.into()), stream.0.into())
    }

    /// The cached CD of a substream, likewise.
    pub(super) fn peek_cd(&self, stream: StreamId, index: Pasid) -> Option<[u64; 8]> {
        let key = u64::from(stream.0) << 20 | u64::from(index.get());
        self.contexts.peek(place(key), key)
    }

    /// The cached level-1 descriptor at an address, likewise.
    pub(super) fn peek_l1std(&self, l1: Pa) -> Option<u64> {
        self.stream_descriptors.peek(place(l1.0), l1.0).map(|[word]| word)
    }

    /// The cached level-1 descriptor of a substream, likewise.
    pub(super) fn peek_l1cd(&self, stream: StreamId, index: Pasid) -> Option<u64> {
        let key = descriptor_key(stream, index);
        self.context_descriptors.peek(place(key), key).map(|[word]| word)
    }
}

/// What the level-1 descriptor of a CD is cached by. A leaf has 64 CDs or a multiple: one descriptor may be
/// cached several times.
fn descriptor_key(stream: StreamId, index: Pasid) -> u64 {
    u64::from(stream.0) << 20 | u64::from(index.get() >> 6)
}

#[inline(always)]
fn lookup<const N: usize>(cache: &Cache<N>, cached: bool, key: u64) -> Option<[u64; N]> {
    if cached { cache.lookup(place(key), key) } else { None }
}

/// The set of a key, whose low bits may all be zero: an address, or a stream without substreams.
fn place(key: u64) -> u64 {
    key ^ (key >> 3) ^ (key >> 20)
}
