//! Fault queues: page requests to the caller, and its responses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// What a fault record holds [uapi iommu_hwpt_pgfault_flags].
    pub struct PgfaultFlags: u32 {
        /// `pasid` is meant.
        const PASID_VALID = 1 << 0;
        /// The last of its page request group.
        const LAST_PAGE = 1 << 1;
    }

    /// The permissions asked for [uapi iommu_hwpt_pgfault_perm].
    pub struct PgfaultPerm: u32 {
        /// To read.
        const READ = 1 << 0;
        /// To write.
        const WRITE = 1 << 1;
        /// To execute, by a request with PASID [PCIe 10.4.1].
        const EXEC = 1 << 2;
        /// To do so in privileged mode, by a request with PASID [PCIe 10.4.1].
        const PRIV = 1 << 3;
    }
}

/// Allocates a fault queue and a file to read it by [uapi iommu_fault_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FaultAlloc {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// Out: the new fault queue.
    pub out_fault_id: u32,
    /// Out: its file.
    pub out_fault_fd: u32,
}
command!(FaultAlloc, ioctl::FAULT_QUEUE_ALLOC, out_fault_fd);

/// A page request, as read from the queue's file [uapi iommu_hwpt_pgfault].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptPgfault {
    /// What the record holds.
    pub flags: PgfaultFlags,
    /// The device.
    pub dev_id: u32,
    /// The PASID, if [`PgfaultFlags::PASID_VALID`].
    pub pasid: u32,
    /// The Page Request Group Index.
    pub grpid: u32,
    /// The permissions asked for.
    pub perm: PgfaultPerm,
    /// Zero.
    pub reserved: u32,
    /// The address that faulted.
    pub addr: u64,
    /// Bytes that the device is about to access, 0 if it does not say.
    pub length: u32,
    /// The group's name in this queue, to be returned by the response.
    pub cookie: u32,
}

/// The pages are there, the device may try again [uapi IOMMUFD_PAGE_RESP_SUCCESS], [PCIe 10.4.2.1].
pub const PAGE_RESP_SUCCESS: u32 = 0;
/// The pages will not be there [uapi IOMMUFD_PAGE_RESP_INVALID], [PCIe 10.4.2.1].
pub const PAGE_RESP_INVALID: u32 = 1;

/// The response to a page request group, as written to the queue's file [uapi iommu_hwpt_page_response].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptPageResponse {
    /// The group's [`HwptPgfault::cookie`].
    pub cookie: u32,
    /// [`PAGE_RESP_SUCCESS`] or [`PAGE_RESP_INVALID`].
    pub code: u32,
}
