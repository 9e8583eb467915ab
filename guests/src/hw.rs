//! What a guest program needs of the machine it runs on.
//!
//! Two things implement [`Hw`]: bare metal (in the image) and a machine of the emulator that runs
//! the same program in its own process. A program must therefore touch hardware through this trait
//! only, and must not assume that anything happens between two calls.
//!
//! Every wait is bounded: a broken machine makes a check fail, it never hangs the program.

/// A range of physical memory, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub last: u64,
}

/// First byte of the RAM that programs get on a q35: above the image, and the same on each, so that
/// the addresses in their reports are the same as well.
pub const Q35_RAM_FIRST: u64 = 0x20_0000;
/// The same on a `virt` machine, whose RAM begins at 1 GiB.
pub const VIRT_RAM_FIRST: u64 = 0x4040_0000;

/// The configuration space of PCI segment 0 on a q35 [PCIe 7.2.2].
pub const Q35_ECAM: u64 = 0xb000_0000;

/// Hardware, as one CPU sees it. All values are little-endian.
pub trait Hw {
    /// Reads a device register of 32 bits at a physical address, a multiple of 4.
    fn mmio_read32(&mut self, address: u64) -> u32;
    /// Writes a device register of 32 bits at a physical address, a multiple of 4.
    fn mmio_write32(&mut self, address: u64, value: u32);
    /// Reads a device register of 64 bits at a physical address, a multiple of 8.
    fn mmio_read64(&mut self, address: u64) -> u64;
    /// Writes a device register of 64 bits at a physical address, a multiple of 8.
    fn mmio_write64(&mut self, address: u64, value: u64);

    /// Reads RAM.
    fn mem_read(&mut self, address: u64, data: &mut [u8]);
    /// Writes RAM.
    fn mem_write(&mut self, address: u64, data: &[u8]);
    /// Reads a dword of RAM in one access; `address` is a multiple of 4.
    fn mem_read32(&mut self, address: u64) -> u32;
    /// Writes a dword of RAM in one access; `address` is a multiple of 4.
    fn mem_write32(&mut self, address: u64, value: u32);
    /// Reads a qword of RAM in one access; `address` is a multiple of 8.
    fn mem_read64(&mut self, address: u64) -> u64;
    /// Writes a qword of RAM in one access; `address` is a multiple of 8.
    fn mem_write64(&mut self, address: u64, value: u64);

    /// Shows text to whoever runs the guest.
    fn console(&mut self, text: &[u8]);

    /// The oldest interrupt that arrived and was not taken yet, by the number that the processor
    /// knows it by: the vector on x86-64, the INTID of a GIC on AArch64.
    ///
    /// A machine may let interrupts arrive in any call; none is lost between two of them.
    fn take_interrupt(&mut self) -> Option<u32>;

    /// Lets time pass: returns once an interrupt waits to be taken, or after about a millisecond of
    /// machine time, or (in process) when the next thing that was due has happened.
    fn idle(&mut self);

    /// The RAM that the program may use for its tables and buffers: from [`Q35_RAM_FIRST`] or
    /// [`VIRT_RAM_FIRST`] on, below 4 GiB.
    fn ram(&self) -> Range;

    /// Physical address of the memory-mapped configuration space of PCI segment 0 [PCIe 7.2.2]: the
    /// function with requester id n has its page n there.
    fn ecam(&self) -> u64;

    /// The boot command line: words separated by spaces.
    fn command_line(&self) -> &str;

    /// Ends the run with a value; 0 means that all went well. Call nothing after it: on bare metal
    /// it does not return.
    fn exit(&mut self, code: u32);
}

/// What only a PC has: I/O ports, and local APICs as the target of message interrupts.
pub trait Pc: Hw {
    /// Reads a byte from an I/O port.
    fn port_read8(&mut self, port: u16) -> u8;
    /// Writes a byte to an I/O port.
    fn port_write8(&mut self, port: u16, value: u8);
    /// Reads a dword from an I/O port.
    fn port_read32(&mut self, port: u16) -> u32;
    /// Writes a dword to an I/O port.
    fn port_write32(&mut self, port: u16, value: u32);

    /// The local APIC id of this CPU, for message interrupts.
    fn apic_id(&self) -> u8;
}

/// Looks that [`poll`] takes before it starts to idle.
const EAGER_LOOKS: u32 = 32;
/// Times that [`poll`] idles before it gives up: about two seconds.
const IDLES: u32 = 2000;

/// Asks `ready` until it has an answer; `None` if it has none after about two seconds.
pub fn poll<H: Hw, T>(hw: &mut H, mut ready: impl FnMut(&mut H) -> Option<T>) -> Option<T> {
    for _ in 0..EAGER_LOOKS {
        if let Some(answer) = ready(hw) {
            return Some(answer);
        }
    }
    for _ in 0..IDLES {
        hw.idle();
        if let Some(answer) = ready(hw) {
            return Some(answer);
        }
    }
    None
}

/// Waits for the next interrupt and takes it; `None` if none comes in about two seconds.
pub fn next_interrupt<H: Hw>(hw: &mut H) -> Option<u32> {
    poll(hw, Hw::take_interrupt)
}

/// Lets whatever is on its way arrive, then takes the next interrupt if there is one.
///
/// For checks that an interrupt does *not* come: it costs a few milliseconds, not the patience of
/// [`next_interrupt`].
pub fn interrupt_soon<H: Hw>(hw: &mut H) -> Option<u32> {
    for _ in 0..4 {
        if let Some(number) = hw.take_interrupt() {
            return Some(number);
        }
        hw.idle();
    }
    hw.take_interrupt()
}

/// The message that raises `vector` on this CPU: address and data of a fixed, edge-triggered
/// interrupt in physical destination mode [VT-d 5.1.2.1].
pub fn message<H: Pc>(hw: &H, vector: u8) -> (u64, u32) {
    (0xfee0_0000 | u64::from(hw.apic_id()) << 12, u32::from(vector))
}
