//! Small programs, as words from an assembler, and comparisons with other emulators and with a second
//! walker; `docs/cpu-tests.md` says what they cover.

mod exceptions;
mod hostile;
mod integer;
mod machine;
mod memory;
mod programs;
pub(super) mod rig;
mod sequences;
mod system;
mod translation;
mod vectors;
mod walker;
