//! Registers and entries in the order in which they decide, each with its fields and its meaning.

use super::caches::walked_on;
use super::run::Run;
use super::{page_text, permits};
use crate::addr::{Ipa, StreamId};
use crate::fabric::{Kind, Transaction, Verdict};
use crate::iommu::explain::{Hex, Place, Step};
use crate::smmuv3::Config;
use crate::smmuv3::event::{Class, FaultKind, Reason, Stage};
use crate::smmuv3::invalidation::Global;
use crate::smmuv3::regs::Cr0;
use crate::smmuv3::tables::cd::Context;
use crate::smmuv3::tables::ste::{ContextLayout, Service};
use crate::smmuv3::translate::{Refusal, Sight, wanted};
use crate::smmuv3::vmsa::Wanted;
use crate::smmuv3::vmsa::look::{NoTables, Stage1Look, is_high};

/// What is asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub config: &'a Config,
    pub cr0: Cr0,
    pub global: &'a Global,
    pub request: &'a Transaction,
    /// Which stream the transaction is of; masters before another unit have none here.
    pub stream: Option<StreamId>,
}

/// The steps of `run`, and how many of them are registers that come before any entry.
pub(super) fn build(question: &Question<'_>, run: &Run) -> (Vec<Step>, usize) {
    let mut builder = Builder {
        question,
        run,
        steps: Vec::new(),
        ste: None,
        cd: None,
        service: None,
        context: None,
        asked: None,
        pointers: [None; 2],
    };
    builder.registers();
    let header = builder.steps.len();
    builder.entries();
    builder.remaining();
    for step in &mut builder.steps {
        let always: &[&str] = match step.table {
            "STE" => &["v", "config"],
            "CD" => &["v", "aa64"],
            _ => continue,
        };
        // Of some fifty fields, those that say something.
        step.fields.retain(|field| field.value.0 != 0 || field.decides || always.contains(&field.name));
    }
    (builder.steps, header)
}

/// A step, and its field that says where the next entry lies.
type Pointer = Option<(usize, &'static str)>;

pub(super) struct Builder<'a> {
    pub question: &'a Question<'a>,
    pub run: &'a Run,
    pub steps: Vec<Step>,
    /// The steps of the STE and the CD, and what these say.
    pub ste: Option<usize>,
    pub cd: Option<usize>,
    pub service: Option<Service>,
    pub context: Option<Context>,
    /// What stage 2 was asked last.
    pub asked: Option<(Ipa, Class)>,
    /// Of both stages.
    pub pointers: [Pointer; 2],
}

impl Builder<'_> {
    pub fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Blames fields of a step that is there already.
    pub fn blame(&mut self, step: Option<usize>, fields: &[&str]) {
        if let Some(step) = step.and_then(|step| self.steps.get_mut(step)) {
            step.blame(fields);
        }
    }

    pub fn reason(&self) -> Option<Reason> {
        self.run.refusal().map(|Refusal { reason, .. }| *reason)
    }

    /// What the transaction wants, by what its STE makes of it.
    pub fn wanted(&self) -> Wanted {
        let overrides = self.service.map(|service| service.overrides).unwrap_or_default();
        wanted(self.question.request, &overrides)
    }

    /// What comes before any entry.
    fn registers(&mut self) {
        let Question { config, cr0, global, request, stream } = *self.question;
        let Some(stream) = stream else {
            let mut step = Step::bare("stream map", Place::Request, &[]);
            step.decides = true;
            self.push(step.meaning("no StreamID is given to this master: it does not reach the unit"));
            return;
        };
        let refused = match request.kind {
            Kind::Translated => {
                Some(("address type", "a translated address, but without ATS nobody holds translations"))
            }
            Kind::Untranslated if request.attrs.secure => {
                Some(("security state", "a Secure transaction, but there is no Secure state here"))
            }
            Kind::Untranslated => None,
        };
        if let Some((what, why)) = refused {
            let mut step = Step::bare(what, Place::Request, &[]);
            step.decides = true;
            self.push(step.meaning(why));
            return;
        }
        let step = Step::new("SMMU_CR0", Place::Register(Hex(0x20)), &[cr0.raw().into()], &cr0);
        let mut step = step.only(&["smmuen"]);
        if global.enabled {
            self.push(step.meaning("translation is on"));
            self.stream_table(stream);
            return;
        }
        step.blame(&["smmuen"]);
        self.push(step.meaning("translation is off: SMMU_GBPA decides"));
        let gbpa = global.gbpa;
        let mut step = Step::new("SMMU_GBPA", Place::Register(Hex(0x44)), &[gbpa.raw().into()], &gbpa);
        step.meaning = match self.run.verdict {
            Verdict::Refused(_) if gbpa.abort() => {
                step.blame(&["abort"]);
                "ABORT = 1: every transaction is aborted".to_owned()
            }
            Verdict::Refused(_) => {
                step.decides = true;
                format!("bypass, but the address has more than the {} bits of IDR5.OAS", config.oas_bits())
            }
            _ => "ABORT = 0: the address is used as it is".to_owned(),
        };
        self.push(step.only(&["abort", "instcfg", "privcfg"]));
    }

    fn entries(&mut self) {
        if let Some(hit) = self.run.hit {
            let words = [hit.page.0];
            let step = Step::bare("micro-TLB entry", Place::Cache, &words);
            let meaning = format!("maps to {}, which permits {}", hit.page, permits(hit.permissions));
            self.push(step.meaning(meaning));
        }
        let run = self.run;
        for (index, sight) in run.sights.iter().enumerate() {
            let place = |at: Option<crate::addr::Pa>| at.map_or(Place::Cache, |at| Place::Memory(Hex(at.0)));
            match *sight {
                Sight::L1Std { at, word } => self.l1std(place(at), word),
                Sight::Ste { at, words } => self.ste(place(at), words),
                Sight::L1Cd { at, word } => self.l1cd(place(at), word),
                Sight::Cd { at, words } => self.cd(place(at), words),
                Sight::Tlb(entry) => {
                    let mut step = Step::bare("TLB entry", Place::Cache, &[entry.page.0]);
                    step.decides = run.refusal().is_some();
                    let refused = if step.decides { "lacks a permission: " } else { "" };
                    self.push(step.meaning(format!("{refused}maps to {}", page_text(&entry))));
                }
                Sight::Stage1 { table, cached } => self.stage1_start(table, cached),
                Sight::Asked { ipa, class } => self.asked(ipa, class),
                Sight::IpaCached(page) => self.ipa_cached(page, walked_on(&run.sights[index + 1..])),
                Sight::Stage2 { table, cached } => self.stage2_start(table, cached),
                Sight::Descriptor { stage, level, at, raw } => self.descriptor(index, stage, level, at, raw),
                Sight::Stage1Reached(_)
                | Sight::Stage2Reached(_)
                | Sight::Stage2Found { .. }
                | Sight::Page { .. }
                | Sight::Refused(_) => {}
            }
        }
    }

    /// What decided without an entry of its own: something that cannot be read, or an address that no
    /// tables are for.
    fn remaining(&mut self) {
        match self.reason() {
            Some(Reason::SteFetch(at)) => {
                let descriptor = self.steps.iter().position(|step| step.table == "L1STD");
                let (table, pointer) = match descriptor {
                    Some(step) => ("STE", (step, "l2ptr")),
                    None => (self.first_stream_entry(), (1, "addr")),
                };
                self.unreadable(table, Some(pointer), at.0);
            }
            Some(Reason::CdFetch(at)) => {
                let descriptor = self.steps.iter().position(|step| step.table == "L1CD");
                let linear = self
                    .service
                    .and_then(|service| service.contexts)
                    .is_none_or(|contexts| contexts.layout == ContextLayout::Linear);
                let (table, pointer) = match (descriptor, self.ste) {
                    (Some(step), _) => ("CD", Some((step, "l2ptr"))),
                    (None, ste) => (if linear { "CD" } else { "L1CD" }, ste.map(|ste| (ste, "s1contextptr"))),
                };
                self.unreadable(table, pointer, at.0);
            }
            Some(Reason::WalkAbort { stage, at, .. }) => {
                let (table, pointer) = match stage {
                    Stage::One => ("stage 1 descriptor", self.pointers[0]),
                    Stage::Two => ("stage 2 descriptor", self.pointers[1]),
                };
                self.unreadable(table, pointer, at.0);
            }
            Some(Reason::Fault(fault)) if !self.steps.iter().any(|step| step.decides) => {
                match (fault.stage, fault.kind, self.context) {
                    (Stage::One, FaultKind::AddressSize, None) => self.beyond_bypass(),
                    (Stage::One, _, Some(context)) => self.no_tables(&context),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn unreadable(&mut self, table: &'static str, pointer: Pointer, at: u64) {
        if let Some((step, field)) = pointer {
            self.blame(Some(step), &[field]);
        }
        let mut step = Step::bare(table, Place::Memory(Hex(at)), &[]);
        step.decides = true;
        self.push(step.meaning("cannot be read: there is no RAM"));
    }

    /// Stage 1 is bypassed for an address that is too large.
    fn beyond_bypass(&mut self) {
        let Question { config, .. } = *self.question;
        let stage2 = self.service.is_some_and(|service| service.stage2.is_some());
        let bits = if stage2 { config.ias_bits() } else { config.oas_bits() };
        self.blame(self.ste, &["config"]);
        if let Some(step) = self.ste.and_then(|ste| self.steps.get_mut(ste)) {
            step.meaning += &format!("; stage 1 is bypassed, and the address has more than {bits} bits");
        }
    }

    /// Stage 1 has no tables for the address.
    fn no_tables(&mut self, context: &Context) {
        let (address, wide) = (self.question.request.address.0, self.question.config.oas_bits() == 52);
        let Err(why) = Stage1Look::new(&context.stage1, address, self.wanted().privileged, wide) else {
            return;
        };
        let high = usize::from(is_high(address));
        let (fields, meaning) = match why {
            NoTables::Disabled => (["epd0", "epd1"], "the half of the address is disabled"),
            NoTables::OneRange => (["t0sz", "t0sz"], "this world has one range, and the address is above it"),
            NoTables::OutOfRange => (["t0sz", "t1sz"], "the address is not in the range that TxSZ leaves"),
            NoTables::Unprivileged => (["e0pd0", "e0pd1"], "unprivileged transactions are kept out by E0PD"),
        };
        let field = fields[high];
        self.blame(self.cd, &[field]);
        if let Some(step) = self.cd.and_then(|cd| self.steps.get_mut(cd)) {
            step.meaning += &format!("; {meaning}: {}", field.to_uppercase());
        }
    }
}
