#![doc = include_str!("../README.md")]

pub mod addr;
pub mod events;
pub mod fabric;
pub mod ioapic;
pub mod iommu;
pub mod mem;
pub mod pic;
pub mod register;
pub mod trace;
pub mod vtd;
