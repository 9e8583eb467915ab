//! Registers and entries in the order in which they decide, each with its fields and its meaning.

use super::answer::Region;
use super::run::{Fetched, Run, Used, level_of};
use super::{CONTEXT_ENTRY, INTERRUPT_ENTRY, ROOT_ENTRY, is_interrupt};
use crate::addr::{PAGE_SIZE, Pa};
use crate::fabric::{Access, Kind, Transaction, Verdict, is_message};
use crate::iommu::explain::{Hex, Place, Step, size};
use crate::iommu::walk::{Entry, Format as _, Rights, Table, page_bits};
use crate::vtd::Reason;
use crate::vtd::capability::{AddressWidth, Config, HOST_ADDRESS_WIDTH};
use crate::vtd::interrupt_remapping::{self, Format, Irte, RemappableAddress, decode_request, entry_address};
use crate::vtd::invalidation::ProtectedRange;
use crate::vtd::regs::{Gsts, Irta, Pmen, Rtaddr};
use crate::vtd::tables::{
    ContextEntry, RootEntry, SecondStage, SecondStageEntry, Translation, context_violations, decode_context,
    decode_root, root_violations,
};
use crate::vtd::translate::{ENTRY_NAMES, IotlbEntry};

/// The registers that decide.
pub(super) struct Registers {
    pub gsts: Gsts,
    /// RTADDR_REG as written.
    pub rtaddr: Rtaddr,
    /// RTADDR_REG as SRTP latched it.
    pub latched: Rtaddr,
    /// IRTA_REG as SIRTP latched it.
    pub irta: Irta,
    pub pmen: Pmen,
    /// The protected regions in force.
    pub protected: Option<[ProtectedRange; 2]>,
}

/// What the protected regions are called.
pub(super) const REGIONS: [&str; 2] = ["protected low-memory region", "protected high-memory region"];

/// The steps of `run`, and how many of them are registers that come before any entry.
pub(super) fn build(
    config: &Config,
    registers: &Registers,
    request: &Transaction,
    data: u32,
    run: &Run,
) -> (Vec<Step>, usize) {
    let mut builder =
        Builder { config, registers, request, reason: run.why(), next: None, steps: Vec::new() };
    builder.range();
    if is_interrupt(request) && run.interrupt {
        builder.interrupt_request(data);
    } else if run.why() != Some(Reason::InterruptRangeAccess) && builder.steps.is_empty() {
        builder.translation();
    }
    let header = builder.steps.len();
    let Used { page, context, structure, interrupt } = run.used;
    if page.is_some() || context.is_some() || interrupt.is_some() {
        // What the registers point to was not asked for.
        builder.next = None;
    }
    if let Some(page) = page {
        builder.cached_page(page);
    }
    if let Some(entry) = context {
        let step = builder.context_entry(Place::Cache, entry.raw());
        builder.steps.push(step);
    }
    if let Some(entry) = interrupt {
        let step = builder.interrupt_entry(Place::Cache, entry.raw());
        builder.steps.push(step);
    }
    let (above, below): (Vec<_>, Vec<_>) =
        run.fetches.iter().partition(|fetched| level_of(fetched.table).is_none());
    above.into_iter().for_each(|fetched| builder.entry(fetched));
    if let Some(table) = structure {
        builder.cached_structure(table);
    }
    below.into_iter().for_each(|fetched| builder.entry(fetched));
    builder.unreadable();
    builder.protected(run);
    (builder.steps, header)
}

struct Builder<'a> {
    config: &'a Config,
    registers: &'a Registers,
    request: &'a Transaction,
    reason: Option<Reason>,
    /// The entry to be read next, and the field that points there.
    next: Option<Next>,
    steps: Vec<Step>,
}

struct Next {
    table: &'static str,
    at: Pa,
    pointer: &'static str,
    /// Of second-stage tables.
    format: Option<SecondStage>,
}

impl Builder<'_> {
    /// An address in the message window never meets the tables, unless it has a PASID or claims to
    /// be translated.
    fn range(&mut self) {
        let Transaction { address, len, access, kind, pasid, .. } = *self.request;
        let with_pasid = pasid.is_some() && self.registers.gsts.tes();
        if !is_message(address.0) || kind != Kind::Untranslated || with_pasid {
            return;
        }
        let (meaning, decides) = match access {
            Access::Write if is_interrupt(self.request) => {
                ("an aligned write of 4 bytes: an interrupt", false)
            }
            Access::Read if len == 0 => ("a zero-length read: completes without touching memory", true),
            _ => ("neither an aligned write of 4 bytes nor a zero-length read: refused", true),
        };
        let meaning = format!("0xfee00000 to 0xfeefffff is for interrupts [VT-d 3.15]; {meaning}");
        let step = Step::bare("interrupt address range", Place::Request, &[address.0]).meaning(meaning);
        self.steps.push(Step { decides, ..step });
    }

    fn translation(&mut self) {
        let Registers { gsts, latched, rtaddr, .. } = *self.registers;
        let status = Step::new("GSTS_REG", Place::Register(Hex(0x1c)), &[gsts.raw().into()], &gsts);
        let mut status = status.only(&["tes"]);
        if !gsts.tes() {
            status.blame(&["tes"]);
            let meaning = match self.request.kind {
                Kind::Untranslated => "translation is off: the address is used as it is",
                Kind::Translated => "translation is off: translated requests are refused",
            };
            self.steps.push(status.meaning(meaning));
            return;
        }
        self.steps.push(status.meaning("translation is on"));
        let mut root = Step::new("RTADDR_REG", Place::Latch, &[latched.raw()], &latched);
        let at = Pa((latched.rta() << 12) + u64::from(self.request.initiator.source().bus()) * 16);
        root.meaning = match self.reason {
            Some(Reason::TableMode) => {
                root.blame(&["ttm"]);
                if self.config.ecap().adms() {
                    "this unit has legacy mode, TTM = 00b, and abort-DMA mode, TTM = 11b".to_owned()
                } else {
                    "this unit has legacy mode only, TTM = 0".to_owned()
                }
            }
            Some(Reason::AbortDma) => {
                root.blame(&["ttm"]);
                "abort-DMA mode, TTM = 11b: every request is refused".to_owned()
            }
            Some(Reason::PasidInLegacy) => {
                root.blame(&["ttm"]);
                "legacy mode serves only requests without PASID, and this one has a PASID".to_owned()
            }
            _ => {
                self.next = Some(Next { table: ROOT_ENTRY, at, pointer: "rta", format: None });
                format!("legacy tables; the root entry of bus {:02x} is at {at}", self.bus())
            }
        };
        if rtaddr != latched {
            let written = rtaddr.raw();
            root.meaning += &format!("; the register now holds {written:#x}, which counts only after SRTP");
        }
        self.steps.push(root);
    }

    fn bus(&self) -> u8 {
        self.request.initiator.source().bus()
    }

    fn interrupt_request(&mut self, data: u32) {
        let Registers { gsts, irta, .. } = *self.registers;
        let status = Step::new("GSTS_REG", Place::Register(Hex(0x1c)), &[gsts.raw().into()], &gsts);
        let mut status = status.only(&["ires", "cfis"]);
        if !gsts.ires() {
            status.blame(&["ires"]);
            self.steps.push(status.meaning("interrupt remapping is off: the message goes on as it is"));
            return;
        }
        self.steps.push(status.meaning("interrupt remapping is on"));
        let table = Step::new("IRTA_REG", Place::Latch, &[irta.raw()], &irta);
        let entries = 2_u32 << irta.s();
        self.steps.push(table.meaning(format!("a table of {entries} entries at {:#x}", irta.irta() << 12)));
        // The window is below 4 GiB.
        let address = RemappableAddress::from_raw(self.request.address.0 as u32);
        let words = [self.request.address.0, data.into()];
        let mut step = Step::new("interrupt request", Place::Request, &words, &address);
        match decode_request(self.request.address.0, data) {
            Ok(Format::Compatibility) => {
                step.blame(&["remappable"]);
                step.meaning = "compatibility format".to_owned();
                if self.reason.is_some() {
                    step.meaning += ": refused, as ";
                    let (at, field, why) = if irta.eime() {
                        (2, "eime", "destinations have 32 bits (EIME = 1)")
                    } else {
                        (1, "cfis", "software does not let it pass (CFIS = 0)")
                    };
                    step.meaning += why;
                    self.steps[at].blame(&[field]);
                } else {
                    step.meaning += ": goes on as it is (CFIS = 1)";
                }
            }
            Ok(Format::Remappable(index)) => match entry_address(irta, index) {
                Ok(at) => {
                    step.meaning = format!("index {index:#x}, its entry is at {at}");
                    self.next = Some(Next { table: INTERRUPT_ENTRY, at, pointer: "irta", format: None });
                }
                Err(_) if index < entries => {
                    let bits = HOST_ADDRESS_WIDTH;
                    step.decides = true;
                    step.meaning =
                        format!("index {index:#x}, whose entry does not fit the host's {bits} bits");
                    self.steps[2].blame(&["irta"]);
                }
                Err(_) => {
                    step.blame(&["handle", "handle_15"]);
                    step.meaning = format!("index {index:#x}, beyond the table of {entries} entries");
                    self.steps[2].blame(&["s"]);
                }
            },
            Err(_) => {
                step.blame(&["shv"]);
                step.meaning = format!("SHV = 1, but the subhandle {data:#x} has more than 16 bits");
            }
        }
        self.steps.push(step);
    }

    fn entry(&mut self, fetched: &Fetched) {
        let Fetched { table, address, words } = *fetched;
        let expected = self.next.take();
        let place = Place::Memory(Hex(address.0));
        let step = match (table, level_of(table)) {
            (ROOT_ENTRY, _) => self.root_entry(place, words),
            (CONTEXT_ENTRY, _) => self.context_entry(place, words),
            (INTERRUPT_ENTRY, _) => self.interrupt_entry(place, words),
            (_, Some(level)) => {
                let format = expected.and_then(|next| next.format);
                self.second_stage_entry(place, words[0], level, format)
            }
            // A table that this module knows nothing of.
            (_, None) => Step::bare(table, place, &words),
        };
        self.steps.push(step);
    }

    fn root_entry(&mut self, place: Place, words: [u64; 2]) -> Step {
        let entry = RootEntry::from_raw(words);
        let mut step = Step::new(ROOT_ENTRY, place, &words, &entry);
        step.meaning = match decode_root(entry) {
            Ok(table) => {
                let source = self.request.initiator.source();
                let at = Pa(table.0 + u64::from(source.devfn()) * 16);
                self.next = Some(Next { table: CONTEXT_ENTRY, at, pointer: "ctp", format: None });
                format!("present; the context entry of {source} is at {at}")
            }
            Err(Reason::RootNotPresent) => {
                step.blame(&["p"]);
                "P = 0: not present".to_owned()
            }
            Err(_) => {
                step.blame_bits(&root_violations(entry));
                "bits are set that must be zero".to_owned()
            }
        };
        step
    }

    fn context_entry(&mut self, place: Place, words: [u64; 2]) -> Step {
        let (cap, ecap) = (self.config.cap(), self.config.ecap());
        let entry = ContextEntry::from_raw(words);
        let mut step = Step::new(CONTEXT_ENTRY, place, &words, &entry);
        let valid = |entry| decode_context(entry, cap, ecap).is_ok();
        step.meaning = match decode_context(entry, cap, ecap) {
            Ok(_) if self.reason == Some(Reason::TypeBlocked) => {
                step.blame(&["tt"]);
                format!("TT = {:02b}b lets only untranslated requests pass", entry.tt())
            }
            Ok(context) => match context.translation {
                Translation::PassThrough if self.reason == Some(Reason::AddressBeyondWidth) => {
                    step.blame(&["tt"]);
                    "pass-through, but the address is beyond the host's width".to_owned()
                }
                Translation::PassThrough => "pass-through: the address is used as it is".to_owned(),
                Translation::SecondStage { width, .. } if self.reason == Some(Reason::AddressBeyondWidth) => {
                    step.blame(&["aw"]);
                    format!("the address does not fit the {} bits of the domain", self.input_bits(width))
                }
                Translation::SecondStage { root, width } => {
                    let levels = width.levels();
                    let format = Some(SecondStage::new(width, cap));
                    let next = self.index_into(root, levels);
                    self.next = Some(Next { pointer: "ssptptr", format, ..next });
                    let domain = context.domain;
                    format!("domain {domain}, {} bits in {levels} levels of tables at {root}", width.bits())
                }
            },
            Err(Reason::ContextNotPresent) => {
                step.blame(&["p"]);
                "P = 0: not present".to_owned()
            }
            Err(Reason::ContextReserved) => {
                step.blame_bits(&context_violations(entry, cap));
                "bits are set that must be zero".to_owned()
            }
            Err(_) => {
                // The field is wrong whose other values would make the entry valid.
                let wrong_width = (0..8).any(|aw| valid(entry.with_aw(aw)));
                let wrong_type = (0..4).any(|tt| valid(entry.with_tt(tt)));
                match (wrong_width, wrong_type) {
                    (true, _) => step.blame(&["aw"]),
                    (false, true) => step.blame(&["tt"]),
                    (false, false) => step.blame(&["aw", "tt"]),
                }
                "the unit does not support this width or type".to_owned()
            }
        };
        step
    }

    fn second_stage_entry(
        &mut self,
        place: Place,
        raw: u64,
        level: u32,
        format: Option<SecondStage>,
    ) -> Step {
        let entry = SecondStageEntry::from_raw(raw);
        // A level comes from the name of one of five tables.
        let mut step = Step::new(ENTRY_NAMES[level as usize - 1], place, &[raw], &entry);
        let Some(format) = format else { return step };
        let refused = self.missing_right(entry);
        step.meaning = match format.decode(level, raw) {
            Entry::Absent => {
                // Any right will do for a zero-length read; others need their own.
                let any = self.request.len == 0 && self.config.cap().zlr();
                step.blame(match self.reason {
                    Some(Reason::NoRead) if !any => &["r"],
                    Some(Reason::NoWrite) => &["w"],
                    _ => &["r", "w"],
                });
                "R = 0 and W = 0: not present, nothing is mapped here".to_owned()
            }
            Entry::Reserved => {
                step.blame_bits(&[format.violations(level, raw)]);
                "bits are set that must be zero".to_owned()
            }
            Entry::Table { next, .. } => {
                let next = self.index_into(next, level - 1);
                let meaning = format!("present; the {} is at {}", next.table, next.at);
                self.next = Some(Next { pointer: "address", format: Some(format), ..next });
                meaning
            }
            Entry::Page { base, .. } => {
                if self.reason == Some(Reason::OutputInInterruptRange) {
                    step.blame(&["address"]);
                    format!("maps to {base}, in the range for interrupts, where no DMA may go")
                } else {
                    format!("maps a page of {} at {base}", size(1 << page_bits(level)))
                }
            }
        };
        if let Some((field, why)) = refused
            && entry.r() | entry.w()
        {
            step.blame(&[field]);
            step.meaning = format!("{why}; {}", step.meaning);
        }
        step
    }

    fn interrupt_entry(&mut self, place: Place, words: [u64; 2]) -> Step {
        let entry = Irte::from_raw(words);
        let (initiator, extended) = (self.request.initiator, self.registers.irta.eime());
        let source = initiator.source();
        let mut step = Step::new(INTERRUPT_ENTRY, place, &words, &entry);
        step.meaning = match interrupt_remapping::remap(entry, initiator.verified_source(), extended) {
            Ok((address, data)) => format!("becomes a write of {data:#x} to {address:#x}"),
            Err(Reason::InterruptNotPresent) => {
                step.blame(&["p"]);
                "P = 0: not present".to_owned()
            }
            Err(Reason::InterruptSource) => {
                step.blame(&["svt", "sq", "sid"]);
                format!("SVT, SQ and SID do not admit the source {source} ({:#06x})", source.0)
            }
            Err(_) => {
                step.blame_bits(&interrupt_remapping::violations(entry, extended));
                "bits are set that must be zero, or a field has a value that does not exist".to_owned()
            }
        };
        step
    }

    /// A page of the IOTLB, which holds what the entries on the way permit together.
    fn cached_page(&mut self, entry: IotlbEntry) {
        let IotlbEntry { page, rights, fpd, .. } = entry;
        let mut step = self.cached("IOTLB entry", page, rights);
        step.meaning = match rights {
            Rights::NONE => format!("{}not present, nothing is mapped here", step.meaning),
            _ => format!("{}maps a page of {} at {page}", step.meaning, size(PAGE_SIZE)),
        };
        if step.decides {
            // It was copied when the entry was cached.
            step.meaning += &format!("; FPD = {} for its context entry then", u8::from(fpd));
        }
        self.steps.push(step);
    }

    /// A table of the paging-structure cache, where the walk starts.
    fn cached_structure(&mut self, Table { base, level, rights }: Table) {
        let mut step = self.cached(ENTRY_NAMES[level as usize], base, rights);
        let next = self.index_into(base, level);
        step.meaning =
            format!("{}the walk starts from here; the {} is at {}", step.meaning, next.table, next.at);
        let format = self.next.take().and_then(|next| next.format);
        self.next = Some(Next { pointer: "address", format, ..next });
        self.steps.push(step);
    }

    /// A cached address and rights, with what is missing of them.
    fn cached(&self, table: &'static str, address: Pa, rights: Rights) -> Step {
        let entry = SecondStageEntry::from_raw(address.0 | rights.bits());
        let step = Step::new(table, Place::Cache, &[entry.raw()], &entry);
        let mut step = step.only(&["address", "w", "r"]);
        if let Some((field, why)) = self.missing_right(entry) {
            step.blame(&[field]);
            step.meaning = format!("{why}; ");
        }
        step
    }

    /// The right that the request wants and `entry` does not give.
    fn missing_right(&self, entry: SecondStageEntry) -> Option<(&'static str, &'static str)> {
        match self.reason {
            Some(Reason::NoRead) if !entry.r() => Some(("r", "R = 0: no reads")),
            Some(Reason::NoWrite) if !entry.w() => Some(("w", "W = 0: no writes")),
            _ => None,
        }
    }

    /// Protected regions are looked at last, and record no fault.
    fn protected(&mut self, run: &Run) {
        let Registers { pmen, protected: Some(ranges), .. } = *self.registers else { return };
        let address = match run.verdict {
            Verdict::Memory { pa, .. } => Some(pa),
            Verdict::Interrupt | Verdict::Nothing | Verdict::Refused(_) => run.protected,
        };
        let Some(address) = address else { return };
        let enable = Step::new("PMEN_REG", Place::Register(Hex(0x64)), &[pmen.raw().into()], &pmen);
        let mut enable = enable.meaning("memory regions are protected");
        if run.protected.is_none() {
            enable.meaning += &format!("; {address} is in none of them");
        } else {
            enable.blame(&["epm"]);
        }
        self.steps.push(enable);
        let Some(Region { name, first, last, .. }) = region(&ranges, run.protected, self.request.len) else {
            return;
        };
        let mut step = Step::bare(name, Place::Latch, &[]);
        step.decides = true;
        let meaning = format!("{first} to {last}: {address} is in it, where no DMA may go [VT-d 11.4.8]");
        self.steps.push(step.meaning(meaning));
    }

    /// Says so where the next entry could not be read.
    fn unreadable(&mut self) {
        let unreadable = matches!(
            self.reason,
            Some(
                Reason::RootAccess
                    | Reason::ContextAccess
                    | Reason::ContextInvalid
                    | Reason::TableAccess
                    | Reason::InterruptTableAccess
            )
        );
        let Some(Next { table, at, pointer, .. }) = self.next.take().filter(|_| unreadable) else { return };
        // The last step that has the pointer: an interrupt's index comes after the table's address.
        if let Some(step) = self.steps.iter_mut().rfind(|step| step.value_of(pointer).is_some()) {
            step.blame(&[pointer]);
        }
        let step = Step::bare(table, Place::Memory(Hex(at.0)), &[]);
        self.steps.push(step.meaning("cannot be read: there is no RAM"));
    }

    /// The entry of the request's address in a table of `level`.
    fn index_into(&self, table: Pa, level: u32) -> Next {
        let index = self.request.address.0 >> page_bits(level) & 0x1ff;
        // Levels are 1 to 5.
        let name = ENTRY_NAMES[level as usize - 1];
        Next { table: name, at: Pa(table.0 | index << 3), pointer: "", format: None }
    }

    fn input_bits(&self, width: AddressWidth) -> u32 {
        width.bits().min(u32::from(self.config.cap().mgaw()) + 1)
    }
}

/// The region that keeps a request out which would have gone to `len` bytes at `address`.
pub(super) fn region(ranges: &[ProtectedRange; 2], address: Option<Pa>, len: u64) -> Option<Region> {
    let address = address?;
    let (name, range) = REGIONS.into_iter().zip(ranges).find(|(_, range)| range.touches(address, len))?;
    Some(Region { name, address: Hex(address.0), first: Hex(range.first), last: Hex(range.last) })
}
