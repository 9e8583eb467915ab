//! PCI functions: the numbers of their regions and interrupts, and the reset of a bus or slot.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

/// BAR 0; those up to BAR 5 follow [uapi VFIO_PCI_BAR0_REGION_INDEX].
pub const PCI_BAR0_REGION_INDEX: u32 = 0;
/// BAR 5 [uapi VFIO_PCI_BAR5_REGION_INDEX].
pub const PCI_BAR5_REGION_INDEX: u32 = 5;
/// The expansion ROM [uapi VFIO_PCI_ROM_REGION_INDEX].
pub const PCI_ROM_REGION_INDEX: u32 = 6;
/// Configuration space [uapi VFIO_PCI_CONFIG_REGION_INDEX].
pub const PCI_CONFIG_REGION_INDEX: u32 = 7;
/// The legacy ranges of VGA [uapi VFIO_PCI_VGA_REGION_INDEX].
pub const PCI_VGA_REGION_INDEX: u32 = 8;
/// How many regions every function has [uapi VFIO_PCI_NUM_REGIONS].
pub const PCI_NUM_REGIONS: u32 = 9;

/// INTx [uapi VFIO_PCI_INTX_IRQ_INDEX].
pub const PCI_INTX_IRQ_INDEX: u32 = 0;
/// MSI [uapi VFIO_PCI_MSI_IRQ_INDEX].
pub const PCI_MSI_IRQ_INDEX: u32 = 1;
/// MSI-X [uapi VFIO_PCI_MSIX_IRQ_INDEX].
pub const PCI_MSIX_IRQ_INDEX: u32 = 2;
/// An uncorrectable error was reported [uapi VFIO_PCI_ERR_IRQ_INDEX].
pub const PCI_ERR_IRQ_INDEX: u32 = 3;
/// The host asks for the device back [uapi VFIO_PCI_REQ_IRQ_INDEX].
pub const PCI_REQ_IRQ_INDEX: u32 = 4;
/// How many kinds of interrupt every function has [uapi VFIO_PCI_NUM_IRQS].
pub const PCI_NUM_IRQS: u32 = 5;

flags! {
    /// What the answer says about ownership [uapi vfio_pci_hot_reset_info].
    pub struct PciHotResetFlags: u32 {
        /// Devices are named by their number in the iommufd, not by group.
        const DEV_ID = 1 << 0;
        /// All of them are the caller's, which therefore may reset them.
        const DEV_ID_OWNED = 1 << 1;
    }
}

/// The device has no number of its own in the caller's iommufd, but belongs to the caller
/// [uapi VFIO_PCI_DEVID_OWNED].
pub const PCI_DEVID_OWNED: u32 = 0;
/// The device does not belong to the caller; in C it is -1 [uapi VFIO_PCI_DEVID_NOT_OWNED].
pub const PCI_DEVID_NOT_OWNED: u32 = u32::MAX;

/// A device that a hot reset resets too [uapi vfio_pci_dependent_device].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciDependentDevice {
    /// Its group. The same word is `devid`: its number in the caller's iommufd, with
    /// [`PciHotResetFlags::DEV_ID`].
    pub group_id: u32,
    /// Its segment.
    pub segment: u16,
    /// Its bus.
    pub bus: u8,
    /// Its device and function: 7:3 and 2:0.
    pub devfn: u8,
}

impl PciDependentDevice {
    /// `devid`, which shares its word with [`group_id`](Self::group_id).
    pub const fn devid(&self) -> u32 {
        self.group_id
    }
}

/// Asks what a hot reset resets; `count` [`PciDependentDevice`]s follow [uapi vfio_pci_hot_reset_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciHotResetInfo {
    /// Bytes passed, room for devices included.
    pub argsz: u32,
    /// Out: what is said about ownership.
    pub flags: PciHotResetFlags,
    /// Out: how many devices there are.
    pub count: u32,
}
command!(PciHotResetInfo, ioctl::DEVICE_GET_PCI_HOT_RESET_INFO, count);

/// Resets a bus or slot; `count` file descriptors of groups, `i32`s, follow [uapi vfio_pci_hot_reset].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciHotReset {
    /// Bytes passed, file descriptors included.
    pub argsz: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// How many groups follow; none if the device was opened by itself.
    pub count: u32,
}
command!(PciHotReset, ioctl::DEVICE_PCI_HOT_RESET, count);
