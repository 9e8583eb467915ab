//! A second walker of VMSAv8-64 stage 1: plain and slow, written from [Arm D8] without a look at the one
//! in `mmu`. It knows registers and memory, and nothing of what is decoded from them.

/// What the registers hold, and what the processor is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    pub(super) sctlr: u64,
    pub(super) tcr: u64,
    pub(super) ttbr0: u64,
    pub(super) ttbr1: u64,
    pub(super) mair: u64,
    /// Log2 of the physical address space.
    pub(super) pa_bits: u32,
    /// FEAT_HAFDBS.
    pub(super) hafdbs: bool,
    /// FEAT_HPDS.
    pub(super) hpds: bool,
}

/// Who accesses, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) el0: bool,
    /// PSTATE.PAN, for data at EL1.
    pub(super) pan: bool,
    pub(super) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
    Execute,
}

/// What a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) pa: u64,
    /// The byte of MAIR_EL1.
    pub(super) attributes: u64,
    /// 0 non-shareable, 2 outer, 3 inner.
    pub(super) shareability: u64,
    pub(super) global: bool,
}

/// A descriptor that the walk changes: its address and new value.
pub(super) type Update = Option<(u64, u64)>;

/// Output, or the fault status code of ESR_EL1.
pub(super) struct Walk {
    pub(super) result: Result<Output, u32>,
    pub(super) update: Update,
}

const ADDRESS_SIZE: u32 = 0b00_0000;
const TRANSLATION: u32 = 0b00_0100;
const ACCESS_FLAG: u32 = 0b00_1000;
const PERMISSION: u32 = 0b00_1100;
const EXTERNAL_ON_WALK: u32 = 0b01_0100;

/// Bits `hi:lo` of a number.
fn field(number: u64, hi: u32, lo: u32) -> u64 {
    (number >> lo) % (1u64 << (hi - lo + 1))
}

fn bit(number: u64, at: u32) -> bool {
    field(number, at, at) == 1
}

/// Translates.
pub(super) fn walk(
    registers: &Registers,
    memory: impl Fn(u64) -> Option<u64>,
    va: u64,
    asker: Asker,
) -> Walk {
    let mut update = None;
    let result = stage1(registers, memory, va, asker, &mut update);
    Walk { result, update }
}

/// With the MMU off, an address is its own translation where there is such a physical address
/// [Arm D8.2.10]. The attributes are those of data.
fn off(registers: &Registers, va: u64) -> Result<Output, u32> {
    let top_ignored = bit(registers.tcr, if bit(va, 55) { 38 } else { 37 });
    for at in registers.pa_bits..if top_ignored { 56 } else { 64 } {
        if bit(va, at) {
            return Err(ADDRESS_SIZE);
        }
    }
    Ok(Output { pa: field(va, registers.pa_bits - 1, 0), attributes: 0, shareability: 2, global: true })
}

fn stage1(
    registers: &Registers,
    memory: impl Fn(u64) -> Option<u64>,
    va: u64,
    asker: Asker,
    update: &mut Update,
) -> Result<Output, u32> {
    let tcr = registers.tcr;
    let upper = bit(va, 55);
    if !bit(registers.sctlr, 0) {
        return off(registers, va);
    }
    // Half by half: size, granule, and the controls [Arm D24.2, TCR_EL1].
    let size = if upper { field(tcr, 21, 16) } else { field(tcr, 5, 0) };
    // Out of range, the nearest one is used.
    let size = size.clamp(16, 39) as u32;
    let granule = match (upper, if upper { field(tcr, 31, 30) } else { field(tcr, 15, 14) }) {
        (false, 0b01) | (true, 0b11) => 16,
        (false, 0b10) | (true, 0b01) => 14,
        // What is reserved is 4 KiB.
        _ => 12,
    };
    let disabled = bit(tcr, if upper { 23 } else { 7 });
    let top_ignored = bit(tcr, if upper { 38 } else { 37 });
    let flat = registers.hpds && bit(tcr, if upper { 42 } else { 41 });
    let hardware_af = registers.hafdbs && bit(tcr, 39);
    let hardware_dirty = hardware_af && bit(tcr, 40);
    let ttbr = if upper { registers.ttbr1 } else { registers.ttbr0 };
    let physical = match field(tcr, 34, 32) {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    };
    let physical = u32::min(physical, registers.pa_bits);
    let too_large = |address: u64| physical < 48 && field(address, 47, physical) != 0;

    // Every bit above those translated is a copy of bit 55, but for a top byte that is ignored.
    let bits = 64 - size;
    for at in bits..if top_ignored { 56 } else { 64 } {
        if bit(va, at) != upper {
            return Err(TRANSLATION);
        }
    }
    if disabled {
        return Err(TRANSLATION);
    }

    // Bits resolved by one level, and by the last one and the page together.
    let per_level = granule - 3;
    let mut level = 3;
    while bits > granule + (4 - level) * per_level {
        level -= 1;
    }
    let mut table = field(ttbr, 47, 1) << 1;
    if too_large(table) {
        return Err(ADDRESS_SIZE);
    }
    // What table descriptors take away.
    let (mut no_el0, mut no_write, mut no_user_execute, mut no_privileged_execute) =
        (false, false, false, false);
    loop {
        let low = granule + (3 - level) * per_level;
        let high = u32::min(low + per_level, bits) - 1;
        let address = table + 8 * field(va, high, low);
        let descriptor = memory(address).ok_or(EXTERNAL_ON_WALK + level)?;
        if !bit(descriptor, 0) {
            return Err(TRANSLATION + level);
        }
        if level < 3 && bit(descriptor, 1) {
            table = field(descriptor, 47, granule) << granule;
            if too_large(table) {
                return Err(ADDRESS_SIZE + level);
            }
            if !flat {
                no_privileged_execute |= bit(descriptor, 59);
                no_user_execute |= bit(descriptor, 60);
                no_el0 |= bit(descriptor, 61);
                no_write |= bit(descriptor, 62);
            }
            level += 1;
            continue;
        }
        let is_page = level == 3 && bit(descriptor, 1);
        let is_block = match granule {
            12 => level == 1 || level == 2,
            _ => level == 2,
        };
        if !is_page && !is_block {
            return Err(TRANSLATION + level);
        }
        let output = field(descriptor, 47, low) << low;
        if too_large(output) {
            return Err(ADDRESS_SIZE + level);
        }
        let mut new = descriptor;
        if !bit(descriptor, 10) {
            if !hardware_af {
                return Err(ACCESS_FLAG + level);
            }
            new |= 1 << 10;
        }
        // A clean descriptor that hardware makes dirty is writable already.
        let clean = hardware_dirty && bit(descriptor, 51) && bit(descriptor, 7);
        let el0 = bit(descriptor, 6) && !no_el0;
        let writable = (!bit(descriptor, 7) || clean) && !no_write;
        let el0_writable = el0 && writable;
        let write_is_no_execute = bit(registers.sctlr, 19);
        let allowed = match (asker.way, asker.el0) {
            (Way::Read, true) => el0,
            (Way::Write, true) => el0_writable,
            (Way::Read, false) => !(asker.pan && el0),
            (Way::Write, false) => writable && !(asker.pan && el0),
            (Way::Execute, true) => {
                !(bit(descriptor, 54) || no_user_execute || write_is_no_execute && el0_writable)
            }
            (Way::Execute, false) => {
                let never = bit(descriptor, 53) || no_privileged_execute || el0_writable;
                !(never || write_is_no_execute && writable)
            }
        };
        if allowed && asker.way == Way::Write && clean {
            new &= !(1 << 7);
        }
        if new != descriptor {
            *update = Some((address, new));
        }
        if !allowed {
            return Err(PERMISSION + level);
        }
        let attributes = field(registers.mair >> (8 * field(descriptor, 4, 2)), 7, 0);
        // Device memory, and memory that no cache may hold, is outer shareable.
        let uncached = attributes >> 4 == 0 || attributes == 0x44;
        return Ok(Output {
            pa: output + field(va, low - 1, 0),
            attributes,
            shareability: if uncached { 2 } else { field(descriptor, 9, 8) },
            global: !bit(descriptor, 11),
        });
    }
}
