//! The bare-metal image of `programs::cpu_check`.

#![no_std]
#![no_main]

use guests::bare;

/// Called by the entry code with the physical address of the device tree.
// SAFETY: the only symbol of this name; the library's entry code expects this signature.
#[unsafe(no_mangle)]
extern "C" fn guest_main(device_tree: u64) -> ! {
    bare::run(device_tree, guests::programs::cpu_check::run)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    bare::panicked(info)
}
