//! The programs: each is a function of the hardware it runs on, and returns the value the run ends
//! with.

pub mod vtd_dma;

use crate::hw::Hw;

/// Exit value: every check held.
pub const HELD: u32 = 0;
/// Exit value: a check failed, or the program could not go on; the report says which.
pub const FAILED: u32 = 1;

/// Names that [`run`] knows.
pub const NAMES: &[&str] = &["vtd_dma"];

/// Runs the program of this name; `None` if there is none. It does not call [`Hw::exit`].
pub fn run<H: Hw>(name: &str, hw: &mut H) -> Option<u32> {
    match name {
        "vtd_dma" => Some(vtd_dma::run(hw)),
        _ => None,
    }
}
