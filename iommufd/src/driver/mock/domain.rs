//! The mock's paging domain.

use std::sync::Mutex;

use devices::addr::{Iova, Pa};

use super::leaves::Leaves;
use crate::driver::{DirtyTracking, PagingDomain, Protection};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::test::{
    MOCK_APERTURE_LAST, MOCK_APERTURE_START, MOCK_HUGE_PAGE_SIZE, MOCK_IOMMUPT_DEFAULT, MOCK_IOMMUPT_HUGE,
    MOCK_PAGE_SIZE,
};

/// Three levels of 512 entries over 2-KiB pages.
const ADDRESS_BITS: u32 = 38;
/// Physical addresses that an entry can hold.
const PHYSICAL_BITS: u32 = 51;
/// What the CPU calls a page.
const CPU_PAGE: u64 = 4096;

/// A page table that no bus master walks: its user is `IOMMU_TEST_OP_MD_CHECK_MAP`.
///
/// It is AMD's format 1 with 2-KiB pages, in which every power of two is a leaf: a large one is many
/// entries that say the same. The dirty bits of these are one: any of them makes the leaf dirty, and
/// they are cleared together.
///
/// DEVIATION: what a mapping permits is not kept, as nothing that is asked of the mock depends on it.
pub(crate) struct MockDomain {
    aperture: Span,
    sizes: u64,
    tracks_dirty: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    leaves: Leaves,
    tracking: bool,
}

impl MockDomain {
    /// A table of format `format`, a `MOCK_IOMMUPT_*`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for another format.
    pub(super) fn new(format: u32, tracks_dirty: bool) -> Result<Self> {
        let (aperture, sizes) = match format {
            MOCK_IOMMUPT_DEFAULT => {
                let aperture = Span { start: MOCK_APERTURE_START, last: MOCK_APERTURE_LAST };
                (aperture, (1 << ADDRESS_BITS) - MOCK_PAGE_SIZE)
            }
            MOCK_IOMMUPT_HUGE => {
                (Span { start: 0, last: (1 << ADDRESS_BITS) - 1 }, MOCK_HUGE_PAGE_SIZE | CPU_PAGE)
            }
            _ => return Err(Errno::EOPNOTSUPP),
        };
        Ok(Self { aperture, sizes, tracks_dirty, state: Mutex::default() })
    }

    /// Bytes of its smallest page.
    pub(crate) fn granule(&self) -> u64 {
        1 << self.sizes.trailing_zeros()
    }

    /// Where `iova` leads, and how many bytes from there on lie side by side.
    pub(crate) fn find(&self, iova: u64) -> Option<(Pa, u64)> {
        let (physical, last) = lock(&self.state).leaves.find(iova)?;
        Some((Pa(physical), last - iova + 1))
    }

    /// Does as if a device had written at each of `addresses`, as far as they are mapped.
    ///
    /// # Errors
    /// `EINVAL` where tracking is off.
    pub(crate) fn write_at(&self, addresses: impl Iterator<Item = u64>) -> Result<()> {
        let mut state = lock(&self.state);
        if !state.tracking {
            return Err(Errno::EINVAL);
        }
        addresses.for_each(|address| state.leaves.set_dirty(address));
        Ok(())
    }
}

impl PagingDomain for MockDomain {
    fn aperture(&self) -> Span {
        self.aperture
    }

    fn page_sizes(&self) -> u64 {
        self.sizes
    }

    fn map(&self, iova: Iova, pa: Pa, bytes: u64, _protection: Protection, large: bool) -> Result<()> {
        let span = Span::sized(iova.0, bytes).map_err(|_| Errno::EINVAL)?;
        let physical = Span::sized(pa.0, bytes).map_err(|_| Errno::EINVAL)?;
        if !self.aperture.covers(span)
            || !(iova.0 | pa.0 | bytes).is_multiple_of(self.granule())
            || physical.last >> PHYSICAL_BITS != 0
        {
            return Err(Errno::EINVAL);
        }
        fault_point(Errno::ENOMEM)?;
        let sizes = if large { self.sizes } else { self.sizes & (2 * CPU_PAGE - 1) };
        lock(&self.state).leaves.map(span, pa.0, sizes)
    }

    fn unmap(&self, span: Span) {
        lock(&self.state).leaves.unmap(span);
    }

    fn sync(&self) {}

    fn iova_to_phys(&self, iova: Iova) -> Option<Pa> {
        self.find(iova.0).map(|(pa, _)| pa)
    }

    fn dirty(&self) -> Option<&dyn DirtyTracking> {
        self.tracks_dirty.then_some(self as &dyn DirtyTracking)
    }
}

impl DirtyTracking for MockDomain {
    fn set(&self, on: bool) -> Result<()> {
        let mut state = lock(&self.state);
        if on {
            state.leaves.clean();
        }
        state.tracking = on;
        Ok(())
    }

    fn enabled(&self) -> bool {
        lock(&self.state).tracking
    }

    /// Tracking that was stopped leaves its bits in the table, where they can be read.
    fn read(&self, span: Span, keep: bool, dirty: &mut dyn FnMut(Span)) -> Result<()> {
        lock(&self.state).leaves.read_dirty(span, keep, dirty);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Protection = Protection::READ;

    fn map(domain: &MockDomain, iova: u64, pa: u64, bytes: u64) -> Result<()> {
        domain.map(Iova(iova), Pa(pa), bytes, ANY, true)
    }

    #[test]
    fn formats_say_what_the_self_tests_expect() {
        let ordinary = MockDomain::new(MOCK_IOMMUPT_DEFAULT, true).unwrap();
        assert_eq!(ordinary.aperture(), Span { start: 0x100_0000, last: 0x7fff_ffff });
        assert_eq!(ordinary.page_sizes(), 0x3f_ffff_f800);
        assert_eq!(ordinary.granule(), 2048);
        let huge = MockDomain::new(MOCK_IOMMUPT_HUGE, false).unwrap();
        assert_eq!(huge.aperture().start, 0);
        assert_eq!(huge.page_sizes(), 0x10_1000);
        assert_eq!(huge.granule(), 4096);
        assert!(huge.dirty().is_none());
        assert_eq!(MockDomain::new(2, false).err(), Some(Errno::EOPNOTSUPP));
    }

    #[test]
    fn a_mapping_must_fit_the_table() {
        let domain = MockDomain::new(MOCK_IOMMUPT_DEFAULT, false).unwrap();
        for (iova, pa, bytes) in [
            (0x100_0000 - 0x800, 0, 0x800),
            (0x8000_0000, 0, 0x800),
            (0x7fff_f800, 0, 0x1000),
            (0x100_0400, 0, 0x800),
            (0x100_0000, 0x400, 0x800),
            (0x100_0000, 0, 0x400),
            (0x100_0000, 0, 0),
            (u64::MAX, 0, 0x800),
            (0x100_0000, (1 << 51) - 0x800, 0x1000),
            (0x100_0000, u64::MAX - 0x7ff, 0x1000),
        ] {
            assert_eq!(map(&domain, iova, pa, bytes), Err(Errno::EINVAL), "{iova:#x} {pa:#x} {bytes:#x}");
        }
        assert_eq!(map(&domain, 0x7fff_f800, (1 << 51) - 0x800, 0x800), Ok(()));
    }

    #[test]
    fn addresses_lead_where_they_were_mapped() {
        let domain = MockDomain::new(MOCK_IOMMUPT_DEFAULT, false).unwrap();
        map(&domain, 0x100_0800, 0x5_0000_1000, 0x3800).unwrap();
        assert_eq!(domain.iova_to_phys(Iova(0x100_0fff)), Some(Pa(0x5_0000_17ff)));
        assert_eq!(domain.iova_to_phys(Iova(0x100_07ff)), None);
        assert_eq!(domain.find(0x100_1000), Some((Pa(0x5_0000_1800), 0x3000)));
        assert_eq!(map(&domain, 0x100_4000 - 0x800, 0, 0x1000), Err(Errno::EINVAL));
        domain.unmap(Span { start: 0x100_0800, last: 0x100_3fff });
        assert_eq!(domain.iova_to_phys(Iova(0x100_0800)), None);
    }

    #[test]
    fn small_leaves_on_request() {
        let domain = MockDomain::new(MOCK_IOMMUPT_DEFAULT, true).unwrap();
        domain.map(Iova(0x100_0000), Pa(0), 0x4000, ANY, false).unwrap();
        domain.set(true).unwrap();
        domain.write_at([0x100_1000].into_iter()).unwrap();
        let mut found = Vec::new();
        domain.read(Span::ALL, true, &mut |span| found.push(span)).unwrap();
        assert_eq!(found, [Span { start: 0x100_1000, last: 0x100_1fff }]);
    }

    #[test]
    fn a_failed_table_page_changes_nothing() {
        let domain = MockDomain::new(MOCK_IOMMUPT_DEFAULT, false).unwrap();
        crate::fault_point::arm(1);
        assert_eq!(map(&domain, 0x100_0000, 0, 0x1000), Err(Errno::ENOMEM));
        assert_eq!(domain.iova_to_phys(Iova(0x100_0000)), None);
        assert_eq!(map(&domain, 0x100_0000, 0, 0x1000), Ok(()));
    }

    #[test]
    fn writes_are_seen_while_tracking_is_on() {
        let domain = MockDomain::new(MOCK_IOMMUPT_DEFAULT, true).unwrap();
        map(&domain, 0x100_0000, 0, 0x1000).unwrap();
        assert_eq!(domain.write_at([0x100_0000].into_iter()), Err(Errno::EINVAL));
        let tracking = domain.dirty().unwrap();
        let count = || {
            let mut count = 0;
            tracking.read(Span::ALL, true, &mut |_| count += 1).unwrap();
            count
        };
        tracking.set(true).unwrap();
        assert!(tracking.enabled());
        domain.write_at([0x100_0000, 0x200_0000].into_iter()).unwrap();
        assert_eq!(count(), 1);
        tracking.set(false).unwrap();
        assert_eq!(count(), 1, "stopping forgets nothing");
        tracking.set(true).unwrap();
        assert_eq!(count(), 0, "starting does");
    }
}
