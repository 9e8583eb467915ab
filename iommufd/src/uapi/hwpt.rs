//! Hardware page tables: allocation with the data of each IOMMU, invalidation, dirty tracking.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// What a new HWPT is for [uapi iommufd_hwpt_alloc_flags].
    pub struct HwptAllocFlags: u32 {
        /// It will be the parent of nested HWPTs.
        const NEST_PARENT = 1 << 0;
        /// Only devices whose IOMMU tracks dirty pages may be attached.
        const DIRTY_TRACKING = 1 << 1;
        /// `fault_id` holds a fault queue. The header calls it `IOMMU_HWPT_FAULT_ID_VALID`.
        const FAULT_ID_VALID = 1 << 2;
        /// It may be attached to PASIDs of a device.
        const PASID = 1 << 3;
    }

    /// Attributes of a VT-d first-stage table, as in a PASID table entry [uapi iommu_hwpt_vtd_s1_flags].
    pub struct VtdS1Flags: u64 {
        /// Supervisor requests are allowed (SRE).
        const SRE = 1 << 0;
        /// Extended accessed flags are maintained (EAFE).
        const EAFE = 1 << 1;
        /// Supervisor requests respect write protection (WPE).
        const WPE = 1 << 2;
    }

    /// Whether dirty tracking is to be on [uapi iommufd_hwpt_set_dirty_tracking_flags].
    pub struct HwptSetDirtyTrackingFlags: u32 {
        /// Turn it on; without, off.
        const ENABLE = 1 << 0;
    }

    /// How dirty bits are read [uapi iommufd_hwpt_get_dirty_bitmap_flags].
    pub struct HwptGetDirtyBitmapFlags: u32 {
        /// Leave the entries dirty.
        const NO_CLEAR = 1 << 0;
    }

    /// What an invalidation of a VT-d first stage may spare [uapi iommu_hwpt_vtd_s1_invalidate_flags].
    pub struct VtdInvFlags: u32 {
        /// Only leaf entries changed: the paging-structure caches may stay.
        const LEAF = 1 << 0;
    }
}

/// No data: a paging HWPT over an IOAS [uapi IOMMU_HWPT_DATA_NONE].
pub const HWPT_DATA_NONE: u32 = 0;
/// [`HwptVtdS1`] [uapi IOMMU_HWPT_DATA_VTD_S1].
pub const HWPT_DATA_VTD_S1: u32 = 1;
/// [`HwptArmSmmuv3`] [uapi IOMMU_HWPT_DATA_ARM_SMMUV3].
pub const HWPT_DATA_ARM_SMMUV3: u32 = 2;
/// [`HwptAmdGuest`] [uapi IOMMU_HWPT_DATA_AMD_GUEST].
pub const HWPT_DATA_AMD_GUEST: u32 = 3;

/// Allocates a HWPT: a paging one over an IOAS, or a nested one over a parent HWPT or a vIOMMU
/// [uapi iommu_hwpt_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptAlloc {
    /// Bytes passed.
    pub size: u32,
    /// What the HWPT is for.
    pub flags: HwptAllocFlags,
    /// The device whose IOMMU makes it.
    pub dev_id: u32,
    /// The IOAS, parent HWPT or vIOMMU that it stands on.
    pub pt_id: u32,
    /// Out: the new HWPT.
    pub out_hwpt_id: u32,
    /// Zero.
    pub reserved: u32,
    /// Which structure `data_uptr` points to: a `HWPT_DATA_*`.
    pub data_type: u32,
    /// Bytes of that structure.
    pub data_len: u32,
    /// Its address.
    pub data_uptr: u64,
    /// The fault queue, if [`HwptAllocFlags::FAULT_ID_VALID`].
    pub fault_id: u32,
    /// Zero.
    pub reserved2: u32,
}
// The structure was first published without data.
command!(HwptAlloc, ioctl::HWPT_ALLOC, reserved);

/// A guest's first-stage table of VT-d [uapi iommu_hwpt_vtd_s1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptVtdS1 {
    /// Its attributes.
    pub flags: VtdS1Flags,
    /// The guest-physical address of its root.
    pub pgtbl_addr: u64,
    /// The width of its input addresses in bits.
    pub addr_width: u32,
    /// Zero.
    pub reserved: u32,
}

/// A guest's stream table entry of SMMUv3, as far as it says how to nest [uapi iommu_hwpt_arm_smmuv3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptArmSmmuv3 {
    /// The first two doublewords, little-endian: V, Config, S1Fmt, S1ContextPtr, S1CDMax; EATS, S1DSS,
    /// S1CIR, S1COR, S1CSH, S1STALLD [SMMUv3 5.2].
    pub ste: [u64; 2],
}

/// A guest's device table entry of AMD's IOMMU [uapi iommu_hwpt_amd_guest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptAmdGuest {
    /// The entry.
    pub dte: [u64; 4],
}

/// Entries are [`HwptVtdS1Invalidate`] [uapi IOMMU_HWPT_INVALIDATE_DATA_VTD_S1].
pub const HWPT_INVALIDATE_DATA_VTD_S1: u32 = 0;
/// Entries are [`ViommuArmSmmuv3Invalidate`] [uapi IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3].
pub const VIOMMU_INVALIDATE_DATA_ARM_SMMUV3: u32 = 1;

/// Invalidates what is cached of a nested HWPT or of a vIOMMU, request by request [uapi iommu_hwpt_invalidate].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptInvalidate {
    /// Bytes passed.
    pub size: u32,
    /// The nested HWPT or vIOMMU.
    pub hwpt_id: u32,
    /// Address of an array of requests.
    pub data_uptr: u64,
    /// What a request is: a `*_INVALIDATE_DATA_*`.
    pub data_type: u32,
    /// Bytes from one request to the next.
    pub entry_len: u32,
    /// In: how many requests; zero only asks whether the type is known. Out: how many were carried out.
    pub entry_num: u32,
    /// Zero.
    pub reserved: u32,
}
command!(HwptInvalidate, ioctl::HWPT_INVALIDATE, reserved);

/// Invalidates a range of a VT-d first stage, device TLBs included [uapi iommu_hwpt_vtd_s1_invalidate].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptVtdS1Invalidate {
    /// The first address, a multiple of 4 KiB.
    pub addr: u64,
    /// The number of 4 KiB pages; `u64::MAX` with address zero means everything.
    pub npages: u64,
    /// What may be spared.
    pub flags: VtdInvFlags,
    /// Zero.
    pub reserved: u32,
}

/// A guest's invalidation command of SMMUv3 [uapi iommu_viommu_arm_smmuv3_invalidate].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuArmSmmuv3Invalidate {
    /// The command as in the guest's command queue, little-endian, with its own StreamID and ASID
    /// [SMMUv3 4.1].
    pub cmd: [u64; 2],
}

/// Turns dirty tracking on or off [uapi iommu_hwpt_set_dirty_tracking].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptSetDirtyTracking {
    /// Bytes passed.
    pub size: u32,
    /// On or off.
    pub flags: HwptSetDirtyTrackingFlags,
    /// The paging HWPT.
    pub hwpt_id: u32,
    /// Zero.
    pub reserved: u32,
}
command!(HwptSetDirtyTracking, ioctl::HWPT_SET_DIRTY_TRACKING, reserved);

/// Reads, and by default clears, the dirty bits of a range [uapi iommu_hwpt_get_dirty_bitmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptGetDirtyBitmap {
    /// Bytes passed.
    pub size: u32,
    /// The paging HWPT.
    pub hwpt_id: u32,
    /// How to read.
    pub flags: HwptGetDirtyBitmapFlags,
    /// Zero.
    pub reserved: u32,
    /// The IOVA of the first bit.
    pub iova: u64,
    /// Bytes of the range.
    pub length: u64,
    /// Bytes that one bit stands for.
    pub page_size: u64,
    /// Address of the bitmap; bits are only ever set in it.
    pub data: u64,
}
command!(HwptGetDirtyBitmap, ioctl::HWPT_GET_DIRTY_BITMAP, data);
