//! The request numbers of VFIO. From [`BASE`] + 12 on, containers and devices use the same ones.

use crate::uapi::ioctl::io;

/// The first number of VFIO [uapi VFIO_BASE].
pub const BASE: u8 = 100;

/// Of a container: no argument [uapi VFIO_GET_API_VERSION].
pub const GET_API_VERSION: u32 = io(BASE);
/// Of a container: the extension by value [uapi VFIO_CHECK_EXTENSION].
pub const CHECK_EXTENSION: u32 = io(BASE + 1);
/// Of a container: the type by value [uapi VFIO_SET_IOMMU].
pub const SET_IOMMU: u32 = io(BASE + 2);

/// Of a group: [`GroupStatus`](super::GroupStatus) [uapi VFIO_GROUP_GET_STATUS].
pub const GROUP_GET_STATUS: u32 = io(BASE + 3);
/// Of a group: the address of the container's file descriptor [uapi VFIO_GROUP_SET_CONTAINER].
pub const GROUP_SET_CONTAINER: u32 = io(BASE + 4);
/// Of a group: no argument [uapi VFIO_GROUP_UNSET_CONTAINER].
pub const GROUP_UNSET_CONTAINER: u32 = io(BASE + 5);
/// Of a group: the address of the device's name, ended by a zero [uapi VFIO_GROUP_GET_DEVICE_FD].
pub const GROUP_GET_DEVICE_FD: u32 = io(BASE + 6);

/// Of a device: [`DeviceInfo`](super::DeviceInfo) [uapi VFIO_DEVICE_GET_INFO].
pub const DEVICE_GET_INFO: u32 = io(BASE + 7);
/// Of a device: [`RegionInfo`](super::RegionInfo) [uapi VFIO_DEVICE_GET_REGION_INFO].
pub const DEVICE_GET_REGION_INFO: u32 = io(BASE + 8);
/// Of a device: [`IrqInfo`](super::IrqInfo) [uapi VFIO_DEVICE_GET_IRQ_INFO].
pub const DEVICE_GET_IRQ_INFO: u32 = io(BASE + 9);
/// Of a device: [`IrqSet`](super::IrqSet) [uapi VFIO_DEVICE_SET_IRQS].
pub const DEVICE_SET_IRQS: u32 = io(BASE + 10);
/// Of a device: no argument [uapi VFIO_DEVICE_RESET].
pub const DEVICE_RESET: u32 = io(BASE + 11);
/// Of a device: [`PciHotResetInfo`](super::PciHotResetInfo) [uapi VFIO_DEVICE_GET_PCI_HOT_RESET_INFO].
pub const DEVICE_GET_PCI_HOT_RESET_INFO: u32 = io(BASE + 12);
/// Of a device: [`PciHotReset`](super::PciHotReset) [uapi VFIO_DEVICE_PCI_HOT_RESET].
pub const DEVICE_PCI_HOT_RESET: u32 = io(BASE + 13);
/// Of a device: [`DeviceIoeventfd`](super::DeviceIoeventfd) [uapi VFIO_DEVICE_IOEVENTFD].
pub const DEVICE_IOEVENTFD: u32 = io(BASE + 16);
/// Of a device: [`DeviceFeature`](super::DeviceFeature) [uapi VFIO_DEVICE_FEATURE].
pub const DEVICE_FEATURE: u32 = io(BASE + 17);
/// Of a device: [`DeviceBindIommufd`](super::DeviceBindIommufd) [uapi VFIO_DEVICE_BIND_IOMMUFD].
pub const DEVICE_BIND_IOMMUFD: u32 = io(BASE + 18);
/// Of a device: [`DeviceAttachIommufdPt`](super::DeviceAttachIommufdPt)
/// [uapi VFIO_DEVICE_ATTACH_IOMMUFD_PT].
pub const DEVICE_ATTACH_IOMMUFD_PT: u32 = io(BASE + 19);
/// Of a device: [`DeviceDetachIommufdPt`](super::DeviceDetachIommufdPt)
/// [uapi VFIO_DEVICE_DETACH_IOMMUFD_PT].
pub const DEVICE_DETACH_IOMMUFD_PT: u32 = io(BASE + 20);
/// Of a migration's data file: [`PrecopyInfo`](super::PrecopyInfo) [uapi VFIO_MIG_GET_PRECOPY_INFO].
pub const MIG_GET_PRECOPY_INFO: u32 = io(BASE + 21);

/// Of a container: [`IommuType1Info`](super::IommuType1Info) [uapi VFIO_IOMMU_GET_INFO].
pub const IOMMU_GET_INFO: u32 = io(BASE + 12);
/// Of a container: [`IommuType1DmaMap`](super::IommuType1DmaMap) [uapi VFIO_IOMMU_MAP_DMA].
pub const IOMMU_MAP_DMA: u32 = io(BASE + 13);
/// Of a container: [`IommuType1DmaUnmap`](super::IommuType1DmaUnmap) [uapi VFIO_IOMMU_UNMAP_DMA].
pub const IOMMU_UNMAP_DMA: u32 = io(BASE + 14);
/// Of a container, with sPAPR only: no argument [uapi VFIO_IOMMU_ENABLE].
pub const IOMMU_ENABLE: u32 = io(BASE + 15);
/// Of a container, with sPAPR only: no argument [uapi VFIO_IOMMU_DISABLE].
pub const IOMMU_DISABLE: u32 = io(BASE + 16);
/// Of a container: [`IommuType1DirtyBitmap`](super::IommuType1DirtyBitmap) [uapi VFIO_IOMMU_DIRTY_PAGES].
pub const IOMMU_DIRTY_PAGES: u32 = io(BASE + 17);
