//! The bare-metal image of `programs::vtd_dma`.

#![no_std]
#![no_main]

use guests::bare::{self, Machine};

/// Called by the entry code with the physical address of `boot_params`.
// SAFETY: the only symbol of this name; the library's entry code expects this signature.
#[unsafe(no_mangle)]
extern "C" fn guest_main(boot_params: u64) -> ! {
    bare::run(boot_params, guests::programs::vtd_dma::run::<Machine>)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    bare::panicked(info)
}
