//! One region of RAM: the only place in this crate that touches host memory by pointer.
#![allow(unsafe_code)]

use std::ops::RangeInclusive;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use portable_atomic::AtomicU128;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion};

use super::{Handle, NotRam, Pa, PlugError};
use crate::fabric::AtomicOp;

/// A mapped range of physical addresses.
pub(super) struct Region {
    start: u64,
    len: u64,
    host: NonNull<u8>,
    /// Keeps the mapping alive.
    _mapping: Arc<MmapRegion>,
}

// SAFETY: `host` points into a shared mapping that `_mapping` keeps alive. It is only accessed by
// atomics and by raw byte copies, never through references, so sharing it between threads races at
// worst on bytes of guest memory, as a real machine's bus masters and CPUs do.
unsafe impl Send for Region {}
// SAFETY: as for `Send`.
unsafe impl Sync for Region {}

/// The regions of a guest's memory, in address order.
pub(super) fn regions_of(memory: &GuestMemoryMmap) -> Vec<Region> {
    memory
        .iter()
        .filter_map(|region| {
            let mapping = region.get_mmap();
            Some(Region {
                start: region.start_addr().0,
                len: region.len(),
                host: NonNull::new(mapping.as_ptr())?,
                _mapping: mapping,
            })
        })
        .collect()
}

/// What a mapping must permit: `PROT_READ | PROT_WRITE` [mmap(2)].
const READ_WRITE: i32 = 3;

impl Region {
    /// All of `mapping`, at `start`.
    pub(super) fn of_mapping(start: u64, mapping: Arc<MmapRegion>) -> Result<Self, PlugError> {
        // A length in memory fits 64 bits.
        let len = mapping.size() as u64;
        if mapping.prot() & READ_WRITE != READ_WRITE {
            return Err(PlugError::NotWritable);
        }
        let fits = len.checked_sub(1).and_then(|beyond| start.checked_add(beyond)).is_some();
        match NonNull::new(mapping.as_ptr()) {
            Some(host) if fits && len <= Handle::MAX_PLUGGED_BYTES => {
                Ok(Self { start, len, host, _mapping: mapping })
            }
            _ => Err(PlugError::Range { start: Pa(start), bytes: len }),
        }
    }

    /// Whether they share an address.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.range().start() <= other.range().end() && other.range().start() <= self.range().end()
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn range(&self) -> RangeInclusive<u64> {
        self.start..=self.start + (self.len - 1)
    }

    #[inline]
    pub(super) fn load64(&self, offset: u64) -> Result<u64, NotRam> {
        Ok(u64::from_le(self.atomic64(offset)?.load(Ordering::Acquire)))
    }

    /// `N` words in a row, each loaded at once.
    #[inline]
    pub(super) fn load_words<const N: usize>(&self, offset: u64) -> Result<[u64; N], NotRam> {
        // A length in memory fits 64 bits.
        let place = self.place(offset, size_of::<[AtomicU64; N]>() as u64, 8)?.cast::<[AtomicU64; N]>();
        // SAFETY: bounds and alignment are checked; see `load128`.
        let words = unsafe { place.as_ref() };
        Ok(std::array::from_fn(|n| u64::from_le(words[n].load(Ordering::Acquire))))
    }

    pub(super) fn store128(&self, offset: u64, [low, high]: [u64; 2]) -> Result<(), NotRam> {
        let place = self.place(offset, 16, 16)?.cast::<AtomicU128>();
        let value = u128::from(low) | u128::from(high) << 64;
        // SAFETY: as in `load128`.
        unsafe { place.as_ref() }.store(value.to_le(), Ordering::Release);
        Ok(())
    }

    #[inline]
    pub(super) fn load128(&self, offset: u64) -> Result<[u64; 2], NotRam> {
        let place = self.place(offset, 16, 16)?.cast::<AtomicU128>();
        // SAFETY: `place` checked bounds and alignment; the mapping lives as long as `self`, and all
        // other accesses to it are atomics or raw copies.
        let value = u128::from_le(unsafe { place.as_ref() }.load(Ordering::Acquire));
        // Both halves are taken whole: the cast keeps the low word.
        Ok([value as u64, (value >> 64) as u64])
    }

    pub(super) fn compare_exchange64(
        &self,
        offset: u64,
        current: u64,
        new: u64,
    ) -> Result<Result<u64, u64>, NotRam> {
        let result = self.atomic64(offset)?.compare_exchange(
            current.to_le(),
            new.to_le(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        Ok(result.map(u64::from_le).map_err(u64::from_le))
    }

    #[inline]
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), NotRam> {
        let place = self.place(offset, data.len() as u64, 1)?;
        // SAFETY: `place` checked that all bytes lie in the live mapping; `data` is a distinct host
        // buffer, so the two cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(place.as_ptr(), data.as_mut_ptr(), data.len()) };
        Ok(())
    }

    /// Naturally aligned writes of 4 and 8 bytes are single stores, so that a guest which polls a
    /// status word never sees half of it.
    #[inline]
    pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<(), NotRam> {
        if let Ok(bytes) = <[u8; 4]>::try_from(data)
            && let Ok(word) = self.atomic32(offset)
        {
            word.store(u32::from_ne_bytes(bytes), Ordering::Release);
            return Ok(());
        }
        if let Ok(bytes) = <[u8; 8]>::try_from(data)
            && let Ok(word) = self.atomic64(offset)
        {
            word.store(u64::from_ne_bytes(bytes), Ordering::Release);
            return Ok(());
        }
        let place = self.place(offset, data.len() as u64, 1)?;
        // SAFETY: as in `read`, with the roles exchanged.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place.as_ptr(), data.len()) };
        Ok(())
    }

    pub(super) fn zero(&self) {
        // The length came from a mapping, so it fits `usize`.
        // SAFETY: the whole region is mapped and writable for as long as `self` lives.
        unsafe { std::ptr::write_bytes(self.host.as_ptr(), 0, self.len as usize) };
    }

    pub(super) fn atomic(&self, offset: u64, op: AtomicOp) -> Result<u64, NotRam> {
        match op.size() {
            4 => {
                let word = self.atomic32(offset)?;
                // The operands of a 4-byte operation are its low halves.
                let apply = |old: u32| (op.apply(u64::from(u32::from_le(old))) as u32).to_le();
                let old = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(apply(old)));
                Ok(u64::from(u32::from_le(old.unwrap_or_else(|old| old))))
            }
            _ => {
                let word = self.atomic64(offset)?;
                let apply = |old: u64| op.apply(u64::from_le(old)).to_le();
                let old = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(apply(old)));
                Ok(u64::from_le(old.unwrap_or_else(|old| old)))
            }
        }
    }

    fn atomic32(&self, offset: u64) -> Result<&AtomicU32, NotRam> {
        let place = self.place(offset, 4, 4)?.cast::<AtomicU32>();
        // SAFETY: bounds and alignment are checked; see `load128`.
        Ok(unsafe { place.as_ref() })
    }

    #[inline]
    fn atomic64(&self, offset: u64) -> Result<&AtomicU64, NotRam> {
        let place = self.place(offset, 8, 8)?.cast::<AtomicU64>();
        // SAFETY: bounds and alignment are checked; see `load128`.
        Ok(unsafe { place.as_ref() })
    }

    /// A pointer to `len` bytes at `offset`, if they lie in the region and the host address is a
    /// multiple of `align`.
    #[inline]
    fn place(&self, offset: u64, len: u64, align: usize) -> Result<NonNull<u8>, NotRam> {
        if offset > self.len || len > self.len - offset {
            return Err(NotRam);
        }
        // SAFETY: `offset` is at most the length of the mapping, so the sum stays inside it or one
        // past its end; the mapping exists, so `offset` fits `usize`.
        let place = unsafe { self.host.add(offset as usize) };
        if place.addr().get().is_multiple_of(align) { Ok(place) } else { Err(NotRam) }
    }
}
