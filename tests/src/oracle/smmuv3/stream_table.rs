//! Stream table and STEs [SMMUv3 3.3.1, 5.1, 5.2].

use super::event::Refusal;
use super::{Context, Registers, align, bits, field, fits, flag};
use super::{stage2, tables};

/// The STE of the transaction's stream.
///
/// # Errors
/// C_BAD_STREAMID, F_STE_FETCH.
pub(super) fn fetch(cx: &mut Context) -> Result<[u64; 8], Refusal> {
    let unit = cx.unit;
    let (cfg, stream) = (u64::from(unit.strtab_base_cfg), u64::from(cx.subject.stream));
    let (fmt, split, log2size) = (bits(cfg, 17, 16), bits(cfg, 10, 6), bits(cfg, 5, 0) as u32);
    let split = if matches!(split, 6 | 8 | 10) { split as u32 } else { 6 };
    // Addresses of tables are cut to OAS.
    let cut = |address: u64| address & ((1 << unit.oas()) - 1);
    let base = cut(unit.strtab_base & 0xff_ffff_ffff_ffc0);

    let bad = || {
        // CR2.RECINVSID.
        if unit.cr2 >> 1 & 1 == 1 { cx.subject.refused(0x02) } else { Refusal::silent() }
    };
    let size = log2size.min(unit.idr1(5, 0) as u32);
    if stream >> size != 0 {
        return Err(bad());
    }
    let two_level = unit.idr0(28, 27) == 1 && fmt == 1;
    let at = if two_level {
        // The base is aligned to LOG2SIZE as it was written.
        let base = align(base, (log2size.saturating_sub(split) + 3).max(6));
        let at = base + 8 * (stream >> split);
        let Some(entry) = cx.memory.load(at) else { return Err(cx.subject.fetch_failed(0x03, at)) };
        let (span, index) = (bits(entry, 4, 0) as u32, bits(stream, split - 1, 0));
        if span == 0 || span > 11 || span - 1 > split || index >> (span - 1) != 0 {
            return Err(bad());
        }
        cut(align(entry & 0xff_ffff_ffff_ffc0, 6 + span - 1)) + 64 * index
    } else {
        align(base, log2size + 6) + 64 * stream
    };
    let mut ste = [0; 8];
    for (word, offset) in ste.iter_mut().zip((0..).step_by(8)) {
        match cx.memory.load(at + offset) {
            Some(value) => *word = value,
            None => return Err(cx.subject.fetch_failed(0x03, at)),
        }
    }
    Ok(ste)
}

/// STE.INSTCFG, of reads only, and STE.PRIVCFG, where IDR1.ATTR_PERMS_OVR says they count.
pub(super) fn override_attributes(cx: &mut Context, ste: &[u64; 8]) {
    if cx.unit.idr1(26, 26) == 0 {
        return;
    }
    match field(ste, 113, 112) {
        0b10 => cx.subject.privileged = false,
        0b11 => cx.subject.privileged = true,
        _ => {}
    }
    match field(ste, 115, 114) {
        0b10 => cx.subject.instruction = false,
        0b11 => cx.subject.instruction = cx.subject.read,
        _ => {}
    }
}

/// Whether stage 1 belongs to EL2: STE.STRW, used only with stage 1 alone and where IDR0.Hyp is 1.
pub(super) fn is_el2(unit: &Registers, ste: &[u64; 8]) -> bool {
    field(ste, 3, 1) == 0b101 && unit.idr0(9, 9) == 1 && field(ste, 95, 94) == 0b10
}

/// Whether the STE is not ILLEGAL [SMMUv3 5.2.2].
pub(super) fn is_legal(unit: &Registers, ste: &[u64; 8]) -> bool {
    if !flag(ste, 0) {
        return false;
    }
    let config = field(ste, 3, 1);
    if config & 0b100 == 0 {
        return true;
    }
    let (stage1, stage2) = (config & 1 == 1, config & 2 == 2);
    let (s1p, s2p) = (unit.idr0(1, 1) == 1, unit.idr0(0, 0) == 1);
    if stage1 && !s1p || stage2 && !s2p {
        return false;
    }
    let strw_used = config == 0b101 && unit.idr0(9, 9) == 1;
    if strw_used && field(ste, 95, 94) & 1 == 1 {
        return false;
    }
    if stage1 && !is_stage1_legal(unit, ste) || stage2 && !is_stage2_legal(unit, ste) {
        return false;
    }
    // S2VMID counts in the NS-EL1 world, where there is a stage 2 to speak of.
    let vmid_used = s2p && config != 0b100 && !is_el2(unit, ste);
    !(vmid_used && unit.idr0(18, 18) == 0 && field(ste, 143, 136) != 0)
}

fn is_stage1_legal(unit: &Registers, ste: &[u64; 8]) -> bool {
    let (stall_model, ssidsize) = (unit.idr0(25, 24), unit.idr1(10, 6));
    let (fmt, cd_max) = (field(ste, 5, 4), field(ste, 63, 59));
    // STE.S1STALLD.
    if flag(ste, 91) && stall_model != 0 {
        return false;
    }
    if ssidsize != 0 && cd_max > ssidsize {
        return false;
    }
    // IDR0.CD2L.
    if ssidsize != 0 && cd_max != 0 && matches!(fmt, 0b01 | 0b10) && unit.idr0(19, 19) == 0 {
        return false;
    }
    // IAS and OAS are the same.
    fits(context_pointer(ste), unit.oas())
}

/// STE.S1ContextPtr, 55:6. Versions whose addresses have fewer bits than that reserve those above, and
/// leave open whether they count.
pub(super) fn context_pointer(ste: &[u64; 8]) -> u64 {
    ste[0] & 0xff_ffff_ffff_ffc0
}

fn is_stage2_legal(unit: &Registers, ste: &[u64; 8]) -> bool {
    // S2S.
    match (unit.idr0(25, 24), flag(ste, 185)) {
        (0b01, true) | (0b10, false) => return false,
        _ => {}
    }
    // S2AA64: there is VMSAv8-64 only.
    if !flag(ste, 179) || !unit.supports_endianness(flag(ste, 180)) {
        return false;
    }
    // S2HA, S2HD.
    let (ha, hd) = (flag(ste, 184), flag(ste, 183));
    if (ha || hd) && unit.idr0(7, 6) == 0 || hd && unit.idr0(7, 6) == 1 {
        return false;
    }
    let Some(granule) = stage2::granule(ste).filter(|granule| unit.supports_granule(*granule)) else {
        return false;
    };
    let ds = stage2::ds(unit, ste, granule);
    let size = field(ste, 165, 160) as u32;
    // STE.S2T0SZ.
    let least = if granule == 16 || ds { 12 } else { 16 }.max(64 - unit.oas());
    if size < least || size > tables::greatest_size(unit, granule) {
        return false;
    }
    // S2SL0, and whether the tables that it starts with can hold that many bits: one table at least of two
    // descriptors, at most 16 next to each other.
    let Some(start) = stage2::start_level(unit, ste, granule) else { return false };
    let below = granule as i32 + (granule as i32 - 3) * (3 - start);
    let index_bits = 64 - size as i32 - below;
    if index_bits < 1 || index_bits > granule as i32 - 3 + 4 {
        return false;
    }
    let output = tables::usable_output(unit.output_size(field(ste, 178, 176)), granule, ds);
    fits(unit.table_base(ste[3]), output)
}
