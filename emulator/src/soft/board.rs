//! What software CPUs need of the machine around them.

use std::sync::Arc;

use cpu::interp::{BusError, Lines};
use devices::events::Time;
use devices::mem::WriteWatch;
use vm_memory::GuestMemoryMmap;

/// INTID of the performance monitors' PPI [Arm BSA].
pub const PMU: u32 = 23;
/// INTID of the virtual timer's PPI.
pub const VIRTUAL_TIMER: u32 = 27;
/// INTID of the non-secure EL1 physical timer's PPI.
pub const PHYSICAL_TIMER: u32 = 30;

/// A machine as software CPUs meet it: passive, in its own time.
///
/// Before each access and each look at the lines, [`Self::advance`] is called with the time of that
/// moment.
pub trait Board {
    /// RAM, which the CPUs reach without asking.
    fn memory(&self) -> &GuestMemoryMmap;
    /// Has `watch` told of every write to RAM that no CPU makes, from now on.
    fn watch(&self, watch: Arc<dyn WriteWatch>);
    /// Reads 1, 2, 4 or 8 bytes at an aligned physical address that is not RAM.
    ///
    /// # Errors
    /// [`BusError`] where nothing answers.
    fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), BusError>;
    /// Writes 1, 2, 4 or 8 bytes at an aligned physical address that is not RAM.
    ///
    /// # Errors
    /// [`BusError`] where nothing answers.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError>;
    /// Machine time.
    fn now(&self) -> Time;
    /// Lets machine time pass and does what is due; it may stop short of `until`.
    fn advance(&mut self, until: Time);
    /// When something is due next.
    fn next_event(&self) -> Option<Time>;
    /// The levels of a CPU's interrupt lines.
    fn lines(&mut self, cpu: usize) -> Lines;
    /// Whether a device has sent an event to all CPUs since the last call, as the instruction SEV does.
    fn take_event(&mut self) -> bool;
    /// The pending SError of a CPU was taken.
    fn serror_taken(&mut self, _cpu: usize) {}
    /// The level of a CPU's private interrupt changed: `intid` is [`PMU`], [`VIRTUAL_TIMER`] or
    /// [`PHYSICAL_TIMER`].
    fn private_line(&mut self, cpu: usize, intid: u32, level: bool);
    /// Whether there is a GIC whose CPU interface is reached by system registers.
    fn has_gic(&self) -> bool;
    /// Reads a register of the GIC's CPU interface, by its encoding `op0:op1:CRn:CRm:op2` (2, 3, 4, 4
    /// and 3 bits); `None` where there is no such register.
    fn gic_read(&mut self, cpu: usize, register: u16) -> Option<u64>;
    /// Writes a register of the GIC's CPU interface; `None` as for reads.
    fn gic_write(&mut self, cpu: usize, register: u16, value: u64) -> Option<()>;
    /// Removes and returns what the guest has printed.
    fn take_console(&mut self) -> Vec<u8>;
    /// The value with which a device of the machine asked to end, once it has.
    fn exit_request(&self) -> Option<u32>;
}
