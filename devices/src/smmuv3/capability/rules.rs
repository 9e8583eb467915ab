//! What the ID registers may say together [SMMUv3 6.3.1 to 6.3.6].

use thiserror::Error;

use super::Config;
use crate::smmuv3::regs::{Idr0, Idr3, Idr5};

/// A unit that the architecture does not allow, or that is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such SMMU: {rule} [SMMUv3 {section}]")]
pub struct Inconsistent {
    /// What should hold.
    pub rule: &'static str,
    /// Where the specification says so.
    pub section: &'static str,
}

/// A rule, and whether a unit breaks it.
pub(super) struct Rule {
    section: &'static str,
    pub(super) text: &'static str,
    broken: fn(&Config) -> bool,
}

const fn rule(section: &'static str, text: &'static str, broken: fn(&Config) -> bool) -> Rule {
    Rule { section, text, broken }
}

/// All rules, in the order in which they are checked. Of the features of later versions a unit may have
/// those of the next one [SMMUv3 2.9].
pub(super) const RULES: &[Rule] = &[
    rule("6.3.8", "the minor version is 0 to 3", |c| c.minor > 3),
    // What is not modelled.
    rule("6.3.1", "IDR0.TTF is 0b10: VMSAv8-64 is the only table format here", |c| c.idr0.ttf() != 0b10),
    rule("6.3.1", "IDR0.ATS, PRI, ATSRECERR and NS1ATS are 0: there is no ATS here", |c| {
        c.idr0.ats() || c.idr0.pri() || c.idr0.atsrecerr() || c.idr0.ns1ats()
    }),
    rule("6.3.1", "IDR0.ATOS and VATOS are 0: there are no translation operations here", |c| {
        c.idr0.atos() || c.idr0.vatos()
    }),
    rule("6.3.1", "IDR0.BTM is 0: no broadcast of TLB maintenance reaches the unit", |c| c.idr0.btm()),
    rule("6.3.1", "IDR0.DORMHINT is 0: there is no dormant hint here", |c| c.idr0.dormhint()),
    rule("6.3.1", "IDR0.HTTU is 0 to 2: access flags of table descriptors are not updated here", |c| {
        c.idr0.httu() > 2
    }),
    rule("6.3.1", "IDR0.ST_LEVEL is 0 or 1", |c| c.idr0.st_level() > 1),
    rule("6.3.1", "IDR0.STALL_MODEL is 0 to 2", |c| c.idr0.stall_model() > 2),
    rule("6.3.1", "IDR0.TTENDIAN is 0, 2 or 3", |c| c.idr0.ttendian() == 1),
    rule("6.3.1", "the reserved bits of IDR0 are 0", |c| c.idr0.raw() & Idr0::RESERVED != 0),
    rule("6.3.2", "IDR1.ECMDQ is 0: there are no enhanced command queues here", |c| c.idr1.ecmdq()),
    rule(
        "6.3.2",
        "IDR1.TABLES_PRESET, QUEUES_PRESET and REL are 0: software places tables and queues",
        |c| c.idr1.tables_preset() || c.idr1.queues_preset() || c.idr1.rel(),
    ),
    rule("6.3.2", "IDR1.PRIQS is 0 without page requests", |c| c.idr1.priqs() != 0),
    rule("6.3.4", "IDR3.PASIDTT, DPT and PPS are 0 without ATS", |c| {
        c.idr3.pasidtt() || c.idr3.dpt() || c.idr3.pps()
    }),
    rule("6.3.4", "IDR3.EPAN, MPAM and PBHA are 0: they are not modelled here", |c| {
        c.idr3.epan() || c.idr3.mpam() || c.idr3.pbha()
    }),
    rule("6.3.4", "the reserved bits of IDR3 are 0", |c| c.idr3.raw() & Idr3::RESERVED != 0),
    rule("6.3.6", "IDR5.D128 is 0: 128-bit descriptors are not modelled here", |c| c.idr5.d128()),
    rule("6.3.6", "IDR5.VAX is 0 or 1: input addresses have at most 52 bits", |c| c.idr5.vax() > 1),
    rule("6.3.6", "IDR5.OAS is 0 to 6: output addresses have at most 52 bits", |c| c.idr5.oas() > 6),
    rule("6.3.6", "the reserved bits of IDR5 are 0", |c| c.idr5.raw() & Idr5::RESERVED != 0),
    // Sizes.
    rule("6.3.2", "IDR1.CMDQS is at most 19", |c| c.idr1.cmdqs() > 19),
    rule("6.3.2", "IDR1.EVENTQS is at most 19", |c| c.idr1.eventqs() > 19),
    rule("6.3.2", "IDR1.SSIDSIZE is at most 20", |c| c.idr1.ssidsize() > 20),
    rule("6.3.2", "IDR1.SIDSIZE is at most 32", |c| c.idr1.sidsize() > 32),
    rule("6.3.2", "IDR1.SIDSIZE from 7 on needs two-level stream tables, IDR0.ST_LEVEL = 1", |c| {
        c.idr1.sidsize() >= 7 && c.idr0.st_level() == 0
    }),
    rule("6.3.6", "IDR5 has at least one of GRAN4K, GRAN16K and GRAN64K", |c| {
        !(c.idr5.gran4k() || c.idr5.gran16k() || c.idr5.gran64k())
    }),
    rule("6.3.6", "IDR5.VAX = 1 needs SMMUv3.1", |c| c.idr5.vax() != 0 && c.minor < 1),
    rule("6.3.6", "IDR5.VAX = 1 needs GRAN64K, or DS with GRAN4K or GRAN16K", |c| {
        c.idr5.vax() != 0 && !c.idr5.gran64k() && !(c.idr5.ds() && small_granule(c))
    }),
    rule("6.3.6", "IDR5.OAS = 6, 52 bits, needs SMMUv3.1", |c| c.idr5.oas() == 6 && c.minor < 1),
    rule("6.3.6", "IDR5.OAS = 6, 52 bits, needs GRAN64K or DS", |c| {
        c.idr5.oas() == 6 && !c.idr5.gran64k() && !c.idr5.ds()
    }),
    rule("6.3.6", "IDR5.DS needs GRAN4K or GRAN16K", |c| c.idr5.ds() && !small_granule(c)),
    rule("6.3.6", "IDR5.DS needs VAX = 1", |c| c.idr5.ds() && c.idr5.vax() == 0),
    rule("2.8", "IDR5.DS needs SMMUv3.3", |c| c.idr5.ds() && c.minor < 3),
    // Stages.
    rule("6.3.1", "IDR0 has at least one of S1P and S2P", |c| !c.idr0.s1p() && !c.idr0.s2p()),
    rule("3.2", "IDR1.SSIDSIZE is 0 without stage 1", |c| c.idr1.ssidsize() != 0 && !c.idr0.s1p()),
    rule("6.3.1", "IDR0.Hyp is 0 unless both stages are there", |c| c.idr0.hyp() && !both_stages(c)),
    rule("6.3.1", "IDR0.Hyp is 1 from SMMUv3.2 on where both stages are there", |c| {
        !c.idr0.hyp() && both_stages(c) && c.minor >= 2
    }),
    rule("6.3.1", "IDR0.VMW is 0 without stage 2", |c| c.idr0.vmw() && !c.idr0.s2p()),
    rule("6.3.4", "IDR3.HAD is 0 without stage 1", |c| c.idr3.had() && !c.idr0.s1p()),
    rule("6.3.4", "IDR3.HAD is 1 from SMMUv3.1 on where stage 1 is there", |c| {
        !c.idr3.had() && c.idr0.s1p() && c.minor >= 1
    }),
    rule("6.3.4", "IDR3.XNX is 0 in SMMUv3.0", |c| c.idr3.xnx() && c.minor == 0),
    rule("6.3.4", "IDR3.XNX is 1 from SMMUv3.1 on where stage 2 is there", |c| {
        !c.idr3.xnx() && c.idr0.s2p() && c.minor >= 1
    }),
    rule("6.3.4", "IDR3.PTWNNC is 0 without stage 2", |c| c.idr3.ptwnnc() && !c.idr0.s2p()),
    rule("6.3.4", "IDR3.PTWNNC is 1 from SMMUv3.3 on where stage 2 is there", |c| {
        !c.idr3.ptwnnc() && c.idr0.s2p() && c.minor >= 3
    }),
    // Versions.
    rule("6.3.4", "IDR3.BBML is 0 to 2", |c| c.idr3.bbml() > 2),
    rule("6.3.4", "IDR3.BBML is 1 or 2 from SMMUv3.2 on", |c| c.idr3.bbml() == 0 && c.minor >= 2),
    rule("6.3.4", "IDR3.RIL is 1 from SMMUv3.2 on", |c| !c.idr3.ril() && c.minor >= 2),
    rule("6.3.4", "IDR3.FWB is 1 from SMMUv3.2 on", |c| !c.idr3.fwb() && c.minor >= 2),
    rule("6.3.4", "IDR3.E0PD is 1 from SMMUv3.3 on", |c| !c.idr3.e0pd() && c.minor >= 3),
    rule("2.9", "IDR3.BBML, RIL, FWB and STT, of SMMUv3.2, are 0 in SMMUv3.0", |c| {
        (c.idr3.bbml() != 0 || c.idr3.ril() || c.idr3.fwb() || c.idr3.stt()) && c.minor == 0
    }),
    rule("2.9", "IDR3.E0PD and PTWNNC, of SMMUv3.3, need SMMUv3.2", |c| {
        (c.idr3.e0pd() || c.idr3.ptwnnc()) && c.minor < 2
    }),
    // Faults and updates.
    rule("6.3.6", "IDR5.STALL_MAX is 0 where IDR0.STALL_MODEL is 1, and not where faults can stall", |c| {
        (c.idr5.stall_max() == 0) != (c.idr0.stall_model() == 1)
    }),
    rule("6.3.1", "IDR0.STALL_MODEL is not 2 before PCIe, whose transactions must not stall", |c| {
        c.idr0.stall_model() == 2 && !c.streams.is_empty()
    }),
    rule("6.3.1", "IDR0.HTTU needs coherent access to tables, IDR0.COHACC = 1", |c| {
        c.idr0.httu() != 0 && !c.idr0.cohacc()
    }),
];

fn small_granule(config: &Config) -> bool {
    config.idr5.gran4k() || config.idr5.gran16k()
}

fn both_stages(config: &Config) -> bool {
    config.idr0.s1p() && config.idr0.s2p()
}

impl Config {
    /// Whether the ID registers are ones that a unit can have, and that are modelled.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Inconsistent> {
        match RULES.iter().find(|rule| (rule.broken)(self)) {
            Some(rule) => Err(Inconsistent { rule: rule.text, section: rule.section }),
            None => Ok(()),
        }
    }
}
