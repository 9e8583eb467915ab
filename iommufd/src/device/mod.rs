//! Devices: those of the host, and their bindings to a context [kernel: device.c].
//!
//! A [`PhysicalDevice`] is in a group of the host (`host_group`), which one context at a time owns
//! and which is told as a whole what its DMA goes through. A [`BoundDevice`] is in a group of its
//! context (`group`), which knows what each device of it has asked for. Drivers report to
//! [`PhysicalDevices`]; it finds the fault queue or the virtual IOMMU of the attachment that the
//! report came by.

mod attach;
mod bound;
mod events;
#[cfg(test)]
pub(crate) mod fake;
mod group;
mod host_group;
mod hw_info;
mod log;
mod msi;
mod physical;
#[cfg(test)]
mod tests;

pub use bound::BoundDevice;
pub use log::DmaFaults;
pub use physical::{PhysicalDevice, PhysicalDevices};

pub(crate) use bound::{Device, DeviceCore};
pub(crate) use group::Groups;
pub(crate) use host_group::Route;
pub(crate) use hw_info::get_hw_info;
pub(crate) use msi::Doorbells;

/// A device of the host; never reused in the life of a [`crate::Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// An IOMMU group: devices that the IOMMU cannot tell or keep apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);
