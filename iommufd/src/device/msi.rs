//! Message doorbells that an IOMMU translates, mapped by software into each domain at the place that
//! the driver reserved for them ([`ReservedKind::SoftwareMsi`](crate::driver::ReservedKind)).
//!
//! A doorbell page has one IOVA in a context, whatever domain it is mapped into: a device keeps its
//! message address when it moves.

use std::sync::Mutex;

use devices::addr::{Iova, PAGE_SIZE, Pa};

use crate::driver::Protection;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::hwpt::paging::HwptPaging;
use crate::sync::lock;

/// A set of doorbell pages of a context, by bit.
pub(crate) type Doorbells = u64;

struct MsiPage {
    window: Iova,
    doorbell: Pa,
    /// Its page within the window.
    index: u64,
}

impl MsiPage {
    fn iova(&self) -> Result<Iova> {
        self.window.checked_add(self.index * PAGE_SIZE).ok_or(Errno::EOVERFLOW)
    }
}

/// The doorbell pages of a context; none goes while it lives.
#[derive(Default)]
pub(super) struct MsiPages {
    pages: Mutex<Vec<MsiPage>>,
}

impl MsiPages {
    /// The page of `doorbell` in the window at `window`, and the IOVA of the doorbell itself.
    pub(super) fn page(&self, window: Iova, doorbell: Pa) -> Result<(Doorbells, Iova)> {
        let mut pages = lock(&self.pages);
        let same = |page: &&MsiPage| page.window == window;
        let known = pages.iter().position(|page| same(&page) && page.doorbell == doorbell.page());
        let number = match known {
            Some(number) => number,
            None => {
                if pages.len() >= Doorbells::BITS as usize {
                    return Err(Errno::EOVERFLOW);
                }
                fault_point(Errno::ENOMEM)?;
                let index = pages.iter().filter(same).count() as u64;
                pages.push(MsiPage { window, doorbell: doorbell.page(), index });
                pages.len() - 1
            }
        };
        let iova = pages[number].iova()?.checked_add(doorbell.page_offset()).ok_or(Errno::EOVERFLOW)?;
        Ok((1 << number, iova))
    }

    /// Maps those of `wanted` that the domain does not have yet.
    pub(super) fn install(&self, wanted: Doorbells, paging: &HwptPaging) -> Result<()> {
        let pages = lock(&self.pages);
        let mut present = lock(&paging.doorbells);
        for (number, page) in pages.iter().enumerate() {
            let bit = 1 << number;
            if wanted & bit == 0 || *present & bit != 0 {
                continue;
            }
            let protection = Protection::READ | Protection::WRITE;
            paging.domain.map(page.iova()?, page.doorbell, PAGE_SIZE, protection, false)?;
            *present |= bit;
        }
        Ok(())
    }
}
