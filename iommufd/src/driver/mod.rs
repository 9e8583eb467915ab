//! The boundary to the host's IOMMU drivers.
//!
//! The core owns objects, address spaces and pins; a driver owns one kind of IOMMU: how its tables
//! look, how it is told, what it can do. A driver never sees an IOAS, an id or a user pointer other
//! than through [`UserData`] and [`UserArray`]; the core never sees a register.
//!
//! Every physical address is one of `crate::frames`: the synthetic physical space of pinned memory.

pub(crate) mod mock;
mod physical_space;
pub mod vtd;

use std::any::Any;
use std::sync::{Arc, Weak};

use devices::addr::{Iova, Pa};

use crate::device::{DeviceId, PhysicalDevice};
use crate::errno::{Errno, Result};
use crate::frames::Frames;
use crate::span::Span;
use crate::user_data::{UserArray, UserData};

bitflags::bitflags! {
    /// What a mapping lets devices do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Devices may read.
        const READ = 1 << 0;
        /// Devices may write.
        const WRITE = 1 << 1;
        /// Accesses are coherent with the CPUs' caches.
        const CACHE = 1 << 2;
    }

    /// What a paging domain is asked to be [uapi iommu_hwpt_alloc].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PagingFlags: u32 {
        /// Stage 2 under nested domains: `IOMMU_HWPT_ALLOC_NEST_PARENT`.
        const NEST_PARENT = 1 << 0;
        /// `IOMMU_HWPT_ALLOC_DIRTY_TRACKING`.
        const DIRTY_TRACKING = 1 << 1;
        /// `IOMMU_HWPT_ALLOC_PASID`.
        const PASID = 1 << 3;
    }
}

/// A process address space id, 20 bits [PCIe 6.20].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pasid(pub u32);

/// What a driver can do for a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCaps {
    /// Domains for it can track dirty pages: `IOMMU_HW_CAP_DIRTY_TRACKING`.
    pub dirty_tracking: bool,
    /// Its DMA can be forced coherent.
    pub enforce_cache_coherency: bool,
    /// Its message interrupts are isolated (remapped, or through an own window).
    pub isolated_msi: bool,
    /// ATS is not possible for it: `IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED`.
    pub no_ats: bool,
    /// PASID bits it may use; 0 where it has none.
    pub pasid_bits: u8,
}

/// Answer to `IOMMU_GET_HW_INFO` [uapi iommu_hw_info].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HwInfo {
    /// `IOMMU_HW_INFO_TYPE_*`.
    pub kind: u32,
    /// The type's structure, as bytes.
    pub data: Vec<u8>,
}

/// Why IOVAs cannot be mapped [kernel: iommu_resv_type].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedKind {
    /// Mapped one to one by firmware's wish (RMRR), always.
    Direct,
    /// As `Direct`, but may be given up when the device is assigned.
    DirectRelaxable,
    /// Not usable.
    Reserved,
    /// Writes there are message interrupts, decoded by the IOMMU.
    Msi,
    /// IOVAs that software maps its message doorbell at.
    SoftwareMsi,
}

/// IOVAs of a device that an address space must leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedRegion {
    /// Which.
    pub span: Span,
    /// Why.
    pub kind: ReservedKind,
}

/// What a device's DMA goes through.
#[derive(Clone)]
pub enum Attachment {
    /// Nothing passes.
    Blocked,
    /// Addresses are physical.
    Identity,
    /// One stage of the core's mappings.
    Paging(Arc<dyn PagingDomain>),
    /// The user's stage 1 over a paging domain's stage 2.
    Nested(Arc<dyn NestedDomain>),
}

impl Attachment {
    /// Whether both name the same domain.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blocked, Self::Blocked) | (Self::Identity, Self::Identity) => true,
            (Self::Paging(a), Self::Paging(b)) => Arc::ptr_eq(a, b),
            (Self::Nested(a), Self::Nested(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// Tracks which pages devices wrote, by leaf of the domain's table.
pub trait DirtyTracking {
    /// Starts or stops. Starting clears what was recorded.
    ///
    /// # Errors
    /// What the driver could not do.
    fn set(&self, on: bool) -> Result<()>;

    /// Whether it is on.
    fn enabled(&self) -> bool;

    /// Calls `dirty` with each written range in `span`, in order; forgets them unless `keep`. A leaf
    /// that reaches past `span.last` is reported and forgotten to its end: the caller takes from the
    /// report what it asks for next.
    ///
    /// # Errors
    /// `EINVAL` where tracking is off.
    fn read(&self, span: Span, keep: bool, dirty: &mut dyn FnMut(Span)) -> Result<()>;
}

/// One stage of translation whose mappings the core makes.
pub trait PagingDomain: Any + Send + Sync {
    /// IOVAs it can map.
    fn aperture(&self) -> Span;

    /// Bit n set: leaves of 2^n bytes.
    fn page_sizes(&self) -> u64;

    /// Maps `iova` on to `pa` for `bytes`, all multiples of the smallest page size, in the largest
    /// leaves that fit. `large` false: in leaves of at most 4 KiB. All or nothing.
    ///
    /// # Errors
    /// `EINVAL` outside the aperture, misaligned or already mapped; `ENOMEM`.
    fn map(&self, iova: Iova, pa: Pa, bytes: u64, protection: Protection, large: bool) -> Result<()>;

    /// Removes the leaves in `span`, which cuts none. DMA may still use them until [`Self::sync`].
    fn unmap(&self, span: Span);

    /// Returns when no DMA uses what was unmapped before.
    fn sync(&self);

    /// Where `iova` leads.
    fn iova_to_phys(&self, iova: Iova) -> Option<Pa>;

    /// Its dirty tracking, where it was asked for or always has it.
    fn dirty(&self) -> Option<&dyn DirtyTracking> {
        None
    }

    /// Forces coherent DMA from now on; whether it could.
    fn enforce_cache_coherency(&self) -> bool {
        false
    }
}

/// A user's stage 1.
pub trait NestedDomain: Any + Send + Sync {
    /// Executes the entries of `IOMMU_HWPT_INVALIDATE` in order, counting with
    /// [`UserArray::done`]. The count is reported whatever the result is.
    ///
    /// # Errors
    /// `EOPNOTSUPP` or `EINVAL` as the driver's format says, `EFAULT`.
    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()>;
}

/// A virtual IOMMU: a slice of a physical one given to a guest [uapi iommu_viommu_alloc].
pub trait Viommu: Any + Send + Sync {
    /// A nested domain that goes through it.
    ///
    /// # Errors
    /// As [`IommuDriver::alloc_nested`].
    fn alloc_nested(
        &self,
        device: &PhysicalDevice,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>>;

    /// As [`NestedDomain::invalidate`], for commands that name virtual devices.
    ///
    /// # Errors
    /// As there; `EOPNOTSUPP` where it takes no commands.
    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()>;

    /// A device became known to it as `virtual_id`.
    ///
    /// # Errors
    /// What the driver could not do.
    fn add_device(&self, device: &Arc<PhysicalDevice>, virtual_id: u64) -> Result<()>;

    /// The device of `virtual_id` is gone.
    fn remove_device(&self, virtual_id: u64);

    /// Memory it offers to `mmap`, whole pages.
    fn window(&self) -> Option<Arc<vm_memory::MmapRegion>> {
        None
    }

    /// Writes the type's structure back to the caller of `IOMMU_VIOMMU_ALLOC`; `offset` is where
    /// [`Self::window`] can be mapped.
    ///
    /// # Errors
    /// `EFAULT`; the virtual IOMMU is gone then.
    fn report(&self, data: &UserData<'_>, offset: Option<u64>) -> Result<()> {
        let _ = (data, offset);
        Ok(())
    }

    /// Checks a hardware queue's type [uapi iommu_hw_queue_alloc].
    fn has_queue(&self, kind: u32) -> bool {
        let _ = kind;
        false
    }

    /// The queue of the same kind that must exist as long as the one at `index` does.
    fn queue_needs(&self, kind: u32, index: u32) -> Option<u32> {
        let _ = (kind, index);
        None
    }

    /// A hardware queue of `kind` at `index` over physically contiguous memory. What it returns
    /// lives as long as the queue.
    ///
    /// # Errors
    /// As the driver's type says.
    fn alloc_queue(&self, kind: u32, index: u32, base: Pa, bytes: u64) -> Result<Box<dyn Any + Send + Sync>> {
        let _ = (kind, index, base, bytes);
        Err(Errno::EOPNOTSUPP)
    }
}

/// A page request of a device [PCIe 10.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Address space, where the request names one.
    pub pasid: Option<Pasid>,
    /// Page request group.
    pub group: u32,
    /// Last of its group.
    pub last: bool,
    /// `IOMMU_PGFAULT_PERM_*` bits.
    pub permissions: u32,
    /// First byte wanted.
    pub address: u64,
}

/// The answer to a group of page requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageResponse {
    /// Mapped now: retry.
    Success,
    /// Never will be.
    Invalid,
}

/// A fault that ended a DMA for good, as the driver read it from its hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmaFault {
    /// Who did it, where it can be told.
    pub device: Option<DeviceId>,
    /// The bus master's number as recorded: a requester id or StreamID.
    pub source: u32,
    /// Address space.
    pub pasid: Option<Pasid>,
    /// Where.
    pub address: u64,
    /// A write (or atomic).
    pub write: bool,
    /// The architecture's reason code.
    pub reason: u32,
}

/// What a driver tells the core. Called without locks of the driver held.
pub trait DriverEvents: Send + Sync {
    /// A device asks for a page. The answer comes by [`IommuDriver::page_response`].
    fn page_request(&self, device: DeviceId, request: PageRequest);

    /// A DMA was refused.
    fn dma_fault(&self, fault: DmaFault);

    /// An event of the virtual IOMMU that `device` is attached through: goes to that one's event
    /// queue of type `kind`.
    ///
    /// # Errors
    /// `ENOENT` where the device is attached through none, `EOPNOTSUPP` where the user has no
    /// queue of this type.
    fn viommu_event(&self, device: DeviceId, kind: u32, data: &[u8]) -> Result<()>;

    /// The virtual id of `device` in the virtual IOMMU it is attached through; `None` without.
    fn virtual_id(&self, device: DeviceId) -> Option<u64>;
}

/// A host IOMMU driver: all units of one kind, or one unit, as its hardware wants it.
pub trait IommuDriver: Any + Send + Sync {
    /// Gives it its surroundings, once, before anything else.
    fn connect(&self, events: Weak<dyn DriverEvents>, frames: Arc<Frames>);

    /// Takes on a device, which stays blocked until it is attached.
    ///
    /// # Errors
    /// `ENODEV` where it is not behind this IOMMU.
    fn probe(&self, device: &Arc<PhysicalDevice>) -> Result<DeviceCaps>;

    /// Forgets a device.
    fn release(&self, device: &PhysicalDevice);

    /// What the hardware is; `requested` is the type the caller wants, `None` for the default.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a type it does not have.
    fn hw_info(&self, device: &PhysicalDevice, requested: Option<u32>) -> Result<HwInfo>;

    /// IOVAs that no address space of this device may map.
    fn reserved(&self, device: &PhysicalDevice) -> Vec<ReservedRegion>;

    /// A domain the core fills. `data` is empty for the plain kind.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for flags or data it does not have.
    fn alloc_paging(
        &self,
        device: &PhysicalDevice,
        flags: PagingFlags,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn PagingDomain>>;

    /// A user's stage 1 over `parent`. `flags` as given to `IOMMU_HWPT_ALLOC`, without the fault
    /// bit.
    ///
    /// # Errors
    /// `EOPNOTSUPP` or `EINVAL` as the format says, `EFAULT`.
    fn alloc_nested(
        &self,
        device: &PhysicalDevice,
        parent: &Arc<dyn PagingDomain>,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>>;

    /// Which of its units the device is behind. A virtual IOMMU serves the devices of one unit.
    fn unit(&self, device: &PhysicalDevice) -> u32 {
        let _ = device;
        0
    }

    /// Whether a user's stage 1 holds a device's whole PASID table: then a page request for a PASID
    /// that nothing is attached to belongs to the nested domain of the device itself.
    fn user_pasid_table(&self) -> bool {
        false
    }

    /// Whether it has virtual IOMMUs of this `IOMMU_VIOMMU_TYPE_*` for the device.
    fn has_viommu(&self, device: &PhysicalDevice, kind: u32) -> bool;

    /// A virtual IOMMU over `parent`. `data` may be written back.
    ///
    /// # Errors
    /// As the type says.
    fn alloc_viommu(
        &self,
        device: &PhysicalDevice,
        kind: u32,
        parent: &Arc<dyn PagingDomain>,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn Viommu>>;

    /// Moves the device, or one PASID of it, to `to`. On error nothing changed. When it returns no
    /// DMA uses what was attached before.
    ///
    /// # Errors
    /// `EINVAL` where the domain does not fit the device, what the hardware could not do.
    fn attach(&self, device: &PhysicalDevice, pasid: Option<Pasid>, to: &Attachment) -> Result<()>;

    /// Answers a group of page requests. The core holds no lock: the driver may come back to it.
    fn page_response(
        &self,
        device: &PhysicalDevice,
        pasid: Option<Pasid>,
        group: u32,
        response: PageResponse,
    );
}
