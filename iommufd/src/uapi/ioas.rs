//! I/O address spaces: allocation, allowed and usable ranges, mapping, copying, unmapping.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// How a range is mapped [uapi iommufd_ioas_map_flags].
    pub struct IoasMapFlags: u32 {
        /// The caller chose the IOVA. Without it the IOVA is chosen for the caller and returned.
        const FIXED_IOVA = 1 << 0;
        /// Devices may write.
        const WRITEABLE = 1 << 1;
        /// Devices may read.
        const READABLE = 1 << 2;
    }
}

/// Destroys an object of any kind, if nothing else uses it [uapi iommu_destroy].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Destroy {
    /// Bytes passed.
    pub size: u32,
    /// The object.
    pub id: u32,
}
command!(Destroy, ioctl::DESTROY, id);

/// Allocates an empty I/O address space [uapi iommu_ioas_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasAlloc {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// Out: the new IOAS.
    pub out_ioas_id: u32,
}
command!(IoasAlloc, ioctl::IOAS_ALLOC, out_ioas_id);

/// A range of IOVAs, both ends inclusive [uapi iommu_iova_range].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IovaRange {
    /// The first IOVA.
    pub start: u64,
    /// The last IOVA.
    pub last: u64,
}

/// Asks which IOVAs the devices attached at present leave usable [uapi iommu_ioas_iova_ranges].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasIovaRanges {
    /// Bytes passed.
    pub size: u32,
    /// The IOAS.
    pub ioas_id: u32,
    /// In: how many elements `allowed_iovas` has room for. Out: how many ranges there are.
    pub num_iovas: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of an array of [`IovaRange`], filled as far as it goes.
    pub allowed_iovas: u64,
    /// Out: the alignment of IOVA and length that mapping asks for, in bytes, from 1 to the page size.
    pub out_iova_alignment: u64,
}
command!(IoasIovaRanges, ioctl::IOAS_IOVA_RANGES, out_iova_alignment);

/// Replaces the list of ranges which no device may take away [uapi iommu_ioas_allow_iovas].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasAllowIovas {
    /// Bytes passed.
    pub size: u32,
    /// The IOAS.
    pub ioas_id: u32,
    /// The number of elements of `allowed_iovas`; zero empties the list.
    pub num_iovas: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of an array of [`IovaRange`].
    pub allowed_iovas: u64,
}
command!(IoasAllowIovas, ioctl::IOAS_ALLOW_IOVAS, allowed_iovas);

/// Maps memory of the caller [uapi iommu_ioas_map].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasMap {
    /// Bytes passed.
    pub size: u32,
    /// How to map.
    pub flags: IoasMapFlags,
    /// The IOAS.
    pub ioas_id: u32,
    /// Zero.
    pub reserved: u32,
    /// The first address in the caller.
    pub user_va: u64,
    /// Bytes to map.
    pub length: u64,
    /// In with [`IoasMapFlags::FIXED_IOVA`], out without: the first IOVA.
    pub iova: u64,
}
command!(IoasMap, ioctl::IOAS_MAP, iova);

/// Maps a memfd or a dma-buf [uapi iommu_ioas_map_file].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasMapFile {
    /// Bytes passed.
    pub size: u32,
    /// How to map.
    pub flags: IoasMapFlags,
    /// The IOAS.
    pub ioas_id: u32,
    /// The file.
    pub fd: i32,
    /// The first byte in the file.
    pub start: u64,
    /// Bytes to map.
    pub length: u64,
    /// As in [`IoasMap`].
    pub iova: u64,
}
command!(IoasMapFile, ioctl::IOAS_MAP_FILE, iova);

/// Maps in one IOAS what another has mapped, sharing its pins [uapi iommu_ioas_copy].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasCopy {
    /// Bytes passed.
    pub size: u32,
    /// How to map.
    pub flags: IoasMapFlags,
    /// The IOAS to map in.
    pub dst_ioas_id: u32,
    /// The IOAS to copy from.
    pub src_ioas_id: u32,
    /// Bytes to copy.
    pub length: u64,
    /// In with [`IoasMapFlags::FIXED_IOVA`], out without: the first IOVA of the copy.
    pub dst_iova: u64,
    /// The first IOVA of the source.
    pub src_iova: u64,
}
command!(IoasCopy, ioctl::IOAS_COPY, src_iova);

/// Removes whole mappings; 0 to `u64::MAX` removes all [uapi iommu_ioas_unmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasUnmap {
    /// Bytes passed.
    pub size: u32,
    /// The IOAS.
    pub ioas_id: u32,
    /// The first IOVA.
    pub iova: u64,
    /// In: bytes to unmap. Out: bytes that had been mapped.
    pub length: u64,
}
command!(IoasUnmap, ioctl::IOAS_UNMAP, length);

/// Moves the account of all pinned memory to the calling process, if every mapping is of a file
/// [uapi iommu_ioas_change_process].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasChangeProcess {
    /// Bytes passed.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
}
command!(IoasChangeProcess, ioctl::IOAS_CHANGE_PROCESS, reserved);

/// Asks for the physical address behind an IOVA of a device that has no IOMMU
/// [uapi iommu_ioas_noiommu_get_pa].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoasNoiommuGetPa {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// The IOAS.
    pub ioas_id: u32,
    /// Zero.
    pub reserved: u32,
    /// The IOVA.
    pub iova: u64,
    /// In: the most bytes to look at, 0 for no limit. Out: bytes that are physically contiguous.
    pub length: u64,
    /// Out: the physical address.
    pub out_phys: u64,
}
command!(IoasNoiommuGetPa, ioctl::IOAS_NOIOMMU_GET_PA, out_phys);
