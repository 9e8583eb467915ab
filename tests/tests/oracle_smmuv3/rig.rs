//! The unit under test between its oracle and its memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use devices::addr::{Iova, Pa, Pasid, SourceId, StreamId};
use devices::events::Time;
use devices::fabric::{
    AtomicOp, Attrs, DmaPort, Effect, Effects, Initiator, Kind, Outcome, Request, Resumption,
};
use devices::iommu::cache::Policy;
use devices::mem::{PhysMem, WriteWatch};
use devices::smmuv3::{Config, Unit};
use tests::oracle::smmuv3::{self as oracle, Access, Answer, Ending, Registers, Transaction};

use crate::case::{Case, Master, Step};
use crate::image::{self, DATA, Image, POOLS, QUEUES};

// Register offsets and bits [SMMUv3 6.3].
const CR0: u64 = 0x20;
const CR0ACK: u64 = 0x24;
const CR2: u64 = 0x2c;
const GBPA: u64 = 0x44;
const STRTAB_BASE: u64 = 0x80;
const STRTAB_BASE_CFG: u64 = 0x88;
const CMDQ_BASE: u64 = 0x90;
const CMDQ_PROD: u64 = 0x98;
const CMDQ_CONS: u64 = 0x9c;
const EVENTQ_BASE: u64 = 0xa0;
const EVENTQ_PROD: u64 = 0x1_00a8;
const EVENTQ_CONS: u64 = 0x1_00ac;
const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;

const COMMANDS: u64 = QUEUES.0;
const EVENTS: u64 = QUEUES.0 + 0x1000;
/// log2 of the entries of both queues.
const QUEUE_LOG2: u32 = 4;

// Commands [SMMUv3 4].
const CFGI_ALL: [u64; 2] = [0x04, 31];
const TLBI_NSNH_ALL: [u64; 2] = [0x30, 0];
const TLBI_EL2_ALL: [u64; 2] = [0x20, 0];
const SYNC: [u64; 2] = [0x46, 0];

/// What came up: how a transaction ended, or that access flags or dirty state were updated; and the type of
/// its record, with S2 in bit 0 and CLASS in bits 2:1.
pub type Seen = (&'static str, Option<(u8, u8)>);

/// Remembers what was written.
#[derive(Default)]
struct Written(Mutex<Vec<(u64, u64)>>);

impl Written {
    fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WriteWatch for Written {
    fn written(&self, first: Pa, last: Pa) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((first.0, last.0));
    }
}

/// A unit that lives through many cases, so that what a case leaves in the caches can hurt the next.
pub struct Rig {
    unit: Unit,
    mem: PhysMem,
    written: Arc<Written>,
    fx: Effects,
    caching: bool,
    registers: Registers,
    image: Image,
    resumed: Vec<(u32, Resumption)>,
    /// How often what came up.
    pub seen: BTreeMap<Seen, u32>,
}

impl Rig {
    /// A unit after reset, with its queues on.
    ///
    /// # Errors
    /// A sentence, where there is no memory.
    pub fn new(config: Config) -> Result<Self, String> {
        let ram: Vec<_> = regions().into_iter().map(|(start, size)| (Pa(start), size)).collect();
        let mem = PhysMem::anonymous(&ram).map_err(|e| e.to_string())?;
        for (start, size) in DATA {
            let words = (start..start + size).step_by(8).filter_map(image::before);
            let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
            mem.write(Pa(start), &bytes).map_err(|e| e.to_string())?;
        }
        let written = Arc::new(Written::default());
        mem.watch(written.clone());
        let mut rig = Self {
            caching: config.cache != Policy::Off,
            unit: Unit::new(config, mem.clone()),
            mem,
            written,
            fx: Effects::new(Time(0), false),
            registers: Registers::default(),
            image: Image::default(),
            resumed: Vec::new(),
            seen: BTreeMap::new(),
        };
        rig.w64(CMDQ_BASE, COMMANDS | u64::from(QUEUE_LOG2));
        rig.w64(EVENTQ_BASE, EVENTS | u64::from(QUEUE_LOG2));
        Ok(rig)
    }

    /// Plays `case` on the unit and on the oracle.
    ///
    /// # Errors
    /// The first difference.
    pub fn run(&mut self, case: &Case) -> Result<(), String> {
        self.set_up(case)?;
        let mut last = None;
        for (number, step) in case.steps.iter().enumerate() {
            let Transaction { stream, substream, .. } = step.transaction;
            // Global entries of one address space serve others of the same VMID [SMMUv3 3.17], and what
            // those say must be the same.
            if self.caching && last != Some((stream, substream)) {
                self.invalidate(false)?;
            }
            last = Some((stream, substream));
            self.step(step).map_err(|difference| format!("step {number}, {step:x?}\n{difference}"))?;
        }
        self.tear_down()
    }

    fn set_up(&mut self, case: &Case) -> Result<(), String> {
        self.w32(CR0, CMDQEN | EVENTQEN);
        for (pa, word) in &case.words {
            self.image.set(*pa, *word);
            self.store(*pa, *word)?;
        }
        self.w64(STRTAB_BASE, case.strtab_base);
        self.w32(STRTAB_BASE_CFG, case.strtab_base_cfg);
        self.w32(CR2, case.cr2);
        self.w32(GBPA, case.gbpa | 1 << 31);
        self.invalidate(true)?;
        self.w32(CR0, CMDQEN | EVENTQEN | if case.enabled { SMMUEN } else { 0 });
        self.registers = Registers {
            idr0: self.r32(0x00),
            idr1: self.r32(0x04),
            idr3: self.r32(0x0c),
            idr5: self.r32(0x14),
            aidr: self.r32(0x1c),
            cr0: self.r32(CR0ACK),
            cr2: self.r32(CR2),
            gbpa: self.r32(GBPA),
            strtab_base: u64::from(self.r32(STRTAB_BASE)) | u64::from(self.r32(STRTAB_BASE + 4)) << 32,
            strtab_base_cfg: self.r32(STRTAB_BASE_CFG),
        };
        Ok(())
    }

    /// Memory as before the case.
    fn tear_down(&mut self) -> Result<(), String> {
        let words = std::mem::take(&mut self.image).words;
        for pa in words.into_keys() {
            self.store(pa, image::before(pa).unwrap_or(0))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let (transaction, len) = (step.transaction, step.len as usize);
        self.image.trail.clear();
        self.image.journal.clear();
        let answer = oracle::translate(&self.registers, &mut self.image, &transaction);
        let updated = !self.image.journal.is_empty();

        let expected = Expected::of(&answer, step, &mut self.image);
        if self.caching && expected.changes_tables {
            // Later walks may use the old tables or the new ones.
            self.image.undo();
            return Ok(());
        }

        self.written.take();
        let (outcome, data) = self.issue(step, expected.compare);
        let outcome_is = match outcome {
            Outcome::Done => "done",
            Outcome::Raz => "raz",
            Outcome::Abort(_) => "abort",
            Outcome::Stalled(_) => "stall",
        };
        let bytes = data.to_le_bytes();
        let read = &bytes[..len];
        let known = expected.data.to_le_bytes();
        if outcome_is != expected.outcome || outcome_is == "done" && read != &known[..len] {
            return Err(self.describe(&answer)
                + &format!(
                    "  found {outcome} with {read:x?}, expected {} with {:x?}\n",
                    expected.outcome,
                    &known[..len]
                ));
        }
        for pa in self.changed() {
            let (found, wanted) = (self.mem.load64(Pa(pa)).ok(), self.image.word(pa));
            if found != wanted {
                return Err(
                    self.describe(&answer) + &format!("  [{pa:#x}] is {found:#x?}, expected {wanted:#x?}\n")
                );
            }
        }
        self.deliver();
        let records = self.records()?;
        // STAG is any number; other records have 0 there.
        let wanted: Vec<_> = answer.record.into_iter().collect();
        let blind = |record: &[u64; 4]| match record {
            [a, b, c, d] if b >> 31 & 1 == 1 => [*a, b & !0xffff, *c, *d],
            record => *record,
        };
        if records.iter().map(blind).collect::<Vec<_>>() != wanted {
            return Err(
                self.describe(&answer) + &format!("  records {records:#018x?}\n  expected {wanted:#018x?}\n")
            );
        }
        if let Outcome::Stalled(tag) = outcome {
            let stag = records.first().map_or(0, |record| record[1] & 0xffff);
            self.resume(transaction.stream, stag)?;
            let ended = self.resumed.pop();
            if !matches!(ended, Some((number, Resumption::End(Outcome::Abort(_)))) if number == tag.number) {
                return Err(self.describe(&answer)
                    + &format!("  CMD_RESUME led to {ended:?}, and {tag:?} was held\n"));
            }
        }
        let kind = answer.record.map(|record| (record[0] as u8, (record[1] >> 39 & 7) as u8));
        let ending = if updated { "updated" } else { expected.outcome };
        *self.seen.entry((ending, kind)).or_default() += 1;
        Ok(())
    }

    /// What the oracle read and said.
    fn describe(&self, answer: &Answer) -> String {
        let mut text = format!("  {:x?}\n", self.registers);
        for (pa, word) in &self.image.trail {
            // Nothing can go wrong with a string.
            let _ = match word {
                Some(word) => writeln!(text, "  [{pa:#x}] = {word:#018x}"),
                None => writeln!(text, "  [{pa:#x}] is not RAM"),
            };
        }
        let _ = writeln!(text, "  oracle: {answer:#018x?}");
        text
    }

    /// Does it, and returns what the master learns.
    fn issue(&mut self, step: &Step, compare: u64) -> (Outcome, u64) {
        let Step { transaction, master, len } = *step;
        let initiator = match master {
            // The unit's map gives the function of this requester id the stream of the same number.
            Master::Pci => Initiator::Pci { segment: 0, source: SourceId(transaction.stream as u16) },
            Master::Platform => {
                Initiator::Platform { stream: StreamId(transaction.stream), can_stall: transaction.can_stall }
            }
        };
        let mut port = DmaPort::of(initiator, self.mem.clone(), self.unit.translator());
        port.set_enabled(true);
        let request = Request {
            address: Iova(transaction.address),
            pasid: transaction.substream.and_then(Pasid::new),
            attrs: Attrs {
                privileged: transaction.privileged,
                execute: transaction.instruction,
                ..Attrs::default()
            },
            kind: Kind::Untranslated,
        };
        let mut data = [0; 8];
        let outcome = match transaction.access {
            Access::Read => port.read(request, &mut data[..len as usize], &mut self.fx).outcome,
            Access::Write => {
                let new = NEW.to_le_bytes();
                port.write(request, &new[..len as usize], &mut self.fx).outcome
            }
            Access::Atomic => {
                let op = if len == 4 {
                    AtomicOp::CompareSwap32 { compare: compare as u32, swap: NEW as u32 }
                } else {
                    AtomicOp::CompareSwap64 { compare, swap: NEW }
                };
                match port.atomic(request, op, &mut self.fx) {
                    Ok(old) => {
                        data = old.to_le_bytes();
                        Outcome::Done
                    }
                    Err(outcome) => outcome,
                }
            }
        };
        (outcome, u64::from_le_bytes(data))
    }

    /// Qwords that either side changed, or might have.
    fn changed(&self) -> Vec<u64> {
        let written = self.written.take();
        let qwords = written.iter().flat_map(|(first, last)| (first & !7..=*last).step_by(8));
        qwords.chain(self.image.journal.iter().map(|(pa, _)| *pa)).collect()
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
                    Effect::Event { report, .. } => self.unit.report(report, &mut self.fx),
                    Effect::Schedule { event, .. } => self.unit.event(event, &mut self.fx),
                    Effect::Resume { tag, how } => self.resumed.push((tag.number, how)),
                    other => unreachable!("{other:?} where interrupts are off"),
                }
            }
        }
    }

    /// Takes the records out of the event queue.
    fn records(&mut self) -> Result<Vec<[u64; 4]>, String> {
        let (prod, mut cons) = (self.r32(EVENTQ_PROD), self.r32(EVENTQ_CONS));
        let mut records = Vec::new();
        while cons != prod {
            let at = EVENTS + 32 * u64::from(cons & ((1 << QUEUE_LOG2) - 1));
            let mut record = [0; 4];
            for (word, at) in record.iter_mut().zip((at..).step_by(8)) {
                *word = self.mem.load64(Pa(at)).map_err(|e| e.to_string())?;
            }
            records.push(record);
            cons = (cons + 1) & ((2 << QUEUE_LOG2) - 1);
        }
        self.w32(EVENTQ_CONS, cons);
        Ok(records)
    }

    /// CMD_RESUME: terminate with an abort.
    fn resume(&mut self, stream: u32, stag: u64) -> Result<(), String> {
        self.submit(&[[0x44 | 1 << 13 | u64::from(stream) << 32, stag], SYNC])
    }

    /// Drops everything that is cached; STEs and CDs only if asked to.
    fn invalidate(&mut self, configuration: bool) -> Result<(), String> {
        self.image.fetched.clear();
        let mut commands = vec![TLBI_NSNH_ALL];
        // IDR0.Hyp.
        if self.r32(0) >> 9 & 1 == 1 {
            commands.push(TLBI_EL2_ALL);
        }
        if configuration {
            commands.insert(0, CFGI_ALL);
        }
        commands.push(SYNC);
        self.submit(&commands)
    }

    fn submit(&mut self, commands: &[[u64; 2]]) -> Result<(), String> {
        let mut prod = self.r32(CMDQ_PROD);
        for words in commands {
            let at = COMMANDS + 16 * u64::from(prod & ((1 << QUEUE_LOG2) - 1));
            self.store(at, words[0])?;
            self.store(at + 8, words[1])?;
            prod = (prod + 1) & ((2 << QUEUE_LOG2) - 1);
        }
        self.w32(CMDQ_PROD, prod);
        let cons = self.r32(CMDQ_CONS);
        if cons == prod { Ok(()) } else { Err(format!("commands {commands:x?}: CONS is {cons:#x}")) }
    }

    fn store(&self, pa: u64, word: u64) -> Result<(), String> {
        self.mem.write(Pa(pa), &word.to_le_bytes()).map_err(|_| format!("{pa:#x} is not RAM"))
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.unit.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn w64(&mut self, offset: u64, value: u64) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }
}

/// What writes write.
const NEW: u64 = 0xfedc_ba98_7654_3210;

/// What a transaction leads to.
struct Expected {
    outcome: &'static str,
    /// What is read, or was there before.
    data: u64,
    /// What a compare-and-swap expects, most times what is there.
    compare: u64,
    changes_tables: bool,
}

impl Expected {
    /// Does to the image what should be done to memory.
    fn of(answer: &Answer, step: &Step, image: &mut Image) -> Self {
        let nothing = |outcome| Self { outcome, data: 0, compare: 0, changes_tables: false };
        let pa = match answer.ending {
            Ending::Raz => return nothing("raz"),
            Ending::Abort => return nothing("abort"),
            Ending::Stall => return nothing("stall"),
            Ending::Memory(pa) => pa,
        };
        // Nobody but RAM answers.
        let Some(word) = image.word(pa & !7) else { return nothing("abort") };
        let shift = pa % 8 * 8;
        let mask = if step.len == 8 { u64::MAX } else { (1 << (8 * step.len)) - 1 };
        let old = word >> shift & mask;
        let (reads, writes) = match step.transaction.access {
            Access::Read => (true, false),
            Access::Write => (false, true),
            Access::Atomic => (true, true),
        };
        let compare = if step.transaction.privileged { old } else { !old };
        let stores = writes && (!reads || compare & mask == old);
        if stores {
            image.set(pa & !7, word & !(mask << shift) | (NEW & mask) << shift);
        }
        let data = if reads { old } else { 0 };
        Self { outcome: "done", data, compare, changes_tables: writes && image.is_table(pa & !7) }
    }
}

/// RAM: pools and the data after them.
fn regions() -> Vec<(u64, u64)> {
    let mut all: Vec<_> = POOLS.iter().chain(&DATA).chain(&[QUEUES]).copied().collect();
    all.sort_unstable();
    all
}
