//! Mapping by type 1, on a container or on an iommufd in its place.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{InfoCapHeader, ioctl};

flags! {
    /// What the answer holds [uapi vfio_iommu_type1_info].
    pub struct IommuInfoFlags: u32 {
        /// `iova_pgsizes`.
        const PGSIZES = 1 << 0;
        /// Capabilities.
        const CAPS = 1 << 1;
    }

    /// How to map [uapi vfio_iommu_type1_dma_map].
    pub struct DmaMapFlags: u32 {
        /// Devices may read.
        const READ = 1 << 0;
        /// Devices may write.
        const WRITE = 1 << 1;
        /// Give an existing mapping its new address in the caller.
        const VADDR = 1 << 2;
    }

    /// How to unmap [uapi vfio_iommu_type1_dma_unmap].
    pub struct DmaUnmapFlags: u32 {
        /// Return what is dirty; a [`Bitmap`] follows.
        const GET_DIRTY_BITMAP = 1 << 0;
        /// Everything; range and size are zero.
        const ALL = 1 << 1;
        /// Do not unmap, but forget the addresses in the caller.
        const VADDR = 1 << 2;
    }

    /// What to do about dirty pages: exactly one [uapi vfio_iommu_type1_dirty_bitmap].
    pub struct DirtyPagesFlags: u32 {
        /// Begin tracking.
        const START = 1 << 0;
        /// End tracking.
        const STOP = 1 << 1;
        /// Return what is dirty; an [`IommuType1DirtyBitmapGet`] follows.
        const GET_BITMAP = 1 << 2;
    }
}

/// Asks what can be mapped [uapi vfio_iommu_type1_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1Info {
    /// In: bytes passed. Out: bytes that the whole answer takes.
    pub argsz: u32,
    /// Out: what the answer holds.
    pub flags: IommuInfoFlags,
    /// Out: one bit for each page size.
    pub iova_pgsizes: u64,
    /// Out: where the first capability begins, in bytes from here; 0 if there is no room.
    pub cap_offset: u32,
    /// Zero.
    pub pad: u32,
}
// The capabilities came later.
command!(IommuType1Info, ioctl::IOMMU_GET_INFO, iova_pgsizes);

/// [`IommuType1InfoCapIovaRange`] [uapi VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE].
pub const IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: u16 = 1;
/// [`IommuType1InfoCapMigration`] [uapi VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION].
pub const IOMMU_TYPE1_INFO_CAP_MIGRATION: u16 = 2;
/// [`IommuType1InfoDmaAvail`] [uapi VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL].
pub const IOMMU_TYPE1_INFO_DMA_AVAIL: u16 = 3;

/// A range of IOVAs, both ends inclusive [uapi vfio_iova_range].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IovaRange {
    /// The first IOVA.
    pub start: u64,
    /// The last IOVA.
    pub end: u64,
}

/// The ranges that can be mapped; `nr_iovas` [`IovaRange`]s follow
/// [uapi vfio_iommu_type1_info_cap_iova_range].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct IommuType1InfoCapIovaRange {
    /// [`IOMMU_TYPE1_INFO_CAP_IOVA_RANGE`], version 1.
    pub header: InfoCapHeader,
    /// How many ranges follow.
    pub nr_iovas: u32,
    /// Zero.
    pub reserved: u32,
}

/// How dirty pages can be tracked [uapi vfio_iommu_type1_info_cap_migration].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1InfoCapMigration {
    /// [`IOMMU_TYPE1_INFO_CAP_MIGRATION`], version 1.
    pub header: InfoCapHeader,
    /// None is defined: zero.
    pub flags: u32,
    /// Unnamed in C.
    pub padding: u32,
    /// One bit for each page size that a bit can stand for.
    pub pgsize_bitmap: u64,
    /// The most bytes of a bitmap.
    pub max_dirty_bitmap_size: u64,
}

/// How many more mappings there can be [uapi vfio_iommu_type1_info_dma_avail].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1InfoDmaAvail {
    /// [`IOMMU_TYPE1_INFO_DMA_AVAIL`], version 1.
    pub header: InfoCapHeader,
    /// How many.
    pub avail: u32,
}

/// Maps memory of the caller [uapi vfio_iommu_type1_dma_map].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1DmaMap {
    /// Bytes passed.
    pub argsz: u32,
    /// How to map.
    pub flags: DmaMapFlags,
    /// The address in the caller.
    pub vaddr: u64,
    /// The first IOVA.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
}
command!(IommuType1DmaMap, ioctl::IOMMU_MAP_DMA, size);

/// A bitmap in the caller's memory [uapi vfio_bitmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bitmap {
    /// Bytes that one bit stands for.
    pub pgsize: u64,
    /// Bytes of the bitmap.
    pub size: u64,
    /// Its address.
    pub data: u64,
}

/// Removes mappings [uapi vfio_iommu_type1_dma_unmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1DmaUnmap {
    /// Bytes passed.
    pub argsz: u32,
    /// How to unmap.
    pub flags: DmaUnmapFlags,
    /// The first IOVA.
    pub iova: u64,
    /// In: bytes to unmap. Out: bytes that had been mapped.
    pub size: u64,
}
command!(IommuType1DmaUnmap, ioctl::IOMMU_UNMAP_DMA, size);

/// Tracks dirty pages [uapi vfio_iommu_type1_dirty_bitmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1DirtyBitmap {
    /// Bytes passed.
    pub argsz: u32,
    /// What to do.
    pub flags: DirtyPagesFlags,
}
command!(IommuType1DirtyBitmap, ioctl::IOMMU_DIRTY_PAGES, flags);

/// The range whose dirty pages are asked for [uapi vfio_iommu_type1_dirty_bitmap_get].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuType1DirtyBitmapGet {
    /// The first IOVA.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// Where to put the answer.
    pub bitmap: Bitmap,
}
