//! Small programs, as words from an assembler.

mod exceptions;
mod hostile;
mod integer;
mod machine;
mod memory;
mod programs;
pub(super) mod rig;
mod vectors;
