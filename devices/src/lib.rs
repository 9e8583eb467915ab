#![doc = include_str!("../README.md")]

pub mod addr;
mod alarm;
pub mod edu;
pub mod events;
pub mod exerciser;
pub mod fabric;
pub mod gic;
pub mod ioapic;
pub mod iommu;
pub mod iommu_testdev;
pub mod mem;
pub mod nvme;
pub mod pci;
pub mod pic;
pub mod platform;
pub mod primecell;
pub mod register;
pub mod smmuv3;
mod sync;
pub mod trace;
mod vectors;
pub mod vtd;
