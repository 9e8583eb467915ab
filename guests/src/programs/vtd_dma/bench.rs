//! The bench: what all sections share. Between two sections it is "at home": translation is on, the
//! exerciser's first function is in the home domain, its ring works and no fault is pending.

use core::fmt;

use crate::arena::Arena;
use crate::edu::{self, Edu};
use crate::error::Error;
use crate::exerciser::{self, Completion, Dma, Exerciser, Op, Status};
use crate::hw::Hw;
use crate::pci;
use crate::tap::Tap;
use crate::vtd::{
    self, Context, ContextScope, Descriptor, IotlbScope, Queue, READ, RootTable, SecondStage, Size, Unit,
    WRITE,
};

/// Where every domain maps its device's ring. All IOVAs lie below 39 bits, so that they fit the
/// shallowest tables, in gigabytes of their own, so that a large page of one never covers another.
pub const RING_IOVA: u64 = 0x10_0000_0000;
/// An address that is not RAM on a q35: nothing decodes the TPM's page without a TPM.
pub const NOT_RAM: u64 = 0xfed4_0000;
/// Dwords of a test pattern.
const WORDS: usize = 8;
/// Bytes of a test pattern.
pub const BYTES: u32 = 4 * WORDS as u32;
/// What memory and device buffers hold before a DMA.
const POISON: Pattern = [0xdead_dead; WORDS];

type Pattern = [u32; WORDS];

/// Dwords that differ from each other and between seeds.
fn pattern(seed: u32) -> Pattern {
    core::array::from_fn(|index| (seed << 16) | (0x1101 * (index as u32 + 1)))
}

/// A domain: an id and page tables.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    pub id: u16,
    pub stage: SecondStage,
}

impl Domain {
    /// The context entry that puts a device into it.
    pub const fn context(self) -> [u64; 2] {
        let SecondStage { top, levels } = self.stage;
        Context::Translate { table: top, levels, domain: self.id }.words()
    }
}

/// What the program found and made.
pub struct Parts {
    pub unit: Unit,
    /// Once it is enabled; until then invalidations go through registers.
    pub queue: Option<Queue>,
    pub arena: Arena,
    pub root: RootTable,
    pub home: Domain,
    pub device: Exerciser,
    pub second: Option<Exerciser>,
    pub edu: Option<Edu>,
    /// Two pages of test data that do not touch.
    pub page_a: u64,
    pub page_b: u64,
    /// The unit is said to keep translations until they are invalidated.
    pub retain: bool,
    /// Translation is on.
    pub on: bool,
}

impl Parts {
    pub fn find<H: Hw>(hw: &mut H) -> Result<Self, Error> {
        let retain = hw.command_line().split(' ').any(|word| word == "cache=retain");
        let mut arena = Arena::new(hw.ram());
        let unit = Unit::new(hw, vtd::BASE)?;
        let levels = unit.cap.fewest_levels().ok_or(Error::Unsupported("second-stage tables"))?;
        let root = RootTable::new(hw, &mut arena)?;

        let found = pci::find(hw, exerciser::VENDOR, exerciser::DEVICE);
        let [first, rest @ ..] = found.as_slice() else {
            return Err(Error::NoFunction { vendor: exerciser::VENDOR, device: exerciser::DEVICE });
        };
        let device = Exerciser::new(hw, &mut arena, *first)?;
        let second = match rest {
            [second, ..] => Some(Exerciser::new(hw, &mut arena, *second)?),
            [] => None,
        };
        let edu = match pci::find(hw, edu::VENDOR, edu::DEVICE).as_slice() {
            [function, ..] => Some(Edu::new(hw, *function)?),
            [] => None,
        };

        let page_a = arena.page(hw)?;
        // A page between them, so that a transfer that ran on would be noticed.
        arena.page(hw)?;
        let page_b = arena.page(hw)?;
        let home = Domain { id: 1, stage: SecondStage::new(hw, &mut arena, levels)? };
        let ring = (RING_IOVA, device.ring());
        home.stage.map(hw, &mut arena, ring, Size::Page4K, READ | WRITE)?;
        Ok(Self {
            unit,
            queue: None,
            arena,
            root,
            home,
            device,
            second,
            edu,
            page_a,
            page_b,
            retain,
            on: false,
        })
    }
}

/// Hardware, report and parts.
pub struct Bench<'h, H> {
    pub hw: &'h mut H,
    pub tap: Tap,
    pub parts: Parts,
}

impl<H: Hw> Bench<'_, H> {
    pub fn note(&mut self, text: fmt::Arguments<'_>) {
        self.tap.note(self.hw, text);
    }

    /// Reports a check; one that could not be made failed.
    pub fn check(&mut self, held: Result<bool, Error>, what: fmt::Arguments<'_>) {
        self.tap.check(self.hw, held == Ok(true), what);
        if let Err(error) = held {
            self.note(format_args!("  {error}"));
        }
    }

    pub fn skip(&mut self, what: &str, why: &str) {
        self.tap.skip(self.hw, what, why);
    }

    /// Restores what every section may rely on.
    pub fn go_home(&mut self) -> Result<(), Error> {
        if self.parts.on {
            self.parts.unit.set_root_table(self.hw, self.parts.root.address)?;
            let source = self.parts.device.source();
            self.set_context(source, self.parts.home.context())?;
            self.parts.device.start(self.hw, RING_IOVA);
        } else {
            let ring = self.parts.device.ring();
            self.parts.device.start(self.hw, ring);
        }
        self.parts.unit.clear_faults(self.hw);
        Ok(())
    }

    /// Writes a requester's context entry and drops everything that is cached.
    pub fn set_context(&mut self, source: u16, words: [u64; 2]) -> Result<(), Error> {
        let Parts { root, arena, .. } = &mut self.parts;
        root.set_context(self.hw, arena, source, words)?;
        self.flush()
    }

    /// Drops everything that is cached.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.invalidate(Some(ContextScope::Global), Some(IotlbScope::Global))
    }

    /// Drops context-cache entries, then IOTLB entries [VT-d 6.2.2.1].
    pub fn invalidate(
        &mut self,
        context: Option<ContextScope>,
        iotlb: Option<IotlbScope>,
    ) -> Result<(), Error> {
        let Parts { unit, queue, .. } = &mut self.parts;
        let Some(queue) = queue else {
            if let Some(scope) = context {
                unit.invalidate_context(self.hw, scope)?;
            }
            if let Some(scope) = iotlb {
                unit.invalidate_iotlb(self.hw, scope)?;
            }
            return Ok(());
        };
        match (context.map(Descriptor::context), iotlb.map(Descriptor::iotlb)) {
            (Some(context), Some(iotlb)) => queue.submit(self.hw, unit, &[context, iotlb]),
            (Some(one), None) | (None, Some(one)) => queue.submit(self.hw, unit, &[one]),
            (None, None) => Ok(()),
        }
    }

    /// A domain with empty tables.
    pub fn new_domain(&mut self, id: u16, levels: u32) -> Result<Domain, Error> {
        let stage = SecondStage::new(self.hw, &mut self.parts.arena, levels)?;
        Ok(Domain { id, stage })
    }

    /// A domain with tables that map nothing but the ring of a device.
    pub fn new_ring_domain(&mut self, id: u16, levels: u32, ring: u64) -> Result<Domain, Error> {
        let domain = self.new_domain(id, levels)?;
        self.map(domain, (RING_IOVA, ring), Size::Page4K, READ | WRITE)?;
        Ok(domain)
    }

    /// Maps a page without telling the unit.
    pub fn map(&mut self, domain: Domain, pages: (u64, u64), size: Size, rights: u64) -> Result<(), Error> {
        domain.stage.map(self.hw, &mut self.parts.arena, pages, size, rights)
    }

    /// Writes the entry of a level on the way to an IOVA in the home domain, without telling the unit.
    pub fn set_home_entry(&mut self, iova: u64, level: u32, word: u64) -> Result<(), Error> {
        let Parts { home, arena, .. } = &mut self.parts;
        let at = home.stage.entry_at(self.hw, arena, iova, level)?;
        self.hw.mem_write64(at, word);
        Ok(())
    }

    /// Puts a pattern into RAM.
    pub fn fill(&mut self, pa: u64, seed: u32) {
        self.put(pa, pattern(seed));
    }

    /// Puts into RAM what no pattern holds.
    pub fn poison(&mut self, pa: u64) {
        self.put(pa, POISON);
    }

    fn put(&mut self, pa: u64, words: Pattern) {
        for (at, word) in (pa..).step_by(4).zip(words) {
            self.hw.mem_write32(at, word);
        }
    }

    /// Whether RAM holds a pattern.
    pub fn holds(&mut self, pa: u64, seed: u32) -> bool {
        self.get(pa) == pattern(seed)
    }

    /// Whether RAM holds what [`Self::poison`] put there.
    pub fn is_poisoned(&mut self, pa: u64) -> bool {
        self.get(pa) == POISON
    }

    fn get(&mut self, pa: u64) -> Pattern {
        core::array::from_fn(|index| self.hw.mem_read32(pa + 4 * index as u64))
    }

    /// Has the first function do a DMA; its ring is restarted if it was refused.
    pub fn dma(&mut self, dma: &Dma) -> Result<Completion, Error> {
        let result = self.parts.device.run(self.hw, dma);
        if result.is_err() {
            self.parts.device.restart(self.hw);
        }
        result
    }

    /// Whether a DMA is done in full.
    pub fn succeeds(&mut self, dma: &Dma) -> Result<bool, Error> {
        let completion = self.dma(dma)?;
        let held = completion.status == Status::Done;
        if !held {
            self.note(format_args!("  the device saw {:?}", completion.status));
        }
        Ok(held)
    }

    /// Whether the device, reading at `iova`, gets the pattern that RAM holds at `pa`.
    pub fn reads(&mut self, iova: u64, pa: u64, seed: u32) -> Result<bool, Error> {
        self.fill(pa, seed);
        Ok(self.read_pattern(iova)? == Some(pattern(seed)))
    }

    /// What the device reads at `iova`; `None` if it is refused.
    fn read_pattern(&mut self, iova: u64) -> Result<Option<Pattern>, Error> {
        self.parts.device.write_buffer(self.hw, 0, &POISON);
        if !self.succeeds(&Dma::new(Op::Read { len: BYTES, buffer: 0 }, iova))? {
            return Ok(None);
        }
        let mut words = POISON;
        self.parts.device.read_buffer(self.hw, 0, &mut words);
        Ok(Some(words))
    }

    /// Which of some patterns the device reads at `iova`; `None` for none of them.
    pub fn which<const N: usize>(&mut self, iova: u64, seeds: [u32; N]) -> Result<Option<u32>, Error> {
        let words = self.read_pattern(iova)?;
        Ok(seeds.into_iter().find(|seed| words == Some(pattern(*seed))))
    }

    /// Whether a pattern that the device writes at `iova` lands in RAM at `pa`.
    pub fn writes(&mut self, iova: u64, pa: u64, seed: u32) -> Result<bool, Error> {
        self.poison(pa);
        self.parts.device.write_buffer(self.hw, 0, &pattern(seed));
        let done = self.succeeds(&Dma::new(Op::Write { len: BYTES, buffer: 0 }, iova))?;
        Ok(done && self.holds(pa, seed))
    }
}
