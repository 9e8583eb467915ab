//! Which memory an input changed, so that only that is cleared after it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use devices::addr::{PAGE_SIZE, Pa};
use devices::mem::{PhysMem, WriteWatch};

/// Written ranges that are kept; a DMA of the targets makes fewer.
const MAX_RANGES: usize = 64;

/// Written pages, and while asked for, written ranges.
#[derive(Debug)]
pub struct Journal {
    /// Number of the first page.
    first: u64,
    /// One bit for each page.
    dirty: Vec<AtomicU64>,
    /// The same since [`Self::take_touched`].
    touched: Vec<AtomicU64>,
    recording: AtomicBool,
    ranges: Mutex<Vec<(u64, u64)>>,
}

impl Journal {
    /// Watches `mem`, of which `bytes` from address 0 on matter.
    pub fn new(mem: &PhysMem, bytes: u64) -> Arc<Self> {
        Self::from(mem, Pa(0), bytes)
    }

    /// Watches `mem`, of which `bytes` from `base` on matter.
    pub fn from(mem: &PhysMem, base: Pa, bytes: u64) -> Arc<Self> {
        let words = (bytes / PAGE_SIZE).div_ceil(64);
        let journal = Arc::new(Self {
            first: base.0 / PAGE_SIZE,
            dirty: (0..words).map(|_| AtomicU64::new(0)).collect(),
            touched: (0..words).map(|_| AtomicU64::new(0)).collect(),
            recording: AtomicBool::new(false),
            ranges: Mutex::default(),
        });
        mem.watch(journal.clone());
        journal
    }

    /// Makes all memory zero again.
    pub fn clear(&self, mem: &PhysMem) {
        for (index, word) in self.dirty.iter().enumerate() {
            let mut pages = word.load(Ordering::Relaxed);
            while pages != 0 {
                let page = self.first + index as u64 * 64 + u64::from(pages.trailing_zeros());
                let cleared = mem.write(Pa(page * PAGE_SIZE), &[0; PAGE_SIZE as usize]);
                assert!(cleared.is_ok(), "a page that was written is RAM");
                pages &= pages - 1;
            }
            word.store(0, Ordering::Relaxed);
        }
        self.take_touched(|_| {});
        // An input that ended in a panic can have left these.
        self.recording.store(false, Ordering::Relaxed);
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The pages that are not as at first, by address.
    pub fn pages(&self) -> impl Iterator<Item = Pa> {
        let word_pages = move |(index, word): (usize, &AtomicU64)| {
            let pages = word.load(Ordering::Relaxed);
            let page = move |bit: u64| Pa((self.first + index as u64 * 64 + bit) * PAGE_SIZE);
            (0..64).filter(move |bit| pages >> bit & 1 != 0).map(page)
        };
        self.dirty.iter().enumerate().flat_map(word_pages)
    }

    /// Names the pages that were written since the last call, or since memory was cleared.
    pub fn take_touched(&self, mut each: impl FnMut(Pa)) {
        for (index, word) in self.touched.iter().enumerate() {
            let mut pages = word.swap(0, Ordering::Relaxed);
            while pages != 0 {
                let page = self.first + index as u64 * 64 + u64::from(pages.trailing_zeros());
                each(Pa(page * PAGE_SIZE));
                pages &= pages - 1;
            }
        }
    }

    /// What `action` writes, as ranges of first and last address in order.
    pub fn during<T>(&self, action: impl FnOnce() -> T) -> (T, Vec<(u64, u64)>) {
        self.recording.store(true, Ordering::Relaxed);
        let result = action();
        self.recording.store(false, Ordering::Relaxed);
        (result, std::mem::take(&mut *self.ranges.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl WriteWatch for Journal {
    fn written(&self, first: Pa, last: Pa) {
        for page in first.0 / PAGE_SIZE..=last.0 / PAGE_SIZE {
            let Some(page) = page.checked_sub(self.first) else { continue };
            // The quotient is small: memory is.
            let index = (page / 64) as usize;
            for pages in [&self.dirty, &self.touched] {
                if let Some(word) = pages.get(index) {
                    word.fetch_or(1 << (page % 64), Ordering::Relaxed);
                }
            }
        }
        if self.recording.load(Ordering::Relaxed) {
            let mut ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(ranges.len() < MAX_RANGES, "one DMA writes in more than {MAX_RANGES} pieces");
            ranges.push((first.0, last.0));
        }
    }
}
