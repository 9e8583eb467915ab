//! RAM by host pointer, and the software TLB that holds such pointers: the only place in this crate
//! that touches memory unsafely.
//!
//! A [`Tlb`] owns a clone of the [`Ram`] its entries point into, and its entries are made here
//! alone, so an entry that matches names bytes that are mapped. Multi-byte accesses are
//! little-endian, and single-copy atomic where they are aligned.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use thiserror::Error;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion};

use super::wide::Wide;

/// Log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes that one TLB entry and one decoded page cover, whatever the guest's granule is.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// Entries of a bank of a TLB.
const ENTRIES: usize = 256;
/// Banks of a TLB.
const BANKS: usize = 4;

/// The guest's memory cannot be used by a software CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RamError {
    /// A region's start or length is not a multiple of 4 KiB.
    #[error("the RAM region at {0:#x} is not made of whole 4 KiB pages; align its start and length")]
    Unaligned(u64),
    /// More than 16 TiB.
    #[error("more RAM than 2^32 pages of 4 KiB")]
    TooLarge,
}

/// Number of a 4 KiB page among all pages of RAM, counted through the regions in address order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u32);

impl Frame {
    /// The number, as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The RAM of a machine, as CPUs reach it. Clones share it.
#[derive(Clone)]
pub struct Ram {
    regions: Arc<[Region]>,
}

struct Region {
    start: u64,
    len: u64,
    /// The frame of its first page.
    first: u32,
    host: NonNull<u8>,
    /// Keeps the mapping alive.
    _mapping: Arc<MmapRegion>,
}

// SAFETY: `host` points into a shared mapping that `_mapping` keeps alive. Bytes behind it are only
// accessed by atomics, never through references to plain data.
unsafe impl Send for Region {}
// SAFETY: as for `Send`.
unsafe impl Sync for Region {}

/// An integer that a guest loads or stores in one access.
pub trait Scalar: Copy + sealed::Place {
    /// Bytes.
    const SIZE: u64;
    /// Zero-extends to 64 bits.
    fn widen(self) -> u64;
    /// Keeps the low bits.
    fn narrow(value: u64) -> Self;
}

mod sealed {
    /// How a scalar lies in memory.
    pub trait Place: Sized {
        /// # Safety
        /// `place` is valid for reads and aligned for `Self`; concurrent accesses are atomic.
        unsafe fn get(place: *mut u8) -> Self;
        /// # Safety
        /// `place` is valid for writes and aligned for `Self`; concurrent accesses are atomic.
        unsafe fn put(place: *mut u8, value: Self);
    }
}

macro_rules! scalar {
    ($int:ty, $atomic:ty) => {
        impl sealed::Place for $int {
            #[inline(always)]
            unsafe fn get(place: *mut u8) -> Self {
                // SAFETY: the caller vouches for validity, alignment and atomicity.
                let cell = unsafe { <$atomic>::from_ptr(place.cast()) };
                <$int>::from_le(cell.load(Ordering::Relaxed))
            }
            #[inline(always)]
            unsafe fn put(place: *mut u8, value: Self) {
                // SAFETY: as above.
                let cell = unsafe { <$atomic>::from_ptr(place.cast()) };
                cell.store(value.to_le(), Ordering::Relaxed);
            }
        }
        impl Scalar for $int {
            const SIZE: u64 = size_of::<$int>() as u64;
            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            fn narrow(value: u64) -> Self {
                // Keeping the low bits is what is asked for.
                value as $int
            }
        }
    };
}
scalar!(u8, AtomicU8);
scalar!(u16, AtomicU16);
scalar!(u32, AtomicU32);
scalar!(u64, AtomicU64);

impl Ram {
    /// The memory of a guest; its mappings live as long as any clone.
    ///
    /// # Errors
    /// [`RamError`].
    pub fn new(memory: &GuestMemoryMmap) -> Result<Self, RamError> {
        let mut regions = Vec::new();
        let mut first = 0u32;
        for region in memory.iter() {
            let (start, len) = (region.start_addr().raw_value(), region.len());
            if (start | len) % PAGE_SIZE != 0 {
                return Err(RamError::Unaligned(start));
            }
            let mapping = region.get_mmap();
            let Some(host) = NonNull::new(mapping.as_ptr()) else { continue };
            regions.push(Region { start, len, first, host, _mapping: mapping });
            let pages = u32::try_from(len >> PAGE_SHIFT).map_err(|_| RamError::TooLarge)?;
            first = first.checked_add(pages).ok_or(RamError::TooLarge)?;
        }
        Ok(Self { regions: regions.into() })
    }

    /// Pages in all.
    pub fn frames(&self) -> usize {
        self.regions.last().map_or(0, |last| last.first as usize + (last.len >> PAGE_SHIFT) as usize)
    }

    /// The first and last address of each region.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.regions.iter().map(|region| (region.start, region.start + (region.len - 1)))
    }

    /// The page that holds `pa`; `None` where there is no RAM.
    pub fn frame(&self, pa: u64) -> Option<Frame> {
        let region = self.regions.iter().find(|region| pa.wrapping_sub(region.start) < region.len)?;
        // A region has fewer than 2^32 pages, checked when it was added.
        Some(Frame(region.first + ((pa - region.start) >> PAGE_SHIFT) as u32))
    }

    /// Where a page lies in the host, `None` for a frame of another memory.
    fn host(&self, frame: Frame) -> Option<NonNull<u8>> {
        let region = self.regions.iter().rev().find(|region| region.first <= frame.0)?;
        let offset = u64::from(frame.0 - region.first) << PAGE_SHIFT;
        if offset >= region.len {
            return None;
        }
        // SAFETY: the offset lies within the region's mapping.
        Some(unsafe { region.host.add(offset as usize) })
    }

    /// Loads a scalar that lies in one page, aligned or not. 0 for a frame of another memory.
    pub fn load<T: Scalar>(&self, frame: Frame, offset: u64) -> T {
        let Some(host) = self.host(frame) else { return T::narrow(0) };
        debug_assert!(offset + T::SIZE <= PAGE_SIZE, "the access lies in the page");
        if offset.is_multiple_of(T::SIZE) {
            // SAFETY: an aligned offset below the page size leaves room for the scalar; the page is
            // mapped as long as `self` lives, and accessed by atomics only.
            return unsafe { T::get(host.as_ptr().add((offset % PAGE_SIZE) as usize)) };
        }
        let byte = |i: u64| {
            // SAFETY: the offset is reduced to the page; bytes need no alignment.
            let byte =
                unsafe { <u8 as sealed::Place>::get(host.as_ptr().add(((offset + i) % PAGE_SIZE) as usize)) };
            u64::from(byte) << (8 * i)
        };
        T::narrow((0..T::SIZE).fold(0, |value, i| value | byte(i)))
    }

    /// Stores a scalar that lies in one page, aligned or not. Ignored for a frame of another memory.
    pub fn store<T: Scalar>(&self, frame: Frame, offset: u64, value: T) {
        let Some(host) = self.host(frame) else { return };
        debug_assert!(offset + T::SIZE <= PAGE_SIZE, "the access lies in the page");
        if offset.is_multiple_of(T::SIZE) {
            // SAFETY: as in `load`.
            return unsafe { T::put(host.as_ptr().add((offset % PAGE_SIZE) as usize), value) };
        }
        for i in 0..T::SIZE {
            let byte = (value.widen() >> (8 * i)) as u8;
            // SAFETY: as in `load`.
            unsafe {
                <u8 as sealed::Place>::put(host.as_ptr().add(((offset + i) % PAGE_SIZE) as usize), byte)
            };
        }
    }

    /// Loads an aligned 64-bit word by physical address, as a table walk does. `None` where there is
    /// no RAM.
    pub fn load64(&self, pa: u64) -> Option<u64> {
        Some(self.load(self.frame(pa)?, (pa % PAGE_SIZE) & !7))
    }

    /// Stores an aligned 64-bit word by physical address. Ignored where there is no RAM.
    pub fn store64(&self, pa: u64, value: u64) {
        if let Some(frame) = self.frame(pa) {
            self.store(frame, (pa % PAGE_SIZE) & !7, value);
        }
    }
}

/// What a page of virtual addresses maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Physical address of the 4 KiB page.
    pub pa: u64,
    /// Its RAM, if it is RAM.
    pub frame: Option<Frame>,
    /// May be read.
    pub read: bool,
    /// May be written, with nothing left to record (dirty state).
    pub write: bool,
    /// Loads may use the pointer: RAM that nobody watches.
    pub fast_read: bool,
    /// Stores may use the pointer: RAM that holds no decoded code and that nobody watches.
    pub fast_write: bool,
    /// Device memory: unaligned accesses fault.
    pub device: bool,
    /// Survives a change of address space.
    pub global: bool,
    /// Log2 of the bytes that the translation entry behind it covers.
    pub shift: u8,
}

/// No address matches: its page bits are not those of a page.
const NO_TAG: u64 = !0;

#[derive(Clone, Copy)]
struct Hot {
    /// Page address if loads may use `addend`, else [`NO_TAG`].
    read: u64,
    /// Page address if stores may.
    write: u64,
    /// Host address minus virtual address.
    addend: usize,
}

#[derive(Clone, Copy)]
struct Cold {
    /// Page address, or [`NO_TAG`].
    tag: u64,
    mapping: Mapping,
}

const HOT: Hot = Hot { read: NO_TAG, write: NO_TAG, addend: 0 };
const COLD: Cold = Cold {
    tag: NO_TAG,
    mapping: Mapping {
        pa: 0,
        frame: None,
        read: false,
        write: false,
        fast_read: false,
        fast_write: false,
        device: false,
        global: false,
        shift: 0,
    },
};

/// A direct-mapped software TLB.
///
/// It has four banks of 256 entries, one for each set of access rights that an instruction set
/// tells apart; one is selected. A hit also proves alignment: the low bits that an aligned address
/// must not have take part in the tag compare, so an unaligned access misses and is sorted out
/// where time does not matter.
pub struct Tlb {
    ram: Ram,
    hot: Box<[Hot; BANKS * ENTRIES]>,
    cold: Box<[Cold; BANKS * ENTRIES]>,
    /// First entry of the selected bank.
    selected: usize,
    wide: Wide,
    /// Where entries that are not global were put since the last [`Self::flush_local`]; once it is full,
    /// they can be anywhere.
    local: Vec<u16>,
}

/// Places of local entries that are kept apart.
const LOCAL: usize = 256;

/// Pages up to which a flush of a range probes instead of looking at all entries.
const FEW_PAGES: u64 = 64;

/// The address bits below a translation of 1 << `shift` bytes.
fn below(shift: u8) -> u64 {
    (1u64 << shift.min(63)) - 1
}

fn index(va: u64) -> usize {
    (va >> PAGE_SHIFT) as usize % ENTRIES
}

fn index_in(bank: usize, va: u64) -> usize {
    bank % BANKS * ENTRIES + index(va)
}

impl Tlb {
    /// An empty TLB over `ram`, with bank 0 selected.
    pub fn new(ram: Ram) -> Self {
        Self {
            ram,
            hot: Box::new([HOT; BANKS * ENTRIES]),
            cold: Box::new([COLD; BANKS * ENTRIES]),
            selected: 0,
            wide: Wide::new(),
            local: Vec::with_capacity(LOCAL),
        }
    }

    /// Selects the bank that [`Self::load`] and [`Self::store`] use.
    #[inline]
    pub fn select(&mut self, bank: usize) {
        self.selected = bank % BANKS * ENTRIES;
    }

    /// The selected bank.
    #[inline]
    pub fn bank(&self) -> usize {
        self.selected / ENTRIES
    }

    /// Loads through a fast entry; `None` to take the slow way.
    #[inline(always)]
    pub fn load<T: Scalar>(&self, va: u64) -> Option<T> {
        let entry = &self.hot[(self.selected | index(va)) % (BANKS * ENTRIES)];
        if va & (!(PAGE_SIZE - 1) | (T::SIZE - 1)) != entry.read {
            return None;
        }
        // SAFETY: the tag matched, so `va` is aligned for `T` and lies in the page for which `addend`
        // gives a host address in `self.ram`, which is mapped and accessed by atomics only.
        Some(unsafe { T::get(entry.addend.wrapping_add(va as usize) as *mut u8) })
    }

    /// Loads two neighbours through one fast entry; `None` to take the slow way.
    #[inline(always)]
    pub fn load_pair<T: Scalar>(&self, va: u64) -> Option<(T, T)> {
        let entry = &self.hot[(self.selected | index(va)) % (BANKS * ENTRIES)];
        let last = va.wrapping_add(T::SIZE);
        if (va & (!(PAGE_SIZE - 1) | (T::SIZE - 1)) != entry.read) | ((va ^ last) & PAGE_SIZE != 0) {
            return None;
        }
        let place = entry.addend.wrapping_add(va as usize) as *mut u8;
        // SAFETY: as in `load`, and the second scalar begins in the same page: the page bit of its
        // address is the same.
        Some(unsafe { (T::get(place), T::get(place.add(T::SIZE as usize))) })
    }

    /// Stores through a fast entry; `false` to take the slow way.
    #[inline(always)]
    pub fn store<T: Scalar>(&self, va: u64, value: T) -> bool {
        let entry = &self.hot[(self.selected | index(va)) % (BANKS * ENTRIES)];
        if va & (!(PAGE_SIZE - 1) | (T::SIZE - 1)) != entry.write {
            return false;
        }
        // SAFETY: as in `load`; `write` tags are set only for pages that may be written.
        unsafe { T::put(entry.addend.wrapping_add(va as usize) as *mut u8, value) };
        true
    }

    /// Replaces a value through an entry that is fast for loads and stores, and returns the old one;
    /// `None` to take the slow way. Other threads may come between the load and the store.
    #[inline]
    pub fn modify<T: Scalar>(&self, va: u64, new: impl FnOnce(T) -> T) -> Option<T> {
        let old = self.load(va)?;
        self.store(va, new(old)).then_some(old)
    }

    /// Zeroes the naturally aligned block of `1 << shift` bytes that holds `va`, which is no larger than a
    /// page, through a fast entry; `false` to take the slow way, as for device memory, which faults.
    #[inline]
    pub fn zero(&self, va: u64, shift: u32) -> bool {
        if self.cold[(self.selected | index(va)) % (BANKS * ENTRIES)].mapping.device {
            return false;
        }
        let bytes = 1u64 << shift.min(PAGE_SHIFT);
        let first = va & !(bytes - 1);
        (0..bytes / 8).all(|word| self.store(first + word * 8, 0u64))
    }

    /// Stores two neighbours through one fast entry; `false` to take the slow way.
    #[inline(always)]
    pub fn store_pair<T: Scalar>(&self, va: u64, values: (T, T)) -> bool {
        let entry = &self.hot[(self.selected | index(va)) % (BANKS * ENTRIES)];
        let last = va.wrapping_add(T::SIZE);
        if (va & (!(PAGE_SIZE - 1) | (T::SIZE - 1)) != entry.write) | ((va ^ last) & PAGE_SIZE != 0) {
            return false;
        }
        let place = entry.addend.wrapping_add(va as usize) as *mut u8;
        // SAFETY: as in `load_pair`.
        unsafe {
            T::put(place, values.0);
            T::put(place.add(T::SIZE as usize), values.1);
        }
        true
    }

    /// What the page of `va` maps to in a bank, if that is known.
    #[inline]
    pub fn find(&self, bank: usize, va: u64) -> Option<Mapping> {
        let entry = &self.cold[index_in(bank, va)];
        (entry.tag == va & !(PAGE_SIZE - 1)).then_some(entry.mapping)
    }

    /// Enters the page of `va` into a bank.
    pub fn insert(&mut self, bank: usize, va: u64, mapping: Mapping) {
        let page = va & !(PAGE_SIZE - 1);
        let host = mapping.frame.and_then(|frame| self.ram.host(frame));
        let fast = |allowed: bool| if allowed && host.is_some() { page } else { NO_TAG };
        self.hot[index_in(bank, va)] = Hot {
            read: fast(mapping.read && mapping.fast_read),
            write: fast(mapping.write && mapping.fast_write),
            addend: host.map_or(0, |host| host.as_ptr().expose_provenance().wrapping_sub(page as usize)),
        };
        let at = index_in(bank, va);
        self.cold[at] = Cold { tag: page, mapping };
        if !mapping.global && self.local.len() < LOCAL {
            // There are 1024 entries.
            self.local.push(at as u16);
        }
        if u32::from(mapping.shift) > PAGE_SHIFT {
            let below = below(mapping.shift);
            self.wide.add(va & !below, va | below);
        }
    }

    /// Empties it.
    pub fn flush(&mut self) {
        self.hot.fill(HOT);
        self.cold.fill(COLD);
        self.wide.clear();
        self.local.clear();
    }

    /// Drops all entries of one address space.
    pub fn flush_local(&mut self) {
        if self.local.len() == LOCAL {
            self.local.clear();
            return self.drop_where(|entry| !entry.mapping.global);
        }
        while let Some(at) = self.local.pop() {
            // A global one may have come in its place.
            if !self.cold[usize::from(at)].mapping.global {
                self.drop_at(at.into());
            }
        }
    }

    /// Drops the entries whose translation covers an address in `first..=last`, comparing only the
    /// address bits of `mask`. Returns whether translations wider than a page may be among them.
    pub fn flush_range(&mut self, first: u64, last: u64, mask: u64) -> bool {
        let (first, last) = (first & mask, last & mask);
        let wide = self.wide.may_cover(first, last, mask);
        let pages = (last.wrapping_sub(first) >> PAGE_SHIFT).saturating_add(1);
        if wide || pages > FEW_PAGES {
            self.drop_where(|entry| {
                let below = below(entry.mapping.shift);
                let start = entry.tag & mask & !below;
                start <= last && (start | below & mask) >= first
            });
            return wide;
        }
        // Small pages can only be where their addresses say.
        for page in (0..pages).map(|page| first + (page << PAGE_SHIFT)) {
            for at in (0..BANKS).map(|bank| index_in(bank, page)) {
                let tag = self.cold[at].tag;
                if tag != NO_TAG && (tag ^ page) & mask & !(PAGE_SIZE - 1) == 0 {
                    self.drop_at(at);
                }
            }
        }
        false
    }

    /// Makes stores to a frame take the slow way, because it now holds decoded code.
    pub fn guard(&mut self, frame: Frame) {
        for (hot, cold) in self.hot.iter_mut().zip(self.cold.iter_mut()) {
            if cold.mapping.frame == Some(frame) {
                hot.write = NO_TAG;
                cold.mapping.fast_write = false;
            }
        }
    }

    fn drop_where(&mut self, condemned: impl Fn(&Cold) -> bool) {
        for at in 0..BANKS * ENTRIES {
            if self.cold[at].tag != NO_TAG && condemned(&self.cold[at]) {
                self.drop_at(at);
            }
        }
    }

    fn drop_at(&mut self, at: usize) {
        self.hot[at] = HOT;
        self.cold[at] = COLD;
    }
}
