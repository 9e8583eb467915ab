#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod accounting;
mod ctx;
pub mod device;
pub mod driver;
pub mod errno;
mod fault;
pub mod fault_point;
pub mod file;
pub mod frames;
mod host;
mod hwpt;
mod io_pagetable;
mod ioas;
mod object;
pub mod pages;
pub mod process;
mod selftest;
pub mod span;
mod sync;
pub mod uapi;
mod use_counts;
pub mod user_data;
mod vfio;
mod viommu;

pub use ctx::{Ctx, Iommufd};
pub use errno::{Errno, Result};
pub use host::{Host, Options};
pub use ioas::access::{Access, AccessFlags, AccessOps, AccessRw};
pub use pages::AccessFrom;
