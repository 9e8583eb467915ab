//! The fabric against raw configuration dwords.

mod decode;
mod interrupts;
mod layout;
mod root_port;
mod routing;
mod state;
