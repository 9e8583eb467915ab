//! The bench: what all sections share. Between two sections it is "at home": the exerciser's first
//! function is bypassed, its ring works, nothing is cached and no event waits.

use core::fmt;

use crate::arena::{Arena, PAGE};
use crate::error::Error;
use crate::exerciser::{self, Completion, Dma, Exerciser, Op, Platform, Status};
use crate::hw::Hw;
use crate::pci;
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{self, LAST};
use crate::smmuv3::{
    self, Cd, Command, ContextFormat, ContextTable, Granule, OnFault, Smmu, Stage2, Ste, Tables, Unit,
};
use crate::tap::Tap;

/// Where every address space maps its device's ring. All addresses of devices lie below 39 bits, in
/// gigabytes of their own, so that a large page of one never covers another.
pub const RING_IOVA: u64 = 0x10_0000_0000;
/// An address where nothing answers on a `virt`.
pub const NOT_RAM: u64 = 0x0010_0000;
/// Where the platform exerciser is.
const PLATFORM: u64 = 0x0c80_0000;
/// Its StreamID, if the command line does not say otherwise.
const PLATFORM_STREAM: u32 = 0x1_0000;
/// Bits of an address that stage 1 translates.
pub const VA_BITS: u32 = 39;
/// Bits of an address that stage 2 translates.
pub const IPA_BITS: u32 = 40;
/// Dwords of a test pattern.
const WORDS: usize = 8;
/// Bytes of a test pattern.
pub const BYTES: u32 = 4 * WORDS as u32;
/// A read and a write of a pattern.
pub const READ: Op = Op::Read { len: BYTES, buffer: 0 };
pub const WRITE: Op = Op::Write { len: BYTES, buffer: 0 };
/// What memory and device buffers hold before a DMA.
const POISON: Pattern = [0xdead_dead; WORDS];

type Pattern = [u32; WORDS];

/// Dwords that differ from each other and between seeds.
fn pattern(seed: u32) -> Pattern {
    core::array::from_fn(|index| (seed << 16) | (0x1101 * (index as u32 + 1)))
}

/// A stage-1 address space: tables and an ASID.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub tables: Tables,
    pub asid: u16,
}

/// What the program found and made.
pub struct Parts {
    pub smmu: Smmu,
    pub arena: Arena,
    pub device: Exerciser,
    pub second: Option<Exerciser>,
    pub platform: Option<(Exerciser<Platform>, u32)>,
    /// Two pages of test data that do not touch and that no page of tables holds both.
    pub page_a: u64,
    pub page_b: u64,
    /// The unit is said to keep entries until they are invalidated.
    pub retain: bool,
    /// The unit is on.
    pub on: bool,
}

impl Parts {
    pub fn find<H: Hw>(hw: &mut H) -> Result<Self, Error> {
        let words = || hw.command_line().split(' ');
        let retain = words().any(|word| word == "cache=retain");
        let stream = words().find_map(|word| number(word.strip_prefix("stream=")?));
        let stream = stream.unwrap_or(PLATFORM_STREAM);
        let mut arena = Arena::new(hw.ram());
        let unit = Unit::new(hw, smmuv3::BASE)?;
        unit.set_bypass(hw, true)?;
        let smmu = Smmu::new(hw, &mut arena, unit)?;

        let found = pci::find(hw, exerciser::VENDOR, exerciser::DEVICE);
        let [first, rest @ ..] = found.as_slice() else {
            return Err(Error::NoFunction { vendor: exerciser::VENDOR, device: exerciser::DEVICE });
        };
        let device = Exerciser::new(hw, &mut arena, *first)?;
        let second = match rest {
            [second, ..] => Some(Exerciser::new(hw, &mut arena, *second)?),
            [] => None,
        };
        let platform = Exerciser::find(hw, &mut arena, PLATFORM)?.map(|platform| (platform, stream));

        // At one place in two pages of any granule, and not at their beginning.
        let page_a = arena.aligned(hw, Granule::K64.bytes())? + PAGE;
        let page_b = arena.aligned(hw, Granule::K64.bytes())? + PAGE;
        Ok(Self { smmu, arena, device, second, platform, page_a, page_b, retain, on: false })
    }
}

/// A hexadecimal number with `0x`, or a decimal one.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
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
            let unit = self.parts.smmu.unit;
            unit.acknowledge_errors(self.hw);
            self.set_ste(self.stream(), Ste::BYPASS)?;
        }
        let ring = self.parts.device.ring();
        self.parts.device.start(self.hw, ring);
        self.drop_events();
        Ok(())
    }

    /// The first function's StreamID.
    pub fn stream(&self) -> u32 {
        self.parts.device.source().into()
    }

    /// Has the unit process commands, and waits for them.
    pub fn submit(&mut self, commands: &[Command]) -> Result<(), Error> {
        self.parts.smmu.submit(self.hw, commands)
    }

    /// Drops everything that is cached.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.parts.smmu.forget_all(self.hw)
    }

    /// Writes a stream's STE and drops everything that is cached.
    pub fn set_ste(&mut self, stream: u32, ste: Ste) -> Result<(), Error> {
        self.write_ste(stream, ste)?;
        self.flush()
    }

    /// Writes a stream's STE without telling the unit.
    pub fn write_ste(&mut self, stream: u32, ste: Ste) -> Result<(), Error> {
        let Parts { smmu, arena, .. } = &mut self.parts;
        smmu.streams.set(self.hw, arena, stream, ste)
    }

    /// Whether stage 1 is there; where it is not, the section is skipped.
    pub fn has_stage1(&mut self, what: &str) -> bool {
        self.needs(self.parts.smmu.unit.idr0.s1p() == 1, what, "IDR0.S1P is 0")
    }

    /// Whether stage 2 is there.
    pub fn has_stage2(&mut self, what: &str) -> bool {
        self.needs(self.parts.smmu.unit.idr0.s2p() == 1, what, "IDR0.S2P is 0")
    }

    /// Skips what the unit lacks.
    pub fn needs(&mut self, offered: bool, what: &str, why: &str) -> bool {
        if !offered {
            self.skip(what, why);
        }
        offered
    }

    /// The output size for tables without 52-bit addresses, encoded.
    pub fn output_size(&self) -> u32 {
        self.parts.smmu.unit.idr5.oas().min(5)
    }

    /// The granules on offer, the finest first.
    pub fn granules(&self) -> impl Iterator<Item = Granule> + use<H> {
        let idr5 = self.parts.smmu.unit.idr5;
        let all =
            [(Granule::K4, idr5.gran4k()), (Granule::K16, idr5.gran16k()), (Granule::K64, idr5.gran64k())];
        all.into_iter().filter(|(_, offered)| *offered == 1).map(|(granule, _)| granule)
    }

    /// The finest granule.
    pub fn granule(&self) -> Result<Granule, Error> {
        self.granules().next().ok_or(Error::Unsupported("any granule"))
    }

    /// Stage-1 tables that map the ring.
    pub fn space(&mut self, asid: u16) -> Result<Space, Error> {
        let granule = self.granule()?;
        let ring = self.parts.device.ring();
        self.space_of(asid, granule, VA_BITS, ring)
    }

    pub fn space_of(&mut self, asid: u16, granule: Granule, bits: u32, ring: u64) -> Result<Space, Error> {
        let tables = Tables::stage1(self.hw, &mut self.parts.arena, granule, bits, 0)?;
        self.map(&tables, (RING_IOVA, ring), tables::STAGE1)?;
        Ok(Space { tables, asid })
    }

    /// A stage 2 that maps the ring.
    pub fn stage2(&mut self, vmid: u16) -> Result<Stage2, Error> {
        let granule = self.granule()?;
        self.stage2_of(vmid, granule)
    }

    pub fn stage2_of(&mut self, vmid: u16, granule: Granule) -> Result<Stage2, Error> {
        let bits = IPA_BITS.min(self.parts.smmu.unit.idr5.output_bits());
        let tables = Tables::stage2(self.hw, &mut self.parts.arena, granule, bits)?;
        let ring = self.parts.device.ring();
        self.map(&tables, (RING_IOVA, ring), tables::STAGE2)?;
        Ok(Stage2 { tables, vmid, ps: self.output_size(), record: true, stall: false })
    }

    /// The CD of an address space.
    pub fn cd(&self, space: Space, on_fault: OnFault) -> Cd {
        Cd::new(&space.tables, space.asid, self.output_size(), on_fault)
    }

    /// Whether it has to be aborts that terminate, and whether stalls are possible, is the unit's to
    /// say.
    pub fn terminates(&self) -> OnFault {
        OnFault { stall: self.parts.smmu.unit.idr0.stall_model() == 2, ..OnFault::TERMINATE }
    }

    /// A table of one CD.
    pub fn single(&mut self, cd: Cd) -> Result<ContextTable, Error> {
        self.contexts(ContextFormat::Single, 0, 0, &[(0, cd)])
    }

    /// A table of CDs, by SubstreamID.
    pub fn contexts(
        &mut self,
        format: ContextFormat,
        log2: u32,
        link: u64,
        cds: &[(u32, Cd)],
    ) -> Result<ContextTable, Error> {
        let arena = &mut self.parts.arena;
        let table = ContextTable::new(self.hw, arena, format, log2, link)?;
        for (substream, cd) in cds {
            table.set(self.hw, arena, *substream, *cd)?;
        }
        Ok(table)
    }

    /// An STE of stage 1 alone.
    pub fn stage1_ste(&mut self, space: Space) -> Result<Ste, Error> {
        let cd = self.cd(space, self.terminates());
        Ok(Ste::stage1(&self.single(cd)?, Plain::Terminate))
    }

    /// Maps a page of the tables' granule so that `from` leads to `to`, without telling the unit. The two
    /// agree in the address bits inside a page.
    pub fn map(&mut self, tables: &Tables, pages: (u64, u64), attributes: u64) -> Result<(), Error> {
        tables.map(self.hw, &mut self.parts.arena, pages, LAST, attributes)
    }

    /// Writes the descriptor of a level on the way to an address, without telling the unit; returns
    /// where it lies.
    pub fn set_entry(&mut self, tables: &Tables, from: u64, level: u32, word: u64) -> Result<u64, Error> {
        let at = tables.entry_at(self.hw, &mut self.parts.arena, from, level)?;
        self.hw.mem_write64(at, word);
        Ok(at)
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
        Ok(self.read_pattern(Dma::new(READ, iova))? == Some(pattern(seed)))
    }

    /// What the device reads; `None` if it is refused.
    fn read_pattern(&mut self, dma: Dma) -> Result<Option<Pattern>, Error> {
        self.parts.device.write_buffer(self.hw, 0, &POISON);
        if !self.succeeds(&dma)? {
            return Ok(None);
        }
        let mut words = POISON;
        self.parts.device.read_buffer(self.hw, 0, &mut words);
        Ok(Some(words))
    }

    /// What the device has in its buffer: zeros, or what it had before.
    pub fn buffer_is_zero(&mut self) -> bool {
        let mut words = POISON;
        self.parts.device.read_buffer(self.hw, 0, &mut words);
        words == [0; WORDS]
    }

    /// Fills the device's buffer with what no pattern holds.
    pub fn poison_buffer(&mut self) {
        self.parts.device.write_buffer(self.hw, 0, &POISON);
    }

    /// Which of some patterns the device reads at `iova`; `None` for none of them.
    pub fn which<const N: usize>(&mut self, iova: u64, seeds: [u32; N]) -> Result<Option<u32>, Error> {
        self.which_of(Dma::new(READ, iova), seeds)
    }

    /// Which of some patterns a read gets.
    pub fn which_of<const N: usize>(&mut self, dma: Dma, seeds: [u32; N]) -> Result<Option<u32>, Error> {
        let words = self.read_pattern(dma)?;
        Ok(seeds.into_iter().find(|seed| words == Some(pattern(*seed))))
    }

    /// Whether a pattern that the device writes at `iova` lands in RAM at `pa`.
    pub fn writes(&mut self, iova: u64, pa: u64, seed: u32) -> Result<bool, Error> {
        self.writes_by(Dma::new(WRITE, iova), pa, seed)
    }

    /// Whether a pattern that a write carries lands in RAM at `pa`.
    pub fn writes_by(&mut self, dma: Dma, pa: u64, seed: u32) -> Result<bool, Error> {
        self.poison(pa);
        self.parts.device.write_buffer(self.hw, 0, &pattern(seed));
        let done = self.succeeds(&dma)?;
        Ok(done && self.holds(pa, seed))
    }
}
