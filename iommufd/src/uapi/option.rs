//! Options, and the IOAS that stands behind the VFIO ioctls of an iommufd.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

/// Whom locked memory is accounted to, for the whole context: 0 the user, 1 the process
/// [uapi IOMMU_OPTION_RLIMIT_MODE].
pub const OPTION_RLIMIT_MODE: u32 = 0;
/// Whether an IOAS may be mapped by entries larger than a page: 1 (at first) or 0
/// [uapi IOMMU_OPTION_HUGE_PAGES].
pub const OPTION_HUGE_PAGES: u32 = 1;

/// Set the option to `val64` [uapi IOMMU_OPTION_OP_SET].
pub const OPTION_OP_SET: u16 = 0;
/// Return the option in `val64` [uapi IOMMU_OPTION_OP_GET].
pub const OPTION_OP_GET: u16 = 1;

/// Sets or reads an option of the context or of an object. It keeps its prefix, as `Option` has another
/// meaning in Rust [uapi iommu_option].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IommuOption {
    /// Bytes passed.
    pub size: u32,
    /// [`OPTION_RLIMIT_MODE`] or [`OPTION_HUGE_PAGES`].
    pub option_id: u32,
    /// [`OPTION_OP_SET`] or [`OPTION_OP_GET`].
    pub op: u16,
    /// Zero.
    pub reserved: u16,
    /// The object, or zero for an option of the context.
    pub object_id: u32,
    /// The value: in to set, out to get.
    pub val64: u64,
}
command!(IommuOption, ioctl::OPTION, val64);

/// Return the IOAS of the VFIO ioctls [uapi IOMMU_VFIO_IOAS_GET].
pub const VFIO_IOAS_GET: u16 = 0;
/// Choose the IOAS of the VFIO ioctls [uapi IOMMU_VFIO_IOAS_SET].
pub const VFIO_IOAS_SET: u16 = 1;
/// Leave the VFIO ioctls without an IOAS [uapi IOMMU_VFIO_IOAS_CLEAR].
pub const VFIO_IOAS_CLEAR: u16 = 2;

/// Says which IOAS the VFIO ioctls act on, as these have no field for one [uapi iommu_vfio_ioas].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VfioIoas {
    /// Bytes passed.
    pub size: u32,
    /// In to set, out to get: the IOAS.
    pub ioas_id: u32,
    /// [`VFIO_IOAS_GET`], [`VFIO_IOAS_SET`] or [`VFIO_IOAS_CLEAR`].
    pub op: u16,
    /// Zero.
    pub reserved: u16,
}
command!(VfioIoas, ioctl::VFIO_IOAS, reserved);
