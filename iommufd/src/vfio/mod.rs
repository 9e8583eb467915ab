//! VFIO's side of iommufd.

pub(crate) mod compat;
