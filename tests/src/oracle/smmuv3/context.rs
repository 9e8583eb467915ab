//! Context descriptors [SMMUv3 5.3, 5.4].

use super::event::{Class, Refusal, Terms};
use super::{Access, Context, Registers, align, field, fits, flag};
use super::{stage2, stream_table, tables};

/// STE.S1CDMax, which is 0 where there are no SubstreamIDs.
fn cd_max(unit: &Registers, ste: &[u64; 8]) -> u32 {
    if unit.idr1(10, 6) == 0 { 0 } else { field(ste, 63, 59) as u32 }
}

/// Which CD is used; `None` if stage 1 is bypassed [SMMUv3 5.2, S1DSS].
///
/// # Errors
/// C_BAD_SUBSTREAMID, F_STREAM_DISABLED.
pub(super) fn select(cx: &Context, ste: &[u64; 8]) -> Result<Option<u32>, Refusal> {
    let (max, dss) = (cd_max(cx.unit, ste), field(ste, 65, 64));
    match cx.subject.substream {
        // One CD, for transactions without a SubstreamID.
        None if max == 0 => Ok(Some(0)),
        None => match dss {
            0b01 => Ok(None),
            0b10 => Ok(Some(0)),
            _ => Err(cx.subject.disabled()),
        },
        Some(id) if id >> max != 0 || max == 0 => Err(cx.subject.bad_substream()),
        Some(0) if dss == 0b10 => Err(cx.subject.disabled()),
        Some(id) => Ok(Some(id)),
    }
}

/// The CD of this index.
///
/// # Errors
/// F_CD_FETCH, C_BAD_SUBSTREAMID, faults of stage 2.
pub(super) fn fetch(cx: &mut Context, ste: &[u64; 8], index: u32) -> Result<[u64; 8], Refusal> {
    let (max, index) = (cd_max(cx.unit, ste), u64::from(index));
    let pointer = stream_table::context_pointer(ste);
    // CDs of a leaf table, as a power of two.
    let leaf = match field(ste, 5, 4) {
        0b01 if max > 0 => Some(6),
        0b10 if max > 0 => Some(10),
        _ => None,
    };
    let at = match leaf {
        None => align(pointer, max + 6) + 64 * index,
        Some(leaf) => {
            let at = align(pointer, (max.saturating_sub(leaf) + 3).max(6)) + 8 * (index >> leaf);
            let pa = locate(cx, ste, at)?;
            let Some(entry) = cx.memory.load(pa) else { return Err(cx.subject.fetch_failed(0x09, pa)) };
            // L2Ptr, 55:12, aligned to the leaf table.
            let table = align(entry & 0xff_ffff_ffff_f000, leaf + 6);
            if entry & 1 == 0 || !fits(table, cx.unit.oas()) {
                return Err(cx.subject.bad_substream());
            }
            table + 64 * (index & ((1 << leaf) - 1))
        }
    };
    let pa = locate(cx, ste, at)?;
    let mut cd = [0; 8];
    for (word, offset) in cd.iter_mut().zip((0..).step_by(8)) {
        match cx.memory.load(pa + offset) {
            Some(value) => *word = value,
            None => return Err(cx.subject.fetch_failed(0x09, pa)),
        }
    }
    Ok(cd)
}

/// Where a CD or an L1CD lies: with stage 2 its address is an IPA, read as privileged data.
fn locate(cx: &mut Context, ste: &[u64; 8], at: u64) -> Result<u64, Refusal> {
    if field(ste, 3, 1) & 2 == 0 {
        return Ok(at);
    }
    stage2::translate(cx, ste, at, stage2::Request::for_tables(Class::Cd, Access::Read))
}

/// CD.A, CD.R, CD.S.
pub(super) fn terms(cd: &[u64; 8]) -> Terms {
    Terms { abort: flag(cd, 46), record: flag(cd, 45), stall: flag(cd, 44) }
}

/// Whether the CD is not ILLEGAL [SMMUv3 5.4.2].
pub(super) fn is_legal(unit: &Registers, ste: &[u64; 8], cd: &[u64; 8]) -> bool {
    // V, AA64.
    if !flag(cd, 31) || !flag(cd, 41) {
        return false;
    }
    let (stall_model, Terms { abort, stall, .. }) = (unit.idr0(25, 24), terms(cd));
    if stall && (flag(ste, 91) || stall_model == 0b01) || !stall && stall_model == 0b10 {
        return false;
    }
    // IDR0.TERM_MODEL.
    if !abort && unit.idr0(26, 26) == 1 {
        return false;
    }
    let (ha, hd, httu) = (flag(cd, 43), flag(cd, 42), unit.idr0(7, 6));
    if (ha || hd) && httu == 0 || hd && httu == 1 {
        return false;
    }
    // EL2 without E2H has one range and no ASIDs.
    let single = stream_table::is_el2(unit, ste) && unit.cr2 & 1 == 0;
    // ASID16.
    if unit.idr0(12, 12) == 0 && field(cd, 63, 56) != 0 && !single {
        return false;
    }
    // EPD0, EPD1; a single range cannot be switched off.
    let halves = if single { [true, false] } else { [!flag(cd, 14), !flag(cd, 30)] };
    if halves.contains(&true) && !unit.supports_endianness(flag(cd, 15)) {
        return false;
    }
    (0..2).filter(|half| halves[*half]).all(|half| is_half_legal(unit, cd, half == 1))
}

fn is_half_legal(unit: &Registers, cd: &[u64; 8], upper: bool) -> bool {
    let Some(granule) = granule(cd, upper).filter(|granule| unit.supports_granule(*granule)) else {
        return false;
    };
    let ds = ds(unit, cd, granule);
    let size = input_size(cd, upper);
    let least = if unit.idr5(11, 10) >= 1 && (granule == 16 || ds) { 12 } else { 16 };
    if size < least || size > tables::greatest_size(unit, granule) {
        return false;
    }
    let output = tables::usable_output(unit.output_size(field(cd, 34, 32)), granule, ds);
    fits(unit.table_base(if upper { cd[2] } else { cd[1] }), output)
}

/// TG0 or TG1, as log2 of the page size.
pub(super) fn granule(cd: &[u64; 8], upper: bool) -> Option<u32> {
    let encoding = if upper { field(cd, 23, 22) } else { field(cd, 7, 6) };
    match (upper, encoding) {
        (false, 0b00) | (true, 0b10) => Some(12),
        (false, 0b10) | (true, 0b01) => Some(14),
        (false, 0b01) | (true, 0b11) => Some(16),
        _ => None,
    }
}

/// T0SZ or T1SZ.
pub(super) fn input_size(cd: &[u64; 8], upper: bool) -> u32 {
    (if upper { field(cd, 21, 16) } else { field(cd, 5, 0) }) as u32
}

/// CD.DS: descriptors of 4K and 16K granules in their 52-bit form.
pub(super) fn ds(unit: &Registers, cd: &[u64; 8], granule: u32) -> bool {
    flag(cd, 186) && unit.idr5(7, 7) == 1 && granule != 16
}
