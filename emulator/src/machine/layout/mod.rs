//! Where things are. Guests hard-code these addresses, so they are those of QEMU's boards.

pub mod q35;
pub mod virt;
