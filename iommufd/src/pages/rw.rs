//! Copies out of and into pages, without pinning them for longer.

use super::{Pages, Run, State};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::pages::source::Source;
use crate::process::MmId;
use crate::span::Span;
use devices::addr::PAGE_SIZE;

/// Which way software accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Who accesses memory: what is mapped in a process now is not always what was pinned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFrom {
    /// A process with this address space. In its own memory it sees what it has mapped now.
    Process(MmId),
    /// Any other process, or one that asks to be treated so [uapi IOMMU_TEST_OP_ACCESS_RW]: sees what is
    /// mapped now where it accesses one page, and else what is pinned.
    Stranger,
    /// A thread of the kernel's: sees what is mapped now [kernel: IOMMUFD_ACCESS_RW_KTHREAD].
    Kernel,
}

impl Pages {
    /// Copies `data` out of or into the pages from `start_byte` on, for `from`.
    ///
    /// Where the memory of another process is gone, what is pinned still has the
    /// bytes.
    ///
    /// # Errors
    /// `EPERM` to write what is not writable, `EINVAL` for device memory, `EFAULT`.
    pub(crate) fn rw(
        &self,
        from: AccessFrom,
        start_byte: u64,
        data: &mut [u8],
        direction: Direction,
    ) -> Result<()> {
        self.check_access(direction)?;
        fault_point(Errno::EFAULT)?;
        if let Source::User { memory, start } = &self.source {
            let owns = from == AccessFrom::Process(memory.id());
            if owns || from == AccessFrom::Kernel || is_in_one_page(start_byte, data) {
                let address = start.checked_add(start_byte).ok_or(Errno::EFAULT)?;
                let copied = match direction {
                    Direction::Read => memory.read(address, data),
                    Direction::Write => memory.write(address, data),
                };
                if owns || copied.is_ok() {
                    return copied;
                }
            }
        }
        let state = self.lock();
        let mut done = 0;
        while done < data.len() {
            let byte = start_byte + done as u64;
            let part = &mut data[done..];
            let page = byte / PAGE_SIZE;
            let last = (byte + (part.len() as u64 - 1)) / PAGE_SIZE;
            let copied = match state.part_of(Span { start: page, last }) {
                Part::Pinned(first, run) => copy(run, byte - first * PAGE_SIZE, part, direction)?,
                Part::Unpinned(pages) => {
                    let mut copied = 0;
                    let mut skip = byte % PAGE_SIZE;
                    for extent in self.source.pin(pages, self.writable)? {
                        let run = Run { extent, pa: 0 };
                        copied += copy(&run, skip, &mut part[copied..], direction)?;
                        skip = 0;
                    }
                    copied
                }
            };
            done += copied;
        }
        Ok(())
    }
}

fn is_in_one_page(start_byte: u64, data: &[u8]) -> bool {
    start_byte % PAGE_SIZE + data.len() as u64 <= PAGE_SIZE
}

/// How some pages can be reached.
enum Part<'a> {
    /// The first is in this run, which begins at this page.
    Pinned(u64, &'a Run),
    /// These, from the first on, are in none.
    Unpinned(Span),
}

impl State {
    fn part_of(&self, pages: Span) -> Part<'_> {
        if let Some((first, run)) = self.runs.range(..=pages.start).next_back()
            && pages.start - first < run.pages()
        {
            return Part::Pinned(*first, run);
        }
        let last = self.runs.range(pages.range()).next().map_or(pages.last, |(first, _)| first - 1);
        Part::Unpinned(Span { start: pages.start, last })
    }
}

/// Copies as much of `data` as lies in `run` from byte `skip` of it on; says how much.
fn copy(run: &Run, skip: u64, data: &mut [u8], direction: Direction) -> Result<usize> {
    let there = run.extent.bytes - skip;
    let bytes = usize::try_from(there).unwrap_or(usize::MAX).min(data.len());
    let offset = run.extent.offset + skip;
    match direction {
        Direction::Read => run.extent.object.read(offset, &mut data[..bytes])?,
        Direction::Write => run.extent.object.write(offset, &data[..bytes])?,
    }
    Ok(bytes)
}
