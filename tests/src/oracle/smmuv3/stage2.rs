//! Stage 2 of VMSAv8-64 [SMMUv3 3.4, 5.2, 13.4; Arm ARM D8.2 to D8.5].

use super::event::{
    ACCESS, ADDR_SIZE, Class, Fault, PERMISSION, Refusal, Subject, TRANSLATION, Terms, check_rights,
};
use super::tables::{Descriptor, Tables};
use super::{Access, Context, Registers, field, fits, flag};

/// What is asked of stage 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    class: Class,
    access: Access,
    instruction: bool,
    privileged: bool,
}

impl Request {
    /// What the transaction itself asks for.
    pub fn of_transaction(access: Access, subject: &Subject) -> Self {
        let Subject { instruction, privileged, .. } = *subject;
        Self { class: Class::In, access, instruction, privileged }
    }

    /// What the unit asks for to fetch or update a structure: privileged data.
    pub fn for_tables(class: Class, access: Access) -> Self {
        Self { class, access, instruction: false, privileged: true }
    }
}

/// S2TG, as log2 of the page size.
pub(super) fn granule(ste: &[u64; 8]) -> Option<u32> {
    match field(ste, 175, 174) {
        0b00 => Some(12),
        0b01 => Some(16),
        0b10 => Some(14),
        _ => None,
    }
}

/// STE.S2DS.
pub(super) fn ds(unit: &Registers, ste: &[u64; 8], granule: u32) -> bool {
    flag(ste, 195) && unit.idr5(7, 7) == 1 && granule != 16
}

/// S2SL0 with S2SL0_2; `None` for what is reserved, or is not for units with so few address bits.
pub(super) fn start_level(unit: &Registers, ste: &[u64; 8], granule: u32) -> Option<i32> {
    let (oas, ds, small) = (unit.oas(), ds(unit, ste, granule), unit.idr3(9));
    let low = field(ste, 167, 166);
    match granule {
        12 => match (ds && flag(ste, 194), low) {
            (false, 0b00) => Some(2),
            (false, 0b01) => Some(1),
            (false, 0b10) => (oas >= 44).then_some(0),
            (false, _) => small.then_some(3),
            (true, 0b00) => (oas >= 52).then_some(-1),
            (true, _) => None,
        },
        14 => match low {
            0b00 => Some(3),
            0b01 => Some(2),
            0b10 => (oas >= 42).then_some(1),
            _ => (ds && oas >= 52).then_some(0),
        },
        _ => match low {
            0b00 => Some(3),
            0b01 => Some(2),
            0b10 => (oas >= 44).then_some(1),
            _ => None,
        },
    }
}

/// The physical address for `ipa`.
///
/// # Errors
/// F_WALK_EABT and the four faults of stage 2.
pub(super) fn translate(
    cx: &mut Context,
    ste: &[u64; 8],
    ipa: u64,
    request: Request,
) -> Result<u64, Refusal> {
    let (unit, subject, class) = (cx.unit, cx.subject, request.class);
    // S2R, S2S.
    let terms = Terms { abort: true, record: flag(ste, 186), stall: flag(ste, 185) };
    let fault = |fault| subject.stage2(fault, terms, class, ipa, request.access == Access::Read);

    // An STE that is legal has both.
    let (Some(granule), input) = (granule(ste), 64 - field(ste, 165, 160) as u32) else {
        return Err(fault(TRANSLATION));
    };
    let Some(start) = start_level(unit, ste, granule) else { return Err(fault(TRANSLATION)) };
    let tables = Tables {
        granule,
        input,
        start,
        base: unit.table_base(ste[3]),
        ds: ds(unit, ste, granule),
        big_endian: flag(ste, 180),
        output: unit.output_size(field(ste, 178, 176)),
        wide: unit.oas() == 52,
    };
    if !fits(ipa, input) {
        return Err(fault(TRANSLATION));
    }
    let (mut table, mut level) = (tables.first(), start);
    loop {
        let at = tables.slot(level, table, ipa);
        let Some(word) = cx.memory.load(at) else { return Err(subject.walk_failed(true, class, at)) };
        let descriptor = tables.ordered(word);
        match tables.decode(level, descriptor) {
            Descriptor::Invalid => return Err(fault(TRANSLATION)),
            Descriptor::Table(next) | Descriptor::Leaf(next) if !fits(next, tables.output) => {
                return Err(fault(ADDR_SIZE));
            }
            Descriptor::Table(next) => {
                table = next;
                level += 1;
            }
            Descriptor::Leaf(base) => {
                let updated = check(unit, ste, request, descriptor).map_err(fault)?;
                if updated != descriptor {
                    cx.memory.store(at, tables.ordered(updated));
                }
                return Ok(base | ipa & ((1 << tables.shift(level)) - 1));
            }
        }
    }
}

/// What the last descriptor allows; with hardware update, what it has to become first.
///
/// # Errors
/// F_ACCESS, F_PERMISSION.
fn check(unit: &Registers, ste: &[u64; 8], request: Request, descriptor: u64) -> Result<u64, Fault> {
    let bit = |n: u32| descriptor >> n & 1 == 1;
    // S2HA, S2HD.
    let access_update = flag(ste, 184);
    let dirty_update = access_update && flag(ste, 183);
    let mut updated = descriptor;
    // AF; S2AFFD counts where the hardware does not update it.
    if !bit(10) {
        if access_update {
            updated |= 1 << 10;
        } else if !flag(ste, 181) {
            return Err(ACCESS);
        }
    }
    // S2PTW protects Device memory from the unit's own fetches: MemAttr 0b00xx, or 0b0xx with S2FWB.
    let forced = unit.idr3(8) && flag(ste, 89);
    let device = if forced { !bit(4) } else { !bit(5) && !bit(4) };
    let nested = field(ste, 3, 1) == 0b111;
    if nested && flag(ste, 182) && device && request.class != Class::In {
        return Err(PERMISSION);
    }
    let clean = !bit(7) && bit(51) && dirty_update;
    let (read, write) = (bit(6), bit(7) || clean);
    // XN[1:0]; without XNX only XN[1] counts.
    let execute = match (unit.idr3(4), bit(54), bit(53)) {
        (false, xn, _) => !xn,
        (true, false, false) => true,
        (true, false, true) => !request.privileged,
        (true, true, false) => false,
        (true, true, true) => request.privileged,
    };
    // A fetch of instructions needs no other right.
    check_rights(request.access, unit.minor(), if request.instruction { execute } else { read }, write)?;
    if clean && request.access != Access::Read {
        updated |= 1 << 7;
    }
    Ok(updated)
}
