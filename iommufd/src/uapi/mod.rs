//! The user API of iommufd and VFIO: structures, numbers and flags, and nothing that acts on them.
//!
//! Names are the headers' without the prefix `iommu_`, `iommufd_` or `vfio_` and in Rust's case:
//! `iommu_ioas_map` is [`IoasMap`], `IOMMU_HWPT_DATA_VTD_S1` is [`HWPT_DATA_VTD_S1`]. Fields keep their
//! names; `__reserved` is `reserved`, `type` is `type_`, and padding that C leaves unnamed is `padding`,
//! so that every structure is its bytes and nothing else. Pointers of the caller are `u64`.
//!
//! What comes from a caller is an allegation. A set of flags therefore keeps bits that it has no name for:
//! ask `contains_unknown_bits()` of [`bitflags::Flags`], and refuse. Enumerations are plain constants, as
//! any value may stand in the field.
//!
//! The names here are iommufd's; those of VFIO are in [`vfio`], those of the kernel's self-tests in
//! [`mod@test`].

/// Declares sets of flags over the integer that stands in the structure. Unlike the type which `bitflags!`
/// would make by itself, such a set can be a field of a structure that zerocopy reads.
macro_rules! flags {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident: $bits:ty {
            $($(#[$attr:ident $($args:tt)*])* const $flag:ident = $value:expr;)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(transparent)]
        pub struct $name($bits);

        bitflags::bitflags! {
            impl $name: $bits {
                $($(#[$attr $($args)*])* const $flag = $value;)*
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                bitflags::parser::to_writer(self, &mut *f)?;
                f.write_str(")")
            }
        }
    )*};
}

/// Makes a structure a [`Command`]: its request number, and the last field that a caller must pass.
macro_rules! command {
    ($name:ident, $request:expr, $last:ident) => {
        impl $crate::uapi::ioctl::Command for $name {
            const REQUEST: u32 = $request;
            const MIN_SIZE: usize = std::mem::offset_of!($name, $last)
                + $crate::uapi::ioctl::size_of_field(|command: &$name| &command.$last);
        }
    };
}

pub mod fault;
pub mod hw_info;
pub mod hwpt;
pub mod ioas;
pub mod ioctl;
pub mod option;
pub mod test;
pub mod vfio;
pub mod viommu;

pub use fault::*;
pub use hw_info::*;
pub use hwpt::*;
pub use ioas::*;
pub use ioctl::Command;
pub use option::*;
pub use viommu::*;

#[cfg(test)]
mod tests {
    use bitflags::Flags;
    use zerocopy::FromBytes;

    use super::*;

    #[test]
    fn a_set_keeps_and_shows_the_bits_it_does_not_know() {
        let mut bytes = [0u8; size_of::<IoasMap>()];
        bytes[4..8].copy_from_slice(&0x8000_0005u32.to_ne_bytes());
        let map = IoasMap::read_from_bytes(&bytes).unwrap();
        assert_eq!(map.flags.bits(), 0x8000_0005);
        assert!(map.flags.contains(IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE));
        assert!(!map.flags.contains(IoasMapFlags::WRITEABLE));
        assert!(map.flags.contains_unknown_bits());
        assert!(!IoasMapFlags::all().contains_unknown_bits());
        assert_eq!(format!("{:?}", map.flags), "IoasMapFlags(FIXED_IOVA | READABLE | 0x80000000)");
        assert_eq!(format!("{:?}", IoasMapFlags::empty()), "IoasMapFlags()");
    }
}
