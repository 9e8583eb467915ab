//! The request numbers of iommufd, and what a command's structure has beside its fields.
//!
//! All requests are `_IO(';', nr)`: the size is in the structure, not in the number, so that structures
//! can grow [uapi IOMMUFD_TYPE].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The type byte of every request of iommufd and VFIO.
pub const TYPE: u8 = b';';

/// `_IO(';', nr)`; `nr` is the low byte.
pub const fn io(nr: u8) -> u32 {
    (TYPE as u32) << 8 | nr as u32
}

/// The low byte of a request, by which it is dispatched.
pub const fn nr(request: u32) -> u32 {
    request & 0xff
}

/// The structure of an ioctl: its number, and how much of it a caller must at least pass.
///
/// A caller may pass less than `size_of::<Self>()`: the rest reads as zeros. It may pass more, if that is
/// all zeros.
pub trait Command: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// The request as given to `ioctl`.
    const REQUEST: u32;
    /// [`nr`] of the request.
    const NR: u32 = nr(Self::REQUEST);
    /// The end of the structure as it was first published, in bytes; less is `EINVAL`.
    const MIN_SIZE: usize;
}

/// The size of the field that `_field` selects, in bytes.
pub(crate) const fn size_of_field<T, F>(_field: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// The least [`nr`] of iommufd; what is below belongs to VFIO [uapi IOMMUFD_CMD_BASE].
pub const CMD_BASE: u8 = 0x80;

/// [`Destroy`](super::Destroy) [uapi IOMMU_DESTROY].
pub const DESTROY: u32 = io(0x80);
/// [`IoasAlloc`](super::IoasAlloc) [uapi IOMMU_IOAS_ALLOC].
pub const IOAS_ALLOC: u32 = io(0x81);
/// [`IoasAllowIovas`](super::IoasAllowIovas) [uapi IOMMU_IOAS_ALLOW_IOVAS].
pub const IOAS_ALLOW_IOVAS: u32 = io(0x82);
/// [`IoasCopy`](super::IoasCopy) [uapi IOMMU_IOAS_COPY].
pub const IOAS_COPY: u32 = io(0x83);
/// [`IoasIovaRanges`](super::IoasIovaRanges) [uapi IOMMU_IOAS_IOVA_RANGES].
pub const IOAS_IOVA_RANGES: u32 = io(0x84);
/// [`IoasMap`](super::IoasMap) [uapi IOMMU_IOAS_MAP].
pub const IOAS_MAP: u32 = io(0x85);
/// [`IoasUnmap`](super::IoasUnmap) [uapi IOMMU_IOAS_UNMAP].
pub const IOAS_UNMAP: u32 = io(0x86);
/// [`IommuOption`](super::IommuOption) [uapi IOMMU_OPTION].
pub const OPTION: u32 = io(0x87);
/// [`VfioIoas`](super::VfioIoas) [uapi IOMMU_VFIO_IOAS].
pub const VFIO_IOAS: u32 = io(0x88);
/// [`HwptAlloc`](super::HwptAlloc) [uapi IOMMU_HWPT_ALLOC].
pub const HWPT_ALLOC: u32 = io(0x89);
/// [`HwInfo`](super::HwInfo) [uapi IOMMU_GET_HW_INFO].
pub const GET_HW_INFO: u32 = io(0x8a);
/// [`HwptSetDirtyTracking`](super::HwptSetDirtyTracking) [uapi IOMMU_HWPT_SET_DIRTY_TRACKING].
pub const HWPT_SET_DIRTY_TRACKING: u32 = io(0x8b);
/// [`HwptGetDirtyBitmap`](super::HwptGetDirtyBitmap) [uapi IOMMU_HWPT_GET_DIRTY_BITMAP].
pub const HWPT_GET_DIRTY_BITMAP: u32 = io(0x8c);
/// [`HwptInvalidate`](super::HwptInvalidate) [uapi IOMMU_HWPT_INVALIDATE].
pub const HWPT_INVALIDATE: u32 = io(0x8d);
/// [`FaultAlloc`](super::FaultAlloc) [uapi IOMMU_FAULT_QUEUE_ALLOC].
pub const FAULT_QUEUE_ALLOC: u32 = io(0x8e);
/// [`IoasMapFile`](super::IoasMapFile) [uapi IOMMU_IOAS_MAP_FILE].
pub const IOAS_MAP_FILE: u32 = io(0x8f);
/// [`ViommuAlloc`](super::ViommuAlloc) [uapi IOMMU_VIOMMU_ALLOC].
pub const VIOMMU_ALLOC: u32 = io(0x90);
/// [`VdeviceAlloc`](super::VdeviceAlloc) [uapi IOMMU_VDEVICE_ALLOC].
pub const VDEVICE_ALLOC: u32 = io(0x91);
/// [`IoasChangeProcess`](super::IoasChangeProcess) [uapi IOMMU_IOAS_CHANGE_PROCESS].
pub const IOAS_CHANGE_PROCESS: u32 = io(0x92);
/// [`VeventqAlloc`](super::VeventqAlloc) [uapi IOMMU_VEVENTQ_ALLOC].
pub const VEVENTQ_ALLOC: u32 = io(0x93);
/// [`HwQueueAlloc`](super::HwQueueAlloc) [uapi IOMMU_HW_QUEUE_ALLOC].
pub const HW_QUEUE_ALLOC: u32 = io(0x94);
/// [`IoasNoiommuGetPa`](super::IoasNoiommuGetPa) [uapi IOMMU_IOAS_NOIOMMU_GET_PA].
pub const IOAS_NOIOMMU_GET_PA: u32 = io(0x95);
/// [`TestCmd`](super::test::TestCmd), the greatest number of iommufd [uapi IOMMU_TEST_CMD].
pub const TEST_CMD: u32 = io(0xa0);
