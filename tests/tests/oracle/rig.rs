//! The unit under test between its oracle and its memory.

use std::collections::{BTreeMap, BTreeSet};

use devices::addr::Pa;
use devices::events::Time;
use devices::fabric::{Effect, Effects};
use devices::iommu::cache::Policy;
use devices::mem::PhysMem;
use devices::vtd::{Config, Unit};
use tests::oracle::legacy::{self, Access, Caps, Latched};
use tests::oracle::log::Log;

use crate::case::{Case, ISLANDS, Invalidation, QUEUE, STATUS, Special, Step};
use crate::image::Image;

// Register offsets and bits [VT-d 11.4].
const CAP: u64 = 0x08;
const ECAP: u64 = 0x10;
const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const RTADDR: u64 = 0x20;
const CCMD: u64 = 0x28;
const FSTS: u64 = 0x34;
const IQH: u64 = 0x80;
const IQT: u64 = 0x88;
const IQA: u64 = 0x90;
const ESRTPS: u64 = 1 << 63;
const TE: u32 = 1 << 31;
const SRTP: u32 = 1 << 30;
const QIE: u32 = 1 << 26;
/// RTADDR without its reserved bits, and without SSIRWE, which needs ECAP.SSIRWS.
const RTADDR_STORED: u64 = 0xffff_ffff_ffff_fc00;
/// RTADDR.TTM.
const TTM: u64 = 0b11 << 10;

/// Host address width, as the DMAR table of the modelled machines reports it.
const HAW: u32 = 48;

/// A unit that lives through many cases, so that what a case leaves in the caches can hurt the next.
pub struct Rig {
    pub(crate) unit: Unit,
    pub(crate) mem: PhysMem,
    pub(crate) fx: Effects,
    pub(crate) caps: Caps,
    pub(crate) caching: bool,
    compress: bool,
    /// Level bits of GCMD as last written.
    commands: u32,
    /// Next free slot of the queue.
    tail: u64,
    pub(crate) latched: Latched,
    pub(crate) image: Image,
    fresh: Image,
    /// Pages that differ from the fresh image.
    pub(crate) dirty: BTreeSet<u64>,
    /// Pages that walks have read since the last invalidation.
    pub(crate) fetched: BTreeSet<u64>,
    pub(crate) log: Log,
    /// How often which access met which end: a refusal's reason and whether it was reported.
    pub(crate) seen: BTreeMap<(Access, Option<(u8, bool)>), u32>,
}

/// The unit that `case` wants, with caches that live as `cache` says.
pub fn config(case: &Case, cache: Policy) -> Result<Config, String> {
    let mut config = Config::preset("vtd-legacy").ok_or("there is no preset vtd-legacy")?;
    config.address_width = case.width;
    config.compress_faults = case.compress;
    config.sanitize = case.special == Special::Sanitizer;
    config.root_set_invalidates = case.special == Special::Esrtps;
    config.abort_dma = case.special == Special::Adms;
    config.caching_mode = case.special == Special::CachingMode;
    config.cache = cache;
    // Any will do, as long as it stays the same.
    config.seed = 7;
    Ok(config)
}

impl Rig {
    /// A unit after reset.
    pub fn new(config: Config) -> Result<Self, String> {
        let (caching, compress) = (config.cache != Policy::Off, config.compress_faults);
        let islands = ISLANDS.map(|(start, pages)| (Pa(start), 0x1000 * pages));
        let mem = PhysMem::anonymous(&islands).map_err(|e| e.to_string())?;
        let mut rig = Self {
            unit: Unit::new(config, mem.clone()),
            mem,
            fx: Effects::new(Time(0), false),
            caps: Caps { cap: 0, ecap: 0, haw: HAW },
            caching,
            compress,
            commands: 0,
            tail: 0,
            latched: Latched { enabled: false, rtaddr: 0 },
            image: Image::new(),
            fresh: Image::new(),
            dirty: BTreeSet::new(),
            fetched: BTreeSet::new(),
            log: Log::new(0, false),
            seen: BTreeMap::new(),
        };
        for (start, bytes) in rig.image.islands() {
            rig.mem.write(Pa(start), bytes).map_err(|e| e.to_string())?;
        }
        rig.caps = Caps { cap: rig.read64(CAP), ecap: rig.read64(ECAP), haw: HAW };
        rig.log = Log::new(rig.records(), compress);
        Ok(rig)
    }

    /// Plays `case` on the unit and on the oracle.
    ///
    /// # Errors
    /// The first difference.
    pub fn run(&mut self, case: &Case) -> Result<(), String> {
        self.set_up(case)?;
        for (number, step) in case.steps.iter().enumerate() {
            // Contexts that share a domain id must agree; what caches make of others is not
            // specified [VT-d 6.2.2.1].
            if self.caching && !self.coherent(case) {
                break;
            }
            match step {
                Step::Dma(request, operation) => self.dma(number, request, *operation),
                Step::Rewrite { pa, word } => {
                    self.store(*pa, &word.to_le_bytes())?;
                    self.invalidate(case.invalidation)
                }
                Step::ClearFaults { records, overflow } => {
                    self.clear_faults(*records, *overflow);
                    Ok(())
                }
            }
            .and_then(|()| self.compare_status())
            .map_err(|difference| format!("step {number}: {difference}"))?;
        }
        self.compare_records()?;
        self.compare_memory()
    }

    fn set_up(&mut self, case: &Case) -> Result<(), String> {
        self.commands = 0;
        // Turning translation off restarts the record index [VT-d 7.2.1]; the last case may have had
        // it off already.
        self.command(TE);
        self.command(0);
        self.clear_faults(true, true);
        self.log = Log::new(self.records(), self.compress);
        for page in std::mem::take(&mut self.dirty) {
            if let Some(bytes) = self.fresh.bytes(page, 0x1000) {
                self.image.set(page, bytes);
                self.mem.write(Pa(page), bytes).map_err(|e| e.to_string())?;
            }
        }
        for (pa, word) in &case.words {
            self.store(*pa, &word.to_le_bytes())?;
        }
        if let Invalidation::Queue = case.invalidation {
            self.tail = 0;
            self.write64(IQT, 0);
            self.write64(IQA, QUEUE);
            self.commands |= QIE;
            self.command(0);
        }
        self.fetched.clear();
        if self.caps.cap & ESRTPS == 0 {
            // Invalidation needs legacy mode [VT-d 6.5]; nothing is cached while translation is off.
            self.write64(RTADDR, 0);
            self.command(SRTP);
            self.latched = Latched { enabled: false, rtaddr: 0 };
            self.invalidate(case.invalidation)?;
        }
        self.write64(RTADDR, case.rtaddr);
        let (stored, rtaddr) = (self.read64(RTADDR), case.rtaddr & RTADDR_STORED);
        // The unit may lack bits that no host address has.
        if stored & !rtaddr != 0 || (stored ^ rtaddr) & ((1 << HAW) - 1) != 0 {
            return Err(format!("RTADDR_REG reads {stored:#x} instead of {rtaddr:#x}"));
        }
        self.latched = Latched { enabled: case.enabled, rtaddr: stored };
        self.command(SRTP);
        if case.enabled {
            self.commands |= TE;
            self.command(0);
        }
        if let Some(stray) = case.stray_rtaddr {
            self.write64(RTADDR, stray);
        }
        let enabled = self.read32(GSTS) & TE != 0;
        if enabled == case.enabled { Ok(()) } else { Err(format!("GSTS.TES is {enabled} after GCMD.TE")) }
    }

    /// Whether all present contexts of one domain id reference the same tables.
    fn coherent(&self, case: &Case) -> bool {
        let mut domains = BTreeMap::new();
        case.steps.iter().all(|step| {
            let Step::Dma(request, _) = step else { return true };
            let memory = |pa| self.image.word(pa);
            match legacy::context_entry(&memory, self.latched.rtaddr, self.caps, request.source) {
                // P and DID select; FPD is the requester's own affair.
                Ok([low, high]) if low & 1 == 1 => {
                    let translation = (low & !2, high & 7);
                    *domains.entry(high >> 8 & 0xffff).or_insert(translation) == translation
                }
                Ok(_) | Err(_) => true,
            }
        })
    }

    /// Globally invalidates what is cached [VT-d 6.5].
    fn invalidate(&mut self, how: Invalidation) -> Result<(), String> {
        self.fetched.clear();
        match how {
            // In no other mode does a walk read anything that could be cached.
            _ if self.latched.rtaddr & TTM != 0 => {}
            Invalidation::Registers => {
                let iotlb = (self.caps.ecap >> 8 & 0x3ff) * 16 + 8;
                // ICC with CIRG = 01, answered by CAIG = 01; IVT with IIRG = 01, answered by IAIG = 01.
                for (register, request, mask, answer) in [
                    (CCMD, 0xa000_0000_0000_0000, 0x9800 << 48, 0x0800 << 48),
                    (iotlb, 0x9000 << 48, 0x8600 << 48, 0x0200 << 48),
                ] {
                    self.write64(register, request);
                    let found = self.read64(register);
                    if found & mask != answer {
                        return Err(format!(
                            "register {register:#x} reads {found:#x} after a global invalidation"
                        ));
                    }
                }
            }
            Invalidation::Queue => {
                let status = 0x1234_0000 | self.tail;
                // cc_inv and iotlb_inv with G = 01 (DR, DW set), inv_wait with SW.
                for [low, high] in [[0x11, 0], [0xd2, 0], [status << 32 | 0x25, STATUS]] {
                    self.store(QUEUE + 16 * self.tail, &u64::to_le_bytes(low))?;
                    self.store(QUEUE + 16 * self.tail + 8, &u64::to_le_bytes(high))?;
                    self.tail += 1;
                }
                // The unit's write, so memory is left to it.
                self.image.set(STATUS, &(status as u32).to_le_bytes());
                self.dirty.insert(STATUS & !0xfff);
                self.write64(IQT, self.tail << 4);
                self.deliver()?;
                let head = self.read64(IQH);
                if head != self.tail << 4 {
                    return Err(format!("IQH_REG is {head:#x} with {} descriptors queued", self.tail));
                }
            }
        }
        Ok(())
    }

    /// Writes 1 to F of every record, then to PFO, as software does [VT-d 7.2.1].
    fn clear_faults(&mut self, records: bool, overflow: bool) {
        if records {
            for index in 0..self.records() {
                // The dword that holds F.
                self.write32(self.record_offset(index) + 12, 0x8000_0000);
                self.log.clear(index);
            }
        }
        if overflow {
            self.write32(FSTS, 1);
            self.log.clear_overflow();
        }
    }

    fn compare_status(&mut self) -> Result<(), String> {
        let (found, expected) = (self.read32(FSTS), self.log.fsts());
        // FRI means something while PPF is set only.
        let mask = if expected & 2 != 0 { u32::MAX } else { !0xff00 };
        if found & mask == expected & mask {
            return Ok(());
        }
        Err(format!("FSTS_REG is {found:#x} instead of {expected:#x}"))
    }

    fn compare_records(&mut self) -> Result<(), String> {
        for index in 0..self.records() {
            let offset = self.record_offset(index);
            let found = [self.read64(offset), self.read64(offset + 8)];
            let expected = self.log.records()[index];
            // A record counts while F is set; then its reason tells what else is defined.
            let [low, high] = match expected[1] >> 63 {
                0 => [0, 1 << 63],
                _ => legacy::defined((expected[1] >> 32) as u8),
            };
            if found[0] & low != expected[0] & low || found[1] & high != expected[1] & high {
                return Err(format!("FRCD_REG[{index}] is {found:#018x?} instead of {expected:#018x?}"));
            }
        }
        Ok(())
    }

    fn compare_memory(&self) -> Result<(), String> {
        for (start, expected) in self.image.islands() {
            let mut found = vec![0; expected.len()];
            self.mem.read(Pa(start), &mut found).map_err(|e| e.to_string())?;
            if found != expected {
                let at = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or_default();
                let pa = start + at as u64;
                return Err(format!("[{pa:#x}] is {:#x} instead of {:#x}", found[at], expected[at]));
            }
        }
        Ok(())
    }

    /// Does what the machine does with effects; the interrupts that passed.
    pub(crate) fn deliver(&mut self) -> Result<Vec<(u64, u32)>, String> {
        let mut interrupts = Vec::new();
        loop {
            let effects = self.fx.take();
            if effects.is_empty() {
                return Ok(interrupts);
            }
            for effect in effects {
                match effect {
                    Effect::Fault { fault, .. } => self.unit.fault(fault, &mut self.fx),
                    Effect::Schedule { event, .. } => self.unit.event(event, &mut self.fx),
                    Effect::Interrupt { address, data, .. } => {
                        interrupts.push((address, data));
                    }
                    other => return Err(format!("unexpected effect {other:?}")),
                }
            }
        }
    }

    /// Software writes bytes of one page.
    fn store(&mut self, pa: u64, bytes: &[u8]) -> Result<(), String> {
        if self.image.word(pa).is_none() {
            return Ok(());
        }
        self.image.set(pa, bytes);
        self.dirty.insert(pa & !0xfff);
        self.mem.write(Pa(pa), bytes).map_err(|e| e.to_string())
    }

    /// Writes GCMD with the level bits as they are and `one_shot`.
    fn command(&mut self, one_shot: u32) {
        self.write32(GCMD, self.commands | one_shot);
    }

    /// Number of fault records, from CAP.NFR.
    fn records(&self) -> usize {
        (self.caps.cap >> 40 & 0xff) as usize + 1
    }

    /// Where a record lies, from CAP.FRO.
    fn record_offset(&self, index: usize) -> u64 {
        (self.caps.cap >> 24 & 0x3ff) * 16 + 16 * index as u64
    }

    fn read32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.unit.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn read64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.unit.read(offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn write32(&mut self, offset: u64, value: u32) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
    }

    fn write64(&mut self, offset: u64, value: u64) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
    }
}
