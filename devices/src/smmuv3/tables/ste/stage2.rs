//! The stage-2 fields of an STE [SMMUv3 5.2; Arm ARM D8.2].

use super::{Illegal, Ste};
use crate::addr::Pa;
use crate::smmuv3::capability::Config;
use crate::smmuv3::tables::{aligned, exceeds, first_table_bits, reachable_bits, shareability};
use crate::smmuv3::vmsa::{Granule, HardwareUpdate, Stage2};

/// Decodes what an STE with Config = 11x says of stage 2; `nested` is Config = 111.
pub(super) fn decode(ste: Ste, nested: bool, config: &Config) -> Result<Stage2, Illegal> {
    match (config.idr0.stall_model(), ste.s2s()) {
        (0b01, true) => return Err(Illegal::StallAbsent),
        (0b10, false) => return Err(Illegal::StallForced),
        _ => {}
    }
    if !ste.s2aa64() {
        return Err(Illegal::Vmsav8_32);
    }
    match (config.idr0.httu(), ste.s2ha(), ste.s2hd()) {
        (0b00, true, _) | (0b00, _, true) => return Err(Illegal::NoHardwareUpdate),
        (0b01, _, true) => return Err(Illegal::NoDirtyUpdate),
        _ => {}
    }
    let granule = granule(ste.s2tg()).filter(|granule| config.supports(*granule)).ok_or(Illegal::Granule)?;
    let ds = config.effective_ds(ste.s2ds(), granule);
    let output_bits = config.output_bits(ste.s2ps());
    let table = ste.s2ttb() << 4 & config.table_address_mask();
    if exceeds(table, reachable_bits(output_bits, granule, ds)) {
        return Err(Illegal::TableRange);
    }
    let size = u32::from(ste.s2t0sz());
    if size < smallest_size(granule, ds, config) || size > config.largest_size(granule) {
        return Err(Illegal::InputSize);
    }
    let input_bits = 64 - size;
    // S2SL0_2 is bit 2 of S2SL0 where descriptors are in the 52-bit form of the 4K granule.
    let sl0 =
        if ds && granule == Granule::K4 { u8::from(ste.s2sl0_2()) << 2 | ste.s2sl0() } else { ste.s2sl0() };
    let start_level = start_level(sl0, granule, ds, config).ok_or(Illegal::StartLevel)?;
    let index_bits = index_bits(input_bits, start_level, granule).ok_or(Illegal::StartLevel)?;
    match (config.idr0.ttendian(), ste.s2endi()) {
        (0b10, true) | (0b11, false) => return Err(Illegal::Endianness),
        _ => {}
    }
    Ok(Stage2 {
        granule,
        input_bits,
        start_level,
        table: Pa(aligned(table, first_table_bits(index_bits, output_bits))),
        output_bits: reachable_bits(output_bits, granule, ds),
        ds,
        big_endian: ste.s2endi(),
        protected_walk: nested && ste.s2ptw(),
        forced_write_back: config.idr3.fwb() && ste.s2fwb(),
        xnx: config.idr3.xnx(),
        shareability: shareability(ste.s2sh0()),
        update: HardwareUpdate {
            access: ste.s2ha(),
            // S2HD alone is reserved, and behaves as neither.
            dirty: ste.s2ha() && ste.s2hd(),
            no_access_fault: ste.s2affd() && !ste.s2ha(),
        },
    })
}

/// S2TG.
const fn granule(encoding: u8) -> Option<Granule> {
    match encoding {
        0b00 => Some(Granule::K4),
        0b01 => Some(Granule::K64),
        0b10 => Some(Granule::K16),
        _ => None,
    }
}

/// The least S2T0SZ.
fn smallest_size(granule: Granule, ds: bool, config: &Config) -> u32 {
    let by_address_size = 64 - config.ias_bits();
    let widest = if granule == Granule::K64 || ds { 12 } else { 16 };
    if config.minor == 0 { by_address_size } else { by_address_size.max(widest) }
}

/// The first level of a walk. What each encoding needs of the output address size is that of a PE's
/// VTCR_EL2 [Arm ARM D8.2, AArch64.S2InvalidSL()].
fn start_level(sl0: u8, granule: Granule, ds: bool, config: &Config) -> Option<i32> {
    let oas = config.oas_bits();
    match (granule, sl0) {
        (Granule::K4, 0b100) if oas >= 52 => Some(-1),
        (Granule::K4, 0b010) if oas >= 44 => Some(0),
        (Granule::K4, 0b001) => Some(1),
        (Granule::K4, 0b000) => Some(2),
        (Granule::K4, 0b011) if config.idr3.stt() => Some(3),
        (Granule::K16, 0b11) if ds && oas >= 52 => Some(0),
        (Granule::K16, 0b10) if oas >= 42 => Some(1),
        (Granule::K16 | Granule::K64, 0b01) => Some(2),
        (Granule::K16 | Granule::K64, 0b00) => Some(3),
        (Granule::K64, 0b10) if oas >= 44 => Some(1),
        _ => None,
    }
}

/// Input bits that the first level resolves: one at least, and at most four more than a table has, with 16
/// tables one after the other [Arm ARM D8.2, AArch64.S2InconsistentSL()].
fn index_bits(input_bits: u32, start_level: i32, granule: Granule) -> Option<u32> {
    // -1 to 3.
    let below = granule.bits() + granule.index_bits() * (3 - start_level).unsigned_abs();
    let bits = input_bits.checked_sub(below)?;
    (1..=granule.index_bits() + 4).contains(&bits).then_some(bits)
}
