//! A simulated process: all that the library asks of one who calls it, and no more.
//!
//! [`Process`] has an [`AddressSpace`] of mappings, each backed by a
//! [`RegionObject`](iommufd::process::RegionObject), a table of [`Descriptors`], and credentials. It opens `/dev/iommu` of a [`Host`](iommufd::Host), makes ioctls
//! with pointers into its own memory, forks and exits. What a real process would get from its kernel
//! (`mmap`, `fork`, `close`) is here a method.
//!
//! Absent: threads, signals, paging. A page exists from the moment it is mapped.

// Each test program uses a part of it.
#![allow(dead_code, unused_imports)]

mod address_space;
mod client;
mod file;
mod process;

pub use address_space::{AddressSpace, Sharing};
pub use client::{Client, call};
pub use file::{DiskFile, MemFd};
pub use iommufd::process::{Descriptor, Descriptors};
pub use process::Process;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a hugetlb page.
pub const HUGE_PAGE: u64 = 2 << 20;
