//! Stage 1 of VMSAv8-64 [SMMUv3 3.4, 5.4, 13.4; Arm ARM D8.2 to D8.5].

use super::event::{ACCESS, ADDR_SIZE, Class, Fault, Refusal, TRANSLATION, check_rights};
use super::stage2::{self, Request};
use super::tables::{Descriptor, Tables};
use super::{Access, Context, Registers, context, field, fits, flag, stream_table};

/// Rights of both privileges.
#[derive(Clone, Copy, Debug)]
struct Rights {
    read: bool,
    write: bool,
    execute: bool,
}

/// Attributes of the table descriptors on the way, joined [Arm ARM D8.4].
#[derive(Clone, Copy, Debug, Default)]
struct Hierarchy {
    /// APTable[0].
    no_user: bool,
    /// APTable[1].
    no_write: bool,
    /// UXNTable, or XNTable.
    uxn: bool,
    /// PXNTable.
    pxn: bool,
}

/// The output address of stage 1 for the transaction.
///
/// # Errors
/// F_WALK_EABT, the four faults of stage 1, and those of stage 2 for its tables.
pub(super) fn translate(cx: &mut Context, ste: &[u64; 8], cd: &[u64; 8]) -> Result<u64, Refusal> {
    let (unit, subject, terms) = (cx.unit, cx.subject, context::terms(cd));
    let fault = |fault| subject.stage1(fault, terms);
    // EL2 without E2H has one range and one privilege.
    let single = stream_table::is_el2(unit, ste) && unit.cr2 & 1 == 0;

    let Some((tables, upper, input)) = range(unit, cd, single, subject.address) else {
        return Err(fault(TRANSLATION));
    };
    // IDR3.E0PD and CD.E0PDx.
    let e0pd = unit.idr3(13) && flag(cd, if upper { 130 } else { 66 });
    if e0pd && !single && !subject.privileged {
        return Err(fault(TRANSLATION));
    }
    // IDR3.HAD and CD.HADx.
    let flat = unit.idr3(2) && flag(cd, if upper { 129 } else { 65 });

    let (mut table, mut level, mut above) = (tables.first(), tables.start, Hierarchy::default());
    loop {
        let slot = tables.slot(level, table, input);
        let at = locate(cx, ste, slot, Access::Read)?;
        let Some(word) = cx.memory.load(at) else {
            return Err(subject.walk_failed(false, Class::Tt, at));
        };
        let descriptor = tables.ordered(word);
        match tables.decode(level, descriptor) {
            Descriptor::Invalid => return Err(fault(TRANSLATION)),
            Descriptor::Table(next) if !fits(next, tables.output) => return Err(fault(ADDR_SIZE)),
            Descriptor::Table(next) => {
                if !flat {
                    above.no_user |= descriptor >> 61 & 1 == 1;
                    above.no_write |= descriptor >> 62 & 1 == 1;
                    above.uxn |= descriptor >> 60 & 1 == 1;
                    above.pxn |= descriptor >> 59 & 1 == 1;
                }
                table = next;
                level += 1;
            }
            Descriptor::Leaf(base) if !fits(base, tables.output) => return Err(fault(ADDR_SIZE)),
            Descriptor::Leaf(base) => {
                let updated = check(cx, cd, single, above, descriptor).map_err(fault)?;
                if updated != descriptor {
                    let at = locate(cx, ste, slot, Access::Write)?;
                    cx.memory.store(at, tables.ordered(updated));
                }
                return Ok(base | input & ((1 << tables.shift(level)) - 1));
            }
        }
    }
}

/// Where a descriptor lies, for a read or for an update of it.
fn locate(cx: &mut Context, ste: &[u64; 8], slot: u64, access: Access) -> Result<u64, Refusal> {
    if field(ste, 3, 1) & 2 == 0 {
        return Ok(slot);
    }
    stage2::translate(cx, ste, slot, Request::for_tables(Class::Tt, access))
}

/// The tables for an address, whether they are those of the upper range, and the bits that they translate;
/// `None` where there are none [Arm ARM D8.2].
fn range(unit: &Registers, cd: &[u64; 8], single: bool, address: u64) -> Option<(Tables, bool, u64)> {
    let upper = !single && address >> 55 & 1 == 1;
    // EPD0, EPD1.
    if !single && flag(cd, if upper { 30 } else { 14 }) {
        return None;
    }
    // TBI0, TBI1: bits 63:56 do not count.
    let ignored = if flag(cd, if upper { 39 } else { 38 }) { 8 } else { 0 };
    let input = 64 - context::input_size(cd, upper);
    // All bits above are copies of bit 55, which an address of a single range has as 0.
    let above = (address << ignored) as i64 >> ignored >> input;
    if above != if upper { -1 } else { 0 } {
        return None;
    }
    let granule = context::granule(cd, upper)?;
    // The fewest levels that cover the input address.
    let levels = (input - granule).div_ceil(granule - 3) as i32;
    let tables = Tables {
        granule,
        input,
        start: 4 - levels,
        base: unit.table_base(if upper { cd[2] } else { cd[1] }),
        ds: context::ds(unit, cd, granule),
        big_endian: flag(cd, 15),
        output: unit.output_size(field(cd, 34, 32)),
        wide: unit.oas() == 52,
    };
    Some((tables, upper, address & ((1 << input) - 1)))
}

/// What the last descriptor allows; with hardware update, what it has to become first.
///
/// # Errors
/// F_ACCESS, F_PERMISSION.
fn check(cx: &Context, cd: &[u64; 8], single: bool, above: Hierarchy, descriptor: u64) -> Result<u64, Fault> {
    let bit = |n: u32| descriptor >> n & 1 == 1;
    // HA, HD.
    let access_update = flag(cd, 43);
    let dirty_update = access_update && flag(cd, 42);
    // AF; AFFD counts where the hardware does not update it.
    let mut updated = descriptor;
    if !bit(10) {
        if access_update {
            updated |= 1 << 10;
        } else if !flag(cd, 35) {
            return Err(ACCESS);
        }
    }
    // A page with DBM may be written, and AP[2] only says that it has not been.
    let clean = bit(7) && bit(51) && dirty_update;
    let read_only = bit(7) && !clean || above.no_write;
    let user = single || bit(6) && !above.no_user;
    let (uxn, pxn) = (bit(54) || above.uxn, bit(53) || above.pxn);
    // WXN.
    let never = |xn: bool, writable: bool| xn || flag(cd, 36) && writable;

    let rights = if single {
        let write = !read_only;
        Rights { read: true, write, execute: !never(uxn, write) }
    } else {
        let user_write = user && !read_only;
        if cx.subject.privileged {
            // PAN: what the unprivileged may read or write, the privileged may not.
            let data = !(flag(cd, 40) && user);
            let write = !read_only;
            let execute = !never(pxn || user_write, write);
            Rights { read: data, write: write && data, execute }
        } else {
            Rights { read: user, write: user_write, execute: !never(uxn, user_write) }
        }
    };
    // A fetch of instructions needs no other right.
    let read = if cx.subject.instruction { rights.execute } else { rights.read };
    check_rights(cx.access, cx.unit.minor(), read, rights.write)?;
    if clean && cx.access != Access::Read {
        updated &= !(1 << 7);
    }
    Ok(updated)
}
