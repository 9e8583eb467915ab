#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(target_os = "none")]
pub mod bare;
pub mod hw;
