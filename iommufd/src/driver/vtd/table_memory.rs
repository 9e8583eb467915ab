//! Host RAM that tables and queues are made of, a page at a time.

use devices::addr::{PAGE_SIZE, Pa};
use devices::mem::PhysMem;

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::span::Span;
use crate::sync::{Mutex, lock};

/// A span of RAM that is the driver's alone.
pub(super) struct TableMemory {
    memory: PhysMem,
    pages: Mutex<Pages>,
}

struct Pages {
    /// Pages that were given back.
    free: Vec<Pa>,
    /// Pages that were never given out.
    fresh: std::ops::Range<u64>,
}

impl TableMemory {
    /// The whole pages of `span`, whose bytes must all be RAM; `None` where they are not, or none is.
    pub(super) fn new(memory: PhysMem, span: Span) -> Option<Self> {
        let first = span.start.checked_next_multiple_of(PAGE_SIZE)? / PAGE_SIZE;
        let end = span.last.checked_add(1)? / PAGE_SIZE;
        let (_, left) = memory.resolve(Pa(span.start))?;
        if first >= end || left < span.bytes() {
            return None;
        }
        Some(Self { memory, pages: Mutex::new(Pages { free: Vec::new(), fresh: first..end }) })
    }

    /// A page of zeroes.
    ///
    /// # Errors
    /// `ENOMEM` where none is left.
    pub(super) fn alloc(&self) -> Result<Pa> {
        fault_point(Errno::ENOMEM)?;
        let page = {
            let mut pages = lock(&self.pages);
            pages.free.pop().or_else(|| pages.fresh.next().map(|number| Pa(number * PAGE_SIZE)))
        };
        let page = page.ok_or(Errno::ENOMEM)?;
        // `new` saw that it is RAM.
        let _ = self.memory.write(page, &[0; PAGE_SIZE as usize]);
        Ok(page)
    }

    /// Takes pages back that no hardware uses any more.
    pub(super) fn free(&self, pages: impl IntoIterator<Item = Pa>) {
        lock(&self.pages).free.extend(pages);
    }

    /// Puts a 64-bit entry in place in one step. Nothing but pages of this memory is written, which are
    /// RAM, so it cannot fail.
    pub(super) fn store64(&self, at: Pa, word: u64) {
        let _ = self.memory.write(at, &word.to_le_bytes());
    }

    /// Puts a 128-bit entry in place in one step, as [`Self::store64`].
    pub(super) fn store128(&self, at: Pa, words: [u64; 2]) {
        let _ = self.memory.store128(at, words);
    }

    /// Puts entries into a page that no hardware knows yet.
    pub(super) fn fill(&self, at: Pa, words: &[u64]) {
        if words.is_empty() {
            return;
        }
        let mut bytes = [0; PAGE_SIZE as usize];
        let used = &mut bytes[..words.len() * 8];
        for (bytes, word) in used.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        let _ = self.memory.write(at, used);
    }

    /// An entry as it lies in memory.
    pub(super) fn load64(&self, at: Pa) -> Option<u64> {
        self.memory.load64(at).ok()
    }

    /// The dword at `at`.
    pub(super) fn load32(&self, at: Pa) -> Option<u32> {
        let mut bytes = [0; 4];
        self.memory.read(at, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }
}
