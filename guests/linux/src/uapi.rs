//! The structures of `<linux/iommufd.h>` and `<linux/vfio.h>` as arguments of their ioctls.
//!
//! Layouts come from the bindings; the numbers, which C macros hold, are here.

use iommufd_bindings as iommufd;
use vfio_bindings::bindings::vfio;

/// `_IO(';', number)`, the code of both interfaces.
const fn request(number: u32) -> u32 {
    (b';' as u32) << 8 | number
}

/// A structure that an ioctl takes.
///
/// A pointer in it is set by `Iommufd` or `Vfio` only, from memory that lives for the call, along with the
/// field that says how much memory it is.
pub trait Argument {
    /// The ioctl.
    const REQUEST: u32;

    /// Writes the structure's own size into its first field.
    fn set_size(&mut self);
}

macro_rules! arguments {
    ($($number:literal $name:path, $size:ident;)*) => {
        $(impl Argument for $name {
            const REQUEST: u32 = request($number);

            fn set_size(&mut self) {
                self.$size = size_of::<Self>() as u32;
            }
        })*
    };
}

arguments! {
    0x80 iommufd::iommu_destroy, size;
    0x81 iommufd::iommu_ioas_alloc, size;
    0x84 iommufd::iommu_ioas_iova_ranges, size;
    0x85 iommufd::iommu_ioas_map, size;
    0x86 iommufd::iommu_ioas_unmap, size;
    0x89 iommufd::iommu_hwpt_alloc, size;
    0x8a iommufd::iommu_hw_info, size;
    0x8b iommufd::iommu_hwpt_set_dirty_tracking, size;
    0x8c iommufd::iommu_hwpt_get_dirty_bitmap, size;
    0x8d iommufd::iommu_hwpt_invalidate, size;
    0x90 iommufd::iommu_viommu_alloc, size;
    0x91 iommufd::iommu_vdevice_alloc, size;
    0x93 iommufd::iommu_veventq_alloc, size;
    103 vfio::vfio_group_status, argsz;
    108 vfio::vfio_region_info, argsz;
    110 IrqSet, argsz;
    113 vfio::vfio_iommu_type1_dma_map, argsz;
    114 vfio::vfio_iommu_type1_dma_unmap, argsz;
    118 vfio::vfio_device_bind_iommufd, argsz;
    119 vfio::vfio_device_attach_iommufd_pt, argsz;
    120 vfio::vfio_device_detach_iommufd_pt, argsz;
}

/// VFIO_GET_API_VERSION.
pub const VFIO_GET_API_VERSION: u32 = request(100);
/// VFIO_CHECK_EXTENSION.
pub const VFIO_CHECK_EXTENSION: u32 = request(101);
/// VFIO_SET_IOMMU.
pub const VFIO_SET_IOMMU: u32 = request(102);
/// VFIO_GROUP_SET_CONTAINER.
pub const VFIO_GROUP_SET_CONTAINER: u32 = request(104);
/// VFIO_GROUP_UNSET_CONTAINER.
pub const VFIO_GROUP_UNSET_CONTAINER: u32 = request(105);
/// VFIO_GROUP_GET_DEVICE_FD.
pub const VFIO_GROUP_GET_DEVICE_FD: u32 = request(106);

/// Vectors of an exerciser.
pub const VECTORS: usize = 8;

/// `struct vfio_irq_set` with an eventfd for each of an exerciser's vectors.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct IrqSet {
    /// Bytes of all of it.
    pub argsz: u32,
    /// What the data is and what is done.
    pub flags: u32,
    /// Which kind of interrupt.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Vectors; the rest of `eventfds` is not looked at.
    pub count: u32,
    /// File descriptors.
    pub eventfds: [i32; VECTORS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_numbers_of_the_headers() {
        // `_IO(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_ALLOC)` and `_IO(VFIO_TYPE, VFIO_BASE + 18)`.
        assert_eq!(<iommufd::iommu_hwpt_alloc as Argument>::REQUEST, 0x3b89);
        assert_eq!(<vfio::vfio_device_bind_iommufd as Argument>::REQUEST, 0x3b76);
        assert_eq!(size_of::<IrqSet>(), 20 + 4 * VECTORS);
    }

    #[test]
    fn a_structure_says_how_long_it_is() {
        let mut alloc = iommufd::iommu_viommu_alloc::default();
        alloc.set_size();
        assert_eq!(alloc.size, 40);
    }
}
