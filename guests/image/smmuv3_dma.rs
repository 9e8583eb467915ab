//! The bare-metal image of `programs::smmuv3_dma`.

#![no_std]
#![no_main]

use guests::bare::{self, Machine};

/// Called by the entry code with the physical address of the device tree.
// SAFETY: the only symbol of this name; the library's entry code expects this signature.
#[unsafe(no_mangle)]
extern "C" fn guest_main(device_tree: u64) -> ! {
    bare::run(device_tree, guests::programs::smmuv3_dma::run::<Machine>)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    bare::panicked(info)
}
