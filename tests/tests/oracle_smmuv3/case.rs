//! A case: a unit, its tables, and transactions.

use std::collections::BTreeMap;
use std::fmt;

use devices::addr::StreamId;
use devices::iommu::cache::Policy;
use devices::smmuv3::Config;
use devices::smmuv3::capability::Override;
use devices::smmuv3::stream_map::{RequesterRange, StreamMap};
use tests::oracle::smmuv3::Transaction;

/// Units to try: preset and overrides. Some come twice, because there is more to them.
pub const UNITS: [(&str, &str); 16] = [
    ("smmuv3.0-s1", ""),
    ("smmuv3.0-s1", "oas=40,ssidsize=8,cd2l=on,ttendian=mixed,granules=4k+16k+64k,had=on"),
    ("smmuv3.1-s2", ""),
    ("smmuv3.1-s2", "oas=40,vmid16=off,ttendian=big,granules=4k+16k+64k"),
    ("smmuv3.2-nested", ""),
    ("smmuv3.2-nested", "httu=access,term-model=1,ssidsize=0"),
    ("smmuv3.2-nested", "stall=forced"),
    ("smmuv3.2-nested", "oas=44,asid16=off,vmid16=off,attr-perms-ovr=off,cd2l=off,st-level=0,sidsize=6"),
    ("smmuv3.2-nested", "granules=64k,vax=52,oas=52,ttendian=little"),
    ("smmuv3.2-nested", "stt=on,httu=dirty,oas=42"),
    ("smmuv3.3-full", ""),
    ("smmuv3.3-full", ""),
    ("smmuv3.3-full", ""),
    ("smmuv3.3-full", "stall=off,oas=32"),
    ("smmuv3.3-full", "stall=off"),
    ("smmuv3.3-full", "ds=off,httu=off"),
];

/// The unit of this number, all PCI functions of segment 0 before it unless it must stall.
///
/// # Errors
/// A sentence, if there is no such unit.
pub fn config(number: usize, cache: Policy) -> Result<Config, String> {
    let (preset, overrides) = UNITS[number];
    let mut config = Config::preset(preset).ok_or("no such preset")?;
    for (key, value) in overrides.split(',').filter_map(|option| option.split_once('=')) {
        let option = Override::named(key).ok_or("no such option")?;
        option.apply(&mut config, value).map_err(|e| e.to_string())?;
    }
    if config.idr0.stall_model() != 2 {
        let range = RequesterRange { segment: 0, first: 0, last: 0xffff, stream: StreamId(0) };
        config.streams = StreamMap::new(vec![range]);
    }
    config.check().map_err(|e| e.to_string())?;
    // Any seed will do, as long as it stays the same.
    Ok(Config { cache, seed: 7, ..config })
}

/// Who masters the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Master {
    /// A PCI function.
    Pci,
    /// Another master.
    Platform,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What the unit is asked.
    pub transaction: Transaction,
    /// By whom.
    pub master: Master,
    /// Bytes, of which none are in another qword than the first: 0 for a read that only asks.
    pub len: u64,
}

/// Everything that happens to a unit between two resets of its tables.
pub struct Case {
    /// Number in [`UNITS`].
    pub unit: usize,
    /// Which caching policy to try beside "off".
    pub policy: Policy,
    /// SMMU_CR0.SMMUEN.
    pub enabled: bool,
    /// SMMU_CR2.
    pub cr2: u32,
    /// SMMU_GBPA without Update.
    pub gbpa: u32,
    /// SMMU_STRTAB_BASE.
    pub strtab_base: u64,
    /// SMMU_STRTAB_BASE_CFG.
    pub strtab_base_cfg: u32,
    /// Qwords of the tables.
    pub words: BTreeMap<u64, u64>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, enabled, cr2, gbpa, strtab_base, strtab_base_cfg, words, steps, policy: _ } = self;
        let (preset, overrides) = UNITS[*unit];
        writeln!(f, "{preset},{overrides}; SMMUEN {enabled}, CR2 {cr2:#x}, GBPA {gbpa:#x}")?;
        writeln!(f, "STRTAB_BASE {strtab_base:#x}, STRTAB_BASE_CFG {strtab_base_cfg:#x}")?;
        for (pa, word) in words.iter().filter(|(_, word)| **word != 0) {
            writeln!(f, "  [{pa:#x}] = {word:#018x}")?;
        }
        for (number, step) in steps.iter().enumerate() {
            writeln!(f, "step {number}: {step:x?}")?;
        }
        Ok(())
    }
}
