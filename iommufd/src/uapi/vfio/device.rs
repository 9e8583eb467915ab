//! Devices: what they consist of, their interrupts, and their iommufd.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{InfoCapHeader, ioctl};

flags! {
    /// What a device is [uapi vfio_device_info].
    pub struct DeviceFlags: u32 {
        /// It can be reset.
        const RESET = 1 << 0;
        /// A PCI function.
        const PCI = 1 << 1;
        /// A platform device.
        const PLATFORM = 1 << 2;
        /// An AMBA device.
        const AMBA = 1 << 3;
        /// A channel I/O device of s390.
        const CCW = 1 << 4;
        /// A cryptographic adjunct processor of s390.
        const AP = 1 << 5;
        /// An object of Freescale's management complex.
        const FSL_MC = 1 << 6;
        /// The answer holds capabilities.
        const CAPS = 1 << 7;
        /// A device on AMD's CDX bus.
        const CDX = 1 << 8;
    }

    /// What can be done with a region [uapi vfio_region_info].
    pub struct RegionInfoFlags: u32 {
        /// It can be read.
        const READ = 1 << 0;
        /// It can be written.
        const WRITE = 1 << 1;
        /// It can be mapped.
        const MMAP = 1 << 2;
        /// The answer holds capabilities.
        const CAPS = 1 << 3;
    }

    /// What can be done with interrupts [uapi vfio_irq_info].
    pub struct IrqInfoFlags: u32 {
        /// They can signal eventfds.
        const EVENTFD = 1 << 0;
        /// They can be masked.
        const MASKABLE = 1 << 1;
        /// They mask themselves when they signal.
        const AUTOMASKED = 1 << 2;
        /// To change how many are enabled, disable them all first.
        const NORESIZE = 1 << 3;
    }

    /// What to do with interrupts: one of `DATA` and one of `ACTION` [uapi vfio_irq_set].
    pub struct IrqSetFlags: u32 {
        /// No data follows.
        const DATA_NONE = 1 << 0;
        /// One byte for each interrupt: non-zero selects it.
        const DATA_BOOL = 1 << 1;
        /// One file descriptor, an `i32`, for each interrupt; -1 is none.
        const DATA_EVENTFD = 1 << 2;
        /// Mask.
        const ACTION_MASK = 1 << 3;
        /// Unmask.
        const ACTION_UNMASK = 1 << 4;
        /// Trigger.
        const ACTION_TRIGGER = 1 << 5;
        /// All of `DATA`.
        const DATA_TYPE_MASK = 0x07;
        /// All of `ACTION`.
        const ACTION_TYPE_MASK = 0x38;
    }

    /// How a device is bound [uapi vfio_device_bind_iommufd].
    pub struct BindFlags: u32 {
        /// `token_uuid_ptr` is meant.
        const TOKEN = 1 << 0;
    }

    /// What is attached or detached [uapi vfio_device_attach_iommufd_pt].
    pub struct AttachFlags: u32 {
        /// `pasid`, not the device's requests without PASID.
        const PASID = 1 << 0;
    }

    /// How wide the write of an ioeventfd is: exactly one [uapi vfio_device_ioeventfd].
    pub struct IoeventfdFlags: u32 {
        /// 1 byte.
        const SIZE_8 = 1 << 0;
        /// 2 bytes.
        const SIZE_16 = 1 << 1;
        /// 4 bytes.
        const SIZE_32 = 1 << 2;
        /// 8 bytes.
        const SIZE_64 = 1 << 3;
    }

    /// Which atomic operations the root port completes [uapi vfio_device_info_cap_pci_atomic_comp].
    pub struct PciAtomicComp: u32 {
        /// Of 4 bytes.
        const COMP32 = 1 << 0;
        /// Of 8 bytes.
        const COMP64 = 1 << 1;
        /// Of 16 bytes.
        const COMP128 = 1 << 2;
    }
}

/// Asks what a device is [uapi vfio_device_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfo {
    /// In: bytes passed. Out: bytes that the whole answer takes.
    pub argsz: u32,
    /// Out: what the device is.
    pub flags: DeviceFlags,
    /// Out: the number of regions.
    pub num_regions: u32,
    /// Out: the number of kinds of interrupt.
    pub num_irqs: u32,
    /// Out: where the first capability begins, in bytes from here; 0 if there is none or no room.
    pub cap_offset: u32,
    /// Zero.
    pub pad: u32,
}
// The capabilities came later.
command!(DeviceInfo, ioctl::DEVICE_GET_INFO, num_irqs);

/// [`DeviceInfoCapPciAtomicComp`] [uapi VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP].
pub const DEVICE_INFO_CAP_PCI_ATOMIC_COMP: u16 = 5;

/// Which atomic operations the root port completes [uapi vfio_device_info_cap_pci_atomic_comp].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfoCapPciAtomicComp {
    /// [`DEVICE_INFO_CAP_PCI_ATOMIC_COMP`], version 1.
    pub header: InfoCapHeader,
    /// Which.
    pub flags: PciAtomicComp,
    /// Zero.
    pub reserved: u32,
}

/// Asks for a region of a device [uapi vfio_region_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionInfo {
    /// In: bytes passed. Out: bytes that the whole answer takes.
    pub argsz: u32,
    /// Out: what can be done with the region.
    pub flags: RegionInfoFlags,
    /// Which region.
    pub index: u32,
    /// Out: where the first capability begins, in bytes from here; 0 if there is none or no room.
    pub cap_offset: u32,
    /// Out: bytes of the region, 0 if the device has no such one.
    pub size: u64,
    /// Out: where the region begins in the device's file.
    pub offset: u64,
}
command!(RegionInfo, ioctl::DEVICE_GET_REGION_INFO, offset);

/// [`RegionInfoCapSparseMmap`] [uapi VFIO_REGION_INFO_CAP_SPARSE_MMAP].
pub const REGION_INFO_CAP_SPARSE_MMAP: u16 = 1;
/// [`RegionInfoCapType`] [uapi VFIO_REGION_INFO_CAP_TYPE].
pub const REGION_INFO_CAP_TYPE: u16 = 2;
/// The part that holds the MSI-X table can be mapped too; a header alone
/// [uapi VFIO_REGION_INFO_CAP_MSIX_MAPPABLE].
pub const REGION_INFO_CAP_MSIX_MAPPABLE: u16 = 3;

/// A part of a region [uapi vfio_region_sparse_mmap_area].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionSparseMmapArea {
    /// Where it begins in the region.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// Which parts of the region can be mapped; `nr_areas` [`RegionSparseMmapArea`]s follow
/// [uapi vfio_region_info_cap_sparse_mmap].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct RegionInfoCapSparseMmap {
    /// [`REGION_INFO_CAP_SPARSE_MMAP`], version 1.
    pub header: InfoCapHeader,
    /// How many parts follow.
    pub nr_areas: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a region beyond the bus's own ones is [uapi vfio_region_info_cap_type].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionInfoCapType {
    /// [`REGION_INFO_CAP_TYPE`], version 1.
    pub header: InfoCapHeader,
    /// The type, among those of the bus.
    pub type_: u32,
    /// The subtype, among those of the type.
    pub subtype: u32,
}

/// Asks for a kind of interrupt of a device [uapi vfio_irq_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqInfo {
    /// Bytes passed.
    pub argsz: u32,
    /// Out: what can be done with the interrupts.
    pub flags: IrqInfoFlags,
    /// Which kind.
    pub index: u32,
    /// Out: how many of them there are.
    pub count: u32,
}
command!(IrqInfo, ioctl::DEVICE_GET_IRQ_INFO, count);

/// Arms, disarms, masks, unmasks or triggers interrupts; data as the flags say follows
/// [uapi vfio_irq_set].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqSet {
    /// Bytes passed, data included.
    pub argsz: u32,
    /// What to do.
    pub flags: IrqSetFlags,
    /// Which kind of interrupt.
    pub index: u32,
    /// The first.
    pub start: u32,
    /// How many.
    pub count: u32,
}
command!(IrqSet, ioctl::DEVICE_SET_IRQS, count);

/// Makes a write to the device of the signal of an eventfd [uapi vfio_device_ioeventfd].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceIoeventfd {
    /// Bytes passed.
    pub argsz: u32,
    /// How wide the write is.
    pub flags: IoeventfdFlags,
    /// Where it goes in the device's file.
    pub offset: u64,
    /// What it writes.
    pub data: u64,
    /// The eventfd, or -1 to take it back.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
}
// `reserved` came later.
command!(DeviceIoeventfd, ioctl::DEVICE_IOEVENTFD, fd);

/// Binds a device to an iommufd [uapi vfio_device_bind_iommufd].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceBindIommufd {
    /// Bytes passed.
    pub argsz: u32,
    /// How.
    pub flags: BindFlags,
    /// The iommufd.
    pub iommufd: i32,
    /// Out: the device as an object of the iommufd.
    pub out_devid: u32,
    /// Address of 16 bytes, the token shared with the driver of the physical function, if
    /// [`BindFlags::TOKEN`].
    pub token_uuid_ptr: u64,
}
// The token came later.
command!(DeviceBindIommufd, ioctl::DEVICE_BIND_IOMMUFD, out_devid);

/// Attaches a device to an IOAS or a HWPT [uapi vfio_device_attach_iommufd_pt].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceAttachIommufdPt {
    /// Bytes passed.
    pub argsz: u32,
    /// What is attached.
    pub flags: AttachFlags,
    /// In: the IOAS or HWPT. Out: the HWPT.
    pub pt_id: u32,
    /// The PASID, if [`AttachFlags::PASID`].
    pub pasid: u32,
}
// PASIDs came later.
command!(DeviceAttachIommufdPt, ioctl::DEVICE_ATTACH_IOMMUFD_PT, pt_id);

/// Detaches a device [uapi vfio_device_detach_iommufd_pt].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceDetachIommufdPt {
    /// Bytes passed.
    pub argsz: u32,
    /// What is detached.
    pub flags: AttachFlags,
    /// The PASID, if [`AttachFlags::PASID`].
    pub pasid: u32,
}
// PASIDs came later.
command!(DeviceDetachIommufdPt, ioctl::DEVICE_DETACH_IOMMUFD_PT, flags);
