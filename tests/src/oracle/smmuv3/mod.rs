//! A second SMMUv3, deliberately naive: what becomes of one transaction, always from the stream table.
//!
//! Registers, structures and descriptors are raw words, bit numbers are literals as the specification
//! prints them. Nothing is cached, and what memory looks like afterwards (access flags, dirty state) is
//! written as the walk goes on. Where the specification leaves a choice, the comment says so.
//!
//! What is absent: queues, interrupts, ATS, everything that needs an ID bit which no unit here has
//! (VMSAv8-32, Secure state, 128-bit descriptors, MPAM), and memory attributes but for STE.S2PTW.

mod context;
mod event;
mod stage1;
mod stage2;
mod stream_table;
mod tables;

use event::{Refusal, Subject};

/// The registers that translation depends on, as software reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// SMMU_IDR0.
    pub idr0: u32,
    /// SMMU_IDR1.
    pub idr1: u32,
    /// SMMU_IDR3.
    pub idr3: u32,
    /// SMMU_IDR5.
    pub idr5: u32,
    /// SMMU_AIDR.
    pub aidr: u32,
    /// SMMU_CR0ACK.
    pub cr0: u32,
    /// SMMU_CR2.
    pub cr2: u32,
    /// SMMU_GBPA.
    pub gbpa: u32,
    /// SMMU_STRTAB_BASE.
    pub strtab_base: u64,
    /// SMMU_STRTAB_BASE_CFG.
    pub strtab_base_cfg: u32,
}

impl Registers {
    fn idr0(&self, high: u32, low: u32) -> u64 {
        bits(self.idr0.into(), high, low)
    }

    fn idr1(&self, high: u32, low: u32) -> u64 {
        bits(self.idr1.into(), high, low)
    }

    fn idr3(&self, bit: u32) -> bool {
        bits(self.idr3.into(), bit, bit) == 1
    }

    fn idr5(&self, high: u32, low: u32) -> u64 {
        bits(self.idr5.into(), high, low)
    }

    /// The minor version: 1 for SMMUv3.1.
    fn minor(&self) -> u64 {
        bits(self.aidr.into(), 3, 0)
    }

    /// OAS in bits. IAS is the same, as there is no VMSAv8-32 [SMMUv3 3.4].
    fn oas(&self) -> u32 {
        address_size(self.idr5(2, 0))
    }

    /// CD.IPS or STE.S2PS in bits, not more than OAS [SMMUv3 5.2, 5.4].
    fn output_size(&self, encoding: u64) -> u32 {
        address_size(encoding).min(self.oas())
    }

    /// Whether tables may have this endianness: IDR0.TTENDIAN.
    fn supports_endianness(&self, big: bool) -> bool {
        match self.idr0(22, 21) {
            0b10 => !big,
            0b11 => big,
            _ => true,
        }
    }

    /// Whether tables may have pages of 2^`granule` bytes: IDR5.GRAN4K, GRAN16K, GRAN64K.
    fn supports_granule(&self, granule: u32) -> bool {
        match granule {
            12 => self.idr5(4, 4) == 1,
            14 => self.idr5(5, 5) == 1,
            _ => self.idr5(6, 6) == 1,
        }
    }

    /// Bits that the base of a translation table has: 51:4, but 47:4 in SMMUv3.0.
    fn table_base(&self, field: u64) -> u64 {
        field & if self.minor() == 0 { 0xffff_ffff_fff0 } else { 0xf_ffff_ffff_fff0 }
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reads, if only to see whether it might.
    Read,
    /// Writes.
    Write,
    /// Reads and writes.
    Atomic,
}

/// A transaction as it reaches the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// StreamID.
    pub stream: u32,
    /// SubstreamID, if SSV.
    pub substream: Option<u32>,
    /// First byte.
    pub address: u64,
    /// What it does.
    pub access: Access,
    /// InD: a read of instructions.
    pub instruction: bool,
    /// PnU.
    pub privileged: bool,
    /// Its master can wait while software handles a fault. For one that cannot, a stall is an abort
    /// [SMMUv3 3.12].
    pub can_stall: bool,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It goes to this physical address.
    Memory(u64),
    /// Reads are zero, writes are ignored.
    Raz,
    /// Abort.
    Abort,
    /// It waits for CMD_RESUME.
    Stall,
}

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For its master.
    pub ending: Ending,
    /// For software; STAG is 0, which any number may replace.
    pub record: Option<[u64; 4]>,
}

/// Physical memory as the unit sees it.
pub trait Memory {
    /// The aligned qword at `pa`; `None` is an external abort.
    fn load(&mut self, pa: u64) -> Option<u64>;
    /// Replaces a qword that was loaded.
    fn store(&mut self, pa: u64, word: u64);
}

/// What one transaction has at hand.
struct Context<'a> {
    unit: &'a Registers,
    memory: &'a mut dyn Memory,
    access: Access,
    subject: Subject,
}

/// Decides about `transaction` [SMMUv3 3.3, 3.4].
pub fn translate(unit: &Registers, memory: &mut dyn Memory, transaction: &Transaction) -> Answer {
    let Transaction { stream, substream, address, access, instruction, privileged, can_stall } = *transaction;
    let read = access == Access::Read;
    // Only reads are of instructions.
    let instruction = instruction && read;
    let subject = Subject { stream, substream, address, read, instruction, privileged };
    match decide(&mut Context { unit, memory, access, subject }) {
        Ok(pa) => Answer { ending: Ending::Memory(pa), record: None },
        Err(refusal) => refusal.answer(can_stall),
    }
}

fn decide(cx: &mut Context) -> Result<u64, Refusal> {
    let (unit, address) = (cx.unit, cx.subject.address);
    // SMMUEN = 0: GBPA.ABORT, or bypass [SMMUv3 6.3.15].
    if unit.cr0 & 1 == 0 {
        let abort = unit.gbpa >> 20 & 1 == 1;
        return if abort || !fits(address, unit.oas()) { Err(Refusal::silent()) } else { Ok(address) };
    }

    let ste = stream_table::fetch(cx)?;
    if !stream_table::is_legal(unit, &ste) {
        return Err(cx.subject.refused(0x04)); // C_BAD_STE
    }
    let config = field(&ste, 3, 1);
    if config & 0b100 == 0 {
        return Err(Refusal::silent());
    }
    stream_table::override_attributes(cx, &ste);
    let (stage1, stage2) = (config & 1 == 1, config & 2 == 2);
    if !stage1 && cx.subject.substream.is_some() {
        return Err(cx.subject.bad_substream()); // C_BAD_SUBSTREAMID
    }
    if config == 0b100 {
        return if fits(address, unit.oas()) { Ok(address) } else { Err(cx.subject.beyond_bypass()) };
    }

    let context = if stage1 { context::select(cx, &ste)? } else { None };
    let ipa = match context {
        Some(index) => {
            let cd = context::fetch(cx, &ste, index)?;
            if !context::is_legal(unit, &ste, &cd) {
                return Err(cx.subject.refused(0x0a)); // C_BAD_CD
            }
            stage1::translate(cx, &ste, &cd)?
        }
        // STE.S1DSS = 0b01, or no stage 1 at all: an IPA has to be within IAS either way.
        None if !fits(address, unit.oas()) => return Err(cx.subject.beyond_bypass()),
        None => address,
    };
    if !stage2 {
        return Ok(ipa);
    }
    let request = stage2::Request::of_transaction(cx.access, &cx.subject);
    stage2::translate(cx, &ste, ipa, request)
}

/// Whether an address has at most so many bits.
fn fits(address: u64, size: u32) -> bool {
    address >> size == 0
}

/// An address size by its encoding in IDR5.OAS, CD.IPS and STE.S2PS. 7 is 56 bits, of later versions.
fn address_size(encoding: u64) -> u32 {
    match encoding {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        6 => 52,
        _ => 56,
    }
}

/// Bits `high:low` of `word`.
fn bits(word: u64, high: u32, low: u32) -> u64 {
    word >> low & u64::MAX >> (63 - (high - low))
}

/// Bits `high:low` of an STE or a CD, numbered through all of it. No field is in two qwords.
fn field(words: &[u64; 8], high: u32, low: u32) -> u64 {
    bits(words[low as usize / 64], high % 64, low % 64)
}

/// A field of one bit.
fn flag(words: &[u64; 8], bit: u32) -> bool {
    field(words, bit, bit) == 1
}

/// `address` with its low `size` bits 0; all of it if there are not so many.
fn align(address: u64, size: u32) -> u64 {
    address & u64::MAX.checked_shl(size).unwrap_or(0)
}
