//! What a copy of the translating half notes of its work, for [`explain`](crate::smmuv3::explain).

use std::sync::{Mutex, PoisonError};

use super::entries::{Hit, Tag, TlbEntry};
use super::{Refusal, Translator};
use crate::addr::{Ipa, Pa, Pasid, StreamId};
use crate::fabric::Transaction;
use crate::mem::PhysMem;
use crate::smmuv3::Config;
use crate::smmuv3::event::{Class, Stage};
use crate::smmuv3::invalidation::Global;
use crate::smmuv3::vmsa::{Permissions, Stage1Table, Stage2Page, Stage2Table};

/// One thing seen on the way of a transaction.
#[derive(Clone, Copy, Debug)]
pub(in crate::smmuv3) enum Sight {
    /// A level-1 stream table descriptor: where it was read, if it was not cached.
    L1Std { at: Option<Pa>, word: u64 },
    /// The STE, likewise.
    Ste { at: Option<Pa>, words: [u64; 8] },
    /// A level-1 CD table descriptor, likewise.
    L1Cd { at: Option<Pa>, word: u64 },
    /// The CD, likewise.
    Cd { at: Option<Pa>, words: [u64; 8] },
    /// The TLB answers, with a page or with what that does not permit.
    Tlb(TlbEntry),
    /// A stage-1 walk starts at this table; by a cache, if that is not the first.
    Stage1 { table: Stage1Table, cached: bool },
    /// It has come to this table.
    Stage1Reached(Stage1Table),
    /// Stage 2 is asked for an address.
    Asked { ipa: Ipa, class: Class },
    /// The IPA cache holds its page, which is of use unless a walk follows.
    IpaCached(Stage2Page),
    /// A stage-2 walk starts at this table; by a cache, if that is not the first.
    Stage2 { table: Stage2Table, cached: bool },
    /// It has come to this table.
    Stage2Reached(Stage2Table),
    /// It has come to this page.
    Stage2Found { ipa: Ipa, page: Stage2Page },
    /// A descriptor was read; `level` is the Arm ARM's.
    Descriptor { stage: Stage, level: i32, at: Pa, raw: u64 },
    /// Where the transaction goes: a page of `2^bits` bytes, and what it permits.
    Page { bits: u32, permissions: Permissions },
    /// The transaction goes no further.
    Refused(Refusal),
}

/// Notes, in order.
pub(super) type Witness = Mutex<Vec<Sight>>;

#[cold]
#[inline(never)]
fn write_down(witness: &Witness, sight: impl FnOnce() -> Sight) {
    witness.lock().unwrap_or_else(PoisonError::into_inner).push(sight());
}

impl Translator {
    /// A translating half that notes what it sees and leaves tables alone: what a walk would update in
    /// memory it takes for updated.
    pub(in crate::smmuv3) fn witness(config: &Config, mem: PhysMem) -> Self {
        Self { witness: Some(Witness::default()), ..Self::new(config, mem) }
    }

    #[inline]
    pub(super) fn is_witness(&self) -> bool {
        self.witness.is_some()
    }

    /// Takes note, if this is a copy that does.
    #[inline(always)]
    pub(super) fn note(&self, sight: impl FnOnce() -> Sight) {
        if let Some(witness) = &self.witness {
            write_down(witness, sight);
        }
    }

    /// Takes the notes.
    pub(in crate::smmuv3) fn sights(&self) -> Vec<Sight> {
        let witness = self.witness.as_ref();
        witness
            .map(|w| std::mem::take(&mut *w.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// The registers in force.
    pub(in crate::smmuv3) fn registers(&self) -> Global {
        self.global()
    }

    /// What the hit table would answer a transaction of a stream with.
    pub(in crate::smmuv3) fn peek_hit(&self, t: &Transaction, stream: StreamId) -> Option<Hit> {
        Hit::peek(&self.hits, stream, t.pasid, t.address)
    }

    /// What the TLB holds for a tag and an address without an ignored top byte.
    pub(in crate::smmuv3) fn peek_page(&self, tag: Tag, address: u64) -> Option<TlbEntry> {
        TlbEntry::peek(&self.tlb, tag, address)
    }

    /// The cached STE of a stream, and the cached CD of a substream or of none.
    pub(in crate::smmuv3) fn peek_configuration(
        &self,
        stream: StreamId,
        substream: Option<Pasid>,
    ) -> (Option<[u64; 8]>, Option<[u64; 8]>) {
        let index = substream.or(Pasid::new(0));
        (self.peek_ste(stream), index.and_then(|index| self.peek_cd(stream, index)))
    }
}
