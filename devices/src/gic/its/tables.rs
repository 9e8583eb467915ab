//! The tables that the ITS keeps in guest memory: entries, and where they are.
//!
//! Their format is the implementation's own [GICv3 5.2]; software zeroes the memory and leaves it
//! alone. Ours has entries of 8 bytes throughout. Nothing keeps a hostile guest from writing them, so
//! what is read is checked like any other guest input, each time.

use super::regs::Baser;
use crate::addr::Pa;
use crate::mem::{NotRam, PhysMem};
use crate::register;

/// Bytes of an entry of any table, first levels included.
pub const ENTRY_BYTES: u64 = 8;

register! {
    /// An entry of the device table, by DeviceID.
    pub struct Dte: u64 {
        /// The device is mapped.
        63:63 Field    valid: bool,
        62:57 Reserved _r1,
        /// EventID bits, less one.
        56:52 Field    size: u8,
        /// Address of the interrupt translation table, bits 51:8.
        51:8  Field    itt: u64,
        7:0   Reserved _r0,
    }
}

register! {
    /// An entry of a device's interrupt translation table, by EventID.
    pub struct Ite: u64 {
        /// The event is mapped.
        63:63 Field    valid: bool,
        62:48 Reserved _r0,
        /// Collection.
        47:32 Field    icid: u16,
        /// LPI.
        31:0  Field    intid: u32,
    }
}

register! {
    /// An entry of the collection table, by collection id.
    pub struct Cte: u64 {
        /// The collection is mapped.
        63:63 Field    valid: bool,
        62:16 Reserved _r0,
        /// Processor number of the redistributor.
        15:0  Field    processor: u16,
    }
}

register! {
    /// An entry of the first level of an indirect table [GICv3 GITS_BASER].
    pub struct Level1: u64 {
        /// There is a page.
        63:63 Field    valid: bool,
        62:52 Ignored  _r1,
        /// Address of the page, bits 51:12; those inside a larger page are ignored.
        51:12 Field    page: u64,
        11:0  Ignored  _r0,
    }
}

/// Where the entry of `index` lies in the table that `baser` describes. `None` where the table is not
/// valid, is too small, or has no page there.
pub fn entry_address(mem: &PhysMem, baser: Baser, index: u32) -> Option<Pa> {
    if !baser.valid() {
        return None;
    }
    let page_bytes = page_bytes(baser);
    let bytes = (u64::from(baser.size()) + 1) * page_bytes;
    let (base, index) = (base(baser), u64::from(index));
    if !baser.indirect() {
        return element(base, bytes, index);
    }
    let per_page = page_bytes / ENTRY_BYTES;
    let level1 = mem.load64(element(base, bytes, index / per_page)?).ok()?;
    let level1 = Level1::from_raw(level1);
    let page = Pa((level1.page() << 12) & !(page_bytes - 1));
    level1.valid().then(|| element(page, page_bytes, index % per_page)).flatten()
}

/// Where the translation entry of `event` lies; `None` where the device has no such EventID.
pub fn ite_address(dte: Dte, event: u32) -> Option<Pa> {
    let events = 2 << u32::from(dte.size());
    element(Pa(dte.itt() << 8), events * ENTRY_BYTES, u64::from(event))
}

/// Replaces an entry.
///
/// # Errors
/// [`NotRam`].
pub fn store(mem: &PhysMem, at: Pa, entry: u64) -> Result<(), NotRam> {
    // Nobody but a guest that breaks the rules writes there at the same time, and then either order
    // is as good.
    mem.write(at, &entry.to_le_bytes())
}

/// Entry `index` of a table of `bytes` at `base`.
fn element(base: Pa, bytes: u64, index: u64) -> Option<Pa> {
    let offset = index.checked_mul(ENTRY_BYTES).filter(|offset| *offset < bytes)?;
    base.checked_add(offset)
}

fn page_bytes(baser: Baser) -> u64 {
    match baser.page_size() {
        0b00 => 0x1000,
        0b01 => 0x4000,
        _ => 0x1_0000,
    }
}

fn base(baser: Baser) -> Pa {
    let address = baser.address() << 12;
    let page_bytes = page_bytes(baser);
    let high = if page_bytes == 0x1_0000 { (address >> 12 & 0xf) << 48 } else { 0 };
    Pa(address & !(page_bytes - 1) | high)
}
