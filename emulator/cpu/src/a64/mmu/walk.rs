//! The table walk [Arm D8].

use super::regime::Regime;
use crate::interp::Ram;

/// Who accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Rights {
    /// EL1's rights, not EL0's.
    pub(in crate::a64) privileged: bool,
    /// PSTATE.PAN.
    pub(in crate::a64) pan: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Access {
    Read,
    Write,
    Execute,
    /// A read by a debugger, of which the guest notices nothing.
    Look,
}

/// Fault status codes: the kind, to which the level is added [Arm D24.2.40, DFSC].
pub(in crate::a64) mod status {
    pub(in crate::a64) const ADDRESS_SIZE: u32 = 0x00;
    pub(in crate::a64) const TRANSLATION: u32 = 0x04;
    pub(in crate::a64) const ACCESS_FLAG: u32 = 0x08;
    pub(in crate::a64) const PERMISSION: u32 = 0x0c;
    pub(in crate::a64) const EXTERNAL: u32 = 0x10;
    pub(in crate::a64) const EXTERNAL_WALK: u32 = 0x14;
    pub(in crate::a64) const ALIGNMENT: u32 = 0x21;
    pub(in crate::a64) const UNSUPPORTED_EXCLUSIVE: u32 = 0x35;
}

/// Why there is no translation: a fault status code with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Fault(pub(in crate::a64) u32);

/// A translation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Translation {
    /// Physical address of the very byte.
    pub(in crate::a64) pa: u64,
    /// Log2 of the bytes that the descriptor maps.
    pub(in crate::a64) shift: u32,
    pub(in crate::a64) global: bool,
    /// The MAIR attribute byte.
    pub(in crate::a64) attributes: u8,
    /// SH.
    pub(in crate::a64) shareability: u8,
    /// These rights may read.
    pub(in crate::a64) read: bool,
    /// These rights may write, with no dirty state left to record.
    pub(in crate::a64) write: bool,
    /// These rights may execute.
    pub(in crate::a64) execute: bool,
}

impl Translation {
    /// Device memory?
    pub(in crate::a64) fn device(&self) -> bool {
        self.attributes >> 4 == 0
    }
}

/// MAIR's Device-nGnRnE.
const DEVICE_NGNRNE: u8 = 0x00;
/// MAIR's Normal, non-cacheable.
const NORMAL_NC: u8 = 0x44;

/// Translates `va`, checks permissions, and records access and dirty state where the regime lets
/// hardware do that.
pub(in crate::a64) fn translate(
    regime: &Regime,
    ram: &Ram,
    va: u64,
    rights: Rights,
    access: Access,
) -> Result<Translation, Fault> {
    if regime.enabled { walk(regime, ram, va, rights, access) } else { flat(regime, va, access) }
}

/// The MMU is off: addresses stay, data is Device-nGnRnE, instructions are Normal.
fn flat(regime: &Regime, va: u64, access: Access) -> Result<Translation, Fault> {
    let half = regime.half(va);
    let pa = if half.ignores_top { va & !(0xff << 56) } else { va };
    // At most 48.
    if pa >> regime.physical_bits != 0 {
        return Err(Fault(status::ADDRESS_SIZE));
    }
    Ok(Translation {
        pa,
        shift: 12,
        global: true,
        attributes: if access == Access::Execute { NORMAL_NC } else { DEVICE_NGNRNE },
        shareability: 2,
        read: true,
        write: true,
        execute: true,
    })
}

fn walk(regime: &Regime, ram: &Ram, va: u64, rights: Rights, access: Access) -> Result<Translation, Fault> {
    let half = regime.half(va);
    let top = if half.ignores_top { 56 } else { 64 };
    // All bits above the translated ones equal bit 55.
    let above = (va as i64) << (64 - top) >> (64 - top) >> half.input_bits;
    let expected = if va >> 55 & 1 != 0 { -1 } else { 0 };
    if half.disabled || above != expected {
        return Err(Fault(status::TRANSLATION));
    }
    let (granule, stride) = (half.granule, half.granule - 3);
    let mut level = 4 - (half.input_bits - granule).div_ceil(stride);
    let first_bits = half.input_bits - (granule + stride * (3 - level));
    let too_large = |pa: u64| pa >> regime.output_bits != 0;

    let mut table = half.base & !((1u64 << (first_bits + 3)) - 1);
    if too_large(table) {
        return Err(Fault(status::ADDRESS_SIZE));
    }
    let mut tables = 0u64;
    let mut index_bits = first_bits;
    loop {
        let shift = granule + stride * (3 - level);
        let index = va >> shift & ((1 << index_bits) - 1);
        let at = table + index * 8;
        let descriptor = ram.load64(at).ok_or(Fault(status::EXTERNAL_WALK + level))?;
        let block = level == 2 || (level == 1 && granule == 12);
        match (descriptor & 3, level) {
            (0b11, 3) => {}
            (0b01, _) if block => {}
            (0b11, _) => {
                if !half.flat_permissions {
                    tables |= descriptor;
                }
                table = descriptor & 0xffff_ffff_f000 & !((1 << granule) - 1);
                if too_large(table) {
                    return Err(Fault(status::ADDRESS_SIZE + level));
                }
                level += 1;
                index_bits = stride;
                continue;
            }
            _ => return Err(Fault(status::TRANSLATION + level)),
        }
        let output = descriptor & 0xffff_ffff_f000 & !((1 << shift) - 1);
        if too_large(output) {
            return Err(Fault(status::ADDRESS_SIZE + level));
        }
        let leaf = Leaf { descriptor, tables, at, level };
        return leaf.finish(regime, ram, output | va & ((1 << shift) - 1), shift, rights, access);
    }
}

/// A block or page descriptor on the way to a translation.
struct Leaf {
    descriptor: u64,
    /// The table descriptors above it, or-ed.
    tables: u64,
    /// Where it lies.
    at: u64,
    level: u32,
}

const AF: u64 = 1 << 10;
const NOT_GLOBAL: u64 = 1 << 11;
const READ_ONLY: u64 = 1 << 7;
const DBM: u64 = 1 << 51;

impl Leaf {
    fn finish(
        &self,
        regime: &Regime,
        ram: &Ram,
        pa: u64,
        shift: u32,
        rights: Rights,
        access: Access,
    ) -> Result<Translation, Fault> {
        let bit = |at: u32| self.descriptor >> at & 1 != 0;
        let table = |at: u32| self.tables >> at & 1 != 0;
        if self.descriptor & AF == 0 && !regime.hardware_af && access != Access::Look {
            return Err(Fault(status::ACCESS_FLAG + self.level));
        }
        let user = bit(6) && !table(61);
        let clean = self.descriptor & READ_ONLY != 0 && self.descriptor & DBM != 0 && regime.hardware_dirty;
        let writable = (!bit(7) || clean) && !table(62);
        let (pxn, uxn) = (bit(53) || table(59), bit(54) || table(60));
        let (read, write, execute) = if rights.privileged {
            let reachable = !(rights.pan && user);
            let execute = !(pxn || user && writable || regime.write_implies_xn && writable);
            (reachable, reachable && writable, execute)
        } else {
            (user, user && writable, !(uxn || regime.write_implies_xn && user && writable))
        };
        let allowed = match access {
            Access::Read | Access::Look => read,
            Access::Write => write,
            Access::Execute => execute,
        };
        if !allowed {
            return Err(Fault(status::PERMISSION + self.level));
        }
        let dirtied = clean && access == Access::Write;
        let updated = (self.descriptor | AF) & !if dirtied { READ_ONLY } else { 0 };
        if updated != self.descriptor && access != Access::Look {
            // Nothing else runs between the load and this store.
            ram.store64(self.at, updated);
        }
        // The attribute index has three bits.
        let attributes = (regime.mair >> (8 * (self.descriptor >> 2 & 7))) as u8;
        Ok(Translation {
            pa,
            shift,
            global: self.descriptor & NOT_GLOBAL == 0,
            attributes,
            // Device memory and what no cache holds are outer shareable [Arm D24.2, PAR_EL1.SH]. Two bits.
            shareability: if attributes >> 4 == 0 || attributes == NORMAL_NC {
                2
            } else {
                (self.descriptor >> 8 & 3) as u8
            },
            read,
            write: write && (!clean || dirtied),
            execute,
        })
    }
}
