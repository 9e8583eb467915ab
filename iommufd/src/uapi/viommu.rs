//! Virtual IOMMUs, the devices and event queues of each, and hardware queues given to it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// What a header in an event queue says [uapi iommu_veventq_flag].
    pub struct VeventqFlags: u32 {
        /// Events were lost here; no data follows.
        const LOST_EVENTS = 1 << 0;
    }
}

/// No type that can be allocated [uapi IOMMU_VIOMMU_TYPE_DEFAULT].
pub const VIOMMU_TYPE_DEFAULT: u32 = 0;
/// A virtual SMMUv3 [uapi IOMMU_VIOMMU_TYPE_ARM_SMMUV3].
pub const VIOMMU_TYPE_ARM_SMMUV3: u32 = 1;
/// A virtual SMMUv3 with Tegra241's command queues, [`ViommuTegra241Cmdqv`]
/// [uapi IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV].
pub const VIOMMU_TYPE_TEGRA241_CMDQV: u32 = 2;

/// Allocates a vIOMMU: a guest's part of a physical IOMMU [uapi iommu_viommu_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuAlloc {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// A `VIOMMU_TYPE_*`.
    pub type_: u32,
    /// A device, whose physical IOMMU is meant.
    pub dev_id: u32,
    /// The nesting parent that holds the guest's memory.
    pub hwpt_id: u32,
    /// Out: the new vIOMMU.
    pub out_viommu_id: u32,
    /// Bytes of the type's structure.
    pub data_len: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of the type's structure.
    pub data_uptr: u64,
}
// The structure was first published without data.
command!(ViommuAlloc, ioctl::VIOMMU_ALLOC, out_viommu_id);

/// Where the page that drives the virtual command queues can be mapped [uapi iommu_viommu_tegra241_cmdqv].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuTegra241Cmdqv {
    /// Out: the offset for `mmap`.
    pub out_vintf_mmap_offset: u64,
    /// Out: the length for `mmap`.
    pub out_vintf_mmap_length: u64,
}

/// Tells a vIOMMU by which number its guest knows a device [uapi iommu_vdevice_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VdeviceAlloc {
    /// Bytes passed.
    pub size: u32,
    /// The vIOMMU.
    pub viommu_id: u32,
    /// The device.
    pub dev_id: u32,
    /// Out: the new vDEVICE.
    pub out_vdevice_id: u32,
    /// The guest's number of the device: for SMMUv3 its StreamID.
    pub virt_id: u64,
}
command!(VdeviceAlloc, ioctl::VDEVICE_ALLOC, virt_id);

/// No type that can be allocated [uapi IOMMU_VEVENTQ_TYPE_DEFAULT].
pub const VEVENTQ_TYPE_DEFAULT: u32 = 0;
/// Events are [`VeventArmSmmuv3`] [uapi IOMMU_VEVENTQ_TYPE_ARM_SMMUV3].
pub const VEVENTQ_TYPE_ARM_SMMUV3: u32 = 1;
/// Events are [`VeventTegra241Cmdqv`] [uapi IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV].
pub const VEVENTQ_TYPE_TEGRA241_CMDQV: u32 = 2;

/// Allocates an event queue of a vIOMMU and a file to read it by [uapi iommu_veventq_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VeventqAlloc {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// The vIOMMU.
    pub viommu_id: u32,
    /// A `VEVENTQ_TYPE_*`, of which a vIOMMU has one queue at most.
    pub type_: u32,
    /// How many events the queue holds before it loses any.
    pub veventq_depth: u32,
    /// Out: the new queue.
    pub out_veventq_id: u32,
    /// Out: its file.
    pub out_veventq_fd: u32,
    /// Zero.
    pub reserved: u32,
}
command!(VeventqAlloc, ioctl::VEVENTQ_ALLOC, out_veventq_fd);

/// Stands before each event read from a queue [uapi iommufd_vevent_header].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VeventHeader {
    /// What the header says.
    pub flags: VeventqFlags,
    /// The event's number, from 0 to `i32::MAX` and over again; a gap means lost events.
    pub sequence: u32,
}

/// An event of SMMUv3 [uapi iommu_vevent_arm_smmuv3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VeventArmSmmuv3 {
    /// The event record, little-endian, with the guest's StreamID [SMMUv3 7.3].
    pub evt: [u64; 4],
}

/// Errors of Tegra241's virtual command queues [uapi iommu_vevent_tegra241_cmdqv].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VeventTegra241Cmdqv {
    /// One bit for each logical queue, little-endian.
    pub lvcmdq_err_map: [u64; 2],
}

/// No type that can be allocated [uapi IOMMU_HW_QUEUE_TYPE_DEFAULT].
pub const HW_QUEUE_TYPE_DEFAULT: u32 = 0;
/// A virtual command queue of Tegra241 [uapi IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV].
pub const HW_QUEUE_TYPE_TEGRA241_CMDQV: u32 = 1;

/// Gives a queue in the guest's memory to the hardware [uapi iommu_hw_queue_alloc].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwQueueAlloc {
    /// Bytes passed.
    pub size: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// The vIOMMU.
    pub viommu_id: u32,
    /// A `HW_QUEUE_TYPE_*`.
    pub type_: u32,
    /// The queue's number among those of its type.
    pub index: u32,
    /// Out: the new queue.
    pub out_hw_queue_id: u32,
    /// The queue's first address in the nesting parent.
    pub nesting_parent_iova: u64,
    /// Bytes of the queue.
    pub length: u64,
}
command!(HwQueueAlloc, ioctl::HW_QUEUE_ALLOC, length);
