//! The controller as machines and processors meet it. Offsets, bits and encodings are literals from
//! the specification.

mod distributor;
mod linux;
mod lpi;
mod priorities;
mod random;
mod redistributor;
mod sgi;
mod spi;
mod state;
mod system_registers;

use super::its::Lpi;
use super::{Config, Gic, Lines};
use crate::addr::Pa;
use crate::events::Time;
use crate::fabric::Effects;
use crate::mem::PhysMem;

/// Encodings of system registers, as MRS x0, … has them in bits 20:5.
const PMR: u16 = 0xc230;
const IAR0: u16 = 0xc640;
const EOIR0: u16 = 0xc641;
const HPPIR0: u16 = 0xc642;
const BPR0: u16 = 0xc643;
const AP0R0: u16 = 0xc644;
const AP1R0: u16 = 0xc648;
const DIR: u16 = 0xc659;
const RPR: u16 = 0xc65b;
const SGI1R: u16 = 0xc65d;
const ASGI1R: u16 = 0xc65e;
const SGI0R: u16 = 0xc65f;
const IAR1: u16 = 0xc660;
const EOIR1: u16 = 0xc661;
const HPPIR1: u16 = 0xc662;
const BPR1: u16 = 0xc663;
const CTLR: u16 = 0xc664;
const SRE: u16 = 0xc665;
const IGRPEN0: u16 = 0xc666;
const IGRPEN1: u16 = 0xc667;

/// Offsets in the distributor's frame; those of banks also in a redistributor's SGI frame.
const GICD_CTLR: u64 = 0x0000;
const IGROUPR: u64 = 0x0080;
const ISENABLER: u64 = 0x0100;
const ICENABLER: u64 = 0x0180;
const ISPENDR: u64 = 0x0200;
const ICPENDR: u64 = 0x0280;
const ISACTIVER: u64 = 0x0300;
const ICACTIVER: u64 = 0x0380;
const IPRIORITYR: u64 = 0x0400;
const ICFGR: u64 = 0x0c00;
const IROUTER: u64 = 0x6000;

/// Offsets in a redistributor's frames.
const GICR_CTLR: u64 = 0x0000;
const WAKER: u64 = 0x0014;
const PROPBASER: u64 = 0x0070;
const PENDBASER: u64 = 0x0078;
const SGI: u64 = 0x1_0000;

/// Offsets in the ITS's frames.
const GITS_CTLR: u64 = 0x0000;
const CBASER: u64 = 0x0080;
const CWRITER: u64 = 0x0088;
const CREADR: u64 = 0x0090;
const DEVICES: u64 = 0x0100;
const COLLECTIONS: u64 = 0x0108;

/// Where things are in memory: configuration table, a pending table for each of four processors from
/// 10000h on, queue and tables of the ITS.
const CONFIGURATION: u64 = 0x8_0000;
const PENDING: u64 = 0x1_0000;
const QUEUE: u64 = 0x5_0000;
const DEVICE_TABLE: u64 = 0x5_1000;
const COLLECTION_TABLE: u64 = 0x5_2000;
const ITT: u64 = 0x5_3000;
const MEMORY: u64 = 0x10_0000;

const NONE: Lines = Lines { irq: false, fiq: false };
const IRQ: Lines = Lines { irq: true, fiq: false };
const FIQ: Lines = Lines { irq: false, fiq: true };

/// A controller and its memory.
struct Rig {
    gic: Gic,
    mem: PhysMem,
    fx: Effects,
    tail: u64,
}

impl Rig {
    fn new(processors: u8) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), MEMORY)]).unwrap();
        let gic = Gic::new(Config { processors, ..Config::default() }, mem.clone());
        Self { gic, mem, fx: Effects::new(Time(0), true), tail: 0 }
    }

    /// Both groups enabled everywhere, all interrupts enabled, in group 1 and of priority A0h, PMR F0h.
    fn started(processors: u8) -> Self {
        let mut rig = Self::new(processors);
        rig.set_gicd(GICD_CTLR, 0x13);
        for bank in 1..9 {
            rig.set_gicd(IGROUPR + 4 * bank, u32::MAX);
            rig.set_gicd(ISENABLER + 4 * bank, u32::MAX);
        }
        for word in 8..72 {
            rig.set_gicd(IPRIORITYR + 4 * word, 0xa0a0_a0a0);
        }
        for n in 0..processors.into() {
            rig.set_gicr(n, WAKER, 0);
            rig.set_gicr(n, SGI + IGROUPR, u32::MAX);
            rig.set_gicr(n, SGI + ISENABLER, u32::MAX);
            for word in 0..8 {
                rig.set_gicr(n, SGI + IPRIORITYR + 4 * word, 0xa0a0_a0a0);
            }
            rig.set(n, PMR, 0xf0);
            rig.set(n, IGRPEN0, 1);
            rig.set(n, IGRPEN1, 1);
        }
        rig
    }

    fn gicd(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.gic.read_distributor(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn set_gicd(&mut self, offset: u64, value: u32) {
        self.gic.write_distributor(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn set_gicd64(&mut self, offset: u64, value: u64) {
        self.gic.write_distributor(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn gicr(&mut self, processor: usize, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.gic.read_redistributors(processor as u64 * 0x2_0000 + offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn gicr64(&mut self, processor: usize, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.gic.read_redistributors(processor as u64 * 0x2_0000 + offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn set_gicr(&mut self, processor: usize, offset: u64, value: u32) {
        let offset = processor as u64 * 0x2_0000 + offset;
        self.gic.write_redistributors(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn set_gicr64(&mut self, processor: usize, offset: u64, value: u64) {
        let offset = processor as u64 * 0x2_0000 + offset;
        self.gic.write_redistributors(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn gits64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.gic.read_its(offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn set_gits64(&mut self, offset: u64, value: u64) {
        self.gic.write_its(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn gits(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.gic.read_its(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn set_gits(&mut self, offset: u64, value: u32) {
        self.gic.write_its(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn get(&mut self, processor: usize, register: u16) -> u64 {
        self.gic.read_register(processor, register, &mut self.fx).unwrap()
    }

    fn set(&mut self, processor: usize, register: u16, value: u64) {
        self.gic.write_register(processor, register, value).unwrap();
    }

    /// Acknowledges group 1.
    fn iar(&mut self, processor: usize) -> u64 {
        self.get(processor, IAR1)
    }

    /// Ends an interrupt of group 1.
    fn eoi(&mut self, processor: usize, intid: u64) {
        self.set(processor, EOIR1, intid);
    }

    fn lines(&self, processor: usize) -> Lines {
        self.gic.lines(processor)
    }

    fn set_priority(&mut self, intid: u64, priority: u8) {
        self.gic.write_distributor(IPRIORITYR + intid, &[priority], &mut self.fx);
    }

    /// Makes an SPI edge triggered.
    fn set_edge(&mut self, intid: u64) {
        let offset = ICFGR + 4 * (intid / 16);
        let value = self.gicd(offset) | 2 << (2 * (intid % 16));
        self.set_gicd(offset, value);
    }

    /// Puts commands into the queue of 128 and has them processed.
    fn run(&mut self, commands: &[[u64; 4]]) {
        for words in commands {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.mem.write(Pa(QUEUE + self.tail), &bytes).unwrap();
            self.tail = (self.tail + 32) % 0x1000;
        }
        self.set_gits64(CWRITER, self.tail);
        assert_eq!(self.gits64(CREADR), self.tail);
    }

    fn configure_lpi(&mut self, intid: u64, byte: u8) {
        self.mem.write(Pa(CONFIGURATION + intid - 8192), &[byte]).unwrap();
    }

    fn message(&mut self, device: u32, event: u32) -> Option<(u32, u16)> {
        self.gic.message(device, event, &mut self.fx).map(|Lpi { intid, target }| (intid, target))
    }
}
