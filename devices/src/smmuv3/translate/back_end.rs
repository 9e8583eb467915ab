//! What the control half asks for.

use std::sync::atomic::Ordering;

use super::entries::{AddressMatch, Hit, Tag, TlbEntry, invalidate_range, overlaps, without_top_byte};
use super::{ATSCHK, SMMUEN, Translator};
use crate::addr::StreamId;
use crate::fabric::{Resumption, StallTag};
use crate::smmuv3::invalidation::{
    AddressRange, BackEnd, ConfigScope, Global, Release, StreamWorld, TlbScope,
};
use crate::smmuv3::tables::Lookup;

impl Translator {
    /// Drops the hits of streams, of one substream, if `substream` is given.
    fn drop_hits(&self, streams: impl Fn(StreamId) -> bool, substream: Option<u32>) {
        self.hits.invalidate(|_, data| {
            let (stream, found) = Hit::stream_of(data);
            // A transaction without SubstreamID uses CD 0, or none.
            streams(stream) && substream.is_none_or(|wanted| found.unwrap_or(0) == wanted)
        });
    }

    /// Drops TLB entries and the hits that came of them, wherever they map. The TLB first: a hit made of
    /// an entry that goes meanwhile is refused.
    fn drop_tagged(&self, meant: impl Fn(Tag, bool) -> bool) {
        self.drop_tables(|tag| meant(tag, false));
        self.tlb.invalidate(|_, data| {
            let (tag, global) = TlbEntry::tag_of(data);
            meant(tag, global)
        });
        self.hits.invalidate(|_, data| {
            let (tag, global) = Hit::tag_of(data);
            meant(tag, global)
        });
    }

    /// As [`Self::drop_tagged`], in a range: whole blocks, of which it may be that only a part is in there.
    fn drop_range(&self, range: AddressRange, meant: impl Fn(Tag, bool) -> bool) {
        // First: whoever is to cache a fraction of a larger block is refused, or has said so.
        self.tlb.outdate_tickets();
        self.hits.outdate_tickets();
        let block_bits = self.block_bits.load(Ordering::SeqCst);
        invalidate_range(&self.tlb, range, block_bits, |key, data| {
            let (tag, global) = TlbEntry::tag_of(data);
            meant(tag, global) && overlaps(range, TlbEntry::block_of(key, data))
        });
        invalidate_range(&self.hits, range, block_bits, |key, data| {
            let (tag, global) = Hit::tag_of(data);
            meant(tag, global) && overlaps(range, Hit::block_of(key, data))
        });
    }
}

impl BackEnd for Translator {
    fn set_global(&self, global: Global) {
        let Global { enabled, atschk, cr2, gbpa, strtab_base, strtab_base_cfg } = global;
        self.gbpa.store(gbpa.raw(), Ordering::Release);
        self.cr2.store(cr2.raw(), Ordering::Release);
        self.strtab_base.store(strtab_base.raw(), Ordering::Release);
        self.strtab_base_cfg.store(strtab_base_cfg.raw(), Ordering::Release);
        // Last: whoever sees it on sees the rest, which does not change while it is.
        let mode = if enabled { SMMUEN } else { 0 } | if atschk { ATSCHK } else { 0 };
        self.set_mode(SMMUEN | ATSCHK, mode);
    }

    fn invalidate_config(&self, scope: ConfigScope) {
        match scope {
            ConfigScope::All => {
                self.stream_descriptors.invalidate(|_, _| true);
                self.streams.invalidate(|_, _| true);
                self.context_descriptors.invalidate(|_, _| true);
                self.contexts.invalidate(|_, _| true);
                self.hits.invalidate(|_, _| true);
            }
            ConfigScope::Streams { first, last, leaf } => {
                let streams = u64::from(first.0)..=u64::from(last.0);
                if !leaf {
                    let table = self.stream_table(&self.global());
                    let l1 = |stream| match table.locate(stream) {
                        Some(Lookup::TwoLevel { l1 }) => Some(l1.0),
                        Some(Lookup::Linear(_)) | None => None,
                    };
                    // From that of the first to that of the last, which may be beyond the table.
                    let from = l1(first).unwrap_or(0);
                    let to = l1(last).filter(|to| *to >= from).unwrap_or(u64::MAX);
                    self.stream_descriptors.invalidate(|key, _| (from..=to).contains(&key));
                }
                self.streams.invalidate(|key, _| streams.contains(&key));
                self.context_descriptors.invalidate(|key, _| streams.contains(&(key >> 20)));
                self.contexts.invalidate(|key, _| streams.contains(&(key >> 20)));
                self.drop_hits(|stream| (first..=last).contains(&stream), None);
            }
            ConfigScope::Context { stream, substream, leaf } => {
                let key = u64::from(stream.0) << 20 | u64::from(substream.get());
                if !leaf {
                    // Which of them leads to the CD depends on the STE: all go.
                    self.context_descriptors.invalidate(|found, _| found >> 20 == u64::from(stream.0));
                }
                self.contexts.invalidate(|found, _| found == key);
                self.drop_hits(|found| found == stream, Some(substream.get()));
            }
            ConfigScope::Contexts(stream) => {
                let of_stream = |key: u64| key >> 20 == u64::from(stream.0);
                self.context_descriptors.invalidate(|key, _| of_stream(key));
                self.contexts.invalidate(|key, _| of_stream(key));
                self.drop_hits(|found| found == stream, None);
            }
        }
    }

    fn invalidate_tlb(&self, scope: TlbScope) {
        let el1 = |tag: Tag| tag.world == StreamWorld::El1;
        match scope {
            TlbScope::El1All => {
                self.drop_ipas(|_| true, None);
                self.drop_tagged(|tag, _| el1(tag));
            }
            TlbScope::El2All => self.drop_tagged(|tag, _| !el1(tag)),
            TlbScope::Stage1 { vmid } => {
                self.drop_tagged(|tag, _| el1(tag) && tag.stage1 && vmid.matches(tag.vmid));
            }
            TlbScope::Vm { vmid } => {
                self.drop_ipas(|found| vmid.matches(found), None);
                self.drop_tagged(|tag, _| el1(tag) && vmid.matches(tag.vmid));
            }
            TlbScope::Asid { world, vmid, asid } => self.drop_tagged(|tag, global| {
                let vmid = world != StreamWorld::El1 || vmid.matches(tag.vmid);
                tag.world == world && tag.stage1 && vmid && !global && tag.asid == asid
            }),
            TlbScope::Va { world, vmid, asid, range } => {
                let el1 = world == StreamWorld::El1;
                // Where the top byte is ignored it may be anything; elsewhere it is what bit 55 is.
                let first = without_top_byte(range.first);
                let last = first.saturating_add(range.last.saturating_sub(range.first));
                let range = AddressRange { first, last, ..range };
                let meant = AddressMatch { vmid: el1.then_some(vmid), asid, el1 };
                self.drop_tables_over(range, |tag| meant.regime(tag));
                self.drop_range(range, |tag, global| meant.matches(tag, global));
            }
            // Entries that combine both stages stay: software names them by their input address, or
            // drops them all [SMMUv3 3.17].
            TlbScope::Ipa { vmid, range } => {
                let meant = |tag: Tag| el1(tag) && tag.stage2 && !tag.stage1 && vmid.matches(tag.vmid);
                self.drop_ipas(|found| vmid.matches(found), Some(range));
                self.drop_tables_over(range, meant);
                self.drop_range(range, |tag, _| meant(tag));
            }
        }
    }

    fn release(&self, which: Release, how: Resumption) -> Vec<(StallTag, Resumption)> {
        self.stalls.release(which, how)
    }

    fn complete(&self) {
        if let Some(guards) = &self.guards {
            guards.wait();
        }
    }
}
