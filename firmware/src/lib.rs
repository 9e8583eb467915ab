//! What a guest finds in memory and in its registers when it starts.
//!
//! This crate turns an image and a machine's memory into a state that any CPU back end can enter
//! ([`boot`], [`multiboot`]), and a description of a machine into the tables by which firmware tells
//! an operating system what is there ([`acpi`]; little of it in [`bios_data`]). It knows no back end and no device model.
//! Everything it writes is plain data in guest memory.

pub mod acpi;
pub mod bios_data;
pub mod boot;
mod entry;
mod image;
mod memory_map;
pub mod multiboot;

pub use entry::{BootState, Segment};
pub use image::ImageError;
