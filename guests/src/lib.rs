#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(target_os = "none")]
pub mod bare;
pub mod hw;
pub mod arena;
pub mod error;
pub mod exerciser;
#[cfg(test)]
mod fake;
pub mod pci;
pub mod tap;
pub mod vtd;
