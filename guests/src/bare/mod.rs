//! Bare metal: [`Hw`](crate::hw::Hw) on a CPU that owns its machine.
//!
//! The boot protocols are described in the crate's own documentation. An image calls [`run`] from its
//! `guest_main` and [`panicked`] from its panic handler. A run ends with 0 if all checks held,
//! otherwise with a code of the program, [`EXIT_PANIC`] or [`EXIT_EXCEPTION`].

#![allow(unsafe_code, reason = "registers, ports and physical memory are reached by instructions alone")]

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
mod ring;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

pub use arch::{Machine, run};

/// Exit value of a program that panicked.
pub const EXIT_PANIC: u32 = 0x70;
/// Exit value of a program that took a CPU exception which it did not expect.
pub const EXIT_EXCEPTION: u32 = 0x71;

/// Reports a panic on the console and ends the run; an image's panic handler calls it.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    use core::fmt::Write;
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    // One line, as the report's protocol wants it. The serial port takes everything.
    let _ = writeln!(arch::Console, "Bail out! panicked at {file}:{line}: {}", info.message());
    arch::exit(EXIT_PANIC)
}
