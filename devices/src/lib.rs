#![doc = include_str!("../README.md")]

pub mod addr;
pub mod edu;
pub mod events;
pub mod exerciser;
pub mod fabric;
pub mod ioapic;
pub mod iommu;
pub mod iommu_testdev;
pub mod mem;
pub mod pci;
pub mod pic;
pub mod register;
mod sync;
pub mod trace;
pub mod vtd;
