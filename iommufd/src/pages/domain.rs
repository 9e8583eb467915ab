//! Pages in domains.

use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE, Pa};

use super::Pages;
use crate::driver::{PagingDomain, Protection};
use crate::errno::Errno;
use crate::errno::Result;
use crate::fault_point::fault_point;
use crate::span::Span;

/// What of some pages is where in IOVA space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The IOVAs.
    pub(crate) iova: Span,
    /// Byte of the pages that is at the first of them.
    pub(crate) start_byte: u64,
    /// What devices may do.
    pub(crate) protection: Protection,
}

impl Window {
    /// The pages that are seen, whole.
    pub(crate) fn pages(&self) -> Span {
        Span { start: self.start_byte / PAGE_SIZE, last: (self.start_byte + self.iova.beyond()) / PAGE_SIZE }
    }

    /// Byte of the pages that is at `iova`, which is in the window.
    pub(crate) fn byte_at(&self, iova: u64) -> u64 {
        self.start_byte + (iova - self.iova.start)
    }
}

impl Pages {
    /// Maps in `domain` what `window` sees, all of it held. `large` as [`PagingDomain::map`] takes
    /// it. A revoked dma-buf is mapped nowhere, which is no error.
    ///
    /// # Errors
    /// What [`PagingDomain::map`] says; `domain` maps nothing of it then.
    pub(crate) fn map_in(&self, domain: &Arc<dyn PagingDomain>, window: &Window, large: bool) -> Result<()> {
        fault_point(Errno::ENOMEM)?;
        let mut state = self.lock();
        if self.source.is_device_memory() {
            if let Some(base) = state.device_memory {
                let pa = Pa(base.0 + window.start_byte);
                let iova = Iova(window.iova.start);
                domain.map(iova, pa, window.iova.bytes(), window.protection, large)?;
                state.mapped.insert(key(domain, window), (Arc::clone(domain), window.iova));
            }
            return Ok(());
        }
        let offset = window.start_byte % PAGE_SIZE;
        let mut mapped = 0;
        let result = state.each_contiguous(window.pages(), |at, pa, bytes| {
            // The pages may begin before the window and end after it.
            let skip = if at == 0 { offset } else { 0 };
            let bytes = (bytes - skip).min(window.iova.bytes() - mapped);
            let iova = Iova(window.iova.start + mapped);
            domain.map(iova, Pa(pa + skip), bytes, window.protection, large)?;
            mapped += bytes;
            Ok(())
        });
        if result.is_err() && mapped > 0 {
            domain.unmap(Span { start: window.iova.start, last: window.iova.start + (mapped - 1) });
            domain.sync();
        }
        result
    }

    /// Undoes [`Self::map_in`]. When it returns, no DMA through `domain` reaches the pages there.
    pub(crate) fn unmap_in(&self, domain: &Arc<dyn PagingDomain>, window: &Window) {
        let mut state = None;
        if self.source.is_device_memory() {
            // Until the end: a revocation meanwhile must not return while DMA reaches the memory.
            let state = state.insert(self.lock());
            if state.mapped.remove(&key(domain, window)).is_none() {
                return;
            }
        }
        domain.unmap(window.iova);
        domain.sync();
    }

    /// Tells device memory that its window was cut in two, as far as `left` and `right`.
    pub(crate) fn cut(&self, domain: &Arc<dyn PagingDomain>, left: &Window, right: &Window) {
        let mut state = self.lock();
        if state.mapped.remove(&key(domain, left)).is_some() {
            for window in [left, right] {
                state.mapped.insert(key(domain, window), (Arc::clone(domain), window.iova));
            }
        }
    }
}

fn key(domain: &Arc<dyn PagingDomain>, window: &Window) -> (usize, u64) {
    (Arc::as_ptr(domain).addr(), window.iova.start)
}
