//! The machine of the machine targets and of all scripts: one of each device, at fixed addresses.

use std::sync::Arc;

use devices::fabric::AtomicOp;
use emulator::config::{DeviceSpec, MachineConfig};
use emulator::machine::{Machine, MachineState};

use super::action::{Action, Dma, DmaOp};
use super::journal::Journal;
use super::step::Step;

/// RAM: [`super::action::MEMORY`].
pub const MEMORY: &str = "4M";
/// The devices, as options of the command line have them.
pub const DEVICES: [&str; 6] = [
    "root-port,id=rp,addr=01.0",
    "edu,addr=03.0,dma-mask=0xffffffffffffffff",
    "exerciser,addr=04.0,functions=2,latency=0",
    "edu,addr=05.0,dma-mask=0xffffffffffffffff",
    "iommu-testdev,addr=06.0",
    "exerciser,bus=rp",
];

/// Where a board has what scripts use.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// Its name, for `--machine`.
    pub board: &'static str,
    /// First register of the remapping unit.
    pub unit: u64,
    /// First byte of configuration space.
    pub ecam: u64,
    /// First address for BARs.
    bars: u64,
    /// Where scripts keep the ring of the exerciser: bytes that no target uses.
    ring: u64,
}

/// The q35, with a VT-d unit.
pub const Q35: Map =
    Map { board: "q35", unit: 0xfed9_0000, ecam: 0xb000_0000, bars: BARS, ring: super::action::WORLD };
/// The virt, with an SMMUv3.
pub const VIRT: Map = Map {
    board: "virt",
    unit: 0x0905_0000,
    ecam: 0x40_1000_0000,
    bars: 0x1000_0000,
    ring: super::smmuv3::plan::RING,
};

/// First address for BARs of [`Q35`], in which [`FUNCTIONS`] has them.
const BARS: u64 = 0xc000_0000;

/// A function, and where the prologue puts its BAR 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Bus 15:8, device 7:3, function 2:0.
    pub source: u16,
    /// Address of BAR 0 on [`Q35`].
    pub bar: u64,
    /// Bytes that are worth an access there.
    pub registers: u64,
}

/// The functions that have a BAR.
pub const FUNCTIONS: [Placed; 6] = [
    Placed { source: 0x0018, bar: 0xc000_0000, registers: 0xa0 },
    Placed { source: 0x0020, bar: 0xc020_0000, registers: 0x30 },
    Placed { source: 0x0021, bar: 0xc020_8000, registers: 0x30 },
    Placed { source: 0x0028, bar: 0xc010_0000, registers: 0xa0 },
    Placed { source: 0x0030, bar: 0xc021_0000, registers: 0x24 },
    Placed { source: 0x0100, bar: 0xc030_0000, registers: 0x30 },
];
/// The root port.
pub const ROOT_PORT: u16 = 0x0008;

impl Map {
    /// Address of a register in configuration space.
    pub const fn config(&self, source: u16, offset: u64) -> u64 {
        self.ecam + ((source as u64) << 12) + offset
    }

    /// A name and the options that give a machine like it: what stands before a script.
    pub fn options(&self, iommu: &str) -> String {
        let devices: String = DEVICES.iter().map(|device| format!(" --device {device}")).collect();
        let board =
            if self.board == Q35.board { String::new() } else { format!(" --machine {}", self.board) };
        format!("iommulator qtest --stdio{board} --iommu {iommu} --memory {MEMORY}{devices}")
    }

    /// The machine's description.
    ///
    /// # Errors
    /// If `iommu` is none.
    pub fn machine(&self, iommu: &str) -> anyhow::Result<MachineConfig> {
        let devices = DEVICES.iter().map(|text| text.parse::<DeviceSpec>());
        Ok(MachineConfig {
            machine: self.board.parse()?,
            iommus: vec![iommu.parse()?],
            memory: MEMORY.parse()?,
            devices: devices.collect::<Result<_, _>>()?,
            ..MachineConfig::default()
        })
    }

    /// Gives buses and BARs their numbers and lets every function decode and master.
    pub fn prologue(&self) -> Vec<Step> {
        // Below 4 GiB; a window's registers have bits 31:20 in their upper 12.
        let window = (self.bars + 0x30_0000) >> 16;
        let mut steps = vec![
            // Bus numbers, then a window of 1 MiB.
            Step::write32(self.config(ROOT_PORT, 0x18), 0x0001_0100),
            Step::Write { address: self.config(ROOT_PORT, 0x20), size: 4, value: window << 16 | window },
            Step::Write { address: self.config(ROOT_PORT, 0x04), size: 2, value: 6 },
        ];
        for Placed { source, bar, .. } in FUNCTIONS {
            // The upper half of a wide one is zero.
            let value = bar - BARS + self.bars;
            steps.push(Step::Write { address: self.config(source, 0x10), size: 4, value });
            steps.push(Step::Write { address: self.config(source, 0x04), size: 2, value: 6 });
        }
        steps
    }

    /// What `actions` are for a client of a machine. A plain DMA is done by `edu`, any other by an
    /// exerciser, whose ring is fetched through the IOMMU as well.
    ///
    /// A reset has no command, so this begins after the last one; a snapshot has none either, and is
    /// left out.
    pub fn lower(&self, actions: &[Action]) -> Vec<Step> {
        let first = actions.iter().rposition(|action| *action == Action::Reset).map_or(0, |at| at + 1);
        let mut steps = Vec::new();
        for action in &actions[first..] {
            match *action {
                Action::Read { offset, size } => steps.push(Step::Read { address: self.unit + offset, size }),
                Action::Write { offset, size, value } => {
                    steps.push(Step::Write { address: self.unit + offset, size, value });
                }
                Action::Memory { address, value } => steps.push(Step::write64(address, value)),
                Action::Dma(dma) if dma.is_plain() => self.edu(dma, &mut steps),
                Action::Dma(dma) => self.exerciser(dma, &mut steps),
                Action::Time => steps.push(Step::Clock(1)),
                Action::Reset | Action::Snapshot => {}
            }
        }
        steps
    }

    fn bar(&self, source: u16) -> u64 {
        let placed = FUNCTIONS.iter().find(|placed| placed.source == source);
        placed.unwrap_or(&FUNCTIONS[0]).bar - BARS + self.bars
    }

    fn edu(&self, dma: Dma, steps: &mut Vec<Step>) {
        let bar = self.bar(dma.source);
        let (length, command, from, to) = match dma.op {
            DmaOp::Write(length) => (length, 3, 0x4_0000, dma.address),
            DmaOp::Read(length) => (length, 1, dma.address, 0x4_0000),
            DmaOp::Atomic(_) => return,
        };
        for (offset, value) in [(0x80, from), (0x88, to), (0x90, length.into()), (0x98, command)] {
            steps.push(Step::write64(bar + offset, value));
        }
        // The latency of the device.
        steps.push(Step::Clock(100_000_000));
    }

    fn exerciser(&self, dma: Dma, steps: &mut Vec<Step>) {
        let Dma { source, address, op, pasid, translated, privileged, execute } = dma;
        let bar = self.bar(source);
        let (opcode, length, operand, compare, wide) = match op {
            DmaOp::Read(0) => (7, 0, 0, 0, false),
            DmaOp::Read(length) => (1, length, 0, 0, false),
            DmaOp::Write(length) => (2, length, 0, 0, false),
            DmaOp::Atomic(AtomicOp::FetchAdd32(add)) => (4, 0, add.into(), 0, false),
            DmaOp::Atomic(AtomicOp::FetchAdd64(add)) => (4, 0, add, 0, true),
            DmaOp::Atomic(AtomicOp::Swap32(new)) => (5, 0, new.into(), 0, false),
            DmaOp::Atomic(AtomicOp::Swap64(new)) => (5, 0, new, 0, true),
            DmaOp::Atomic(AtomicOp::CompareSwap32 { compare, swap }) => {
                (6, 0, swap.into(), u64::from(compare), false)
            }
            DmaOp::Atomic(AtomicOp::CompareSwap64 { compare, swap }) => (6, 0, swap, compare, true),
        };
        let flag = |set: bool, bit: u32| u64::from(set) << bit;
        let flags = flag(translated, 9)
            | flag(pasid.is_some(), 11)
            | flag(privileged, 12)
            | flag(execute, 13)
            | flag(wide, 14);
        let words = [
            opcode | flags | u64::from(length) << 32,
            address,
            0,
            operand,
            compare,
            u64::from(pasid.unwrap_or_default()) << 32,
        ];
        // Stopped and started again, so that the descriptor is always the first of two.
        steps.push(Step::write32(bar + 0x08, 2));
        for (at, word) in (self.ring..).step_by(8).zip(words) {
            steps.push(Step::write64(at, word));
        }
        steps.push(Step::write64(bar + 0x10, self.ring));
        steps.push(Step::write32(bar + 0x18, 2));
        steps.push(Step::write32(bar + 0x08, 1));
        steps.push(Step::write32(bar + 0x1c, 1));
        steps.push(Step::Clock(1));
    }
}

/// A machine that inputs share, with the state that each starts from.
pub struct Board {
    /// The machine.
    pub machine: Machine,
    /// Which of its memory changed.
    pub journal: Arc<Journal>,
    start: MachineState,
}

impl Board {
    /// The machine, after its prologue.
    ///
    /// # Errors
    /// If the host lacks the memory.
    pub fn new(iommu: &str) -> anyhow::Result<Self> {
        Self::of(&Q35.machine(iommu)?, &Q35.prologue())
    }

    /// Another machine, after `prologue`.
    ///
    /// # Errors
    /// If the host lacks the memory.
    pub fn of(config: &MachineConfig, prologue: &[Step]) -> anyhow::Result<Self> {
        let mut machine = Machine::new(config)?;
        for step in prologue {
            step.run(&mut machine);
        }
        let start = machine.save();
        Ok(Self { journal: Journal::new(machine.phys(), super::action::MEMORY), machine, start })
    }

    /// Back to where it was after [`Self::new`].
    ///
    /// # Panics
    /// If the machine refuses a state of its own.
    pub fn reset(&mut self) {
        let restored = self.machine.restore_devices(self.start.clone());
        assert!(restored.is_ok(), "a machine refuses its own state: {restored:?}");
        self.journal.clear(self.machine.phys());
    }

    /// Whether the machine is as it was after [`Self::new`].
    pub fn is_reset(&self) -> bool {
        self.machine.save() == self.start
    }
}
