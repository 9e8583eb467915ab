//! A guest program of ours, run in this process.
//!
//! The very functions that make the bare-metal image run here on [`Hosted`], which implements the
//! guest library's hardware trait on a [`Machine`]. There are no instructions to count, so each call
//! costs a fixed 100 ns of machine time; what falls due in it happens before the call does anything,
//! and interrupts arrive there and nowhere else. A run is therefore a pure function of machine and
//! program.
//!
//! A program is stopped between two calls by unwinding its stack: when it exits, because on bare
//! metal nothing after that runs, and when its time is over, because a program that never ends has
//! no other place to be stopped at.
//!
//! On a `virt` the processor's part of the interrupt controller is played here: it is open for
//! everything, and a program that asks for an interrupt acknowledges the most urgent one.
//!
//! A program has no local APIC to write an EOI to: what it does with a vector, it does before it asks
//! for the next one. So an interrupt ends there: the next call of `take_interrupt` or `idle` first ends
//! the one taken before. A level-triggered interrupt whose cause is still there then comes again, and
//! one that the program has dealt with does not. Ending it at the moment it is taken instead would
//! send each of them twice.

mod gic;
#[cfg(test)]
mod tests;
mod vectors;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use devices::events::Time;
use guests::hw::{Hw, Pc, Q35_RAM_FIRST, Range, VIRT_RAM_FIRST};

use crate::config::{IommuSpec, MachineSpec};
use crate::machine::{Interrupt, Machine, layout};
use gic::CpuInterface;
use vectors::Vectors;

/// Nanoseconds of machine time that a call costs.
const CALL: u64 = 100;
/// Nanoseconds of machine time after which an idle processor looks around.
const IDLE: u64 = 1_000_000;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned or exited with this value; 0 means that all went well.
    Exited(u32),
    /// Machine time reached the limit first.
    TimedOut,
    /// The service between its calls stopped it.
    Stopped,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// The machine as the program left it.
    pub machine: Machine,
    /// How it ended.
    pub ending: Ending,
}

/// What a program is told and allowed.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Words for the program, separated by spaces.
    pub command_line: &'a str,
    /// Machine time at which it is stopped.
    pub limit: Time,
}

/// Runs `program` to its end; `console` is given its text as it comes.
pub fn run(
    machine: Machine,
    options: Options<'_>,
    console: &mut dyn FnMut(&[u8]),
    program: impl FnOnce(&mut Hosted<'_>) -> u32,
) -> Finished {
    run_with(machine, options, console, &mut |_| ControlFlow::Continue(()), program)
}

/// As [`run`], with a `service` that may look at the machine and change it between two calls of the
/// program, and stops the program by breaking.
pub fn run_with(
    machine: Machine,
    options: Options<'_>,
    console: &mut dyn FnMut(&[u8]),
    service: Service<'_>,
    program: impl FnOnce(&mut Hosted<'_>) -> u32,
) -> Finished {
    let mut machine = machine;
    let interrupts = match machine.config().machine {
        MachineSpec::Q35(_) => Interrupts::Apic(Vectors::default()),
        MachineSpec::Virt(_) => Interrupts::Gic(CpuInterface::open(&mut machine)),
    };
    let mut hosted = Hosted { machine, interrupts, options, console, service };
    // A stop happens between two calls of the machine, so the machine is whole after it.
    let ending = match catch_unwind(AssertUnwindSafe(|| program(&mut hosted))) {
        Ok(value) => Ending::Exited(value),
        Err(payload) => match payload.downcast::<Stop>() {
            Ok(stop) => stop.0,
            Err(panic) => resume_unwind(panic),
        },
    };
    Finished { machine: hosted.machine, ending }
}

/// What is done between two calls of a program.
pub type Service<'a> = &'a mut dyn FnMut(&mut Machine) -> ControlFlow<()>;

/// The payload that unwinds a program's stack.
struct Stop(Ending);

fn stop(ending: Ending) -> ! {
    // Unlike a panic this runs no panic hook, so nothing is printed.
    resume_unwind(Box::new(Stop(ending)))
}

/// The hardware that a program in this process sees.
pub struct Hosted<'a> {
    machine: Machine,
    interrupts: Interrupts,
    options: Options<'a>,
    console: &'a mut dyn FnMut(&[u8]),
    service: Service<'a>,
}

/// What brings interrupts to the processor.
enum Interrupts {
    Apic(Vectors),
    Gic(CpuInterface),
}

impl Hosted<'_> {
    /// Lets the time of one call pass.
    fn call(&mut self) -> &mut Machine {
        self.pass(self.machine.now().after(CALL));
        &mut self.machine
    }

    fn pass(&mut self, until: Time) {
        if (self.service)(&mut self.machine).is_break() {
            stop(Ending::Stopped);
        }
        let now = self.machine.advance(until.min(self.options.limit));
        for interrupt in self.machine.take_interrupts() {
            if let (Interrupts::Apic(vectors), Interrupt::Message { address, data }) =
                (&mut self.interrupts, interrupt)
            {
                vectors.message(address, data);
            }
        }
        if now >= self.options.limit {
            stop(Ending::TimedOut);
        }
        if let Some(value) = self.machine.exit_request() {
            stop(Ending::Exited(value));
        }
    }

    /// Ends the interrupt that was taken last; that of a level may make the next message.
    fn end_of_interrupt(&mut self) {
        match &mut self.interrupts {
            Interrupts::Apic(vectors) => {
                if let Some(vector) = vectors.end() {
                    self.machine.end_of_interrupt(vector);
                }
            }
            Interrupts::Gic(interface) => interface.end(&mut self.machine),
        }
    }

    /// Whether an interrupt can be taken.
    fn is_interrupted(&self) -> bool {
        match &self.interrupts {
            Interrupts::Apic(vectors) => !vectors.is_empty(),
            Interrupts::Gic(_) => CpuInterface::is_interrupted(&self.machine),
        }
    }

    fn read<const N: usize>(&mut self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.call().read(address, &mut bytes);
        bytes
    }

    fn port_read<const N: usize>(&mut self, port: u16) -> [u8; N] {
        let mut bytes = [0; N];
        self.call().io_read(port, &mut bytes);
        bytes
    }
}

impl Hw for Hosted<'_> {
    fn mmio_read32(&mut self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address))
    }

    fn mmio_write32(&mut self, address: u64, value: u32) {
        self.call().write(address, &value.to_le_bytes());
    }

    fn mmio_read64(&mut self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }

    fn mmio_write64(&mut self, address: u64, value: u64) {
        self.call().write(address, &value.to_le_bytes());
    }

    fn mem_read(&mut self, address: u64, data: &mut [u8]) {
        self.call().read(address, data);
    }

    fn mem_write(&mut self, address: u64, data: &[u8]) {
        self.call().write(address, data);
    }

    fn mem_read32(&mut self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address))
    }

    fn mem_write32(&mut self, address: u64, value: u32) {
        self.call().write(address, &value.to_le_bytes());
    }

    fn mem_read64(&mut self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }

    fn mem_write64(&mut self, address: u64, value: u64) {
        self.call().write(address, &value.to_le_bytes());
    }

    fn console(&mut self, text: &[u8]) {
        self.call();
        (self.console)(text);
    }

    fn take_interrupt(&mut self) -> Option<u32> {
        self.end_of_interrupt();
        self.call();
        match &mut self.interrupts {
            Interrupts::Apic(vectors) => vectors.take().map(u32::from),
            Interrupts::Gic(interface) => interface.take(&mut self.machine),
        }
    }

    fn idle(&mut self) {
        self.end_of_interrupt();
        self.call();
        if !self.is_interrupted() {
            let soon = self.machine.now().after(IDLE);
            self.pass(self.machine.next_event().map_or(soon, |due| due.min(soon)));
        }
    }

    fn ram(&self) -> Range {
        let config = self.machine.config();
        let bytes = config.memory.bytes();
        let (start, low) = match config.machine {
            MachineSpec::Q35(_) => (Q35_RAM_FIRST, layout::q35::ram(bytes)[0].1),
            // What lies above 4 GiB is not for programs.
            MachineSpec::Virt(_) => (VIRT_RAM_FIRST, (layout::virt::RAM_BASE + bytes).min(1 << 32)),
        };
        let reserved = config.iommus.iter().filter_map(IommuSpec::reserved);
        // As on bare metal, where the memory map leaves it out; it lies above the first address.
        let end = reserved.map(|reserved| reserved.first).fold(low, u64::min);
        Range { start, last: end - 1 }
    }

    fn command_line(&self) -> &str {
        self.options.command_line
    }

    fn ecam(&self) -> u64 {
        match self.machine.config().machine {
            MachineSpec::Q35(_) => layout::q35::ECAM_BASE,
            MachineSpec::Virt(_) => layout::virt::ECAM_BASE,
        }
    }

    fn exit(&mut self, code: u32) {
        stop(Ending::Exited(code));
    }
}

impl Pc for Hosted<'_> {
    fn port_read8(&mut self, port: u16) -> u8 {
        u8::from_le_bytes(self.port_read(port))
    }

    fn port_write8(&mut self, port: u16, value: u8) {
        self.call().io_write(port, &value.to_le_bytes());
    }

    fn port_read32(&mut self, port: u16) -> u32 {
        u32::from_le_bytes(self.port_read(port))
    }

    fn port_write32(&mut self, port: u16, value: u32) {
        self.call().io_write(port, &value.to_le_bytes());
    }

    fn apic_id(&self) -> u8 {
        vectors::APIC_ID
    }
}
