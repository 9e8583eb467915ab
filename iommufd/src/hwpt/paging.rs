//! Paging HWPTs: a domain filled from an IOAS [kernel: iommufd_hwpt_paging_alloc].

use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::{Candidate, Hwpt, HwptHold};
use crate::ctx::Ctx;
use crate::device::{DeviceCore, Doorbells};
use crate::driver::{Attachment, IommuDriver, PagingDomain, PagingFlags};
use crate::errno::{Errno, Result};
use crate::fault::Fault;
use crate::fault::queue::FaultQueue;
use crate::io_pagetable::DomainSlot;
use crate::ioas::Ioas;
use crate::object::{Hold, Object, Pending, Ref};
use crate::sync::lock;
use crate::uapi::HwptAllocFlags;
use crate::user_data::UserData;
use crate::viommu::ViommuCore;

/// A domain and the IOAS it is filled from.
pub(crate) struct HwptPaging {
    pub(crate) id: u32,
    pub(crate) domain: Arc<dyn PagingDomain>,
    /// Who made the domain: only devices of the same can use it.
    pub(crate) driver: Arc<dyn IommuDriver>,
    /// It was made with `NEST_PARENT`.
    pub(crate) nest_parent: bool,
    /// It was made for a device attached to an IOAS, and goes with the last such.
    pub(crate) automatic: bool,
    /// DMA through it is forced coherent.
    pub(crate) coherent: bool,
    /// Message doorbells mapped into it.
    pub(crate) doorbells: Mutex<Doorbells>,
    pasids: bool,
    /// Its place among the IOAS's domains; without, it is not filled.
    slot: Mutex<Option<DomainSlot>>,
    fault: OnceLock<Hold<Fault>>,
    pub(crate) ioas: Hold<Ioas>,
}

impl HwptPaging {
    fn empty(&self) {
        let slot = lock(&self.slot).take();
        if let Some(slot) = slot {
            self.ioas.table.remove_domain(slot);
        }
    }
}

impl Object for HwptPaging {
    fn destroy(&self, _ctx: &Ctx) {
        lock(&self.ioas.hwpts).retain(|hwpt| !std::ptr::eq(hwpt.as_ptr(), self));
        self.empty();
    }
}

/// One that was never found leaves its IOAS's table, too.
impl Drop for HwptPaging {
    fn drop(&mut self) {
        self.empty();
    }
}

impl Hwpt for HwptPaging {
    fn id(&self) -> u32 {
        self.id
    }

    fn attachment(&self) -> Attachment {
        Attachment::Paging(Arc::clone(&self.domain))
    }

    fn paging(&self) -> &HwptPaging {
        self
    }

    fn takes_pasids(&self) -> bool {
        self.pasids
    }

    fn nested(&self) -> bool {
        false
    }

    fn fault(&self) -> Option<&Arc<FaultQueue>> {
        self.fault.get().map(|fault| &fault.queue)
    }

    fn viommu(&self) -> Option<&Arc<ViommuCore>> {
        None
    }
}

/// A paging HWPT that cannot be found yet. Dropped, it is gone. The lock of the IOAS's HWPTs is held
/// as long as it lives.
pub(crate) struct Draft {
    hwpt: Arc<HwptPaging>,
    pending: Pending,
}

impl Draft {
    /// Makes the domain.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for flags that do not go with an IOAS, with one another or with the device,
    /// `EINVAL` where its DMA should but cannot be kept coherent, what the driver says.
    pub(crate) fn new(
        ctx: &Ctx,
        ioas: &Ref<Ioas>,
        device: &DeviceCore,
        flags: HwptAllocFlags,
        data: Option<&UserData<'_>>,
        automatic: bool,
    ) -> Result<Self> {
        let nest_parent = flags.contains(HwptAllocFlags::NEST_PARENT);
        let caps = device.physical.caps();
        if !HwptAllocFlags::all().contains(flags)
            || (flags.contains(HwptAllocFlags::DIRTY_TRACKING) && !caps.dirty_tracking)
            || (flags.contains(HwptAllocFlags::FAULT_ID_VALID) && nest_parent)
        {
            return Err(Errno::EOPNOTSUPP);
        }
        let pending = ctx.objects.reserve()?;
        let driver = device.physical.driver();
        let wanted = PagingFlags::from_bits_truncate(flags.bits());
        let domain = driver.alloc_paging(&device.physical, wanted, data)?;
        // Before anything is mapped: it may be a bit of each entry.
        if caps.enforce_cache_coherency && !domain.enforce_cache_coherency() {
            return Err(Errno::EINVAL);
        }
        let hwpt = HwptPaging {
            id: pending.id(),
            domain,
            driver: Arc::clone(driver),
            nest_parent,
            automatic,
            coherent: caps.enforce_cache_coherency,
            doorbells: Mutex::default(),
            pasids: flags.contains(HwptAllocFlags::PASID),
            slot: Mutex::default(),
            fault: OnceLock::new(),
            ioas: ioas.hold(),
        };
        Ok(Self { hwpt: Arc::new(hwpt), pending })
    }

    /// The id it will have.
    pub(crate) fn id(&self) -> u32 {
        self.hwpt.id
    }

    /// Fills the domain, once.
    ///
    /// # Errors
    /// As [`crate::io_pagetable::IoPagetable::add_domain`].
    pub(crate) fn fill(&mut self) -> Result<()> {
        let mut slot = lock(&self.hwpt.slot);
        if slot.is_none() {
            *slot = Some(self.hwpt.ioas.table.add_domain(&self.hwpt.domain)?);
        }
        Ok(())
    }

    /// Where its page requests will go.
    pub(crate) fn set_fault(&mut self, fault: Hold<Fault>) {
        // A draft is given one at most.
        let _ = self.hwpt.fault.set(fault);
    }

    /// Lets it be found, and holds it.
    pub(crate) fn publish(self, hwpts: &mut Vec<Weak<HwptPaging>>) -> Hold<HwptPaging> {
        hwpts.push(Arc::downgrade(&self.hwpt));
        self.pending.publish_held(self.hwpt)
    }
}

/// A new HWPT for what is attached to its IOAS.
pub(crate) struct Fresh<'a> {
    /// It.
    pub(crate) draft: Draft,
    /// The IOAS's HWPTs.
    pub(crate) hwpts: &'a mut Vec<Weak<HwptPaging>>,
}

impl Candidate for Fresh<'_> {
    fn hwpt(&self) -> &dyn Hwpt {
        &*self.draft.hwpt
    }

    fn fill(&mut self) -> Result<()> {
        self.draft.fill()
    }

    fn hold(self) -> HwptHold {
        HwptHold::Paging(self.draft.publish(self.hwpts))
    }
}
