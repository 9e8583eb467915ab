//! Root and context entries [VT-d 9.1, 9.3] and the second-stage format [VT-d 9.8]: words in, a
//! typed value or the architected fault out.

use super::capability::{AddressWidth, HOST_ADDRESS_WIDTH};
use super::fault::Reason;
use super::regs::{Cap, Ecap};
use crate::addr::Pa;
use crate::iommu::walk::{Entry, Format, Rights, page_bits};
use crate::register;

register! {
    /// Legacy root entry [VT-d 9.1].
    pub struct RootEntry: [u64; 2] {
        127:64 Reserved _r1,
        /// Context table pointer, bits 63:12.
        63:12  Field    ctp: u64,
        11:1   Reserved _r0,
        /// Present.
        0:0    Field    p: bool,
    }
}

register! {
    /// Legacy context entry [VT-d 9.3].
    pub struct ContextEntry: [u64; 2] {
        127:88 Reserved _r2,
        /// Domain id.
        87:72  Field    did: u16,
        71:71  Reserved _r1,
        70:67  Ignored  _ignored,
        /// Address width.
        66:64  Field    aw: u8,
        /// Second-stage table pointer, bits 63:12.
        63:12  Field    ssptptr: u64,
        11:4   Reserved _r0,
        /// Translation type.
        3:2    Field    tt: u8,
        /// Fault processing disable.
        1:1    Field    fpd: bool,
        /// Present.
        0:0    Field    p: bool,
    }
}

/// What a context entry makes of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// TT = 00: untranslated requests go through the second-stage tables, others are blocked.
    SecondStage {
        /// The first table.
        root: Pa,
        /// Width of its input.
        width: AddressWidth,
    },
    /// TT = 10: untranslated requests pass through, others are blocked.
    PassThrough,
}

/// A valid context entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// How requests are treated.
    pub translation: Translation,
    /// The domain, which tags cached translations.
    pub domain: u16,
    /// Qualified faults are not recorded.
    pub fpd: bool,
}

/// Decodes a root entry to the address of its context table.
///
/// # Errors
/// [`Reason::RootNotPresent`] and [`Reason::RootReserved`].
pub fn decode_root(entry: RootEntry) -> Result<Pa, Reason> {
    if !entry.p() {
        return Err(Reason::RootNotPresent);
    }
    if root_violations(entry) != [0; 2] {
        return Err(Reason::RootReserved);
    }
    Ok(Pa(entry.ctp() << 12))
}

/// The bits of a present root entry that are set and must not be.
pub fn root_violations(entry: RootEntry) -> [u64; 2] {
    let [low, high] = both(entry.raw(), RootEntry::RESERVED);
    [low | high_address(entry.ctp() << 12), high]
}

/// Decodes a context entry against the capabilities. FPD counts even where P = 0, so callers ask
/// the entry for it.
///
/// # Errors
/// [`Reason::ContextNotPresent`], [`Reason::ContextReserved`] and [`Reason::ContextInvalid`].
pub fn decode_context(entry: ContextEntry, cap: Cap, ecap: Ecap) -> Result<Context, Reason> {
    if !entry.p() {
        return Err(Reason::ContextNotPresent);
    }
    if context_violations(entry, cap) != [0; 2] {
        return Err(Reason::ContextReserved);
    }
    let root = entry.ssptptr() << 12;
    let width = AddressWidth::from_aw(entry.aw())
        .filter(|width| cap.sagaw() & 1 << (width.levels() - 2) != 0)
        .ok_or(Reason::ContextInvalid)?;
    let translation = match entry.tt() {
        0b00 => Translation::SecondStage { root: Pa(root), width },
        // AW must name the widest supported width [VT-d 9.3].
        PASS_THROUGH if ecap.pt() && cap.sagaw() >> (width.levels() - 1) == 0 => Translation::PassThrough,
        _ => return Err(Reason::ContextInvalid),
    };
    Ok(Context { translation, domain: entry.did(), fpd: entry.fpd() })
}

/// TT of a pass-through entry.
const PASS_THROUGH: u8 = 0b10;
/// Address bits of a root or context entry.
const ADDRESS_FIELD: u64 = !0xfff;

/// The bits of a present context entry that are set and must not be.
pub fn context_violations(entry: ContextEntry, cap: Cap) -> [u64; 2] {
    let mut mask = ContextEntry::RESERVED;
    if entry.tt() != PASS_THROUGH {
        mask[0] |= high_address(ADDRESS_FIELD);
    }
    let domain_bits = 4 + 2 * u32::from(cap.nd());
    let beyond = u16::MAX.checked_shl(domain_bits).unwrap_or(0);
    both(entry.raw(), ContextEntry::from_raw(mask).with_did(beyond).raw())
}

register! {
    /// Second-stage entry of any level in legacy mode [VT-d 9.8].
    pub struct SecondStageEntry: u64 {
        63:63 Ignored _ignored2,
        62:62 Reserved _iw,
        61:52 Ignored _ignored1,
        /// First byte of the table or page, bits 51:12; those below a large page's size are reserved.
        51:12 Field   address: u64,
        11:11 Reserved _snp,
        10:8  Ignored _ignored0,
        /// Page size: 1 maps a large page; ignored in the last level.
        7:7   Field   ps: bool,
        6:2   Ignored _x,
        /// Writes.
        1:1   Field   w: bool,
        /// Reads.
        0:0   Field   r: bool,
    }
}

/// The second-stage table format in legacy mode.
#[derive(Clone, Copy, Debug)]
pub struct SecondStage {
    levels: u32,
    sslps: u8,
}

impl SecondStage {
    /// Tables of `width`, with the large pages that `cap` reports.
    pub fn new(width: AddressWidth, cap: Cap) -> Self {
        Self { levels: width.levels(), sslps: cap.sslps() }
    }

    /// The bits of a present entry that are set and must not be.
    pub fn violations(&self, level: u32, raw: u64) -> u64 {
        let large = level > 1 && raw & PS != 0;
        raw & if large { RESERVED | self.reserved_if_large(level) } else { RESERVED }
    }

    /// The bits that must not be set in an entry of `level` because it maps a large page: PS itself
    /// where there is none of that size, else those below the page's own address.
    fn reserved_if_large(&self, level: u32) -> u64 {
        match level {
            2 | 3 if self.sslps & 1 << (level - 2) != 0 => ADDRESS & ((1 << page_bits(level)) - 1),
            _ => PS,
        }
    }
}

/// Read and write; an entry with neither is not present [VT-d 9.8].
const READ_WRITE: u64 = 0b11;
/// Page size.
const PS: u64 = 1 << 7;
/// Address bits of a second-stage entry.
const ADDRESS: u64 = ((1 << 52) - 1) & !0xfff;
/// Reserved in every entry: address bits beyond the host's width; SNP (bit 11), because CAP.SC = 0;
/// bit 62, because ECAP.SSIRWS = 0.
const RESERVED: u64 = ADDRESS & !((1 << HOST_ADDRESS_WIDTH) - 1) | 1 << 62 | 1 << 11;

impl Format for SecondStage {
    type Rights = Rights;
    type Address = Pa;

    fn top(&self) -> u32 {
        self.levels
    }

    #[inline]
    fn decode(&self, level: u32, raw: u64) -> Entry {
        if raw & READ_WRITE == 0 {
            return Entry::Absent;
        }
        let rights = Rights::from_bits(raw);
        let address = raw & ADDRESS;
        if self.violations(level, raw) != 0 {
            return Entry::Reserved;
        }
        if level == 1 || raw & PS != 0 {
            Entry::Page { base: Pa(address), rights }
        } else {
            Entry::Table { next: Pa(address), rights }
        }
    }
}

fn both(raw: [u64; 2], mask: [u64; 2]) -> [u64; 2] {
    [raw[0] & mask[0], raw[1] & mask[1]]
}

/// The bits of an address that the host does not implement.
const fn high_address(address: u64) -> u64 {
    address & !((1 << HOST_ADDRESS_WIDTH) - 1)
}

/// Whether an address has bits that the host does not implement.
pub fn beyond_host_width(address: u64) -> bool {
    high_address(address) != 0
}
