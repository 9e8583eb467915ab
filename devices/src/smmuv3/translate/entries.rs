//! How translations are packed into words of a cache: keys, places, data.
//!
//! The TLB is tagged as the specification says, by regime and never by stream [SMMUv3 3.17]. The hit
//! table before it is this model's own: what a stream's transactions for a page come to, so that one
//! lookup answers. Its entries go with the configuration of their stream and with the TLB entries of
//! their tag.

use crate::addr::{Iova, Ipa, Pa, Pasid, StreamId};
use crate::fabric::{Access, Transaction};
use crate::iommu::cache::{Cache, Ticket};
use crate::iommu::page_place;
use crate::mem::Handle;
use crate::smmuv3::invalidation::{AddressRange, StreamWorld, VmidMatch};
use crate::smmuv3::tables::ste::Overrides;
use crate::smmuv3::vmsa::{Permissions, Wanted};

const NO_HANDLE: u64 = u64::MAX;
/// Bits of an output address above the offset in a 4-KiB page.
const PAGE: u64 = ((1 << 52) - 1) & !0xfff;

/// Whose a TLB entry is [SMMUv3 3.17].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::smmuv3) struct Tag {
    /// Regime.
    pub world: StreamWorld,
    /// VMID; 0 in worlds without.
    pub vmid: u16,
    /// ASID; 0 in worlds without.
    pub asid: u16,
    /// Set of ASIDs.
    pub aset: bool,
    /// Stage 1 took part.
    pub stage1: bool,
    /// Stage 2 took part.
    pub stage2: bool,
}

const WORLD: u32 = 32;
const ASET: u64 = 1 << 34;
const STAGE1: u64 = 1 << 35;
const STAGE2: u64 = 1 << 36;
const GLOBAL: u64 = 1 << 37;

impl Tag {
    /// The tag of an entry in one word: a global one has no ASID.
    pub(super) fn word(self, global: bool) -> u64 {
        let Self { world, vmid, asid, aset, stage1, stage2 } = self;
        let world = match world {
            StreamWorld::El1 => 0,
            StreamWorld::El2 => 1,
            StreamWorld::El2E2h => 2,
        };
        let flag = |on, bit| if on { bit } else { 0 };
        u64::from(vmid)
            | u64::from(if global { 0 } else { asid }) << 16
            | world << WORLD
            | flag(aset, ASET)
            | flag(stage1, STAGE1)
            | flag(stage2, STAGE2)
            | flag(global, GLOBAL)
    }

    /// The tag of a word, and whether its entry is global.
    pub(super) fn of(word: u64) -> (Self, bool) {
        let world = match word >> WORLD & 3 {
            0 => StreamWorld::El1,
            1 => StreamWorld::El2,
            _ => StreamWorld::El2E2h,
        };
        let tag = Self {
            world,
            // 16 bits each.
            vmid: word as u16,
            asid: (word >> 16) as u16,
            aset: word & ASET != 0,
            stage1: word & STAGE1 != 0,
            stage2: word & STAGE2 != 0,
        };
        (tag, word & GLOBAL != 0)
    }
}

/// The set of a page: neighbours in different sets, large strides spread. The top byte does not count,
/// so that addresses that differ in an ignored one share their set.
pub(super) fn place(address: u64) -> u64 {
    page_place((address & PAGE) >> 12)
}

/// Page and twelve bits that make a mix of several unlikely; the data says whose it is. `None` for the
/// one key that no entry may have.
pub(super) fn key(address: u64, identity: u64) -> Option<u64> {
    let mixed = identity ^ (identity >> 12) ^ (identity >> 24) ^ (identity >> 36);
    let key = (address & !0xfff) | (mixed & 0xfff);
    (key != u64::MAX).then_some(key)
}

/// The address without an ignored top byte: bit 55 repeated.
pub(in crate::smmuv3) const fn without_top_byte(address: u64) -> u64 {
    ((address << 8) as i64 >> 8) as u64
}

/// A cached translation of one 4-KiB page; larger pages are cached in fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::smmuv3) struct TlbEntry {
    /// Where it leads.
    pub page: Pa,
    /// The RAM there, unless it is not, or not all, RAM.
    pub handle: Option<Handle>,
    /// What stage 1 permits.
    pub stage1: Permissions,
    /// What stage 2 permits.
    pub stage2: Permissions,
    /// What stage 1 made of the page.
    pub ipa: Ipa,
    /// nG = 0.
    pub global: bool,
    /// log2 of the bytes of the block that this is a fraction of, by the stage that saw the address.
    pub block_bits: u32,
}

/// Bits of a 4-KiB page.
pub(super) const PAGE_BITS: u32 = 12;

/// First and last byte of the block of `2^bits` bytes around `page`.
pub(super) fn block(page: u64, bits: u32) -> (u64, u64) {
    let below = !u64::MAX.checked_shl(bits).unwrap_or(0);
    (page & !below, page | below)
}

impl TlbEntry {
    /// What is cached for the page of `address`, of the ASID first, then global.
    pub fn lookup(tlb: &Cache<4>, tag: Tag, address: u64) -> Option<Self> {
        Self::find(tag, address, |place, key| tlb.lookup(place, key))
    }

    /// As [`Self::lookup`], without the effects of one.
    pub fn peek(tlb: &Cache<4>, tag: Tag, address: u64) -> Option<Self> {
        Self::find(tag, address, |place, key| tlb.peek(place, key))
    }

    fn find(tag: Tag, address: u64, look: impl Fn(u64, u64) -> Option<[u64; 4]>) -> Option<Self> {
        [false, true].into_iter().filter(|global| !global || tag.stage1).find_map(|global| {
            let word = tag.word(global);
            let data = look(place(address), key(address, word)?)?;
            (data[2] == word).then(|| Self::from_data(data))
        })
    }

    fn from_data([word, handle, tag, ipa]: [u64; 4]) -> Self {
        Self {
            page: Pa(word & PAGE),
            handle: (handle != NO_HANDLE).then_some(Handle::from_bits(handle)),
            // Six bits each.
            stage1: Permissions::from_bits(word as u8),
            stage2: Permissions::from_bits((word >> 6) as u8),
            ipa: Ipa(ipa).page(),
            global: Tag::of(tag).1,
            // Six bits.
            block_bits: (ipa & 0x3f) as u32,
        }
    }

    pub fn insert(self, tlb: &Cache<4>, ticket: Ticket, tag: Tag, address: u64) {
        let Self { page, handle, stage1, stage2, ipa, global, block_bits } = self;
        let word = tag.word(global);
        let Some(key) = key(address, word) else { return };
        let rights = u64::from(stage1.bits()) | u64::from(stage2.bits()) << 6;
        let handle = handle.map_or(NO_HANDLE, Handle::to_bits);
        let ipa = ipa.page().0 | u64::from(block_bits & 0x3f);
        tlb.insert(ticket, place(address), key, [(page.0 & PAGE) | rights, handle, word, ipa]);
    }

    /// First and last byte of the block that stored data is a fraction of.
    pub fn block_of(key: u64, data: &[u64; 4]) -> (u64, u64) {
        // Six bits.
        block(key & !0xfff, (data[3] & 0x3f) as u32)
    }

    /// The tag of stored data, and whether it is global.
    pub fn tag_of(data: &[u64; 4]) -> (Tag, bool) {
        Tag::of(data[2])
    }
}

/// What a stream's transactions for a page come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::smmuv3) struct Hit {
    /// Where they go.
    pub page: Pa,
    /// The RAM there, unless it is not, or not all, RAM.
    pub handle: Option<Handle>,
    /// What both stages permit.
    pub permissions: Permissions,
    /// What the stream makes of what a transaction says of itself.
    pub overrides: Overrides,
    /// The top byte of the address is ignored.
    pub top_byte_ignored: bool,
    /// The TLB entry behind it.
    pub tag: Tag,
    /// Whether that is global.
    pub global: bool,
    /// As [`TlbEntry::block_bits`].
    pub block_bits: u32,
}

const TOP_BYTE: u64 = 1 << 6;
const INSTRUCTION: u32 = 7;
const PRIVILEGED: u32 = 9;
/// In the word of the tag.
const BLOCK: u32 = 40;

fn identity(stream: StreamId, substream: Option<Pasid>) -> u64 {
    let substream = substream.map_or(0, |pasid| 1 << 20 | u64::from(pasid.get()));
    u64::from(stream.0) | substream << 32
}

impl Hit {
    #[inline]
    pub fn lookup(hits: &Cache<4>, stream: StreamId, substream: Option<Pasid>, at: Iova) -> Option<Self> {
        if hits.sets() == 0 {
            return None;
        }
        let identity = identity(stream, substream);
        let data = hits.lookup(place(at.0), key(at.0, identity)?)?;
        (data[2] == identity).then(|| Self::from_data(data))
    }

    /// As [`Self::lookup`], without the effects of one.
    pub fn peek(hits: &Cache<4>, stream: StreamId, substream: Option<Pasid>, at: Iova) -> Option<Self> {
        let identity = identity(stream, substream);
        let data = hits.peek(place(at.0), key(at.0, identity)?)?;
        (data[2] == identity).then(|| Self::from_data(data))
    }

    #[inline]
    fn from_data([word, handle, _, tag]: [u64; 4]) -> Self {
        let choice = |at: u32| (word >> at & 1 != 0).then_some(word >> (at + 1) & 1 != 0);
        let block_bits = (tag >> BLOCK & 0x3f) as u32;
        let (tag, global) = Tag::of(tag);
        Self {
            page: Pa(word & PAGE),
            handle: (handle != NO_HANDLE).then_some(Handle::from_bits(handle)),
            // Six bits.
            permissions: Permissions::from_bits(word as u8),
            overrides: Overrides {
                instruction: choice(INSTRUCTION),
                privileged: choice(PRIVILEGED),
                ..Overrides::default()
            },
            top_byte_ignored: word & TOP_BYTE != 0,
            tag,
            global,
            block_bits,
        }
    }

    pub fn insert(
        self,
        hits: &Cache<4>,
        ticket: Ticket,
        stream: StreamId,
        substream: Option<Pasid>,
        at: Iova,
    ) {
        let Self { page, handle, permissions, overrides, top_byte_ignored, tag, global, block_bits } = self;
        let identity = identity(stream, substream);
        let Some(key) = key(at.0, identity) else { return };
        let choice =
            |chosen: Option<bool>, at: u32| chosen.map_or(0, |value| (1 | u64::from(value) << 1) << at);
        let word = (page.0 & PAGE)
            | u64::from(permissions.bits())
            | if top_byte_ignored { TOP_BYTE } else { 0 }
            | choice(overrides.instruction, INSTRUCTION)
            | choice(overrides.privileged, PRIVILEGED);
        let handle = handle.map_or(NO_HANDLE, Handle::to_bits);
        let tag = tag.word(global) | u64::from(block_bits & 0x3f) << BLOCK;
        hits.insert(ticket, place(at.0), key, [word, handle, identity, tag]);
    }

    /// The stream of stored data, and its substream.
    pub fn stream_of(data: &[u64; 4]) -> (StreamId, Option<u32>) {
        let substream = (data[2] >> 32) as u32;
        // The low half; 21 bits above.
        (StreamId(data[2] as u32), (substream >> 20 != 0).then_some(substream & Pasid::MAX))
    }

    /// The tag of stored data, and whether it is global.
    pub fn tag_of(data: &[u64; 4]) -> (Tag, bool) {
        Tag::of(data[3])
    }

    /// As [`TlbEntry::block_of`], without an ignored top byte.
    pub fn block_of(key: u64, data: &[u64; 4]) -> (u64, u64) {
        let page = key & !0xfff;
        let page = if data[0] & TOP_BYTE != 0 { without_top_byte(page) } else { page };
        // Six bits.
        block(page, (data[3] >> BLOCK & 0x3f) as u32)
    }
}

/// What a transaction wants, by what it says and what its stream makes of that [SMMUv3 3.3, 5.2].
#[inline]
pub(in crate::smmuv3) fn wanted(t: &Transaction, overrides: &Overrides) -> Wanted {
    let (read, write) = match t.access {
        Access::Read => (true, false),
        Access::Write => (false, true),
        Access::Atomic => (true, true),
    };
    // Writes and atomics are data.
    let instruction = !write && overrides.instruction.unwrap_or(t.attrs.execute);
    Wanted { read, write, instruction, privileged: overrides.privileged.unwrap_or(t.attrs.privileged) }
}

/// Which cached translations an invalidation by address drops [SMMUv3 3.17, 4.4].
#[derive(Clone, Copy, Debug)]
pub(super) struct AddressMatch {
    pub vmid: Option<VmidMatch>,
    pub asid: Option<u16>,
    pub el1: bool,
}

impl AddressMatch {
    /// Whether it means stage 1 of the regime, and the VMID, of this tag.
    pub fn regime(&self, tag: Tag) -> bool {
        let AddressMatch { vmid, el1, .. } = *self;
        tag.stage1 && (tag.world == StreamWorld::El1) == el1 && vmid.is_none_or(|vmid| vmid.matches(tag.vmid))
    }

    /// Whether it means stage-1 entries with this tag.
    pub fn matches(&self, tag: Tag, global: bool) -> bool {
        let asid = |asid| asid == tag.asid;
        self.regime(tag) && (global || tag.world == StreamWorld::El2 || self.asid.is_none_or(asid))
    }
}

/// Whether any byte of a block, from the first to the last, is in a range.
pub(super) fn overlaps(range: AddressRange, (first, last): (u64, u64)) -> bool {
    first <= range.last && range.first <= last
}

/// Does `drop` to what may map a range: set by set where that is less than all. Blocks have up to
/// `2^block_bits` bytes, and their fractions outside the range go with those inside.
pub(super) fn invalidate_range(
    cache: &Cache<4>,
    range: AddressRange,
    block_bits: u32,
    drop: impl Fn(u64, &[u64; 4]) -> bool,
) {
    let (first, _) = block(range.first, block_bits);
    let (_, last) = block(range.last, block_bits);
    let (first, last) = (first >> PAGE_BITS, last >> PAGE_BITS);
    // Each page can only be in one set, so a small range needs no look at the others.
    if last.saturating_sub(first) < cache.sets() as u64 {
        (first..=last).for_each(|page| cache.invalidate_set(place(page << PAGE_BITS), &drop));
    } else {
        cache.invalidate(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iommu::cache::Policy;

    const TAG: Tag =
        Tag { world: StreamWorld::El1, vmid: 0xfedc, asid: 0xba98, aset: true, stage1: true, stage2: true };

    #[test]
    fn every_part_of_a_tag_survives() {
        let worlds = [StreamWorld::El1, StreamWorld::El2, StreamWorld::El2E2h];
        for (world, flags) in worlds.into_iter().flat_map(|world| (0..8).map(move |flags| (world, flags))) {
            let on = |bit: u32| flags >> bit & 1 != 0;
            let tag = Tag { world, aset: on(0), stage1: on(1), stage2: on(2), ..TAG };
            assert_eq!(Tag::of(tag.word(false)), (tag, false));
            assert_eq!(Tag::of(tag.word(true)), (Tag { asid: 0, ..tag }, true));
        }
    }

    #[test]
    fn tlb_entries_are_found_by_their_tag_only_and_global_ones_by_any_asid() {
        let tlb = Cache::new(16, Policy::Retain, 0);
        let entry = TlbEntry {
            page: Pa(0xf_ffff_ffff_f000),
            handle: Some(Handle::from_bits(0x1234_5678_9abc)),
            stage1: Permissions::from_bits(0x2a),
            stage2: Permissions::from_bits(0x15),
            ipa: Ipa(0x8_0000_0000_1000),
            global: false,
            block_bits: 39,
        };
        let address = 0xffff_8000_1234_5000;
        entry.insert(&tlb, tlb.ticket(), TAG, address);
        assert_eq!(TlbEntry::lookup(&tlb, TAG, address | 0xfff), Some(entry));
        for other in [
            Tag { world: StreamWorld::El2E2h, ..TAG },
            Tag { vmid: 1, ..TAG },
            Tag { asid: 1, ..TAG },
            Tag { aset: false, ..TAG },
            Tag { stage2: false, ..TAG },
        ] {
            assert_eq!(TlbEntry::lookup(&tlb, other, address), None, "{other:?}");
        }
        let global = TlbEntry { global: true, handle: None, ..entry };
        global.insert(&tlb, tlb.ticket(), TAG, 0x7000);
        assert_eq!(TlbEntry::lookup(&tlb, Tag { asid: 1, ..TAG }, 0x7000), Some(global));
        assert_eq!(TlbEntry::lookup(&tlb, Tag { aset: false, ..TAG }, 0x7000), None);
    }

    #[test]
    fn hits_are_a_streams_own() {
        let hits = Cache::new(16, Policy::Retain, 0);
        let choices = [None, Some(false), Some(true)];
        for (instruction, privileged) in choices.into_iter().flat_map(|a| choices.map(|b| (a, b))) {
            let hit = Hit {
                page: Pa(0xf_ffff_ffff_f000),
                handle: None,
                permissions: Permissions::from_bits(0x3f),
                overrides: Overrides { instruction, privileged, ..Overrides::default() },
                top_byte_ignored: true,
                tag: TAG,
                global: false,
                block_bits: 42,
            };
            let (stream, substream, at) =
                (StreamId(0x8765_4321), Pasid::new(0xf_ffff), Iova(0xab00_0000_0000_1234));
            hit.insert(&hits, hits.ticket(), stream, substream, at);
            assert_eq!(Hit::lookup(&hits, stream, substream, at), Some(hit));
            assert_eq!(Hit::lookup(&hits, StreamId(1), substream, at), None);
            assert_eq!(Hit::lookup(&hits, stream, None, at), None);
            assert_eq!(Hit::lookup(&hits, stream, Pasid::new(0), at), None);
        }
        let none = Iova(u64::MAX);
        for stream in (0..0x1000).map(StreamId) {
            let hit = Hit::lookup(&hits, stream, None, none);
            assert_eq!(hit, None, "an empty way is no entry");
        }
    }

    #[test]
    fn an_ignored_top_byte_leaves_no_trace() {
        for (address, expected) in [
            (0xab00_0000_0000_1000, 0x1000),
            (0x12ff_8000_0000_1000, 0xffff_8000_0000_1000),
            (0x007f_ffff_ffff_f000, 0x007f_ffff_ffff_f000),
        ] {
            assert_eq!(without_top_byte(address), expected);
            assert_eq!(place(address), place(expected));
        }
    }
}
