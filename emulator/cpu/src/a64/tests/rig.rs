//! A machine that is nothing but RAM at 0x4000_0000.

use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::a64::core::Core;
use crate::a64::{Cluster, Config, Features};
use crate::interp::{At, Bus, BusError, CallOutcome, Conduit, Lines, Ram};

/// Where RAM begins and programs are loaded.
pub(in crate::a64) const BASE: u64 = 0x4000_0000;
/// Bytes of RAM.
pub(in crate::a64) const SIZE: usize = 4 << 20;

/// Devices of the tests.
#[derive(Default)]
pub(in crate::a64) struct Board {
    /// Every access: address, size, the value of a write.
    pub(in crate::a64) log: Vec<(u64, u8, Option<u64>)>,
    pub(in crate::a64) lines: Lines,
    /// The firmware calls made.
    pub(in crate::a64) calls: Vec<(Conduit, u64)>,
    /// A firmware call ends the run.
    pub(in crate::a64) stop: bool,
    /// A firmware call starts a core: index, entry, context.
    pub(in crate::a64) start: Option<(usize, u64, u64)>,
    /// The virtual timers' lines are the IRQ lines.
    pub(in crate::a64) virtual_timer_is_irq: bool,
    /// Changes of timer lines.
    pub(in crate::a64) timer_lines: Vec<(usize, bool)>,
    /// What every register of the GIC's CPU interface reads as, if there is one.
    pub(in crate::a64) gic: Option<u64>,
    /// Writes to it.
    pub(in crate::a64) gic_writes: Vec<(u16, u64)>,
    /// Changes of performance monitor lines.
    pub(in crate::a64) pmu_lines: Vec<bool>,
    /// A write here raises the IRQ line of CPU 0.
    pub(in crate::a64) doorbell: Option<u64>,
    /// When something becomes due, and whether that raises the IRQ line.
    pub(in crate::a64) due: Option<(u64, bool)>,
    /// At this time a device sends an event.
    pub(in crate::a64) event: Option<u64>,
    rung: bool,
    levels: [bool; 2],
}

impl Bus for Board {
    fn read(&mut self, _at: At, address: u64, size: u8) -> Result<u64, BusError> {
        self.log.push((address, size, None));
        if address >> 16 == 0x900 { Ok(0x1122_3344_5566_7788) } else { Err(BusError) }
    }

    fn write(&mut self, _at: At, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        self.log.push((address, size, Some(value)));
        self.rung |= self.doorbell == Some(address);
        if address >> 16 == 0x900 { Ok(()) } else { Err(BusError) }
    }

    fn lines(&mut self, at: At) -> Lines {
        let timer = self.virtual_timer_is_irq && self.levels[at.cpu];
        let rung = self.rung && at.cpu == 0;
        let due = self.due.is_some_and(|(due, raises)| raises && due <= at.time);
        Lines { irq: self.lines.irq || timer || rung || due, ..self.lines }
    }

    fn next_event(&mut self) -> Option<u64> {
        self.due.map(|(due, _)| due).or(self.event)
    }

    fn take_event(&mut self, at: At) -> bool {
        self.event.take_if(|event| *event <= at.time).is_some()
    }

    fn timer_line(&mut self, at: At, timer: usize, level: bool) {
        self.timer_lines.push((timer, level));
        self.levels[at.cpu] = level;
    }

    fn serror_taken(&mut self, _at: At) {
        self.lines.serror = None;
    }

    fn pmu_line(&mut self, _at: At, level: bool) {
        self.pmu_lines.push(level);
    }

    fn gic_read(&mut self, _at: At, _register: u16) -> Option<u64> {
        self.gic
    }

    fn gic_write(&mut self, _at: At, register: u16, value: u64) -> Option<()> {
        self.gic.map(|_| self.gic_writes.push((register, value)))
    }

    fn firmware_call(&mut self, _at: At, conduit: Conduit, x: &mut [u64; 18]) -> CallOutcome {
        self.calls.push((conduit, x[0]));
        x[0] = 0x77;
        match self.start.take() {
            _ if self.stop => CallOutcome::Stop,
            Some((cpu, entry, context)) => CallOutcome::Start { cpu, entry, context },
            None => CallOutcome::Return,
        }
    }
}

pub(in crate::a64) struct Rig {
    pub(in crate::a64) cluster: Cluster,
    pub(in crate::a64) board: Board,
    pub(in crate::a64) ram: Ram,
}

impl Rig {
    /// CPU 0 about to run `program` at EL1 with the MMU off and its stack at the end of RAM.
    pub(in crate::a64) fn new(program: &[u32]) -> Self {
        Self::with(program, Features::MAX)
    }

    pub(in crate::a64) fn with(program: &[u32], features: Features) -> Self {
        Self::sized(program, features, SIZE)
    }

    /// The same with another size of RAM.
    pub(in crate::a64) fn sized(program: &[u32], features: Features, size: usize) -> Self {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(BASE), size)]).unwrap();
        let ram = Ram::new(&memory).unwrap();
        let config = Config {
            cpus: 2,
            features,
            conduit: Some(Conduit::Hvc),
            counter_frequency: 62_500_000,
            time_per_tick: 16,
            quantum: 1000,
        };
        let mut rig = Self { cluster: Cluster::new(ram.clone(), &config), board: Board::default(), ram };
        rig.load(BASE, program);
        rig.cluster.start(0, BASE, 0);
        rig.core().x[31] = BASE + size as u64;
        rig
    }

    /// Puts words at a physical address.
    pub(in crate::a64) fn load(&mut self, at: u64, words: &[u32]) {
        for (address, word) in (at..).step_by(4).zip(words) {
            let frame = self.ram.frame(address).unwrap();
            self.ram.store(frame, address % 4096, *word);
        }
    }

    pub(in crate::a64) fn core(&mut self) -> &mut Core {
        self.cluster.core_of(0).unwrap()
    }

    /// Runs this many more instructions.
    pub(in crate::a64) fn run(&mut self, instructions: u64) -> &mut Self {
        let until = self.cluster.time() + instructions;
        self.cluster.run(&mut self.board, until);
        self
    }
}
