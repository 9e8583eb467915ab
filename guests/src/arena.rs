//! A bump allocator over guest RAM: pages for tables, rings and buffers, never given back.

use crate::error::Error;
use crate::hw::{Hw, Range};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// The pages not handed out yet.
#[derive(Debug)]
pub struct Arena {
    next: u64,
    /// First address that is not ours.
    end: u64,
}

impl Arena {
    /// All whole pages of `range`.
    pub fn new(range: Range) -> Self {
        // A range that ends at the top of the address space loses its last page, which is no RAM.
        let end = range.last.saturating_add(1) & !(PAGE - 1);
        Self { next: range.start.next_multiple_of(PAGE), end }
    }

    /// A zeroed page.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn page<H: Hw>(&mut self, hw: &mut H) -> Result<u64, Error> {
        self.pages(hw, 1)
    }

    /// The first of `count` zeroed pages in a row.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn pages<H: Hw>(&mut self, hw: &mut H, count: u64) -> Result<u64, Error> {
        self.take(hw, self.next, count)
    }

    /// Zeroed pages for `bytes`, at a multiple of the next power of two, as tables want it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn aligned<H: Hw>(&mut self, hw: &mut H, bytes: u64) -> Result<u64, Error> {
        let size = bytes.max(PAGE).checked_next_power_of_two().ok_or(Error::OutOfMemory)?;
        let first = self.next.checked_next_multiple_of(size).ok_or(Error::OutOfMemory)?;
        self.take(hw, first, bytes.div_ceil(PAGE))
    }

    fn take<H: Hw>(&mut self, hw: &mut H, first: u64, count: u64) -> Result<u64, Error> {
        let end = count.checked_mul(PAGE).and_then(|bytes| first.checked_add(bytes));
        let end = end.filter(|end| *end <= self.end).ok_or(Error::OutOfMemory)?;
        self.next = end;
        for page in (first..end).step_by(PAGE as usize) {
            hw.mem_write(page, &[0; PAGE as usize]);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn hands_out_zeroed_pages_until_the_range_ends() {
        let hw = &mut Fake::new();
        hw.mem_write(0x3000, &[0xaa; 16]);
        // Partial pages at both ends are left out: pages 3000h and 4000h remain.
        let mut arena = Arena::new(Range { start: 0x2001, last: 0x5ffe });
        assert_eq!(arena.page(hw), Ok(0x3000));
        assert_eq!(hw.mem_read64(0x3000), 0);
        assert_eq!(arena.pages(hw, 2), Err(Error::OutOfMemory));
        assert_eq!(arena.page(hw), Ok(0x4000));
        assert_eq!(arena.page(hw), Err(Error::OutOfMemory));
        assert_eq!(arena.pages(hw, u64::MAX), Err(Error::OutOfMemory));
    }

    #[test]
    fn tables_lie_at_multiples_of_their_size() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(Range { start: 0x1000, last: 0xffff });
        assert_eq!(arena.aligned(hw, 8), Ok(0x1000));
        assert_eq!(arena.aligned(hw, 0x3000), Ok(0x4000));
        assert_eq!(arena.page(hw), Ok(0x7000));
        assert_eq!(arena.aligned(hw, 0x1_0000), Err(Error::OutOfMemory));
        assert_eq!(arena.aligned(hw, u64::MAX), Err(Error::OutOfMemory));
    }
}
