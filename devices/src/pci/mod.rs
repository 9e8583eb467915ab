//! The PCI fabric: configuration space, decoding, interrupts and the functions themselves.
//!
//! A [`Host`] is the root complex of one segment: the host bridge at 00:00.0, endpoints and root
//! ports on bus 0, and one device behind each root port. The machine hands it every access that
//! may be for PCI (configuration, memory, I/O ports) and every event of its functions. A model is
//! an [`Endpoint`]: it says what it is in a [`Description`], and everything that the PCI
//! specification defines (header, BARs, capabilities, message interrupts, resets) is done here.
//!
//! Invariants:
//! - A function masters the bus only while Bus Master Enable is set in itself and in every bridge
//!   above it; its requester id is the one it captured from configuration writes.
//! - Interrupt messages leave through the function's port, so an IOMMU sees them.
//! - A model has a bounded number of events in the machine's queue, whatever its guest does.
//! - Configuration registers are dwords with access masks: no access of any size or alignment does
//!   more than its byte lanes allow.
//!
//! What is absent: memory (models have their [`Context`] and nothing else), I/O windows of bridges,
//! switches below root ports, extended capabilities, power management, expansion ROMs.

mod bar;
mod config;
mod decode;
mod endpoint;
mod express;
mod function;
mod header;
mod host;
mod inject;
mod lines;
mod msi;
mod msix;
mod node;
mod placement;
mod root_port;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use bar::{BarKind, BarSpec};
pub use endpoint::{Context, Description, Endpoint, EndpointState, Mastering, Timer};
pub use host::Host;
pub use lines::{Intx, Pin, gsi};
pub use msi::MsiSpec;
pub use msix::MsixSpec;
pub(crate) use msix::Part;
pub use placement::{AddError, Bus, FunctionInfo, FunctionKind, Placement};
pub use state::{State, StateError};
