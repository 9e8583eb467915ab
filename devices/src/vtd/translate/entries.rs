//! How translations are packed into words of a cache: keys, places, data.

use crate::addr::{Iova, PAGE_SIZE, Pa, SourceId};
use crate::iommu::cache::{Cache, Ticket};
use crate::iommu::page_place;
use crate::iommu::walk::{Rights, Table, page_bits};
use crate::mem::Handle;

/// A cached translation of one 4-KiB page; larger pages are cached in fractions [VT-d 6.2.4.1].
/// Looked up by source and address, invalidated by domain and address [VT-d 6.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vtd) struct IotlbEntry {
    pub page: Pa,
    /// The RAM behind the page, unless it is not, or not all, RAM.
    pub handle: Option<Handle>,
    pub rights: Rights,
    pub fpd: bool,
    pub domain: u16,
}

const FPD: u64 = 1 << 2;
const NO_HANDLE: u64 = u64::MAX;
/// Address bits of a page, between which and the flags the domain is kept.
const PAGE_BITS: u64 = ((1 << 52) - 1) & !0xfff;

impl IotlbEntry {
    #[inline]
    pub fn lookup(iotlb: &Cache<2>, source: SourceId, address: Iova) -> Option<Self> {
        let page = address.0 / PAGE_SIZE;
        iotlb.lookup(Self::place(page), Self::key(source, page)?).map(Self::from_data)
    }

    /// As [`Self::lookup`], without the effects of one.
    pub fn peek(iotlb: &Cache<2>, source: SourceId, address: Iova) -> Option<Self> {
        let page = address.0 / PAGE_SIZE;
        iotlb.peek(Self::place(page), Self::key(source, page)?).map(Self::from_data)
    }

    #[inline]
    fn from_data(data: [u64; 2]) -> Self {
        let [word, handle] = data;
        Self {
            page: Pa(word & PAGE_BITS),
            handle: (handle != NO_HANDLE).then_some(Handle::from_bits(handle)),
            rights: Rights::from_bits(word),
            fpd: word & FPD != 0,
            domain: Self::domain_of(&data),
        }
    }

    #[inline]
    pub fn insert(self, iotlb: &Cache<2>, ticket: Ticket, source: SourceId, address: Iova) {
        if iotlb.sets() == 0 {
            return;
        }
        let Self { page, handle, rights, fpd, domain } = self;
        let number = address.0 / PAGE_SIZE;
        let Some(key) = Self::key(source, number) else { return };
        let domain = u64::from(domain);
        let flags = rights.bits() | if fpd { FPD } else { 0 };
        let word = page.0 | flags | (domain & 0xf) << 8 | (domain >> 4) << 52;
        let handle = handle.map_or(NO_HANDLE, Handle::to_bits);
        iotlb.insert(ticket, Self::place(number), key, [word, handle]);
    }

    pub fn domain_of(data: &[u64; 2]) -> u16 {
        // 12 bits above the address and 4 below it.
        ((data[0] >> 52) << 4 | (data[0] >> 8) & 0xf) as u16
    }

    /// The number of the page that a key is for.
    pub fn page_of(key: u64) -> u64 {
        key >> 16
    }

    /// The set of a page: neighbours in different sets, large strides spread.
    pub fn place(page: u64) -> u64 {
        page_place(page)
    }

    /// Page number and source in one word; no table reaches pages whose number has more than 48 bits.
    fn key(source: SourceId, page: u64) -> Option<u64> {
        (page >> 48 == 0).then_some(page << 16 | u64::from(source.0))
    }
}

/// The paging-structure cache: where a walk for an address of a domain can start [VT-d 6.2.5].
pub(super) mod structure {
    use super::*;

    /// The table nearest to the page that is cached, of those below the first.
    pub fn lookup(cache: &Cache<1>, domain: u16, input: u64, top: u32) -> Option<Table> {
        (1..top).find_map(|level| {
            cache.lookup(place(level, input), key(domain, level, input)).map(|data| from_data(level, data))
        })
    }

    /// All the tables that [`lookup`] could find, in its order, without the effects of a lookup.
    pub fn peek(cache: &Cache<1>, domain: u16, input: u64, top: u32) -> impl Iterator<Item = Table> {
        (1..top).filter_map(move |level| {
            cache.peek(place(level, input), key(domain, level, input)).map(|data| from_data(level, data))
        })
    }

    fn from_data(level: u32, [word]: [u64; 1]) -> Table {
        Table { base: Pa(word & PAGE_BITS), level, rights: Rights::from_bits(word) }
    }

    pub fn insert(cache: &Cache<1>, ticket: Ticket, domain: u16, input: u64, table: Table) {
        let Table { base, level, rights } = table;
        cache.insert(ticket, place(level, input), key(domain, level, input), [base.0 | rights.bits()]);
    }

    /// Whether the entry of this key is of `domain` and used for an address in `first..=last`.
    pub fn covers(key: u64, domain: u16, first: u64, last: u64) -> bool {
        let bits = page_bits(level_of(key) + 1);
        let prefix = key >> 19;
        domain_of(key) == domain && (first >> bits..=last >> bits).contains(&prefix)
    }

    pub fn domain_of(key: u64) -> u16 {
        // The low 16 bits.
        key as u16
    }

    fn level_of(key: u64) -> u32 {
        // Three bits.
        (key >> 16 & 7) as u32
    }

    /// Domain, level and the address bits that the entries above the table translate: at most 36.
    fn key(domain: u16, level: u32, input: u64) -> u64 {
        (input >> page_bits(level + 1)) << 19 | u64::from(level) << 16 | u64::from(domain)
    }

    fn place(level: u32, input: u64) -> u64 {
        (input >> page_bits(level + 1)) ^ u64::from(level) << 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iommu::cache::Policy;

    #[test]
    fn every_part_of_an_entry_survives() {
        let iotlb = Cache::new(16, Policy::Retain, 0);
        let full = IotlbEntry {
            page: Pa(0xf_ffff_ffff_f000),
            handle: Some(Handle::from_bits(0x1234_5678_9abc)),
            rights: Rights::WRITE,
            fpd: true,
            domain: 0xabcd,
        };
        let plain = IotlbEntry { page: Pa(0), handle: None, rights: Rights::NONE, fpd: false, domain: 0 };
        for entry in [full, plain] {
            for address in [0, 0x1ff_ffff_ffff_f123] {
                entry.insert(&iotlb, iotlb.ticket(), SourceId(0xffff), Iova(address));
                assert_eq!(IotlbEntry::lookup(&iotlb, SourceId(0xffff), Iova(address)), Some(entry));
                assert_eq!(IotlbEntry::lookup(&iotlb, SourceId(0xfffe), Iova(address)), None);
            }
        }
    }

    #[test]
    fn structures_are_found_from_the_leaf_up_and_by_range() {
        let cache = Cache::new(16, Policy::Retain, 0);
        let table = |level, base| Table { base: Pa(base), level, rights: Rights::READ };
        structure::insert(&cache, cache.ticket(), 9, 0x40_0000_0000, table(3, 0x3000));
        structure::insert(&cache, cache.ticket(), 9, 0x40_0000_0000, table(1, 0x1000));
        assert_eq!(structure::lookup(&cache, 9, 0x40_001f_f000, 4), Some(table(1, 0x1000)));
        assert_eq!(structure::lookup(&cache, 9, 0x40_0020_0000, 4), Some(table(3, 0x3000)));
        assert_eq!(structure::lookup(&cache, 8, 0x40_0000_0000, 4), None);
        cache.invalidate(|key, _| structure::covers(key, 9, 0x40_001f_f000, 0x40_001f_ffff));
        assert!(cache.is_empty(), "both lead to that page");
    }
}
