//! Cases whose tables mean something, and then some mistakes.

use devices::iommu::cache::Policy;
use devices::smmuv3::Config;
use tests::oracle::smmuv3::{Access, Transaction};

use crate::build::{Builder, Entry, Second, Tables};
use crate::case::{Case, Master, Step};
use crate::image::{DATA, POOLS};
use crate::random::Random;

/// What the unit can do.
#[derive(Clone, Copy)]
struct Unit {
    idr0: u32,
    idr1: u32,
    idr3: u32,
    idr5: u32,
    oas: u32,
    minor: u8,
    e2h: bool,
}

impl Unit {
    fn idr0(&self, low: u32, size: u32) -> u64 {
        u64::from(self.idr0 >> low & ((1 << size) - 1))
    }

    fn has(register: u32, bit: u32) -> bool {
        register >> bit & 1 == 1
    }

    /// One of the granules, as log2.
    fn granule(&self, random: &mut Random) -> u32 {
        loop {
            let (granule, bit) = random.pick(&[(12, 4), (14, 5), (16, 6)]);
            if Self::has(self.idr5, bit) {
                return granule;
            }
        }
    }

    /// IPS or S2PS, and what it amounts to.
    fn output(&self, random: &mut Random, granule: u32, ds: bool) -> (u64, u32) {
        let oas = u64::from(self.idr5 & 7);
        let encoding = if random.chance(75) { oas } else { random.below(8) };
        let size = [32, 36, 40, 42, 44, 48, 52, 52][encoding as usize].min(self.oas);
        (encoding, if granule == 16 || ds { size } else { size.min(48) })
    }

    /// {HA, HD} as this unit may have them.
    fn updates(&self, random: &mut Random) -> (bool, bool) {
        let httu = self.idr0(6, 2);
        let access = httu > 0 && random.chance(60);
        (access, access && httu > 1 && random.chance(70))
    }

    /// Whether tables are big-endian.
    fn endianness(&self, random: &mut Random) -> bool {
        match self.idr0(21, 2) {
            2 => false,
            3 => true,
            _ => random.chance(25),
        }
    }

    /// CD.S or STE.S2S.
    fn stall(&self, random: &mut Random) -> bool {
        match self.idr0(24, 2) {
            1 => false,
            2 => true,
            _ => random.chance(25),
        }
    }
}

/// An address of interest.
#[derive(Clone, Copy)]
struct Target {
    stream: u32,
    substream: Option<u32>,
    address: u64,
}

/// A case under construction.
struct Draft<'a> {
    unit: Unit,
    builder: Builder<'a>,
    targets: Vec<Target>,
    /// Addresses of STEs and CDs, which are worth more mistakes than descriptors.
    structures: Vec<u64>,
    asids: u16,
}

/// A case for the unit of this number, with up to so many mistakes in its tables.
pub fn case(random: &mut Random, number: usize, config: &Config, mistakes: u64) -> Case {
    let cr2 = (random.flag(80, 1) | random.flag(40, 0)) as u32;
    let unit = Unit {
        idr0: config.idr0.raw(),
        idr1: config.idr1.raw(),
        idr3: config.idr3.raw(),
        idr5: config.idr5.raw(),
        oas: config.oas_bits(),
        minor: config.minor,
        e2h: cr2 & 1 == 1,
    };
    let policy = random.pick(&[Policy::Retain, Policy::Retain, Policy::Tiny, Policy::Adversarial]);
    let enabled = random.chance(98);
    let gbpa = random.bits(21) as u32 & 0x1f_3f1f & if random.chance(80) { !0x10_0000 } else { !0 };
    let mut draft =
        Draft { unit, builder: Builder::new(random), targets: Vec::new(), structures: Vec::new(), asids: 0 };
    let (mut strtab_base, mut strtab_base_cfg) = draft.streams();
    let Draft { builder, targets, structures, .. } = draft;
    let Builder { mut words, random, .. } = builder;

    for _ in 0..random.below(mistakes + 1) {
        let pa = if random.chance(60) && !structures.is_empty() {
            random.pick(&structures) + random.pick(&[0, 0, 8, 16, 16, 24])
        } else {
            words.keys().nth(random.below(words.len() as u64) as usize).copied().unwrap_or(0)
        };
        let word = words.entry(pa).or_insert(0);
        *word = mistaken(random, *word);
    }
    if mistakes > 0 && random.chance(3) {
        match random.below(4) {
            0 => strtab_base ^= 1 << random.below(64),
            1 => strtab_base_cfg = random.bits(18) as u32,
            2 => strtab_base_cfg = strtab_base_cfg & !0x3f | random.bits(6) as u32,
            _ => strtab_base_cfg ^= 1 << 16,
        }
    }
    let forced = config.idr0.stall_model() == 2;
    let steps = (0..4 + random.below(8)).map(|_| step(random, &targets, unit.oas, forced)).collect();
    Case { unit: number, policy, enabled, cr2, gbpa, strtab_base, strtab_base_cfg, words, steps }
}

fn mistaken(random: &mut Random, word: u64) -> u64 {
    match random.below(10) {
        0..6 => word ^ 1 << random.below(64),
        6 => word & !0xfff | random.bits(12),
        7 => {
            // Another address: a pool, data, or nothing.
            let (start, size) = if random.chance(50) { random.pick(&POOLS) } else { random.pick(&DATA) };
            let address = if random.chance(80) { start + random.below(size) } else { random.bits(52) };
            word & !0xf_ffff_ffff_f000 | address & 0xf_ffff_ffff_f000
        }
        8 => word ^ random.bits(6) << random.below(59),
        _ => random.pick(&[0, u64::MAX, word << 1, word >> 1]),
    }
}

fn step(random: &mut Random, targets: &[Target], oas: u32, forced: bool) -> Step {
    let stray = Target {
        stream: random.bits(17) as u32,
        substream: None,
        address: random.word() >> random.pick(&[0, 8, 12, 16, 20, 24, 28]),
    };
    let Target { mut stream, mut substream, mut address } =
        if targets.is_empty() || random.chance(4) { stray } else { random.pick(targets) };
    match random.below(40) {
        0 => substream = Some(random.bits(20) as u32),
        1 => substream = Some(random.below(70) as u32),
        2 => substream = None,
        3 => address ^= 1 << random.below(64),
        4 => address = stray.address,
        5 => address = (1_u64 << random.pick(&[oas, oas, 32, 48, 52])).wrapping_sub(random.below(2) * 8),
        6 => stream ^= 1 << random.below(8),
        7 => address ^= 0xff << 56,
        _ => {}
    }
    let access = random.pick(&[Access::Read, Access::Read, Access::Write, Access::Write, Access::Atomic]);
    let len: u64 = match access {
        Access::Read => random.pick(&[0, 1, 2, 4, 8, 8]),
        Access::Write => random.pick(&[1, 2, 4, 8]),
        Access::Atomic => random.pick(&[4, 8]),
    };
    address = (address & !0xff8 | random.bits(12) & 0xff8) & !len.saturating_sub(1);
    // Requester ids have 16 bits.
    let master = if stream > 0xffff || forced || random.chance(60) { Master::Platform } else { Master::Pci };
    // Without a PASID prefix a PCI function can tell of neither [PCIe 6.20].
    let silent = master == Master::Pci && substream.is_none();
    let transaction = Transaction {
        stream,
        substream,
        address,
        access,
        instruction: !silent && random.chance(20),
        privileged: !silent && random.chance(40),
        can_stall: master == Master::Platform && random.chance(60),
    };
    Step { transaction, master, len }
}

impl Draft<'_> {
    /// Some streams and their STEs. Returns STRTAB_BASE and STRTAB_BASE_CFG.
    fn streams(&mut self) -> (u64, u32) {
        let (unit, random) = (self.unit, &mut *self.builder.random);
        let sidsize = unit.idr1 & 0x3f;
        let two_level = unit.idr0(27, 2) == 1 && random.chance(50);
        let split = random.pick(&[6, 8, 10]);
        let log2size = if two_level {
            random.pick(&[split - 2, split, split + 1, split + 3, sidsize.min(16)]).min(sidsize)
        } else {
            random.below(u64::from(sidsize.min(7)) + 1) as u32
        };
        let first = random.below(1 << log2size) as u32;
        let second = random.below(1 << log2size) as u32;
        let streams = if first == second { vec![first] } else { vec![first, second] };

        let base = if two_level {
            self.builder.alloc(8 << log2size.saturating_sub(split), unit.oas)
        } else {
            self.builder.alloc(64 << log2size, unit.oas)
        };
        for (order, stream) in streams.iter().enumerate() {
            let at = if two_level {
                let entry = base + 8 * u64::from(stream >> split);
                let index = stream & ((1 << split) - 1);
                let needed = 32 - index.leading_zeros();
                let builder = &mut self.builder;
                let span = needed + builder.random.below(u64::from(split - needed) + 1) as u32;
                let known = builder.words.get(&entry).copied();
                let table = known.unwrap_or_else(|| {
                    let table = builder.alloc(64 << span, unit.oas);
                    let word = table | u64::from(span + 1);
                    builder.words.insert(entry, word);
                    word
                });
                let (table, span) = (table & !0x3f, (table & 0x1f) as u32 - 1);
                if index >> span != 0 {
                    continue;
                }
                table + 64 * u64::from(index)
            } else {
                base + 64 * u64::from(*stream)
            };
            self.stream(*stream, at, order);
        }
        let random = &mut *self.builder.random;
        let cfg = log2size | split << 6 | u32::from(two_level) << 16;
        (base | random.flag(20, 62), cfg)
    }

    /// One stream with everything behind it; its STE lies at `at`.
    fn stream(&mut self, stream: u32, at: u64, order: usize) {
        let (unit, random) = (self.unit, &mut *self.builder.random);
        let (s1p, s2p) = (unit.idr0(1, 1) == 1, unit.idr0(0, 1) == 1);
        let config = match (random.below(20), s1p, s2p) {
            (0, ..) => 0b000,
            (1, ..) => 0b100,
            (2..6, true, _) | (_, true, false) => 0b101,
            (6..10, _, true) | (_, false, _) => 0b110,
            _ => 0b111,
        };
        let (stage1, stage2) = (config & 0b101 == 0b101, config & 0b110 == 0b110);
        let mut ste = [1 | config << 1, 0, 0, 0, 0, 0, 0, 0];
        let hyp = unit.idr0(9, 1) == 1;
        let el2 = config == 0b101 && hyp && random.chance(30);
        ste[1] |= u64::from(el2) << 31;
        // MEV, PRIVCFG, INSTCFG.
        ste[1] |= random.flag(20, 19);
        if random.chance(20) {
            ste[1] |= random.bits(4) << 48;
        }
        // Of which no two are one bit apart.
        ste[2] |= [1, 6][order];

        let mut second = None;
        if stage2 {
            let (words, tables) = self.stage2();
            ste[2] |= words[0];
            ste[3] |= words[1];
            // S2FWB.
            let random = &mut *self.builder.random;
            ste[1] |= if Unit::has(unit.idr3, 8) { random.flag(25, 25) } else { 0 };
            // AF, SH; S2AP, MemAttr.
            let rights = random.pick(&[0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0x7c, 0xc4]) | random.flag(20, 51);
            let attributes = 0x300 & if tables.ds { 0 } else { !0 } | rights | random.flag(90, 10);
            let reach = tables.input.min(unit.oas);
            second = Some(Second::new(tables, reach, attributes, random));
        }
        if stage1 {
            self.contexts(stream, &mut ste, &mut second, el2);
        }
        match (&mut second, stage1) {
            (Some(second), false) => {
                for _ in 0..3 {
                    let address = self.map_ipa(second, None);
                    self.targets.push(Target { stream, substream: None, address });
                }
            }
            (None, false) => {
                let address = self.builder.target(unit.oas);
                self.targets.push(Target { stream, substream: None, address });
            }
            (_, true) => {}
        }
        self.structures.push(at);
        for (word, at) in ste.iter().zip((at..).step_by(8)) {
            self.builder.words.insert(at, *word);
        }
    }

    /// A stage 2 that is legal: qwords 2 and 3 of its STE, and the tables.
    fn stage2(&mut self) -> ([u64; 2], Tables) {
        let (unit, random) = (self.unit, &mut *self.builder.random);
        let granule = unit.granule(random);
        let ds = Unit::has(unit.idr5, 7) && granule != 16 && random.chance(50);
        let stt = Unit::has(unit.idr3, 9);
        // (first level, S2SL0 with S2SL0_2 as bit 2)
        let starts: &[(i32, u64)] = match granule {
            12 => &[(2, 0), (1, 1), (0, 2), (3, 3), (-1, 4)],
            14 => &[(3, 0), (2, 1), (1, 2), (0, 3)],
            _ => &[(3, 0), (2, 1), (1, 2)],
        };
        let least = if granule == 16 || ds { 12 } else { 16 }.max(64 - unit.oas);
        let most = if !stt {
            39
        } else if granule == 16 {
            47
        } else {
            48
        };
        let mut choice = None;
        while choice.is_none() {
            let (start, sl0) = random.pick(starts);
            let size = least + random.below(u64::from(most - least) + 1) as u32;
            let below = granule as i32 + (granule as i32 - 3) * (3 - start);
            let wanted = 64 - size as i32 - below;
            let exists = match (granule, start) {
                (12, -1) => ds && unit.oas >= 52,
                (12, 0) | (16, 1) => unit.oas >= 44,
                (12, 3) => stt,
                (14, 0) => ds && unit.oas >= 52,
                (14, 1) => unit.oas >= 42,
                _ => true,
            };
            if exists && (1..=granule as i32 + 1).contains(&wanted) {
                choice = Some((start, sl0, size));
            }
        }
        let (start, sl0, size) = choice.unwrap_or_default();
        let (ps, output) = unit.output(random, granule, ds);
        let big = unit.endianness(random);
        let (access, dirty) = unit.updates(random);
        let stall = unit.stall(random);
        let tg = match granule {
            12 => 0,
            14 => 2,
            _ => 1,
        };
        let low = u64::from(size) | (sl0 & 3) << 6 | tg << 14 | ps << 16 | 1 << 19 | u64::from(big) << 20;
        // S2AFFD, S2PTW, S2HD, S2HA, S2S, S2R.
        let rest = random.flag(20, 21)
            | random.flag(25, 22)
            | u64::from(dirty) << 23
            | u64::from(access) << 24
            | u64::from(stall) << 25
            | random.flag(80, 26);
        let wide = unit.oas == 52;
        let mut tables = Tables { granule, input: 64 - size, start, root: 0, ds, wide, big, output };
        tables.root = self.builder.alloc(tables.root_size(), output);
        let high = tables.root | (sl0 >> 2) << 2 | u64::from(ds) << 3;
        ([(low | rest) << 32, high], tables)
    }

    /// Maps an IPA to data, a page or block, and returns it. With `ipa`, that one.
    fn map_ipa(&mut self, second: &mut Second, ipa: Option<u64>) -> u64 {
        let tables = second.tables;
        let level = tables.leaf_level(self.builder.random);
        let size = 1_u64 << tables.shift(level);
        let target = self.builder.target(tables.output);
        let random = &mut *self.builder.random;
        // A page of its own, or the same place in a block.
        let ipa = ipa.unwrap_or_else(|| random.bits(second.reach) & !(size - 1) | target & (size - 1));
        let rights = random.pick(&[0xc0, 0xc0, 0xc0, 0xc0, 0x40, 0x80, 0x00]);
        let memory = random.pick(&[0x3c, 0x3c, 0x14, 0x04]);
        let attributes = rights | memory | random.flag(85, 10) | random.flag(30, 51) | random.flag(10, 52);
        let never = if random.chance(25) { random.bits(2) << 53 } else { 0 };
        let shareable = if tables.ds { 0 } else { 0x300 };
        let leaf = tables.encode(target & !(size - 1)) | attributes | never | shareable;
        self.builder.enter(&mut None, &tables, &Entry { from: ipa & !(size - 1), level, leaf, above: 0 });
        ipa
    }

    /// CDs of a stream, and fields of its STE that lead to them.
    fn contexts(&mut self, stream: u32, ste: &mut [u64; 8], second: &mut Option<Second>, el2: bool) {
        let (unit, random) = (self.unit, &mut *self.builder.random);
        let ssidsize = u64::from(unit.idr1 >> 6 & 0x1f);
        let max = if ssidsize > 0 && random.chance(65) { 1 + random.below(ssidsize.min(12)) } else { 0 };
        let fmt = if max > 0 && unit.idr0(19, 1) == 1 { random.below(4) } else { 0 };
        let dss = random.pick(&[0, 1, 2, 2, 2, 3]);
        // log2 of the CDs in a leaf table.
        let leaf = match fmt {
            1 => Some(6),
            2 => Some(10),
            _ => None,
        };
        let reach = unit.oas.min(if unit.minor == 0 { 48 } else { 52 });
        let size = leaf.map_or(64 << max, |leaf| 8 << max.saturating_sub(leaf));
        let table = self.builder.room(second, size, reach);
        ste[0] |= fmt << 4 | table | max << 59;
        ste[1] |= dss;
        if unit.idr0(24, 2) == 0 {
            ste[1] |= self.builder.random.flag(8, 27);
        }

        let mut substreams = vec![];
        if max == 0 || dss == 2 {
            substreams.push(None);
        }
        for _ in 0..if max == 0 { 0 } else { 2 } {
            substreams.push(Some(self.builder.random.below(1 << max) as u32));
        }
        if dss == 1 && max > 0 {
            let address = match second {
                Some(second) => self.map_ipa(second, None),
                None => self.builder.target(unit.oas),
            };
            self.targets.push(Target { stream, substream: None, address });
        }
        for substream in substreams {
            let index = u64::from(substream.unwrap_or(0));
            let at = if let Some(leaf) = leaf {
                let entry = self.builder.place(second, table + 8 * (index >> leaf));
                let known = self.builder.words.get(&entry).copied();
                let word = known.unwrap_or_else(|| self.builder.room(second, 64 << leaf, reach) | 1);
                self.builder.words.insert(entry, word);
                (word & !0xfff) + 64 * (index & ((1 << leaf) - 1))
            } else {
                table + 64 * index
            };
            let pa = self.builder.place(second, at);
            if !self.builder.words.contains_key(&pa) {
                let cd = self.context(stream, substream, second, el2);
                self.structures.push(pa);
                self.builder.structure(second, at, &cd);
            }
        }
    }

    /// A CD with its tables.
    fn context(
        &mut self,
        stream: u32,
        substream: Option<u32>,
        second: &mut Option<Second>,
        el2: bool,
    ) -> [u64; 8] {
        let (unit, random) = (self.unit, &mut *self.builder.random);
        let single = el2 && !unit.e2h;
        let wanted_ds = Unit::has(unit.idr5, 7) && random.chance(50);
        let granules = [unit.granule(random), unit.granule(random)];
        let big = unit.endianness(random);
        let (access, dirty) = unit.updates(random);
        let stall = unit.stall(random);
        let (ps, _) = unit.output(random, 16, true);
        self.asids += 1;
        // Of which no two are one bit apart.
        let asid = [0x11, 0x2e, 0x47, 0x78, 0x9d, 0xa2, 0xcb, 0xf4][usize::from(self.asids) % 8];
        let abort = unit.idr0(26, 1) == 1 || random.chance(70);
        let off = if single { 0 } else { random.pick(&[0, 0, 1, 2, 2]) };
        // V, IPS, AA64, A, ASID.
        let mut low = 1 << 31 | ps << 32 | 1 << 41 | u64::from(abort) << 46 | asid << 48;
        low |= u64::from(big) << 15 | u64::from(dirty) << 42 | u64::from(access) << 43;
        low |= u64::from(stall) << 44 | random.flag(80, 45) | random.flag(30, 47);
        low |= (off & 1) << 14 | (off >> 1) << 30;
        // AFFD, WXN, TBI0, TBI1, PAN.
        low |= random.flag(15, 35) | random.flag(15, 36) | random.flag(25, 38) | random.flag(25, 39);
        low |= random.flag(15, 40);
        let mut cd = [low, 0, 0, random.word(), 0, 0, 0, 0];
        cd[2] |= u64::from(wanted_ds) << 58;

        for upper in [false, true] {
            let disabled = off >> u32::from(upper) & 1 == 1 || single && upper;
            let random = &mut *self.builder.random;
            let granule = granules[usize::from(upper)];
            let ds = wanted_ds && granule != 16;
            let (_, mut output) = (ps, [32, 36, 40, 42, 44, 48, 52, 52][ps as usize].min(unit.oas));
            output = if granule == 16 || ds { output } else { output.min(48) };
            let vax = unit.idr5 >> 10 & 3 >= 1;
            let least: u64 = if vax && (granule == 16 || ds) { 12 } else { 16 };
            let most: u64 = match granule {
                _ if !Unit::has(unit.idr3, 9) => 39,
                16 => 47,
                _ => 48,
            };
            let size = match random.below(4) {
                0 => 16,
                1 => least,
                2 => 25.min(most),
                _ => least + random.below(most - least + 1),
            };
            let input = 64 - size as u32;
            let start = 4 - (input - granule).div_ceil(granule - 3) as i32;
            let mut tables = Tables { granule, input, start, root: 0, ds, wide: unit.oas == 52, big, output };
            let tg = match (granule, upper) {
                (12, false) => 0,
                (14, false) => 2,
                (_, false) => 1,
                (12, true) => 2,
                (14, true) => 1,
                (_, true) => 3,
            };
            if disabled {
                // Whatever is there does not count.
                cd[0] |= random.bits(6) << if upper { 16 } else { 0 };
                continue;
            }
            cd[0] |= (size | tg << 6) << if upper { 16 } else { 0 };
            // HAD, E0PD.
            let half = 1 + usize::from(upper);
            cd[half] |= random.flag(20, 1) | random.flag(15, 2);
            tables.root = self.builder.room(second, tables.root_size(), output);
            cd[half] |= tables.root;
            for _ in 0..1 + self.builder.random.below(3) {
                let address = self.map_va(&tables, upper, second);
                self.targets.push(Target { stream, substream, address });
            }
        }
        cd
    }

    /// Maps an address of stage 1 to data and returns it.
    fn map_va(&mut self, tables: &Tables, upper: bool, second: &mut Option<Second>) -> u64 {
        let level = tables.leaf_level(self.builder.random);
        let size = 1_u64 << tables.shift(level);
        let target = match second {
            None => self.builder.target(tables.output),
            Some(second) => self.map_ipa(second, None),
        };
        let random = &mut *self.builder.random;
        let from = random.bits(tables.input) & !(size - 1);
        let rights = random.pick(&[0x40, 0x40, 0x40, 0x40, 0xc0, 0x00, 0x80]);
        let never = if random.chance(25) { random.bits(2) << 53 } else { 0 };
        // AF, nG, DBM, contiguous, AttrIndx.
        let attributes = random.flag(85, 10)
            | random.flag(70, 11)
            | random.flag(40, 51)
            | random.flag(8, 52)
            | random.bits(3) << 2;
        let shareable = if tables.ds { 0 } else { 0x300 };
        let above = if random.chance(15) { random.bits(5) << 59 } else { 0 };
        let leaf = tables.encode(target & !(size - 1)) | rights | never | attributes | shareable;
        self.builder.enter(second, tables, &Entry { from, level, leaf, above });
        let address = from | target & (size - 1);
        // Bits above are all ones or all zeros, but for those that TBI gives away.
        let sign = if upper { u64::MAX << tables.input } else { 0 };
        let tag = if self.builder.random.chance(10) { self.builder.random.bits(8) << 56 } else { 0 };
        (address | sign) ^ tag
    }
}
