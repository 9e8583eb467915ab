//! What a guest finds in memory and in its registers when it starts.
//!
//! This crate turns an image and a machine's memory into a state that any CPU back end can enter
//! ([`boot`], [`multiboot`], [`aarch64`]), and a description of a machine into the tables by which
//! firmware tells an operating system what is there ([`acpi`], for Arm machines [`fdt`] too, and [`efi`]
//! around the former; little of it in [`bios_data`]). It knows no back end and no device model. Everything it writes is plain data in
//! guest memory.

pub mod aarch64;
pub mod acpi;
pub mod arm;
pub mod bios_data;
pub mod boot;
pub mod efi;
mod entry;
pub mod fdt;
mod image;
mod memory_map;
pub mod multiboot;

pub use entry::{BootState, Segment};
pub use image::ImageError;
