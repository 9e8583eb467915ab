//! Interrupt remapping [VT-d 5.1]: request formats, table entries, the interrupt-entry cache.
//!
//! Posted format is not there: CAP.PI = 0, so IM = 1 in an entry is reserved.

use super::regs::Irta;
use super::tables::beyond_host_width;
use crate::addr::{Pa, SourceId};
use crate::register;

register! {
    /// Interrupt Remapping Table Entry, remapped format [VT-d 9.9].
    pub struct Irte: [u64; 2] {
        127:84 Reserved _r4,
        /// Source validation type.
        83:82  Field    svt: u8,
        /// Source-id qualifier.
        81:80  Field    sq: u8,
        /// Source id, or first and last bus.
        79:64  Field    sid: u16,
        /// Destination.
        63:32  Field    dst: u32,
        31:24  Reserved _r3,
        /// Vector.
        23:16  Field    v: u8,
        /// Mode: 1 posted; reserved without CAP.PI.
        15:15  Reserved _im,
        14:12  Reserved _r2,
        11:8   Ignored  _avail,
        /// Delivery mode.
        7:5    Field    dlm: u8,
        /// Trigger mode.
        4:4    Field    tm: bool,
        /// Redirection hint.
        3:3    Field    rh: bool,
        /// Destination mode.
        2:2    Field    dm: bool,
        /// Fault processing disable.
        1:1    Field    fpd: bool,
        /// Present.
        0:0    Field    p: bool,
    }
}

register! {
    /// Address of a remappable-format request [VT-d 5.1.2.2].
    pub struct RemappableAddress: u32 {
        31:20 Field   _fee,
        /// Handle, bits 14:0.
        19:5  Field   handle: u16,
        /// Interrupt format: 1 remappable.
        4:4   Field   remappable: bool,
        /// Subhandle valid.
        3:3   Field   shv: bool,
        /// Handle, bit 15.
        2:2   Field   handle_15: bool,
        1:0   Ignored _r0,
    }
}

/// Why an interrupt request is blocked, with the code that the record carries [VT-d 5.1.4.1].
pub use super::fault::Reason;

/// A request, as far as its own words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// To be delivered as it is, if at all.
    Compatibility,
    /// To be looked up. The index has 17 bits: handle and subhandle are added.
    Remappable(u32),
}

/// Decodes the words of a request.
///
/// # Errors
/// [`Reason::InterruptReserved`] for a subhandle above 16 bits.
pub fn decode_request(address: u64, data: u32) -> Result<Format, Reason> {
    // The window is below 4 GiB.
    let address = RemappableAddress::from_raw(address as u32);
    if !address.remappable() {
        return Ok(Format::Compatibility);
    }
    let handle = u32::from(address.handle()) | u32::from(address.handle_15()) << 15;
    if !address.shv() {
        return Ok(Format::Remappable(handle));
    }
    if data >> 16 != 0 {
        return Err(Reason::InterruptReserved);
    }
    Ok(Format::Remappable(handle + data))
}

/// Where the entry of `index` lies.
///
/// # Errors
/// [`Reason::InterruptIndex`] beyond the table, and for a table beyond the host's address width.
pub fn entry_address(irta: Irta, index: u32) -> Result<Pa, Reason> {
    let entry = (irta.irta() << 12).checked_add(u64::from(index) * 16);
    let entry = entry.filter(|at| index < 2 << irta.s() && !beyond_host_width(*at));
    entry.map(Pa).ok_or(Reason::InterruptIndex)
}

/// Checks an entry and makes the message that it stands for. `None` as `source` is a requester
/// whose id is not to be verified ([`Initiator::verified_source`]).
///
/// [`Initiator::verified_source`]: crate::fabric::Initiator::verified_source
///
/// # Errors
/// [`Reason::InterruptNotPresent`], [`Reason::InterruptSource`] and
/// [`Reason::InterruptEntryReserved`], in this order [VT-d 5.1.4].
pub fn remap(entry: Irte, source: Option<SourceId>, extended: bool) -> Result<(u64, u32), Reason> {
    if !entry.p() {
        return Err(Reason::InterruptNotPresent);
    }
    if !source_matches(entry, source)? {
        return Err(Reason::InterruptSource);
    }
    if violations(entry, extended) != [0; 2] {
        return Err(Reason::InterruptEntryReserved);
    }
    let destination = if extended { entry.dst() } else { entry.dst() >> 8 };
    let address = 0xfee0_0000
        | u64::from(destination & 0xff) << 12
        | u64::from(entry.rh()) << 3
        | u64::from(entry.dm()) << 2
        // The extended part travels where x2APIC messages have it.
        | u64::from(destination >> 8) << 40;
    let data = u32::from(entry.v()) | u32::from(entry.dlm()) << 8 | 1 << 14 | u32::from(entry.tm()) << 15;
    Ok((address, data))
}

/// The entry without the bits that hardware does not look at: two entries that differ only there are
/// one to every request [VT-d 9.9].
pub fn meaning(entry: Irte) -> Irte {
    if !entry.p() {
        return Irte::ZERO.with_fpd(entry.fpd());
    }
    let [ignored, _] = Irte::IGNORED;
    let [low, high] = entry.raw();
    let entry = Irte::from_raw([low & !ignored, high]);
    match entry.svt() {
        // No verification.
        0b00 => entry.with_sq(0).with_sid(0),
        // By bus alone.
        0b10 => entry.with_sq(0),
        _ => entry,
    }
}

/// The bits of a present entry that are set and must not be: reserved bits, and all set bits of a
/// field whose value does not exist.
pub fn violations(entry: Irte, extended: bool) -> [u64; 2] {
    let mut mask = Irte::from_raw(Irte::RESERVED);
    if !extended {
        // The APIC id is DST[15:8] alone.
        mask = mask.with_dst(!0xff00);
    }
    if matches!(entry.dlm(), 0b011 | 0b110) {
        mask = mask.with_dlm(0b111);
    }
    if entry.svt() == 0b11 {
        mask = mask.with_svt(0b11);
    }
    let (raw, mask) = (entry.raw(), mask.raw());
    [raw[0] & mask[0], raw[1] & mask[1]]
}

/// The source check [VT-d 9.9, SVT, SQ and SID].
fn source_matches(entry: Irte, source: Option<SourceId>) -> Result<bool, Reason> {
    match (entry.svt(), source) {
        // Reserved, whoever asks.
        (0b11.., _) => Err(Reason::InterruptEntryReserved),
        (0b00, _) | (_, None) => Ok(true),
        (0b01, Some(source)) => {
            let ignored = match entry.sq() {
                0b00 => 0,
                0b01 => 0b100,
                0b10 => 0b110,
                _ => 0b111,
            };
            Ok((entry.sid() ^ source.0) & !ignored == 0)
        }
        (0b10, Some(source)) => {
            let [last, first] = entry.sid().to_le_bytes();
            Ok((first..=last).contains(&source.bus()))
        }
    }
}
