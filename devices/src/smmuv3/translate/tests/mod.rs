//! The whole unit through its front doors: registers and queues on one side, DMA on the other. Offsets,
//! bits and codes are literals from the specification.

mod configuration;
mod events;
mod explain;
mod explained;
mod faults;
mod invalidation;
mod policies;
mod race;
mod sanitizer;
mod stalls;
mod translation;

use crate::addr::{Pa, Pasid, SourceId, StreamId};
use crate::events::Time;
use crate::fabric::{
    Abort, Access, AtomicOp, Attrs, DmaPort, Effect, Effects, Initiator, Outcome, Request, Resumption,
    StallTag,
};
use crate::iommu::Stale;
use crate::mem::PhysMem;
use crate::smmuv3::event::Report;
use crate::smmuv3::stream_map::{RequesterRange, StreamMap};
use crate::smmuv3::{Config, StaleUse, Unit};

/// What lies where.
const STREAMS: u64 = 0x1_0000;
const COMMANDS: u64 = 0x2_0000;
const EVENTS: u64 = 0x3_0000;
const CONTEXTS: u64 = 0x4_0000;
/// Tables are taken from here on.
const TABLES: u64 = 0x10_0000;
/// RAM ends here, and so does the output of every table that leads to RAM.
const RAM: u64 = 0x80_0000;
/// Data that DMA finds: each page begins with its own address.
const DATA: u64 = 0x40_0000;

/// The device at 00:03.0 has this StreamID.
const STREAM: u32 = 0x118;
const PORT: SourceId = SourceId(0x18);

/// Stage-1 leaf: page, AttrIndx 0, AP for everybody, SH inner, AF, nG.
const PAGE: u64 = 0x0f43;
/// The same without nG.
const GLOBAL_PAGE: u64 = 0x0743;
/// Stage-2 leaf: page, normal memory, read and write, SH inner, AF.
const S2_PAGE: u64 = 0x07ff;
/// A table.
const TABLE: u64 = 3;

/// STE word 0: V, and Config 100, 101, 110, 111.
const BYPASS: u64 = 0x9;
const STAGE1: u64 = 0xb;
const STAGE2: u64 = 0xd;
const NESTED: u64 = 0xf;

/// CD word 0: 48-bit addresses (T0SZ 16), 4K, TTB1 off (EPD1), V, IPS 48 bits, AA64, R, A.
const CD: u64 = 0x10 | 1 << 30 | 1 << 31 | 5 << 32 | 1 << 41 | 1 << 45 | 1 << 46;
/// CD.S.
const CD_S: u64 = 1 << 44;

/// A command, and the CMD_SYNC without signal.
const SYNC: [u64; 2] = [0x46, 0];

/// A stage-2 part of an STE: word 2 for 48 bits from level 0 (S2T0SZ 16, S2SL0 2, 48-bit PA, AA64,
/// S2R), with a VMID.
fn s2_config(vmid: u64) -> u64 {
    vmid | (16 | 2 << 6 | 5 << 16 | 1 << 19 | 1 << 26) << 32
}

struct Rig {
    unit: Unit,
    mem: PhysMem,
    port: DmaPort,
    fx: Effects,
    /// The next free page for tables.
    free: u64,
    /// Of the command queue.
    prod: u32,
    stale: Vec<StaleUse>,
    /// What the translating half has told of.
    reports: Vec<Report>,
    /// DMAs done.
    dmas: u64,
    resumed: Vec<(StallTag, Resumption)>,
}

fn config(preset: &str) -> Config {
    let streams =
        StreamMap::new(vec![RequesterRange { segment: 0, first: 0, last: 0xffff, stream: StreamId(0x100) }]);
    Config { streams, ..Config::preset(preset).unwrap() }
}

impl Rig {
    fn new() -> Self {
        Self::of(config("smmuv3.3-full"))
    }

    /// A unit with a linear table of 1,024 invalid STEs, both queues, and translation on.
    fn of(config: Config) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), RAM)]).unwrap();
        let mut unit = Unit::new(config, mem.clone());
        let mut port = DmaPort::new(PORT, mem.clone(), unit.translator());
        port.set_enabled(true);
        let mut fx = Effects::new(Time(0), false);
        let mut write = |offset: u64, data: &[u8]| unit.write(offset, data, &mut fx);
        write(0x80, &STREAMS.to_le_bytes());
        write(0x88, &10u32.to_le_bytes());
        write(0x90, &(COMMANDS | 8).to_le_bytes());
        write(0xa0, &(EVENTS | 7).to_le_bytes());
        // RECINVSID.
        write(0x2c, &2u32.to_le_bytes());
        write(0x20, &0xdu32.to_le_bytes());
        for page in (DATA..RAM).step_by(0x1000) {
            mem.write(Pa(page), &page.to_le_bytes()).unwrap();
        }
        Self {
            unit,
            mem,
            port,
            fx,
            free: TABLES,
            prod: 0,
            stale: Vec::new(),
            reports: Vec::new(),
            dmas: 0,
            resumed: Vec::new(),
        }
    }

    fn register(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.unit.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn store(&self, at: u64, words: &[u64]) {
        for (word, at) in words.iter().zip((at..).step_by(8)) {
            self.mem.write(Pa(at), &word.to_le_bytes()).unwrap();
        }
    }

    fn load(&self, at: u64) -> u64 {
        self.mem.load64(Pa(at)).unwrap()
    }

    /// Writes an STE, from its first words.
    fn ste(&self, stream: u32, words: &[u64]) {
        self.store(STREAMS + 64 * u64::from(stream), words);
    }

    /// Runs commands and a CMD_SYNC.
    fn commands(&mut self, commands: &[[u64; 2]]) {
        for command in commands.iter().chain([&SYNC]) {
            self.store(COMMANDS + 16 * u64::from(self.prod & 0xff), command);
            self.prod = (self.prod + 1) & 0x1ff;
        }
        self.set_register(0x98, self.prod);
        assert_eq!(self.register(0x9c), self.prod, "the queue is empty");
    }

    /// An empty table.
    fn table(&mut self) -> u64 {
        let table = self.free;
        self.free += 0x1000;
        table
    }

    /// Maps a page in the four-level tables at `root`; gives the address of the last descriptor. With
    /// `offset`, where what the descriptors call an address lies in memory.
    fn map_at(&mut self, root: u64, input: u64, leaf: u64, offset: u64) -> u64 {
        let mut table = root;
        for shift in [39, 30, 21] {
            let at = table + (input >> shift & 0x1ff) * 8;
            if self.load(at) == 0 {
                let next = self.table();
                self.store(at, &[(next - offset) | TABLE]);
            }
            table = (self.load(at) & 0xffff_ffff_f000) + offset;
        }
        let at = table + (input >> 12 & 0x1ff) * 8;
        self.store(at, &[leaf]);
        at
    }

    fn map(&mut self, root: u64, input: u64, leaf: u64) -> u64 {
        self.map_at(root, input, leaf, 0)
    }

    /// Stage 1 for [`STREAM`] by one CD with ASID 7; gives its tables.
    fn stage1(&mut self) -> u64 {
        let root = self.table();
        self.store(CONTEXTS, &[CD | 7 << 48, root, 0, 0xff]);
        self.ste(STREAM, &[STAGE1 | CONTEXTS]);
        root
    }

    /// Stage 2 for [`STREAM`] with VMID 9; gives its tables.
    fn stage2(&mut self) -> u64 {
        let root = self.table();
        self.ste(STREAM, &[STAGE2, 0, s2_config(9), root]);
        root
    }

    fn deliver(&mut self) {
        loop {
            let effects = self.fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Event { report, .. } => {
                        self.reports.push(report);
                        self.unit.report(report, &mut self.fx);
                    }
                    Effect::Schedule { event, .. } => self.unit.event(event, &mut self.fx),
                    Effect::Stale { stale: Stale::Smmuv3(stale), .. } => self.stale.push(stale),
                    Effect::Resume { tag, how } => self.resumed.push((tag, how)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Reads a word as `request` says.
    fn read_as(&mut self, request: Request) -> Result<u64, Outcome> {
        let mut data = [0; 8];
        let outcome = self.as_explained(self.port.initiator(), request, Access::Read, 8, |rig| {
            let result = rig.port.read(request, &mut data, &mut rig.fx);
            rig.deliver();
            result.outcome
        });
        if outcome == Outcome::Done { Ok(u64::from_le_bytes(data)) } else { Err(outcome) }
    }

    /// Reads a word by another port.
    fn read_by(&mut self, port: &DmaPort, request: Request) -> Result<u64, Outcome> {
        let mut data = [0; 8];
        let outcome = self.as_explained(port.initiator(), request, Access::Read, 8, |rig| {
            let result = port.read(request, &mut data, &mut rig.fx);
            rig.deliver();
            result.outcome
        });
        if outcome == Outcome::Done { Ok(u64::from_le_bytes(data)) } else { Err(outcome) }
    }

    /// Adds nothing to a dword, which takes reading and writing.
    fn atomic(&mut self, request: Request) -> Outcome {
        self.as_explained(self.port.initiator(), request, Access::Atomic, 4, |rig| {
            let outcome = rig.port.atomic(request, AtomicOp::FetchAdd32(0), &mut rig.fx).err();
            rig.deliver();
            outcome.unwrap_or(Outcome::Done)
        })
    }

    fn read(&mut self, address: u64) -> Result<u64, Outcome> {
        self.read_as(Request::at(address))
    }

    fn write(&mut self, address: u64) -> Outcome {
        self.write_as(Request::at(address))
    }

    /// Writes a zero as `request` says.
    fn write_as(&mut self, request: Request) -> Outcome {
        self.as_explained(self.port.initiator(), request, Access::Write, 1, |rig| {
            let outcome = rig.port.write(request, &[0; 1], &mut rig.fx).outcome;
            rig.deliver();
            outcome
        })
    }

    fn sanitizes(&self) -> bool {
        self.unit.control.parts().0.sanitize
    }

    /// Takes the oldest event record.
    fn event(&mut self) -> Option<[u64; 4]> {
        let (prod, cons) = (self.register(0x1_00a8), self.register(0x1_00ac));
        if prod == cons {
            return None;
        }
        let at = EVENTS + 32 * u64::from(cons & 0x7f);
        // Before its place is given away.
        let words = [0, 8, 16, 24].map(|offset| self.load(at + offset));
        self.set_register(0x1_00ac, (cons + 1) & 0xff);
        Some(words)
    }

    /// Nested for [`STREAM`]: VMID 9, one CD with ASID 7 at [`CONTEXTS`]; stage 2 maps the CD and 64 pages of
    /// tables, and all of the data, to where they are. Gives the tables of both stages.
    fn nested(&mut self) -> (u64, u64) {
        let (root1, root2) = (self.table(), self.table());
        self.store(CONTEXTS, &[CD | 7 << 48, root1, 0, 0xff]);
        self.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9), root2]);
        let tables = (TABLES..TABLES + 0x4_0000).step_by(0x1000);
        for ipa in [CONTEXTS].into_iter().chain(tables).chain((DATA..DATA + 0x2_0000).step_by(0x1000)) {
            self.map(root2, ipa, ipa | S2_PAGE);
        }
        (root1, root2)
    }

    /// Moves the stream table: STRTAB_BASE and STRTAB_BASE_CFG.
    fn stream_table(&mut self, base: u64, cfg: u32) {
        self.set_register(0x20, 0xc);
        self.unit.write(0x80, &base.to_le_bytes(), &mut self.fx);
        self.set_register(0x88, cfg);
        self.set_register(0x20, 0xd);
        // CMD_CFGI_ALL.
        self.commands(&[[0x04, 31]]);
    }

    /// The unit is saved, and another one continues.
    fn reborn(&mut self, config: Config) {
        let state = self.unit.save();
        self.unit = Unit::new(config, self.mem.clone());
        self.unit.restore(state);
        self.port = DmaPort::new(PORT, self.mem.clone(), self.unit.translator());
        self.port.set_enabled(true);
    }

    /// What a master that can be held is given as port.
    fn platform(&self, stream: u32) -> DmaPort {
        let initiator = Initiator::Platform { stream: StreamId(stream), can_stall: true };
        let mut port = DmaPort::of(initiator, self.mem.clone(), self.unit.translator());
        port.set_enabled(true);
        port
    }
}

/// A request with a SubstreamID.
fn substream(address: u64, pasid: u32) -> Request {
    Request { pasid: Pasid::new(pasid), ..Request::at(address) }
}

/// A privileged request.
fn privileged(address: u64) -> Request {
    Request { attrs: Attrs { privileged: true, ..Attrs::default() }, ..Request::at(address) }
}

/// A request for an instruction.
fn fetch(address: u64) -> Request {
    Request { attrs: Attrs { execute: true, ..Attrs::default() }, ..Request::at(address) }
}

const UR: Outcome = Outcome::Abort(Abort::Ur);

/// StreamID of [`STREAM`] in word 0 of a record.
const SID: u64 = (STREAM as u64) << 32;
/// SSV and SubstreamID in word 0 of a record.
fn ssid(substream: u64) -> u64 {
    1 << 11 | substream << 12
}
/// Bits of word 1 of a record.
const PNU: u64 = 1 << 33;
const IND: u64 = 1 << 34;
const RNW: u64 = 1 << 35;
const S2: u64 = 1 << 39;
const CLASS_TT: u64 = 1 << 40;
const CLASS_IN: u64 = 2 << 40;
const TTRNW: u64 = 1 << 44;
