#![doc = include_str!("../README.md")]
#![no_std]

pub mod arena;
#[cfg(target_os = "none")]
pub mod bare;
pub mod edu;
pub mod error;
pub mod exerciser;
#[cfg(test)]
mod fake;
pub mod fdt;
pub mod gic;
pub mod hw;
#[cfg(not(target_os = "none"))]
pub mod image;
pub mod pci;
pub mod programs;
pub mod smmuv3;
pub mod tap;
pub mod vtd;
