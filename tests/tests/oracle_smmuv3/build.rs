//! Writes translation tables.

use std::collections::BTreeMap;

use crate::image::{DATA, POOLS};
use crate::random::Random;

/// Where the tables of one stage are, and in which form.
#[derive(Clone, Copy)]
pub struct Tables {
    /// log2 of the page size.
    pub granule: u32,
    /// Bits of an input address.
    pub input: u32,
    /// First level.
    pub start: i32,
    /// First table.
    pub root: u64,
    /// 52-bit form of 4K and 16K granules.
    pub ds: bool,
    /// Bits 51:48 of addresses in descriptors of the 64K granule.
    pub wide: bool,
    /// Big-endian.
    pub big: bool,
    /// Bits of an output address that is neither beyond what is configured nor what descriptors hold.
    pub output: u32,
}

impl Tables {
    /// Lowest address bit that chooses at this level.
    pub fn shift(&self, level: i32) -> u32 {
        self.granule + (self.granule - 3) * (3 - level) as u32
    }

    /// Bytes of the first table.
    pub fn root_size(&self) -> u64 {
        8 << (self.input - self.shift(self.start))
    }

    /// A level that may have pages or blocks.
    pub fn leaf_level(&self, random: &mut Random) -> i32 {
        let first = match self.granule {
            12 if self.ds => 0,
            12 => 1,
            14 if self.ds => 1,
            16 if self.wide => 1,
            _ => 2,
        };
        let first = first.max(self.start);
        if random.chance(60) { 3 } else { first + random.below((4 - first) as u64) as i32 }
    }

    /// An address as a descriptor holds it.
    pub fn encode(&self, address: u64) -> u64 {
        let low = address & 0xffff_ffff_f000;
        if self.granule == 16 && self.wide {
            low & !0xffff | (address >> 48 & 0xf) << 12
        } else if self.ds {
            address & 0x3_ffff_ffff_f000 | (address >> 50 & 3) << 8
        } else {
            low
        }
    }

    fn decode(&self, word: u64) -> u64 {
        let low = word & 0xffff_ffff_f000;
        if self.granule == 16 && self.wide {
            low & !0xffff | (word >> 12 & 0xf) << 48
        } else if self.ds {
            word & 0x3_ffff_ffff_f000 | (word >> 8 & 3) << 50
        } else {
            low
        }
    }

    fn ordered(&self, word: u64) -> u64 {
        if self.big { word.swap_bytes() } else { word }
    }
}

/// What to enter, and how.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Input address.
    pub from: u64,
    /// Level of the block or page.
    pub level: i32,
    /// Its descriptor, without type.
    pub leaf: u64,
    /// Bits 63:59 of table descriptors.
    pub above: u64,
}

/// A stage 2 whose tables grow with what is put into its input space.
pub struct Second {
    /// Its tables.
    pub tables: Tables,
    /// Bits of an IPA that stage 1 can reach.
    pub reach: u32,
    /// Attributes of pages that hold structures of stage 1.
    pub attributes: u64,
    pages: BTreeMap<u64, u64>,
    next: u64,
}

impl Second {
    /// With nothing mapped.
    pub fn new(tables: Tables, reach: u32, attributes: u64, random: &mut Random) -> Self {
        let next = random.bits(reach) & !0xf_ffff;
        Self { tables, reach, attributes, pages: BTreeMap::new(), next }
    }

    fn alloc(&mut self, size: u64, random: &mut Random) -> u64 {
        let mask = (1 << self.reach) - 1;
        // Mostly side by side, but sometimes behind other tables of stage 2.
        if random.chance(25) {
            self.next = random.bits(self.reach);
        }
        let at = self.next.next_multiple_of(size) & mask;
        self.next = at + size;
        at
    }
}

/// Memory under construction.
pub struct Builder<'a> {
    /// For choices.
    pub random: &'a mut Random,
    /// Qwords so far.
    pub words: BTreeMap<u64, u64>,
    next: [u64; POOLS.len()],
}

impl<'a> Builder<'a> {
    /// With nothing in it.
    pub fn new(random: &'a mut Random) -> Self {
        Self { random, words: BTreeMap::new(), next: POOLS.map(|(start, _)| start) }
    }

    /// `size` bytes, a power of two, aligned to as much, at an address of up to `reach` bits.
    pub fn alloc(&mut self, size: u64, reach: u32) -> u64 {
        let mut pool = 0;
        if self.random.chance(15) && size <= 0x1_0000 {
            let wanted = 1 + self.random.below(POOLS.len() as u64 - 1) as usize;
            let (start, bytes) = POOLS[wanted];
            if (start + bytes) >> reach == 0 && self.next[wanted] + 2 * size < start + bytes {
                pool = wanted;
            }
        }
        let at = self.next[pool].next_multiple_of(size.max(64));
        self.next[pool] = at + size;
        at
    }

    /// Memory for tables or structures: IPAs where there is a stage 2.
    pub fn room(&mut self, second: &mut Option<Second>, size: u64, reach: u32) -> u64 {
        match second {
            Some(second) => second.alloc(size.max(64), self.random),
            None => self.alloc(size, reach),
        }
    }

    /// A page of data at an address of up to `reach` bits, or a neighbour of it that has no RAM.
    pub fn target(&mut self, reach: u32) -> u64 {
        let fitting: Vec<_> = DATA.iter().filter(|(start, size)| (start + size - 1) >> reach == 0).collect();
        if fitting.is_empty() {
            return 0;
        }
        let (start, size) = *self.random.pick(&fitting);
        start + (self.random.below(size) & !0xfff)
    }

    /// The physical address of what stage 1 sees at `address`; stage 2 gets a page for it if it has none.
    pub fn place(&mut self, second: &mut Option<Second>, address: u64) -> u64 {
        let Some(Second { tables, pages, attributes, .. }) = second else { return address };
        let (tables, attributes, page) = (*tables, *attributes, address >> tables.granule);
        let found = pages.get(&page).copied();
        let start = found.unwrap_or_else(|| {
            let start = self.alloc(1 << tables.granule, tables.output);
            pages.insert(page, start);
            start
        });
        if found.is_none() && address >> tables.input == 0 {
            // AF, S2AP and MemAttr of one page or another are not as those of the rest.
            let odd = if self.random.chance(6) { 1 << self.random.pick(&[4, 5, 6, 7, 10]) } else { 0 };
            let leaf = tables.encode(start) | attributes ^ odd;
            let entry = Entry { from: page << tables.granule, level: 3, leaf, above: 0 };
            self.enter(&mut None, &tables, &entry);
        }
        start + (address & ((1 << tables.granule) - 1))
    }

    /// Sets words of a structure that stage 1 sees at `address`, and returns where they are.
    pub fn structure(&mut self, second: &mut Option<Second>, address: u64, words: &[u64]) -> u64 {
        let pa = self.place(second, address);
        for (word, at) in words.iter().zip((pa..).step_by(8)) {
            self.words.insert(at, *word);
        }
        pa
    }

    /// Enters a block or page, through tables that may be there already; what is in the way stays.
    pub fn enter(&mut self, second: &mut Option<Second>, tables: &Tables, entry: &Entry) {
        let mut table = tables.root;
        for level in tables.start..=3 {
            let index = entry.from >> tables.shift(level);
            let index = if level == tables.start { index } else { index & ((1 << (tables.granule - 3)) - 1) };
            let at = self.place(second, table + 8 * index);
            let word = tables.ordered(self.words.get(&at).copied().unwrap_or(0));
            if level == entry.level {
                if word == 0 {
                    let kind = if level == 3 { 0b11 } else { 0b01 };
                    self.words.insert(at, tables.ordered(entry.leaf | kind));
                }
                return;
            }
            table = if word == 0 {
                let next = self.room(second, 1 << tables.granule, tables.output);
                self.words.insert(at, tables.ordered(tables.encode(next) | entry.above | 0b11));
                next
            } else if word & 0b11 == 0b11 {
                tables.decode(word)
            } else {
                return;
            };
        }
    }
}
