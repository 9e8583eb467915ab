//! The walk caches: where a walk may start, and what stage 2 makes of the pages of stage-1 tables.
//!
//! Tables of stage 1 are known by their IPA, so that stage 2 is asked at each use; those of stage 2 and
//! the IPA cache are tagged with the VMID only [SMMUv3 3.17].

use super::Translator;
use super::entries::{Tag, block, key, overlaps, place};
use crate::addr::{Ipa, Pa};
use crate::iommu::cache::{Cache, Ticket};
use crate::iommu::walk::Table;
use crate::smmuv3::invalidation::{AddressRange, StreamWorld};
use crate::smmuv3::vmsa::{Granule, Limits, Permissions, Stage1Table, Stage2Page, Stage2Table};

/// Levels of tables that are cached, from the last one up.
const LEVELS: u32 = 2;
const LEVEL: u32 = 40;
const PAGE: u64 = ((1 << 52) - 1) & !0xfff;

/// Bits of the input address that a table of `level`, 1 for the last, covers.
fn span_bits(granule: Granule, level: u32) -> u32 {
    granule.bits() + granule.index_bits() * level
}

/// [`Tag::word`] of the tables of stage 2.
fn stage2_tag(vmid: u16) -> u64 {
    let tag = Tag { world: StreamWorld::El1, vmid, asid: 0, aset: false, stage1: false, stage2: true };
    tag.word(false)
}

/// What a key and data stand for: the tag, and the first and last byte of input that the table covers.
fn covered(key: u64, data: &[u64; 2]) -> (Tag, u64, u64) {
    let (tag, _) = Tag::of(data[1]);
    let first = key & !0xfff;
    // Five bits of granule and two of level, written by `insert`.
    let span = (data[1] >> LEVEL) as u32 >> 2 & 0x3f;
    (tag, first, first | !(u64::MAX << span))
}

fn identity(tag: u64, granule: Granule, level: u32) -> u64 {
    tag | u64::from(level | span_bits(granule, level) << 2) << LEVEL
}

fn find(cache: &Cache<2>, tag: u64, granule: Granule, input: u64, top: u32) -> Option<(u32, u64)> {
    (1..top.min(LEVELS + 1)).find_map(|level| {
        let first = input & u64::MAX << span_bits(granule, level);
        let identity = identity(tag, granule, level);
        let data = cache.lookup(place(first >> 9), key(first, identity)?)?;
        (data[1] == identity).then_some((level, data[0]))
    })
}

fn insert(
    cache: &Cache<2>,
    ticket: Ticket,
    tag: u64,
    granule: Granule,
    input: u64,
    (level, word): (u32, u64),
) {
    if level > LEVELS {
        return;
    }
    let first = input & u64::MAX << span_bits(granule, level);
    let identity = identity(tag, granule, level);
    if let Some(key) = key(first, identity) {
        cache.insert(ticket, place(first >> 9), key, [word, identity]);
    }
}

impl Translator {
    /// Whether tables are cached at all. To be asked first: it saves what the others are told.
    #[inline]
    pub(super) fn keeps_tables(&self) -> bool {
        self.tables.sets() != 0
    }

    /// The same of the IPA cache.
    #[inline]
    pub(super) fn keeps_ipas(&self) -> bool {
        self.ipas.sets() != 0
    }

    /// Where a stage-1 walk may start; `tag` is [`Tag::word`] of what is not global.
    pub(super) fn stage1_start(&self, tag: u64, granule: Granule, va: u64, root: Stage1Table) -> Stage1Table {
        match find(&self.tables, tag, granule, va, root.level) {
            // Limits are four bits.
            Some((level, word)) => {
                Table { base: Ipa(word & PAGE), level, rights: Limits::from_bits(word as u8) }
            }
            None => root,
        }
    }

    pub(super) fn keep_stage1(
        &self,
        ticket: Ticket,
        tag: u64,
        granule: Granule,
        va: u64,
        table: Stage1Table,
    ) {
        let Table { base, level, rights } = table;
        insert(&self.tables, ticket, tag, granule, va, (level, base.0 | u64::from(rights.bits())));
    }

    pub(super) fn stage2_start(
        &self,
        vmid: u16,
        granule: Granule,
        ipa: Ipa,
        root: Stage2Table,
    ) -> Stage2Table {
        match find(&self.tables, stage2_tag(vmid), granule, ipa.0, root.level) {
            Some((level, word)) => Table { base: Pa(word & PAGE), level, rights: () },
            None => root,
        }
    }

    pub(super) fn keep_stage2(
        &self,
        ticket: Ticket,
        vmid: u16,
        granule: Granule,
        ipa: Ipa,
        table: Stage2Table,
    ) {
        insert(&self.tables, ticket, stage2_tag(vmid), granule, ipa.0, (table.level, table.base.0));
    }

    /// What the IPA cache holds for a page.
    pub(super) fn ipa_page(&self, vmid: u16, ipa: Ipa) -> Option<Stage2Page> {
        let [word, rest] = self.ipas.lookup(place(ipa.0), key(ipa.0, vmid.into())?)?;
        (rest as u16 == vmid).then(|| Stage2Page {
            base: Pa(word & PAGE),
            // Six, six, four and two bits, written by `keep_ipa`.
            size_bits: (word & 0x3f) as u32,
            permissions: Permissions::from_bits((word >> 6) as u8),
            memattr: (rest >> 16 & 0xf) as u8,
            shareability: (rest >> 20 & 3) as u8,
        })
    }

    pub(super) fn keep_ipa(&self, ticket: Ticket, vmid: u16, ipa: Ipa, page: &Stage2Page) {
        let Stage2Page { base, size_bits, permissions, memattr, shareability } = *page;
        let Some(key) = key(ipa.0, vmid.into()) else { return };
        let word = (base.0 & PAGE) | u64::from(size_bits & 0x3f) | u64::from(permissions.bits()) << 6;
        let rest = u64::from(vmid) | u64::from(memattr & 0xf) << 16 | u64::from(shareability & 3) << 20;
        self.ipas.insert(ticket, place(ipa.0), key, [word, rest]);
    }

    /// Drops cached tables whose tag is meant.
    pub(super) fn drop_tables(&self, meant: impl Fn(Tag) -> bool) {
        self.tables.invalidate(|key, data| meant(covered(key, data).0));
    }

    /// Drops cached tables whose tag is meant and that lead to a range. The range of a table that an ASID
    /// does not share with others is not known, so the ASID does not count.
    pub(super) fn drop_tables_over(&self, range: AddressRange, meant: impl Fn(Tag) -> bool) {
        if range.leaf {
            return;
        }
        self.tables.invalidate(|key, data| {
            let (tag, first, last) = covered(key, data);
            meant(tag) && first <= range.last && range.first <= last
        });
    }

    /// Drops what the IPA cache holds of a VMID that is meant, in a range if there is one.
    pub(super) fn drop_ipas(&self, meant: impl Fn(u16) -> bool, range: Option<AddressRange>) {
        self.ipas.invalidate(|key, [word, rest]| {
            // Six bits, written by `keep_ipa`.
            let block = block(key & !0xfff, (word & 0x3f) as u32);
            let inside = range.is_none_or(|range| overlaps(range, block));
            // The low 16 bits.
            inside && meant(*rest as u16)
        });
    }
}
