//! The mock's nested domain: four numbers that invalidation clears.

use std::sync::{Arc, Mutex, Weak};

use bitflags::Flags;

use super::viommu::MockViommu;
use crate::driver::NestedDomain;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::sync::lock;
use crate::uapi::HwptAllocFlags;
use crate::uapi::test::{
    HWPT_DATA_SELFTEST, HWPT_INVALIDATE_DATA_SELFTEST, HwptInvalidateSelftest, HwptSelftest,
    MOCK_NESTED_DOMAIN_IOTLB_NUM, TestInvalidateFlags,
};
use crate::user_data::{UserArray, UserData};

/// Bytes of [`HwptSelftest`] that a caller must pass: all up to `iotlb`.
pub(super) const HWPT_DATA_MIN: usize = 4;

/// A user's stage 1, of which the mock only has the cache.
pub(crate) struct MockNested {
    iotlb: Mutex<[u32; MOCK_NESTED_DOMAIN_IOTLB_NUM]>,
    viommu: Option<Weak<MockViommu>>,
}

impl MockNested {
    /// Refuses what a nested domain cannot be asked for.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for flags other than PASID.
    pub(super) fn check_flags(flags: u32) -> Result<()> {
        if flags & !HwptAllocFlags::PASID.bits() == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
    }

    /// A domain with the user's `data`, through `viommu` or directly over a parent.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for data of another type, `EINVAL` for data of a wrong size, `EFAULT`, `ENOMEM`.
    pub(super) fn new(data: &UserData<'_>, viommu: Option<Weak<MockViommu>>) -> Result<Arc<Self>> {
        if data.kind() != HWPT_DATA_SELFTEST {
            return Err(Errno::EOPNOTSUPP);
        }
        let config: HwptSelftest = data.read(HWPT_DATA_SELFTEST, HWPT_DATA_MIN)?;
        fault_point(Errno::ENOMEM)?;
        let iotlb = Mutex::new([config.iotlb; MOCK_NESTED_DOMAIN_IOTLB_NUM]);
        Ok(Arc::new(Self { iotlb, viommu }))
    }

    /// What entry `index` holds.
    pub(crate) fn entry(&self, index: u32) -> Option<u32> {
        lock(&self.iotlb).get(usize::try_from(index).ok()?).copied()
    }

    /// The virtual IOMMU it goes through.
    pub(super) fn viommu(&self) -> Option<Arc<MockViommu>> {
        self.viommu.as_ref()?.upgrade()
    }

    fn execute(&self, request: HwptInvalidateSelftest) -> Result<()> {
        if request.flags.contains_unknown_bits() {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut iotlb = lock(&self.iotlb);
        // The index must be good even where it is not used.
        let index = usize::try_from(request.iotlb_id).map_err(|_| Errno::EINVAL)?;
        let entry = iotlb.get_mut(index).ok_or(Errno::EINVAL)?;
        if request.flags.contains(TestInvalidateFlags::ALL) {
            iotlb.fill(0);
        } else {
            *entry = 0;
        }
        Ok(())
    }
}

impl NestedDomain for MockNested {
    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()> {
        if entries.kind() != HWPT_INVALIDATE_DATA_SELFTEST {
            return Err(Errno::EINVAL);
        }
        for index in 0..entries.count() {
            let size = size_of::<HwptInvalidateSelftest>();
            self.execute(entries.read(HWPT_INVALIDATE_DATA_SELFTEST, index, size)?)?;
            entries.done(1);
        }
        Ok(())
    }
}
