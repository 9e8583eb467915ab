//! A caller's bitmap of dirty pages, byte by byte and at any address [kernel: iova_bitmap.c].
//!
//! It is seen through a window: so much of it as was pinned at once. Bits are only ever set, in the
//! pinned memory itself, and no byte is touched in which none is set.

use devices::addr::PAGE_SIZE;

use crate::errno::{Errno, Result};
use crate::process::{Extent, PinAccess, UserMemory};
use crate::span::Span;

/// Pages pinned at once: 2 MiB of bitmap, 64 GiB of IOVAs in 4-KiB pages. Tests go through many.
const WINDOW_PAGES: u64 = if cfg!(test) { 2 } else { 512 };
/// Bytes set at once.
const PIECE: usize = 4096;

/// The bitmap.
pub(super) struct Bitmap<'a> {
    memory: &'a dyn UserMemory,
    address: u64,
    iovas: Span,
    /// Log2 of the bytes a bit stands for.
    shift: u32,
    /// First byte that no window has shown yet; `None` when all have been.
    next: Option<u64>,
    window: Window,
    /// Bits past the window that are to be set: a leaf reaches there.
    ahead: Option<Span>,
}

/// Bytes of the bitmap that are pinned.
#[derive(Default)]
struct Window {
    first: u64,
    last: u64,
    /// Each with the byte of the bitmap (which may be before `first`) that it starts at.
    extents: Vec<(i128, Extent)>,
}

impl<'a> Bitmap<'a> {
    /// The bitmap at `address` in `memory`, whose bits stand for 2^`shift` bytes of `iovas` each.
    pub(super) fn new(memory: &'a dyn UserMemory, address: u64, iovas: Span, shift: u32) -> Self {
        Self { memory, address, iovas, shift, next: Some(0), window: Window::default(), ahead: None }
    }

    fn last_byte(&self) -> u64 {
        self.bit(self.iovas.last) / 8
    }

    fn bit(&self, iova: u64) -> u64 {
        (iova - self.iovas.start) >> self.shift
    }

    /// Pins the next window and gives the IOVAs it stands for; `None` at the end of the bitmap.
    ///
    /// # Errors
    /// `EFAULT` where not even its first page can be written.
    pub(super) fn advance(&mut self) -> Result<Option<Span>> {
        let Some(first) = self.next else { return Ok(None) };
        let address = self.address.checked_add(first).ok_or(Errno::EFAULT)?;
        let rest = self.last_byte() - first;
        let last_address = address.saturating_add(rest);
        let page = address & !(PAGE_SIZE - 1);
        let wanted = ((last_address - page) / PAGE_SIZE + 1).min(WINDOW_PAGES);
        let (pages, extents) = self.pin(page, wanted)?;
        let shown = (pages * PAGE_SIZE - (address - page)).min(rest.saturating_add(1));
        let last = first + (shown - 1);
        let mut at = i128::from(first) - i128::from(address - page);
        let placed = |extent: Extent| {
            let start = at;
            at += i128::from(extent.bytes);
            (start, extent)
        };
        self.window = Window { first, last, extents: extents.into_iter().map(placed).collect() };
        self.next = (last < self.last_byte()).then(|| last + 1);
        if let Some(ahead) = self.ahead.take() {
            self.set_bits(ahead)?;
        }
        // Nothing overflows that is not past the range.
        let start = self.iovas.start + ((first * 8) << self.shift);
        let beyond = (u128::from(last) * 8 + 8) << self.shift;
        let end = (u128::from(self.iovas.start) + beyond - 1).min(u128::from(self.iovas.last));
        Ok(Some(Span { start, last: end as u64 }))
    }

    /// Pins as many of `pages` pages as can be written, from the first on.
    fn pin(&self, page: u64, pages: u64) -> Result<(u64, Vec<Extent>)> {
        let pin = |pages: u64| self.memory.pin(Span::sized(page, pages * PAGE_SIZE)?, PinAccess::Write);
        if let Ok(extents) = pin(pages) {
            return Ok((pages, extents));
        }
        // Between what is known to work and what is known not to.
        let (mut good, mut bad) = ((0, Vec::new()), pages);
        while bad - good.0 > 1 {
            let middle = good.0 + (bad - good.0) / 2;
            match pin(middle) {
                Ok(extents) => good = (middle, extents),
                Err(_) => bad = middle,
            }
        }
        if good.0 == 0 { Err(Errno::EFAULT) } else { Ok(good) }
    }

    /// Sets the bits of `dirty`; what is outside of the whole range is left out.
    ///
    /// # Errors
    /// `EFAULT` where the memory is gone.
    pub(super) fn set(&mut self, dirty: Span) -> Result<()> {
        let Some(dirty) = dirty.common(self.iovas) else { return Ok(()) };
        self.set_bits(Span { start: self.bit(dirty.start), last: self.bit(dirty.last) })
    }

    fn set_bits(&mut self, bits: Span) -> Result<()> {
        // The window's last bit; the whole bitmap has fewer than 2^64.
        let edge = self.window.last.saturating_mul(8).saturating_add(7);
        if bits.last > edge {
            let start = bits.start.max(edge + 1);
            self.ahead = Some(Span { start, last: bits.last });
        }
        let first = bits.start.max(self.window.first * 8);
        let last = bits.last.min(edge);
        if first > last {
            return Ok(());
        }
        let head = 0xff_u8 << (first % 8);
        let tail = 0xff_u8 >> (7 - last % 8);
        let (first, last) = (first / 8, last / 8);
        if first == last {
            return self.or(first, head & tail);
        }
        self.or(first, head)?;
        self.fill(first + 1, last - 1)?;
        self.or(last, tail)
    }

    fn or(&self, byte: u64, bits: u8) -> Result<()> {
        let (extent, offset) = self.place(byte)?;
        let mut value = [0];
        extent.object.read(extent.offset + offset, &mut value)?;
        extent.object.write(extent.offset + offset, &[value[0] | bits])
    }

    fn fill(&self, mut first: u64, last: u64) -> Result<()> {
        while first <= last {
            let (extent, offset) = self.place(first)?;
            let piece = (extent.bytes - offset).min(last - first + 1).min(PIECE as u64);
            // No more than PIECE.
            extent.object.write(extent.offset + offset, &[0xff; PIECE][..piece as usize])?;
            first += piece;
        }
        Ok(())
    }

    /// Where a byte of the window is pinned.
    fn place(&self, byte: u64) -> Result<(&Extent, u64)> {
        let byte = i128::from(byte);
        let index = self.window.extents.partition_point(|(start, _)| *start <= byte);
        let (start, extent) = index.checked_sub(1).map(|i| &self.window.extents[i]).ok_or(Errno::EFAULT)?;
        let offset = u64::try_from(byte - start).map_err(|_| Errno::EFAULT)?;
        if offset >= extent.bytes {
            return Err(Errno::EFAULT);
        }
        Ok((extent, offset))
    }
}
