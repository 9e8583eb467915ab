//! The stream table, the STE, CD tables and the CD.

use super::steps::Builder;
use crate::addr::{Pasid, StreamId};
use crate::iommu::explain::{Hex, Place, Step, size};
use crate::smmuv3::event::Reason;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::tables::Lookup;
use crate::smmuv3::tables::cd::{self, Cd, Context};
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::ste::{self, ContextLayout, ContextTable, Service, Ste, Stream};
use crate::smmuv3::tables::stream_table::{L1Std, StreamTable};
use crate::smmuv3::translate::select;
use crate::smmuv3::vmsa::Granule;
use crate::smmuv3::vmsa::look::is_high;

impl Builder<'_> {
    fn table(&self) -> StreamTable {
        let global = self.question.global;
        StreamTable::new(global.strtab_base, global.strtab_base_cfg, self.question.config)
    }

    /// What the first entry of the stream table on the way is.
    pub(super) fn first_stream_entry(&self) -> &'static str {
        let lookup = self.question.stream.and_then(|stream| self.table().locate(stream));
        if matches!(lookup, Some(Lookup::TwoLevel { .. })) { "L1STD" } else { "STE" }
    }

    pub(super) fn stream_table(&mut self, stream: StreamId) {
        let global = self.question.global;
        let (base, cfg) = (global.strtab_base, global.strtab_base_cfg);
        let step = Step::new("SMMU_STRTAB_BASE", Place::Register(Hex(0x80)), &[base.raw()], &base);
        self.push(step.only(&["addr"]).meaning(format!("the stream table is at {:#x}", base.addr() << 6)));
        let place = Place::Register(Hex(0x88));
        let mut step = Step::new("SMMU_STRTAB_BASE_CFG", place, &[cfg.raw().into()], &cfg);
        step.meaning = match self.table().locate(stream) {
            None => {
                step.blame(&["log2size"]);
                let bits = cfg.log2size().min(self.question.config.idr1.sidsize());
                format!("StreamIDs of {bits} bits, and {stream} has more")
            }
            Some(Lookup::Linear(at)) => format!("linear; the STE of stream {stream} is at {at}"),
            Some(Lookup::TwoLevel { l1 }) => format!("two levels; the L1STD of stream {stream} is at {l1}"),
        };
        self.push(step);
    }

    pub(super) fn l1std(&mut self, place: Place, word: u64) {
        let entry = L1Std::from_raw(word);
        let mut step = Step::new("L1STD", place, &[word], &entry);
        let Some(stream) = self.question.stream else { return };
        step.meaning = match self.table().entry(entry, stream) {
            Some(at) => format!("the STE of stream {stream} is at {at}"),
            None => {
                step.blame(&["span"]);
                match entry.span() {
                    0 => "Span = 0: there are no STEs here".to_owned(),
                    span => {
                        format!("Span = {span} is reserved, or names a table too small for stream {stream}")
                    }
                }
            }
        };
        self.push(step);
    }

    pub(super) fn ste(&mut self, place: Place, words: [u64; 8]) {
        let (config, cr2) = (self.question.config, self.question.global.cr2);
        let entry = Ste::from_raw(words);
        let mut step = Step::new("STE", place, &words, &entry);
        step.meaning = match ste::decode(entry, config, cr2) {
            Err(illegal) => {
                step.blame(&[illegal.field()]);
                format!("ILLEGAL: {illegal} [SMMUv3 5.2.2]")
            }
            Ok(Stream::Abort) => {
                step.blame(&["config"]);
                "Config = 0b0xx: every transaction is aborted, without an event".to_owned()
            }
            Ok(Stream::Serve(service)) => {
                self.service = Some(service);
                self.served(&mut step, &service)
            }
        };
        self.ste = Some(self.push(step));
    }

    /// What a legal STE gives its stream.
    fn served(&self, step: &mut Step, service: &Service) -> String {
        let Service { world, vmid, contexts, stage2, overrides, .. } = service;
        let stages = match (contexts, stage2) {
            (None, None) => "both stages are bypassed: the address is used as it is",
            (Some(_), None) => "stage 1 translates",
            (None, Some(_)) => "stage 2 translates",
            (Some(_), Some(_)) => "both stages translate",
        };
        let world = match world {
            StreamWorld::El1 => format!("NS-EL1, VMID {vmid}"),
            StreamWorld::El2 => "NS-EL2".to_owned(),
            StreamWorld::El2E2h => "NS-EL2-E2H".to_owned(),
        };
        let mut meaning = format!("{stages}; {world}");
        if let Some(stage2) = stage2 {
            let (bits, at) = (stage2.input_bits, stage2.table);
            meaning += &format!(
                "; stage 2 has {bits} bits from level {}, {}, at {at}",
                stage2.start_level,
                pages(stage2.granule)
            );
        }
        for (choice, set, clear) in [
            (overrides.privileged, "privileged", "unprivileged"),
            (overrides.instruction, "an instruction fetch, if a read", "data"),
        ] {
            if let Some(choice) = choice {
                meaning += &format!("; the transaction counts as {}", if choice { set } else { clear });
            }
        }
        meaning + &self.substream(step, contexts.as_ref())
    }

    /// What the STE makes of the SubstreamID, or its absence.
    fn substream(&self, step: &mut Step, contexts: Option<&ContextTable>) -> String {
        let pasid = self.question.request.pasid;
        let named = pasid.map_or("none".to_owned(), |pasid| format!("{:#x}", pasid.get()));
        let Some(table) = contexts else {
            if pasid.is_none() {
                return String::new();
            }
            step.blame(&["config"]);
            return format!("; there is no stage 1 for SubstreamID {named}");
        };
        let index = match select(table, pasid) {
            Ok(Some(index)) => index,
            Ok(None) => return "; S1DSS = 0b01 bypasses stage 1 without a SubstreamID".to_owned(),
            Err(Reason::StreamDisabled) => {
                step.blame(&["s1dss"]);
                return format!("; S1DSS does not serve SubstreamID {named}");
            }
            Err(_) => {
                step.blame(&["s1cdmax"]);
                return format!(
                    "; S1CDMax leaves {} CDs, none for SubstreamID {named}",
                    1_u64 << table.log2_count
                );
            }
        };
        match (table.locate(index.get()), table.layout) {
            (Some(Lookup::Linear(at)), _) => format!("; the CD is at {}{at:#x}", self.ipa()),
            (Some(Lookup::TwoLevel { l1 }), _) => format!("; the L1CD is at {}{l1:#x}", self.ipa()),
            (None, ContextLayout::Linear | ContextLayout::Leaves4K | ContextLayout::Leaves64K) => {
                String::new()
            }
        }
    }

    /// A word before addresses of CDs where they are IPAs.
    fn ipa(&self) -> &'static str {
        if self.service.is_some_and(|service| service.stage2.is_some()) { "IPA " } else { "" }
    }

    /// The index of the CD, where there is one.
    fn index(&self) -> Option<(ContextTable, Pasid)> {
        let table = self.service?.contexts?;
        select(&table, self.question.request.pasid).ok()?.map(|index| (table, index))
    }

    pub(super) fn l1cd(&mut self, place: Place, word: u64) {
        let entry = L1Cd::from_raw(word);
        let mut step = Step::new("L1CD", place, &[word], &entry);
        let Some((table, index)) = self.index() else { return };
        step.meaning = match table.entry(entry, index.get(), self.question.config) {
            Some(at) => format!("the CD is at {}{at:#x}", self.ipa()),
            None if entry.v() => {
                step.blame(&["l2ptr"]);
                "the CDs lie beyond the address size, IDR5.OAS".to_owned()
            }
            None => {
                step.blame(&["v"]);
                "V = 0: there are no CDs here".to_owned()
            }
        };
        self.push(step);
    }

    pub(super) fn cd(&mut self, place: Place, words: [u64; 8]) {
        let Some(service) = self.service else { return };
        let entry = Cd::from_raw(words);
        let mut step = Step::new("CD", place, &words, &entry);
        let high = is_high(self.question.request.address.0);
        step.meaning = match cd::decode(entry, self.question.config, &service) {
            Err(illegal) => {
                step.blame(&[illegal.field()]);
                format!("ILLEGAL: {illegal} [SMMUv3 5.4.2]")
            }
            Ok(context) => {
                self.context = Some(context);
                let Context { asid, stage1, .. } = context;
                let half = if high { stage1.high } else { stage1.low };
                let tables = half.map_or("no tables for the address".to_owned(), |half| {
                    let name = if high { "TTB1" } else { "TTB0" };
                    format!(
                        "{name} has {} bits, {}, at {}{:#x}",
                        half.input_bits,
                        pages(half.granule),
                        self.ipa(),
                        half.table
                    )
                });
                format!("ASID {asid}; {tables}")
            }
        };
        let step = self.push(step);
        self.cd = Some(step);
        self.pointers[0] = Some((step, if high { "ttb1" } else { "ttb0" }));
    }
}

/// A granule in words.
fn pages(granule: Granule) -> String {
    format!("pages of {}", size(1 << granule.bits()))
}
