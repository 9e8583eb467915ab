//! The user API of VFIO: containers, groups, devices, and mapping by type 1.
//!
//! Here a structure's first field is `argsz`, and the kernel takes no notice of what lies beyond the
//! fields it knows. Answers of variable length are chains of capabilities, [`InfoCapHeader`]. A structure
//! that an array follows ends before the array, and is aligned as its elements are.
//!
//! Absent: sPAPR and its EEH, mediated graphics, and the capabilities of s390.

mod device;
mod feature;
pub mod ioctl;
mod pci;
mod type1;

pub use device::*;
pub use feature::*;
pub use pci::*;
pub use type1::*;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What `VFIO_GET_API_VERSION` returns [uapi VFIO_API_VERSION].
pub const API_VERSION: u32 = 0;

/// Mapping of the first kind, where an unmapping may split mappings [uapi VFIO_TYPE1_IOMMU].
pub const TYPE1_IOMMU: u32 = 1;
/// Mapping of the second kind, where it may not [uapi VFIO_TYPE1v2_IOMMU].
pub const TYPE1V2_IOMMU: u32 = 3;
/// The IOMMU enforces coherence of DMA [uapi VFIO_DMA_CC_IOMMU].
pub const DMA_CC_IOMMU: u32 = 4;
/// Nesting by VFIO, which no kernel offers any more [uapi __VFIO_RESERVED_TYPE1_NESTING_IOMMU].
pub const RESERVED_TYPE1_NESTING_IOMMU: u32 = 6;
/// Devices without an IOMMU [uapi VFIO_NOIOMMU_IOMMU].
pub const NOIOMMU_IOMMU: u32 = 8;
/// [`DmaUnmapFlags::ALL`] is known [uapi VFIO_UNMAP_ALL].
pub const UNMAP_ALL: u32 = 9;
/// [`DmaMapFlags::VADDR`] and [`DmaUnmapFlags::VADDR`] are known [uapi VFIO_UPDATE_VADDR].
pub const UPDATE_VADDR: u32 = 10;

/// Begins each capability behind an answer [uapi vfio_info_cap_header].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InfoCapHeader {
    /// Which capability, among those of its ioctl.
    pub id: u16,
    /// Its version.
    pub version: u16,
    /// Where the next begins, in bytes from the beginning of the answer; 0 if none does.
    pub next: u32,
}

flags! {
    /// The state of a group [uapi vfio_group_status].
    pub struct GroupFlags: u32 {
        /// All its devices are VFIO's, or no one's.
        const VIABLE = 1 << 0;
        /// It has a container.
        const CONTAINER_SET = 1 << 1;
    }
}

/// Asks for the state of a group [uapi vfio_group_status].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GroupStatus {
    /// Bytes passed.
    pub argsz: u32,
    /// Out: the state.
    pub flags: GroupFlags,
}
command!(GroupStatus, ioctl::GROUP_GET_STATUS, flags);
