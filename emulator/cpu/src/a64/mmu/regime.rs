//! The translation regime EL1&0 as its control registers describe it, decoded.

use crate::a64::features::Features;
use crate::a64::sysreg::{SysRegs, sctlr};

/// One half of the address space: what TTBR0 or TTBR1 translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::a64) struct Half {
    /// TTBR without its ASID.
    pub(in crate::a64) base: u64,
    /// Bits of address that are translated.
    pub(in crate::a64) input_bits: u32,
    /// Log2 of the granule.
    pub(in crate::a64) granule: u32,
    /// EPD: no walks, every miss is a translation fault.
    pub(in crate::a64) disabled: bool,
    /// TBI: the top byte is ignored.
    pub(in crate::a64) ignores_top: bool,
    /// HPD: permissions in table descriptors are ignored.
    pub(in crate::a64) flat_permissions: bool,
}

/// The whole regime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::a64) struct Regime {
    /// SCTLR.M
    pub(in crate::a64) enabled: bool,
    /// SCTLR.A
    pub(in crate::a64) aligned: bool,
    /// SCTLR.WXN
    pub(in crate::a64) write_implies_xn: bool,
    pub(in crate::a64) halves: [Half; 2],
    pub(in crate::a64) mair: u64,
    /// Bits of an output address.
    pub(in crate::a64) output_bits: u32,
    /// Bits of a physical address: what the processor has, whatever TCR.IPS says.
    pub(in crate::a64) physical_bits: u32,
    /// TCR.HA
    pub(in crate::a64) hardware_af: bool,
    /// TCR.HD
    pub(in crate::a64) hardware_dirty: bool,
    /// The current ASID.
    pub(in crate::a64) asid: u16,
}

/// Output bits for an IPS or PARange value [Arm D8.1.6]; reserved values act as 48 bits.
pub(in crate::a64) const fn output_bits(field: u64) -> u32 {
    match field {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}

impl Regime {
    pub(in crate::a64) fn of(sys: &SysRegs, features: &Features) -> Self {
        let tcr = sys.tcr;
        let bit = |at: u32| tcr >> at & 1 != 0;
        let half = |ttbr: u64, size: u64, granule: u32, epd: u32, tbi: u32, hpd: u32| Half {
            base: ttbr & 0xffff_ffff_fffe,
            // Sizes outside the range this CPU supports act as the nearest one inside it.
            input_bits: 64 - (size & 0x3f).clamp(16, 39) as u32,
            granule,
            disabled: bit(epd),
            ignores_top: bit(tbi),
            flat_permissions: features.hpds && bit(hpd),
        };
        // Reserved granules act as 4 KiB.
        let granule0 = [12, 16, 14, 12][(tcr >> 14 & 3) as usize];
        let granule1 = [12, 14, 12, 16][(tcr >> 30 & 3) as usize];
        let ttbr = if bit(22) { sys.ttbr1 } else { sys.ttbr0 };
        let hardware_af = features.hafdbs && bit(39);
        Self {
            enabled: sys.sctlr & sctlr::M != 0,
            aligned: sys.sctlr & sctlr::A != 0,
            write_implies_xn: sys.sctlr & sctlr::WXN != 0,
            halves: [
                half(sys.ttbr0, tcr, granule0, 7, 37, 41),
                half(sys.ttbr1, tcr >> 16, granule1, 23, 38, 42),
            ],
            mair: sys.mair,
            output_bits: output_bits(tcr >> 32 & 7).min(u32::from(features.pa_bits)),
            physical_bits: u32::from(features.pa_bits.min(48)),
            hardware_af,
            hardware_dirty: hardware_af && bit(40),
            // An ASID has 16 bits; 8 where TCR.AS says so.
            asid: (ttbr >> 48) as u16 & if features.asid16 && bit(36) { 0xffff } else { 0xff },
        }
    }

    /// Which half an address belongs to: bit 55 says.
    pub(in crate::a64) fn half(&self, va: u64) -> &Half {
        &self.halves[(va >> 55 & 1) as usize]
    }

    /// The address that PC gets when `va` is branched to: an ignored top byte becomes a copy of
    /// bit 55.
    pub(in crate::a64) fn canonical(&self, va: u64) -> u64 {
        if self.half(va).ignores_top { ((va << 8) as i64 >> 8) as u64 } else { va }
    }
}
