//! What a DMA must do, as a second unit without caches says.
//!
//! A cached translation may be older than memory, so that says something only while nothing that a
//! cached translation was made of has changed since software dropped them all and waited. Which pages
//! those are the second unit's walks tell. Two regimes with one tag are UNPREDICTABLE [SMMUv3 5.4.1],
//! and end it too.
//!
//! A CD is cached by StreamID and SubstreamID, apart from translations [SMMUv3 3.17, 4.3.3, 16.2]: one that
//! was read through stage 2 is what it was until a CMD_CFGI drops it, wherever stage 2 leads by then.

use std::collections::BTreeSet;
use std::sync::Arc;

use devices::addr::{PAGE_SIZE, Pa};
use devices::events::Time;
use devices::fabric::{
    Abort, Access, Effect, Effects, Initiator, Outcome, Request, Transaction, Translate, Verdict,
};
use devices::iommu::cache::Policy;
use devices::mem::PhysMem;
use devices::smmuv3::event::{Reason, Subject};
use devices::smmuv3::invalidation::StreamWorld;
use devices::smmuv3::regs::Cr2;
use devices::smmuv3::tables::cd::{self, Cd};
use devices::smmuv3::tables::ste::{self, Ste, Stream};
use devices::smmuv3::vmsa::{Stage1, Stage2};
use devices::smmuv3::{Config, Unit};
use devices::trace::TraceEvent;

use crate::fuzz::journal::Journal;

/// What a DMA must do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// First and last address of its pieces in memory, in order.
    pub pieces: Vec<(u64, u64)>,
    /// How its last piece ends.
    pub outcome: Option<Outcome>,
    /// What is reported of it.
    pub events: Vec<(Reason, Subject)>,
}

/// What tags cached translations, and what they were made by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Regime {
    world: StreamWorld,
    vmid: u16,
    asid: u16,
    aset: bool,
    stage1: Option<Stage1>,
    stage2: Option<Stage2>,
    /// Its last descriptor of stage 1 says nG = 0.
    global: bool,
}

impl Regime {
    /// Whether what is cached for one may be used for the other, or not be what it was.
    fn conflicts(&self, other: &Self) -> bool {
        let stages = |r: &Self| (r.world, r.vmid, r.stage1.is_some(), r.stage2.is_some());
        let same_stages = stages(self) == stages(other);
        let content = |r: &Self| (r.stage1, r.aset, r.stage2);
        let shared = self.world == StreamWorld::El1 && other.world == self.world && self.vmid == other.vmid;
        let stage2 = shared && self.stage2.is_some() && other.stage2.is_some() && self.stage2 != other.stage2;
        let asids = same_stages && self.asid != other.asid && (self.global || other.global);
        stage2 || asids || same_stages && self.asid == other.asid && content(self) != content(other)
    }
}

/// The second unit, and what is known since the last time that everything cached was dropped.
pub struct Oracle {
    config: Config,
    unit: Unit,
    translator: Arc<dyn Translate>,
    mem: PhysMem,
    /// The registers of the unit may be others than those of the first.
    outdated: bool,
    /// Cached STEs and CDs are what memory says.
    configuration_clean: bool,
    /// Cached translations are what the tables say.
    tables_clean: bool,
    /// Pages of STEs and CDs, of the descriptors before them, and of the stage-2 tables through which CDs
    /// were read.
    configuration: BTreeSet<u64>,
    /// Pages of tables that were walked.
    tables: BTreeSet<u64>,
    regimes: Vec<Regime>,
}

impl Oracle {
    /// For units like `config`.
    pub fn new(config: &Config, mem: &PhysMem) -> Self {
        let config = Config { cache: Policy::Off, sanitize: false, ..config.clone() };
        let unit = Unit::new(config.clone(), mem.clone());
        Self {
            translator: unit.translator(),
            config,
            unit,
            mem: mem.clone(),
            outdated: true,
            // Nothing is cached.
            configuration_clean: true,
            tables_clean: true,
            configuration: BTreeSet::new(),
            tables: BTreeSet::new(),
            regimes: Vec::new(),
        }
    }

    /// Nothing is cached any more.
    pub fn dropped(&mut self, journal: &Journal) {
        self.translations_dropped(journal);
        self.configuration_clean = true;
        self.configuration.clear();
    }

    /// No translation is cached any more; STEs and CDs may be.
    pub fn translations_dropped(&mut self, journal: &Journal) {
        self.look(journal);
        self.tables_clean = true;
        self.tables.clear();
        self.regimes.clear();
    }

    /// Takes in what was written.
    fn look(&mut self, journal: &Journal) {
        journal.take_touched(|page| {
            self.configuration_clean &= !self.configuration.contains(&page.0);
            self.tables_clean &= !self.tables.contains(&page.0);
        });
    }

    /// A register was written, other than those that say how queues are worked off.
    pub fn registers_changed(&mut self, roots: bool) {
        self.outdated = true;
        // Where nothing was walked nothing is cached.
        if roots && !self.configuration.is_empty() {
            (self.configuration_clean, self.tables_clean) = (false, false);
        }
    }

    /// Whether [`Self::expect`] says what a unit with caches does.
    pub fn is_clean(&self) -> bool {
        self.configuration_clean && self.tables_clean
    }

    /// Gives the second unit the registers of the first, which `read` reads.
    fn follow(&mut self, mut read: impl FnMut(u64, usize) -> u64) {
        let mut fx = Effects::new(Time(0), false);
        let enabled = read(0x24, 4) & 1;
        for (offset, size, value) in [
            (0x20, 4, 0),
            (0x2c, 4, read(0x2c, 4)),
            (0x44, 4, read(0x44, 4) | 1 << 31),
            (0x80, 8, read(0x80, 8)),
            (0x88, 4, read(0x88, 4)),
            (0x20, 4, enabled),
        ] {
            self.unit.write(offset, &value.to_le_bytes()[..size], &mut fx);
        }
        self.outdated = false;
    }

    /// What a DMA must do; nothing where its own effects get in the way. Access flags and dirty state are
    /// updated as the DMA does it.
    pub fn expect(
        &mut self,
        initiator: Initiator,
        request: Request,
        (length, access): (u64, Access),
        journal: &Journal,
        mut read: impl FnMut(u64, usize) -> u64,
    ) -> Option<Expected> {
        self.look(journal);
        let mut previous = None;
        // A walk may update what it has come by.
        for _ in 0..3 {
            if self.outdated {
                self.follow(&mut read);
            }
            let cr2 = Cr2::from_raw(read(0x2c, 4) as u32);
            let mut fetched = BTreeSet::new();
            let found = self.walk(initiator, request, (length, access), cr2, &mut fetched);
            let mut updated = false;
            journal.take_touched(|_| updated = true);
            // It holds what stalls.
            self.outdated |= matches!(found.outcome, Some(Outcome::Stalled(_)));
            if !updated && previous.is_none_or(|previous| previous == found) {
                let into_tables = |(first, last): &(u64, u64)| {
                    (first / PAGE_SIZE..=last / PAGE_SIZE).any(|page| fetched.contains(&(page * PAGE_SIZE)))
                };
                let itself = access != Access::Read && found.pieces.iter().any(into_tables);
                return (!itself).then_some(found);
            }
            previous = Some(found);
        }
        None
    }

    /// Translates what a port would, piece by piece.
    fn walk(
        &mut self,
        initiator: Initiator,
        request: Request,
        (length, access): (u64, Access),
        cr2: Cr2,
        fetched: &mut BTreeSet<u64>,
    ) -> Expected {
        let mut expected = Expected::default();
        let ur = Outcome::Abort(Abort::Ur);
        let Request { address, pasid, attrs, kind } = request;
        let mut done = 0;
        let outcome = loop {
            let Some(at) = address.checked_add(done) else { break ur };
            let len = (length - done).min(PAGE_SIZE - at.page_offset());
            let t = Transaction { initiator, pasid, address: at, len, access, attrs, kind };
            let mut fx = Effects::new(Time(0), true);
            let verdict = self.translator.translate(&t, &mut fx);
            for effect in fx.take() {
                if let Effect::Event { report, .. } = effect {
                    expected.events.push((report.reason, report.subject));
                }
            }
            self.note(&fx.take_trace(), cr2, fetched);
            match verdict {
                Verdict::Refused(outcome) => break outcome,
                Verdict::Interrupt | Verdict::Nothing => break ur,
                Verdict::Memory { pa, .. } => match self.mem.resolve(pa) {
                    Some((_, left)) if len <= left => {
                        if len > 0 {
                            expected.pieces.push((pa.0, pa.0 + len - 1));
                        }
                    }
                    _ if access == Access::Write && self.rings(pa, len) => {}
                    _ => break ur,
                },
            }
            done += len;
            if done == length {
                break Outcome::Done;
            }
        };
        expected.outcome = Some(outcome);
        expected
    }

    fn rings(&self, pa: Pa, len: u64) -> bool {
        self.config.doorbell.is_some_and(|doorbell| doorbell.contains(pa))
            && matches!(len, 2 | 4)
            && pa.0.is_multiple_of(len)
    }

    /// Takes in which pages a walk came by, and for which regime it was.
    fn note(&mut self, trace: &[TraceEvent], cr2: Cr2, fetched: &mut BTreeSet<u64>) {
        let (mut ste, mut cd) = (Vec::new(), Vec::new());
        let mut global = false;
        // Of stage-2 tables since the last CD, or descriptor of one, was read.
        let mut on_the_way = Vec::new();
        let mut contexts_through_stage2 = false;
        for event in trace {
            let TraceEvent::Fetch { table, address, words, .. } = event else { continue };
            let page = address.page().0;
            fetched.insert(page);
            match *table {
                "STE" | "L1STD" => {
                    self.configuration.insert(page);
                }
                "CD" | "L1CD" => {
                    contexts_through_stage2 |= !on_the_way.is_empty();
                    self.configuration.extend(on_the_way.drain(..).chain([page]));
                }
                name => {
                    if name.starts_with("stage 2") {
                        on_the_way.push(page);
                    }
                    self.tables.insert(page);
                }
            }
            match *table {
                "STE" => ste.extend(words),
                "CD" => cd.extend(words),
                name if name.starts_with("stage 1") => global = words[0] >> 11 & 1 == 0,
                _ => {}
            }
        }
        if let Some(regime) = self.regime(&ste, &cd, cr2, global)
            && !self.regimes.contains(&regime)
        {
            self.tables_clean &= !self.regimes.iter().any(|known| known.conflicts(&regime));
            self.regimes.push(regime);
        }
        // The other unit may have read the CD through what it should not have kept.
        self.configuration_clean &= self.tables_clean || !contexts_through_stage2;
    }

    fn regime(&self, ste: &[u64], cd: &[u64], cr2: Cr2, global: bool) -> Option<Regime> {
        let ste = Ste::from_raw(ste.try_into().ok()?);
        let Ok(Stream::Serve(service)) = ste::decode(ste, &self.config, cr2) else { return None };
        // Without a CD, or with an illegal one, there still is stage 2.
        let context = <[u64; 8]>::try_from(cd)
            .ok()
            .and_then(|words| cd::decode(Cd::from_raw(words), &self.config, &service).ok());
        Some(Regime {
            world: service.world,
            vmid: service.vmid,
            asid: context.map_or(0, |context| context.asid),
            aset: context.is_some_and(|context| context.aset),
            stage1: context.map(|context| context.stage1),
            stage2: service.stage2,
            global: global && context.is_some(),
        })
    }
}
