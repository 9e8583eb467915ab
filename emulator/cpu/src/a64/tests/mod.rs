//! Small programs, as words from an assembler.

mod programs;
pub(super) mod rig;
