//! The descriptors of both stages.

use super::permits;
use super::steps::Builder;
use crate::addr::{Ipa, Pa};
use crate::iommu::explain::{Hex, Place, Step, size};
use crate::smmuv3::event::{Class, FaultKind, Stage, TranslationFault};
use crate::smmuv3::translate::{STAGE1, STAGE2, Sight};
use crate::smmuv3::vmsa::look::{Culprits, Meaning, Stage1Look, Stage2Look};
use crate::smmuv3::vmsa::{
    Stage1Descriptor, Stage1Table, Stage2Descriptor, Stage2Page, Stage2Table, TableDescriptor, Wanted,
};

/// What fetches of tables and CDs want of stage 2.
const FETCH: Wanted = Wanted { read: true, write: false, instruction: false, privileged: true };

impl Builder<'_> {
    fn wide(&self) -> bool {
        self.question.config.oas_bits() == 52
    }

    /// A cached table, where a walk starts.
    fn cached_table(&mut self, stage: Stage, base: u64, level: u32) {
        let (number, name) = (4 - i64::from(level), if stage == Stage::One { 1 } else { 2 });
        let step = Step::bare("walk cache entry", Place::Cache, &[base]);
        self.push(step.meaning(format!("stage {name} starts from the level {number} table at {base:#x}")));
        self.pointers[usize::from(stage == Stage::Two)] = None;
    }

    pub(super) fn stage1_start(&mut self, table: Stage1Table, cached: bool) {
        if cached {
            self.cached_table(Stage::One, table.base.0, table.level);
        }
    }

    pub(super) fn stage2_start(&mut self, table: Stage2Table, cached: bool) {
        if cached {
            self.cached_table(Stage::Two, table.base.0, table.level);
        }
    }

    /// Stage 2 is asked.
    pub(super) fn asked(&mut self, ipa: Ipa, class: Class) {
        self.asked = Some((ipa, class));
        self.pointers[1] = self.ste.map(|ste| (ste, "s2ttb"));
        let what = match class {
            Class::Cd => "of the CD or its table",
            Class::Tt => "of the stage 1 descriptor",
            Class::In if self.context.is_some() => "that stage 1 yields",
            Class::In => "of the transaction",
        };
        let mut step =
            Step::bare("IPA", Place::Walk, &[ipa.0]).meaning(format!("the address {what}, for stage 2"));
        let stage2 = self.service.and_then(|service| service.stage2);
        if let Some(stage2) = stage2
            && !Stage2Look::new(&stage2, self.wide()).covers(ipa)
        {
            step.decides = true;
            step.meaning += &format!("; it has more than the {} bits that S2T0SZ leaves", stage2.input_bits);
            self.blame(self.ste, &["s2t0sz"]);
        }
        self.push(step);
    }

    pub(super) fn ipa_cached(&mut self, page: Stage2Page, walked_on: bool) {
        let step = Step::bare("IPA cache entry", Place::Cache, &[page.base.0]);
        let not_enough = if walked_on { "; not enough, so the tables are walked" } else { "" };
        let meaning = format!(
            "maps {} at {}, which permits {}{not_enough}",
            size(1 << page.size_bits.min(63)),
            page.base,
            permits(page.permissions)
        );
        self.push(step.meaning(meaning));
    }

    pub(super) fn descriptor(&mut self, index: usize, stage: Stage, level: i32, at: Pa, raw: u64) {
        let place = Place::Memory(Hex(at.0));
        // Levels are -1 to 3.
        let names = if stage == Stage::One { &STAGE1 } else { &STAGE2 };
        let table = usize::try_from(level + 1).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
        match stage {
            Stage::One => self.stage1(index, table, place, level, raw),
            Stage::Two => self.stage2(index, table, place, level, raw),
        }
    }

    /// The fault that this descriptor is at fault for: it is the last of its stage, and nothing was asked
    /// of stage 2 since.
    fn fault_at(&self, index: usize, stage: Stage) -> Option<TranslationFault> {
        let fault = self.run.fault().filter(|fault| fault.stage == stage)?;
        let later = |sight: &Sight| match sight {
            Sight::Descriptor { stage: there, .. } => *there == stage,
            Sight::Asked { .. } => true,
            _ => false,
        };
        (!self.run.sights[index + 1..].iter().any(later)).then_some(fault)
    }

    /// What stage 1 has been told by the tables so far.
    fn look<'c>(
        &self,
        context: &'c crate::smmuv3::tables::cd::Context,
        index: usize,
    ) -> Option<Stage1Look<'c>> {
        let address = self.question.request.address.0;
        let privileged = self.wanted().privileged;
        let mut look = Stage1Look::new(&context.stage1, address, privileged, self.wide()).ok()?;
        for sight in &self.run.sights[..index] {
            match *sight {
                Sight::Stage1 { table, .. } => look.start(table.rights),
                Sight::Descriptor { stage: Stage::One, level, raw, .. } => {
                    look.next(level, raw);
                }
                _ => {}
            }
        }
        Some(look)
    }

    fn stage1(&mut self, index: usize, table: &'static str, place: Place, level: i32, raw: u64) {
        let Some(context) = self.context else { return };
        let Some(mut look) = self.look(&context, index) else { return };
        let meaning = look.next(level, raw);
        let entry = Stage1Descriptor::from_raw(raw);
        let to = if self.service.is_some_and(|service| service.stage2.is_some()) { "IPA " } else { "" };
        let mut step =
            self.shown(table, place, raw, meaning, |place| Step::new(table, place, &[raw], &entry), to);
        if let Meaning::Page { .. } = meaning {
            step.meaning += &format!(", which permits {}", permits(look.permissions(raw)));
            let wanted = self.wanted();
            match self.fault_at(index, Stage::One).map(|fault| fault.kind) {
                Some(FaultKind::Access) => {
                    step.blame(&["af"]);
                    step.meaning += "; AF = 0, and the CD leaves it to software";
                }
                Some(FaultKind::Permission) => {
                    let Culprits { descriptor, context, limits } = look.culprits(raw, wanted);
                    if !descriptor.is_empty() {
                        step.blame(&descriptor);
                    }
                    step.meaning += &format!("; no {}", Self::wanted_text(wanted));
                    if !context.is_empty() {
                        self.blame(self.cd, &context);
                    }
                    if limits {
                        self.blame_limits();
                    }
                }
                _ => step.meaning += &Self::update_text(raw, look.after(raw, wanted.write)),
            }
        }
        let step = self.push(step);
        self.pointers[0] = Some((step, "address"));
    }

    /// The tables that take away rights.
    fn blame_limits(&mut self) {
        let limiting = |step: &&mut Step| step.value_of("limits").is_some_and(|limits| limits != 0);
        self.steps.iter_mut().filter(|step| STAGE1.contains(&step.table)).filter(limiting).for_each(|step| {
            step.blame(&["limits"]);
        });
    }

    fn stage2(&mut self, index: usize, table: &'static str, place: Place, level: i32, raw: u64) {
        let Some(stage2) = self.service.and_then(|service| service.stage2) else { return };
        let look = Stage2Look::new(&stage2, self.wide());
        let meaning = look.meaning(level, raw);
        let entry = Stage2Descriptor::from_raw(raw);
        let mut step =
            self.shown(table, place, raw, meaning, |place| Step::new(table, place, &[raw], &entry), "");
        if let Meaning::Page { .. } = meaning {
            let class = self.asked.map_or(Class::In, |(_, class)| class);
            step.meaning += &format!(", which permits {}", permits(look.permissions(raw)));
            let fault = self.fault_at(index, Stage::Two);
            // A descriptor of stage 1 that is not read is to be written.
            let wanted = match (class, fault) {
                (Class::In, _) => self.wanted(),
                (
                    Class::Tt,
                    Some(TranslationFault { kind: FaultKind::Permission, descriptor_read: false, .. }),
                ) => Wanted { write: true, ..FETCH },
                (Class::Tt | Class::Cd, _) => FETCH,
            };
            match fault.map(|fault| fault.kind) {
                Some(FaultKind::Access) => {
                    step.blame(&["af"]);
                    step.meaning += "; AF = 0, and the STE leaves it to software";
                }
                Some(FaultKind::Permission) if look.keeps_out(raw, class) => {
                    step.blame(&["memattr"]);
                    step.meaning += "; Device memory, where S2PTW = 1 lets no tables be";
                    self.blame(self.ste, &["s2ptw"]);
                }
                Some(FaultKind::Permission) => {
                    step.blame(&look.culprits(raw, wanted));
                    step.meaning += &format!("; no {}", Self::wanted_text(wanted));
                }
                _ => step.meaning += &Self::update_text(raw, look.after(raw, wanted.write)),
            }
        }
        let step = self.push(step);
        self.pointers[1] = Some((step, "address"));
    }

    /// A descriptor with what it means; `page` shows it as one of a page, `to` says what its address is.
    fn shown(
        &self,
        table: &'static str,
        place: Place,
        raw: u64,
        meaning: Meaning,
        page: impl Fn(Place) -> Step,
        to: &str,
    ) -> Step {
        match meaning {
            Meaning::Table { next, .. } => {
                let entry = TableDescriptor::from_raw(raw);
                Step::new(table, place, &[raw], &entry).meaning(format!("the next table is at {to}{next:#x}"))
            }
            Meaning::Page { base, bits } => {
                // At most 48.
                page(place).meaning(format!("maps {} at {to}{base:#x}", size(1 << bits.min(63))))
            }
            Meaning::Absent => {
                let mut step = page(place);
                step.blame(&["kind"]);
                let why = if raw & 1 == 0 { "not valid" } else { "not a descriptor of this level" };
                step.meaning(format!("{why}: nothing is mapped here"))
            }
            Meaning::Beyond => {
                let mut step = page(place);
                step.blame(&["address"]);
                step.meaning("the address in it is beyond the output size")
            }
        }
    }

    fn wanted_text(wanted: Wanted) -> String {
        let who = if wanted.privileged { "privileged" } else { "unprivileged" };
        let what = match wanted {
            Wanted { write: true, read: true, .. } => "reads and writes",
            Wanted { write: true, .. } => "writes",
            Wanted { instruction: true, .. } => "instruction fetches",
            _ => "reads",
        };
        format!("{who} {what}")
    }

    /// What the unit would do to a descriptor on the way.
    fn update_text(raw: u64, after: u64) -> String {
        if raw == after { String::new() } else { format!("; the unit updates it to {after:#018x}") }
    }
}
