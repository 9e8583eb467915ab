//! What lies behind the caller's addresses, for comparing: nothing stays pinned.

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::frames::Frames;
use crate::process::{Caller, Extent, PinAccess};
use crate::span::Span;

/// Bytes of the CPU's pages.
pub(super) const PAGE: u64 = 4096;
/// How much is looked up at once.
const PIECE: u64 = 2 << 20;

/// `address` rounded down to its page.
pub(super) const fn page_of(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// Calls `look` with the memory behind `pages`, whole pages, in order. Where something cannot be had,
/// what precedes it has been looked at.
///
/// # Errors
/// `EFAULT`, and what `look` says.
pub(super) fn each(
    caller: &Caller<'_>,
    pages: Span,
    mut look: impl FnMut(Extent) -> Result<()>,
) -> Result<()> {
    fault_point(Errno::EFAULT)?;
    let mut piece = PIECE;
    let mut at = pages.start;
    loop {
        let here = Span { start: at, last: pages.last.min(at.saturating_add(piece - 1)) };
        match caller.memory.pin(here, PinAccess::Read) {
            Ok(extents) => extents.into_iter().try_for_each(&mut look)?,
            Err(_) if piece > PAGE => {
                piece = PAGE;
                continue;
            }
            Err(errno) => return Err(errno),
        }
        if here.last == pages.last {
            return Ok(());
        }
        at = here.last + 1;
    }
}

/// Whether the caller's pages from `address` on are those at `frames`, in order.
///
/// # Errors
/// `different` at the first page that is another; `EFAULT` at the first that is none.
pub(super) fn compare(
    caller: &Caller<'_>,
    frames: &Frames,
    address: u64,
    expected: Span,
    different: Errno,
) -> Result<()> {
    let pages = Span::sized(address, expected.bytes()).map_err(|_| Errno::EFAULT)?;
    let mut place = expected.start;
    each(caller, pages, |extent| {
        if frames.find(&extent).is_none_or(|found| found.0 != place) {
            return Err(different);
        }
        place = place.wrapping_add(extent.bytes);
        Ok(())
    })
}
