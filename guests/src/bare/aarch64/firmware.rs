//! Calls of the firmware by HVC: PSCI [DEN 0022], and the emulator's own exit call.
//!
//! PSCI can switch a machine off but tell nobody why. So a run ends with a call of the vendor-specific
//! hypervisor range [DEN 0028 5.2], EXIT (8600_0010h) with the code in W1. A hypervisor that does not
//! know it answers NOT_SUPPORTED, and then the machine is switched off by SYSTEM_OFF.

use core::arch::asm;

/// Vendor-specific hypervisor call: ends the run with the value in W1.
pub const EXIT: u32 = 0x8600_0010;
/// SMCCC_VERSION [DEN 0028 7.2].
pub const SMCCC_VERSION: u32 = 0x8000_0000;
/// PSCI_VERSION [DEN 0022 5.1].
pub const PSCI_VERSION: u32 = 0x8400_0000;
/// CPU_OFF.
pub const CPU_OFF: u32 = 0x8400_0002;
/// CPU_ON, 64-bit.
pub const CPU_ON: u32 = 0xc400_0003;
/// AFFINITY_INFO, 64-bit.
pub const AFFINITY_INFO: u32 = 0xc400_0004;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;
/// PSCI_FEATURES.
pub const PSCI_FEATURES: u32 = 0x8400_000a;

/// SUCCESS.
pub const SUCCESS: i64 = 0;
/// NOT_SUPPORTED.
pub const NOT_SUPPORTED: i64 = -1;
/// INVALID_PARAMETERS.
pub const INVALID_PARAMETERS: i64 = -2;
/// ALREADY_ON.
pub const ALREADY_ON: i64 = -4;

/// Makes a call; the result of a 32-bit function is sign-extended.
pub fn call(function: u32, arguments: [u64; 3]) -> i64 {
    let result: u64;
    // SAFETY: the firmware's functions change CPUs and power, not memory; the calling convention
    // leaves it X0 to X17.
    unsafe {
        asm!(
            "hvc #0",
            inout("x0") u64::from(function) => result,
            inout("x1") arguments[0] => _,
            inout("x2") arguments[1] => _,
            inout("x3") arguments[2] => _,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            options(nostack)
        );
    }
    // Bit 30 tells 64-bit functions.
    if function & 1 << 30 != 0 { result as i64 } else { i64::from(result as i32) }
}

/// Ends the run.
pub fn exit(code: u32) -> ! {
    call(EXIT, [u64::from(code), 0, 0]);
    call(SYSTEM_OFF, [0; 3]);
    loop {
        super::cpu::wait_for_interrupt();
    }
}
