//! The unit through its front door: registers, tables in memory, DMA. Offsets, bits and codes are
//! literals from the specification, so that a wrong row in a layout fails here.

mod explain;
mod faults;
mod interrupts;
mod layout;
mod options;
mod queue;
mod registers;
mod translation;

use std::sync::Arc;

use crate::addr::{Pa, SourceId};
use crate::events::Time;
use crate::fabric::{Access, DmaPort, Effect, Effects, Outcome, Request, posted_write};
use crate::iommu::Stale;
use crate::mem::PhysMem;
use crate::vtd::{Config, Fault, StaleUse, Unit};

const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const RTADDR: u64 = 0x20;
const FSTS: u64 = 0x34;
const FECTL: u64 = 0x38;
const IQH: u64 = 0x80;
const IQT: u64 = 0x88;
const IQA: u64 = 0x90;
const ICS: u64 = 0x9c;
const IECTL: u64 = 0xa0;
const IQERCD: u64 = 0xb0;
/// CAP.FRO of the preset times 16.
const FRCD: u64 = 0x220;

const TE: u32 = 1 << 31;
const SRTP: u32 = 1 << 30;
const QIE: u32 = 1 << 26;

/// Where the tests keep things; the device is 00:03.0.
const ROOT: u64 = 0x1000;
const CONTEXT: u64 = 0x2000;
const CONTEXT_ENTRY: u64 = CONTEXT + 0x18 * 16;
const QUEUE: u64 = 0x4000;
const STATUS: u64 = 0x5000;
const SOURCE: u16 = 0x0018;
const DOMAIN: u64 = 7;
/// First tables of 39-, 48- and 57-bit domains; the tables of the others are below them.
const TABLES: [(u64, u64); 5] = [(1, 0x10000), (2, 0x11000), (3, 0x12000), (4, 0x13000), (5, 0x14000)];
const IOVA: u64 = 0x40_0000_5000;
const PAGE: u64 = 0x20_0000;

/// A unit, memory, a device before it, and what came out.
struct Rig {
    unit: Unit,
    mem: PhysMem,
    port: DmaPort,
    fx: Effects,
    messages: Vec<(u64, u32)>,
    faults: Vec<Fault>,
    stale: Vec<StaleUse>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x80_0000)]).unwrap();
        let unit = Unit::new(config, mem.clone());
        let port = port(SOURCE, &mem, &unit);
        let fx = Effects::new(Time(0), true);
        Self { unit, mem, port, fx, messages: Vec::new(), faults: Vec::new(), stale: Vec::new() }
    }

    fn legacy() -> Self {
        Self::new(Config::preset("vtd-legacy").unwrap())
    }

    /// Root and context entry for the device, a domain of `aw` that maps IOVA to PAGE, and the
    /// unit enabled with its queue.
    fn mapped(config: Config, aw: u64) -> Self {
        let mut rig = Self::new(config);
        rig.map(aw, IOVA, 1, PAGE | 3);
        rig.set(ROOT, CONTEXT | 1);
        rig.set_context(table(aw + 2) | 1, DOMAIN << 8 | aw);
        rig.enable();
        rig
    }

    fn enable(&mut self) {
        self.w64(RTADDR, ROOT);
        self.w64(IQA, QUEUE);
        self.w32(GCMD, SRTP);
        self.w32(GCMD, QIE);
        self.w32(GCMD, QIE | TE);
        assert_eq!(self.r32(GSTS), TE | SRTP | QIE);
    }

    fn set_context(&self, low: u64, high: u64) {
        self.set(CONTEXT_ENTRY, low);
        self.set(CONTEXT_ENTRY + 8, high);
    }

    /// Writes table entries so that the entry of `level` for `iova` is `leaf`.
    fn map(&self, aw: u64, iova: u64, level: u64, leaf: u64) {
        for at in (level..=aw + 2).rev() {
            let entry = table(at) + (iova >> (12 + 9 * (at - 1)) & 0x1ff) * 8;
            self.set(entry, if at == level { leaf } else { table(at - 1) | 3 });
        }
    }

    fn set(&self, pa: u64, word: u64) {
        self.mem.write(Pa(pa), &word.to_le_bytes()).unwrap();
    }

    fn get(&self, pa: u64) -> u64 {
        self.mem.load64(Pa(pa)).unwrap()
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.unit.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn r64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.unit.read(offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn w64(&mut self, offset: u64, value: u64) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn read(&mut self, address: u64, data: &mut [u8]) -> Outcome {
        let len = data.len() as u64;
        self.as_explained(Request::at(address), Access::Read, len, 0, |rig| {
            rig.port.read(Request::at(address), data, &mut rig.fx).outcome
        })
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Outcome {
        let word = data.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let len = data.len() as u64;
        self.as_explained(Request::at(address), Access::Write, len, word, |rig| {
            rig.port.write(Request::at(address), data, &mut rig.fx).outcome
        })
    }

    /// Delivers effects as a machine does.
    fn deliver(&mut self) {
        loop {
            let effects = self.fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Fault { fault, .. } => {
                        self.faults.push(fault);
                        self.unit.fault(fault, &mut self.fx);
                    }
                    Effect::PostedWrite { address, data, .. } => {
                        if posted_write(&self.mem, address, data) {
                            self.messages.push((address, data));
                        }
                    }
                    Effect::Interrupt { address, data, .. } => self.messages.push((address, data)),
                    Effect::Schedule { event, .. } => self.unit.event(event, &mut self.fx),
                    Effect::Stale { stale: Stale::Vtd(stale), .. } => self.stale.push(stale),
                    other => unreachable!("{other:?} of a VT-d unit"),
                }
            }
        }
    }

    /// The fault record of this index.
    fn record(&mut self, index: u64) -> [u64; 2] {
        [self.r64(FRCD + index * 16), self.r64(FRCD + index * 16 + 8)]
    }

    /// Queues descriptors at the tail and rings the doorbell.
    fn submit(&mut self, descriptors: &[[u64; 2]]) {
        let mut tail = self.r64(IQT) >> 4;
        for words in descriptors {
            self.set(QUEUE + tail * 16, words[0]);
            self.set(QUEUE + tail * 16 + 8, words[1]);
            tail = (tail + 1) % 256;
        }
        self.w64(IQT, tail << 4);
    }
}

fn port(source: u16, mem: &PhysMem, unit: &Unit) -> DmaPort {
    let mut port = DmaPort::new(SourceId(source), mem.clone(), Arc::clone(&unit.translator()));
    port.set_enabled(true);
    port
}

fn table(level: u64) -> u64 {
    TABLES[level as usize - 1].1
}
