//! The image that `monitor.S` runs: the monitor, its tables, and cases.
//!
//! | address | |
//! |---|---|
//! | 0x4000_0000 | the monitor |
//! | 0x4001_0000 | what it saves; one page on, its parameters: first and last case, first record, and whether the host writes the records |
//! | 0x4002_0000 | tables of its regime |
//! | 0x4003_0000 | [`STUBS`]: short programs of the cases, executable at EL0 and EL1 |
//! | 0x4010_0000 | [`TABLES`]: what the cases translate by |
//! | 0x4090_0000 | [`PAGES`]: what they translate to |
//! | 0x40a0_0000 | cases |
//! | 0x40e0_0000 | records |
//!
//! One half of the address space belongs to the case, the other one to the monitor.

use std::collections::BTreeMap;

/// Where RAM begins.
pub const RAM: u64 = 0x4000_0000;
/// Bytes of RAM.
pub const SIZE: usize = 18 << 20;
/// The monitor's distance from its physical address in the upper half.
pub const HIGH: u64 = 0xffff_ff80_0000_0000;
const PARAMETERS: u64 = 0x4001_1000;
const SAFE: u64 = 0x4002_0000;
/// Short programs.
pub const STUBS: u64 = 0x4003_0000;
const STUBS_END: u64 = 0x4004_0000;
/// Translation tables of cases.
pub const TABLES: u64 = 0x4010_0000;
const TABLES_END: u64 = 0x4090_0000;
/// Pages that cases map: 16 of 64 KiB.
pub const PAGES: u64 = 0x4090_0000;
/// Cases, of 296 bytes.
pub const CASES: u64 = 0x40a0_0000;
/// Records, in the order of the cases.
pub const RECORDS: u64 = 0x40e0_0000;
/// TCR_EL1 of the monitor's regime.
const SAFE_TCR: u64 = 0xb519_3519;

/// What a case starts with, and what of it is looked at besides registers.
#[derive(Clone, Default)]
pub struct Case {
    pub name: String,
    /// The half of the address space that is the case's.
    pub half: usize,
    pub sctlr: u64,
    pub tcr: u64,
    pub ttbr: [u64; 2],
    pub mair: u64,
    pub cpacr: u64,
    pub mdscr: u64,
    pub contextidr: u64,
    pub spsr: u64,
    pub elr: u64,
    /// SP_EL0 and SP_EL1.
    pub sp: [u64; 2],
    pub x: [u64; 10],
    /// DBGBVR0 and DBGBCR0.
    pub breakpoint: [u64; 2],
    /// DBGWVR0 and DBGWCR0.
    pub watchpoint: [u64; 2],
    /// Physical addresses of what is recorded afterwards; 0 for none.
    pub seen: [u64; 2],
    /// Physical addresses and what is written there before.
    pub patches: Vec<(u64, u64)>,
}

impl Case {
    /// A case in the monitor's regime, which it may turn off.
    pub fn safe() -> Self {
        Self { half: 1, tcr: SAFE_TCR, ttbr: [SAFE; 2], ..Self::default() }
    }

    fn words(&self) -> Vec<u64> {
        let mut words = vec![
            // The monitor goes to the upper half.
            u64::from(self.half == 0 && self.sctlr & 1 != 0),
            self.sctlr,
            self.tcr,
            self.ttbr[0],
            self.ttbr[1],
            self.mair,
            self.cpacr,
            self.mdscr,
            self.contextidr,
            self.spsr,
            self.elr,
            self.sp[0],
            self.sp[1],
        ];
        words.extend(self.x);
        words.extend(self.breakpoint);
        words.extend(self.watchpoint);
        words.extend(self.seen);
        assert!(self.patches.len() <= 4, "a case has room for four patches");
        words.extend(self.patches.iter().flat_map(|(address, value)| [*address, *value]));
        words.resize(37, 0);
        words
    }
}

/// What a case ended with: the vector's number, X0 to X9, ESR, FAR, ELR, SPSR, PAR, SP_EL0, SP_EL1, and
/// what it wanted seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record(pub [u64; 20]);

/// A translation regime of cases: one half with its tables.
#[derive(Clone, Copy)]
pub struct Regime {
    pub half: usize,
    /// Log2 of the granule.
    pub granule: u32,
    /// TnSZ.
    pub size: u32,
    /// The first table.
    pub root: u64,
}

impl Regime {
    /// TCR_EL1, without what is not of a half.
    pub fn tcr(&self) -> u64 {
        // Write-back, inner shareable.
        let field = 0x3500 | u64::from(self.size);
        let granules = if self.half == 0 { [0, 2, 1] } else { [2, 1, 3] };
        let field = field | granules[(self.granule as usize - 12) / 2] << 14;
        let other = SAFE_TCR & 0xffff_0000 >> (16 * self.half);
        other | field << (16 * self.half)
    }

    /// TTBR0 and TTBR1.
    pub fn ttbr(&self) -> [u64; 2] {
        let mut ttbr = [SAFE; 2];
        ttbr[self.half] = self.root;
        ttbr
    }

    /// The address of the half with these low bits.
    pub fn va(&self, low: u64) -> u64 {
        if self.half == 0 { low } else { low | !0 << (64 - self.size) }
    }

    /// Bits of an address that an entry of a level does not translate.
    pub fn below(&self, level: u32) -> u32 {
        self.granule + (3 - level) * (self.granule - 3)
    }

    /// The level that a walk starts at.
    pub fn first_level(&self) -> u32 {
        (0..4).rev().find(|level| self.below(*level) + self.granule - 3 >= 64 - self.size).unwrap_or(0)
    }
}

/// What is loaded at [`RAM`].
pub struct Image {
    pub bytes: Vec<u8>,
    pub cases: Vec<Case>,
    stubs: BTreeMap<Vec<u32>, u64>,
    next_stub: u64,
    next_table: u64,
}

impl Image {
    pub fn new() -> Self {
        let mut image = Self {
            bytes: include_bytes!("monitor.bin").to_vec(),
            cases: Vec::new(),
            stubs: BTreeMap::new(),
            next_stub: STUBS,
            next_table: TABLES,
        };
        image.bytes.resize((CASES - RAM) as usize, 0);
        image.store(SAFE + 8, SAFE + 0x1003);
        image.store(SAFE + 0x1000, SAFE + 0x2003);
        for (index, block) in (RAM..RAM + SIZE as u64).step_by(2 << 20).enumerate().skip(1) {
            // EL1 only, execute never.
            image.store(SAFE + 0x1000 + 8 * index as u64, block | 0x0060_0000_0000_0701);
        }
        for (index, page) in (RAM..RAM + (2 << 20)).step_by(4096).enumerate() {
            let attributes = match page {
                // Read-only for EL1.
                0..0x4001_0000 => 0x0040_0000_0000_0783,
                // Read-only for both.
                STUBS..STUBS_END => 0x0000_0000_0000_07c3,
                _ => 0x0060_0000_0000_0703,
            };
            image.store(SAFE + 0x2000 + 8 * index as u64, page | attributes);
        }
        image
    }

    /// Writes 8 bytes at a physical address.
    pub fn store(&mut self, at: u64, value: u64) {
        let at = (at - RAM) as usize;
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Reads 8 bytes.
    pub fn load(&self, at: u64) -> u64 {
        let at = (at - RAM) as usize;
        self.bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// The physical address of a short program.
    pub fn stub(&mut self, words: &[u32]) -> u64 {
        if let Some(at) = self.stubs.get(words) {
            return *at;
        }
        let at = self.next_stub;
        for (index, word) in words.iter().enumerate() {
            let at = (at - RAM) as usize + 4 * index;
            self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        self.next_stub = (at + 4 * words.len() as u64).next_multiple_of(16);
        assert!(self.next_stub <= STUBS_END, "room for programs");
        self.stubs.insert(words.to_vec(), at);
        at
    }

    /// An empty table.
    pub fn table(&mut self, granule: u32) -> u64 {
        let at = self.next_table.next_multiple_of(1 << granule);
        self.next_table = at + (1 << granule);
        assert!(self.next_table <= TABLES_END, "room for tables");
        at
    }

    /// A regime with an empty first table.
    pub fn regime(&mut self, half: usize, granule: u32, size: u32) -> Regime {
        Regime { half, granule, size, root: self.table(granule) }
    }

    /// The address of the descriptor of `va` at a level. Tables on the way are made, with `bits` in
    /// their descriptors.
    pub fn slot(&mut self, regime: &Regime, va: u64, level: u32, bits: u64) -> u64 {
        let mut table = regime.root;
        let input = va & !0 >> regime.size;
        for at in regime.first_level().. {
            let entry = table + (input >> regime.below(at) & ((1 << (regime.granule - 3)) - 1)) * 8;
            if at == level {
                return entry;
            }
            if self.load(entry) == 0 {
                let next = self.table(regime.granule);
                self.store(entry, next | 3 | bits);
            }
            table = self.load(entry) & 0x0000_ffff_ffff_f000;
        }
        unreachable!("a walk has an end")
    }

    pub fn push(&mut self, case: Case) {
        self.cases.push(case);
    }

    /// The bytes to load, which leave their records at [`RECORDS`].
    pub fn finish(&mut self, host_writes: bool) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for case in &self.cases {
            bytes.extend(case.words().iter().flat_map(|word| word.to_le_bytes()));
        }
        let end = RAM + bytes.len() as u64;
        assert!(
            end <= RECORDS && RECORDS + self.cases.len() as u64 * 160 <= RAM + SIZE as u64,
            "room for cases"
        );
        for (index, value) in [CASES, end, RECORDS, u64::from(host_writes)].iter().enumerate() {
            let at = (PARAMETERS - RAM) as usize + 8 * index;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }
}
