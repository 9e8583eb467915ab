//! The programs: each is a function of the hardware it runs on, and returns the value the run ends
//! with.

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod cpu_check;
pub mod smmuv3_dma;
pub mod vtd_dma;

use crate::hw::Pc;

/// Exit value: every check held.
pub const HELD: u32 = 0;
/// Exit value: a check failed, or the program could not go on; the report says which.
pub const FAILED: u32 = 1;

/// Programs for a PC that [`run`] knows.
pub const FOR_PC: &[&str] = &["vtd_dma"];
/// Programs for a `virt` machine that [`run`] knows; they touch nothing that only a PC has.
pub const FOR_VIRT: &[&str] = &["smmuv3_dma"];

/// Runs the program of this name; `None` if there is none. It does not call [`Hw::exit`](crate::hw::Hw::exit).
pub fn run<H: Pc>(name: &str, hw: &mut H) -> Option<u32> {
    match name {
        "smmuv3_dma" => Some(smmuv3_dma::run(hw)),
        "vtd_dma" => Some(vtd_dma::run(hw)),
        _ => None,
    }
}
