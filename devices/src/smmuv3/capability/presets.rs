//! The units that have a name.

use super::Config;
use crate::iommu::cache::Policy;
use crate::iommu::{UnitId, UnitKind};
use crate::smmuv3::regs::{Idr0, Idr1, Idr3, Idr5};
use crate::smmuv3::stream_map::StreamMap;

/// TTF: VMSAv8-64, the only format there is here.
const VMSAV8_64: u8 = 0b10;
/// TTENDIAN.
const MIXED_ENDIAN: u8 = 0b00;
const LITTLE_ENDIAN: u8 = 0b10;
/// STALL_MODEL: no stalls.
const TERMINATE_ONLY: u8 = 0b01;

impl Config {
    /// Names that [`Self::preset`] knows.
    pub const PRESETS: &'static [&'static str] =
        &["smmuv3.0-s1", "smmuv3.1-s2", "smmuv3.2-nested", "smmuv3.3-full"];

    /// The preset of this name.
    ///
    /// - `smmuv3.0-s1`: stage 1 only, as the first silicon: 4K and 64K granules, 44-bit addresses, 8-bit
    ///   ASIDs, one CD for each stream, wired interrupts, faults terminate.
    /// - `smmuv3.1-s2`: stage 2 only, 48-bit addresses, 16-bit VMIDs, message interrupts. Software that
    ///   would rather use stage 1, as Linux does, has to use stage 2 here.
    /// - `smmuv3.2-nested`: both stages and EL2 contexts, every granule, 48-bit addresses, two-level
    ///   tables, 16-bit SubstreamIDs, range invalidation, break-before-make level 2, stalls.
    /// - `smmuv3.3-full`: in addition 52-bit addresses with every granule, hardware update of access flag and dirty state, small tables, E0PD,
    ///   PTWNNC, VMID wildcards, 20-bit SubstreamIDs.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "smmuv3.0-s1" => Some(stage_1()),
            "smmuv3.1-s2" => Some(stage_2()),
            "smmuv3.2-nested" => Some(nested()),
            "smmuv3.3-full" => Some(full()),
            _ => None,
        }
    }
}

/// What all presets share.
fn base() -> Config {
    Config {
        unit: UnitId::only(UnitKind::Smmuv3),
        idr0: Idr0::ZERO.with_st_level(1).with_ttendian(MIXED_ENDIAN).with_cohacc(true).with_ttf(VMSAV8_64),
        idr1: Idr1::ZERO.with_cmdqs(12).with_eventqs(12).with_sidsize(16),
        idr3: Idr3::ZERO,
        idr5: Idr5::ZERO.with_gran4k(true).with_gran64k(true).with_oas(5),
        minor: 0,
        streams: StreamMap::default(),
        wires: None,
        doorbell: None,
        cache: Policy::Retain,
        tlb_entries: 4096,
        seed: 0,
        sanitize: false,
        concurrent: false,
    }
}

fn stage_1() -> Config {
    let base = base();
    Config {
        idr0: base.idr0.with_s1p(true).with_stall_model(TERMINATE_ONLY).with_ttendian(LITTLE_ENDIAN),
        idr5: base.idr5.with_oas(4),
        ..base
    }
}

fn stage_2() -> Config {
    let base = base();
    Config {
        idr0: base.idr0.with_s2p(true).with_stall_model(TERMINATE_ONLY).with_vmid16(true).with_msi(true),
        idr3: base.idr3.with_xnx(true),
        minor: 1,
        ..base
    }
}

fn nested() -> Config {
    let base = base();
    Config {
        idr0: base
            .idr0
            .with_s1p(true)
            .with_s2p(true)
            .with_hyp(true)
            .with_cd2l(true)
            .with_asid16(true)
            .with_vmid16(true)
            .with_sev(true)
            .with_msi(true),
        idr1: base.idr1.with_attr_types_ovr(true).with_attr_perms_ovr(true).with_ssidsize(16),
        idr3: base.idr3.with_bbml(2).with_ril(true).with_fwb(true).with_xnx(true).with_had(true),
        idr5: base.idr5.with_gran16k(true).with_stall_max(128),
        minor: 2,
        ..base
    }
}

fn full() -> Config {
    let nested = nested();
    Config {
        idr0: nested.idr0.with_httu(2).with_vmw(true),
        idr1: nested.idr1.with_cmdqs(19).with_eventqs(19).with_ssidsize(20).with_sidsize(24),
        idr3: nested.idr3.with_stt(true).with_e0pd(true).with_ptwnnc(true),
        idr5: nested.idr5.with_oas(6).with_vax(1).with_ds(true),
        minor: 3,
        ..nested
    }
}
