//! Legacy-mode translation, one request at a time, always from the root [VT-d 3.4.2, 3.7].
//!
//! The order of the checks is that of the walk: TTM, root entry, context entry, address, paging
//! entries from the top down, access rights, output address. Rights come after the whole walk
//! because they restrict "a valid translation" [VT-d 3.7.1]; an entry that grants neither right ends
//! the walk where it stands [VT-d 3.7].

use std::fmt;

/// The interrupt address range [VT-d 3.15].
const INTERRUPT_RANGE: std::ops::RangeInclusive<u64> = 0xfee0_0000..=0xfeef_ffff;

/// What the unit reports of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// CAP_REG as read [VT-d 11.4.2].
    pub cap: u64,
    /// ECAP_REG as read [VT-d 11.4.3].
    pub ecap: u64,
    /// HAW: bits of a host physical address [VT-d 8.1].
    pub haw: u32,
}

impl Caps {
    /// CAP.MGAW, in bits.
    fn mgaw(self) -> u32 {
        bits(self.cap, 21, 16) as u32 + 1
    }

    /// Whether tables of so many levels are in CAP.SAGAW.
    fn has_levels(self, levels: u32) -> bool {
        bit(self.cap, 8 + levels - 2)
    }

    /// Width in bits of the largest AGAW in CAP.SAGAW.
    fn largest_agaw(self) -> u32 {
        (3..=5).filter(|levels| self.has_levels(*levels)).map(|levels| 12 + 9 * levels).max().unwrap_or(0)
    }

    /// Width of a domain id in bits, from CAP.ND.
    fn did_width(self) -> u32 {
        4 + 2 * bits(self.cap, 2, 0) as u32
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reads; with no bytes enabled if its length is 0.
    Read,
    /// Writes.
    Write,
    /// AtomicOp.
    Atomic,
}

/// A request as it reaches the unit; it lies inside one 4-KiB page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Requester id.
    pub source: u16,
    /// PASID prefix.
    pub pasid: Option<u32>,
    /// First byte.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it does.
    pub access: Access,
    /// AT = 10b instead of 00b.
    pub translated: bool,
    /// Privileged mode requested; part of the PASID prefix.
    pub privileged: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, pasid, address, len, access, translated, privileged } = *self;
        let (bus, device, function) = (source >> 8, source >> 3 & 0x1f, source & 7);
        write!(f, "{bus:02x}:{device:02x}.{function} {access:?} of {len} bytes at {address:#x}")?;
        if translated {
            f.write_str(", translated")?;
        }
        if privileged {
            f.write_str(", privileged")?;
        }
        match pasid {
            Some(pasid) => write!(f, ", PASID {pasid:#x}"),
            None => Ok(()),
        }
    }
}

/// Where a request that is not refused goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To this host physical address.
    Memory(u64),
    /// To interrupt delivery.
    Interrupt,
    /// Nowhere: it completes without data.
    Nothing,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(pa) => write!(f, "memory at {pa:#x}"),
            Self::Interrupt => f.write_str("an interrupt"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// A request was refused; every legacy-mode refusal completes as Unsupported Request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Fault reason [VT-d 7.1.3, 5.1.4.1]; 0 where none is defined.
    pub reason: u8,
    /// Whether software is told: not if there is no reason, nor if the condition is qualified and
    /// an entry on the way had FPD set [VT-d 7.1.1].
    pub reported: bool,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reason {:#04x}{}", self.reason, if self.reported { "" } else { " (not reported)" })
    }
}

/// State of the unit that a translation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latched {
    /// GSTS.TES.
    pub enabled: bool,
    /// RTADDR_REG at the last Set Root Table Pointer command.
    pub rtaddr: u64,
}

/// Decides about `request`. `memory` reads an aligned qword, `None` where there is no RAM.
///
/// # Errors
/// [`Refusal`], with the reason of the first condition met.
///
/// # Panics
/// If the unit was told to use scalable mode and can.
pub fn translate(
    memory: &impl Fn(u64) -> Option<u64>,
    unit: Latched,
    caps: Caps,
    request: &Request,
) -> Result<Target, Refusal> {
    let Request { address, .. } = *request;
    // With remapping off nobody looks at the PASID prefix.
    let pasid = unit.enabled && request.pasid.is_some();

    // [VT-d 3.15]: whatever TES is.
    if INTERRUPT_RANGE.contains(&address) && !request.translated && !pasid {
        let dword = request.len == 4 && address % 4 == 0;
        return match request.access {
            Access::Write if dword => Ok(Target::Interrupt),
            Access::Read if request.len == 0 => Ok(Target::Nothing),
            _ => Err(unqualified(0x29)),
        };
    }

    if !unit.enabled {
        // [VT-d 4.2.1]: a translated request has no business here.
        let silent = Refusal { reason: 0, reported: false };
        return if request.translated { Err(silent) } else { Ok(Target::Memory(address)) };
    }

    // Root Table Address Register.
    match bits(unit.rtaddr, 11, 10) {
        0b00 if bit(caps.ecap, 57) && bit(unit.rtaddr, 7) => return Err(unqualified(0x30)), // RTA.1.4
        0b00 => {}
        0b01 if !bit(caps.ecap, 43) => return Err(unqualified(0x30)), // RTA.1.3
        0b10 => return Err(unqualified(0x30)),                        // RTA.1.2
        0b11 if !bit(caps.ecap, 52) => return Err(unqualified(0x30)), // RTA.1.1
        0b11 => return Err(unqualified(0x33)),                        // RTA.4
        _ => panic!("RTADDR_REG {:#x} selects scalable mode, which this oracle does not judge", unit.rtaddr),
    }
    if request.pasid.is_some() {
        return Err(unqualified(0x31)); // RTA.2
    }

    let [low, high] = context_entry(memory, unit.rtaddr, caps, request.source).map_err(unqualified)?;

    // Everything from here on is qualified, P = 0 included [VT-d 9.3].
    let reported = !bit(low, 1);
    let fault = |reason| Err(Refusal { reason, reported });
    if !bit(low, 0) {
        return fault(0x02); // LCT.2
    }
    let tt = bits(low, 3, 2);
    let pass_through = tt == 0b10;
    let did_reserved = caps.did_width() < 16 && bits(high, 23, 8 + caps.did_width()) != 0;
    let pointer_reserved = !pass_through && bits(low, 63, caps.haw) != 0;
    if bits(low, 11, 4) != 0 || bit(high, 7) || bits(high, 63, 24) != 0 || did_reserved || pointer_reserved {
        return fault(0x0b); // LCT.3
    }
    let levels = match bits(high, 2, 0) {
        0b001 => 3,
        0b010 => 4,
        0b011 => 5,
        _ => return fault(0x03), // LCT.4.1
    };
    let agaw = 12 + 9 * levels;
    if !caps.has_levels(levels) || pass_through && agaw != caps.largest_agaw() {
        return fault(0x03); // LCT.4.1
    }
    let tt_supported = match tt {
        0b00 => true,
        0b01 => bit(caps.ecap, 2),
        0b10 => bit(caps.ecap, 6),
        _ => false,
    };
    if !tt_supported {
        return fault(0x03); // LCT.4.2
    }
    if request.translated && tt != 0b01 {
        return fault(0x0d); // LCT.5
    }

    if pass_through || request.translated {
        return if bits(address, 63, caps.haw) != 0 {
            fault(0x04) // LGN.1.2, LGN.1.3
        } else if INTERRUPT_RANGE.contains(&address) {
            fault(0x0e) // LGN.4
        } else {
            Ok(Target::Memory(address))
        };
    }

    if bits(address, 63, agaw.min(caps.mgaw())) != 0 {
        return fault(0x04); // LGN.1.1
    }
    let page = match walk(memory, caps, low & !0xfff, levels, address) {
        Ok(page) => page,
        Err(Stop::Error { top: true }) => return fault(0x03), // LCT.4.3
        Err(Stop::Error { top: false }) => return fault(0x07), // LSS.1
        Err(Stop::Reserved) => return fault(0x0c),            // LSS.2
        // Neither right: whichever the request lacks first.
        Err(Stop::NoRights) if request.access == Access::Read => return fault(0x06), // LGN.3
        Err(Stop::NoRights) => return fault(0x05),                                   // LGN.2
    };
    let writes = request.access == Access::Read || page.writable;
    // With CAP.ZLR a zero-length read of a write-only page passes [VT-d 3.14]. The entry formats waive
    // the right entry by entry [VT-d 9.8], so that one that only writes above one that only reads
    // would do; LGN.3 wants a page mapped write-only, and that is what the cumulative rights say.
    let zero_length = request.access == Access::Read && request.len == 0 && bit(caps.cap, 22);
    let reads = request.access == Access::Write || page.readable || zero_length && page.writable;
    if !writes {
        return fault(0x05); // LGN.2
    }
    if !reads {
        return fault(0x06); // LGN.3
    }
    if INTERRUPT_RANGE.contains(&page.address) {
        return fault(0x0e); // LGN.4
    }
    Ok(Target::Memory(page.address))
}

/// The context entry of `source`, low word first [VT-d 9.1, 9.3], whether present or not; the
/// reason, always unqualified, where there is none.
///
/// # Errors
/// The fault reason.
pub fn context_entry(
    memory: &impl Fn(u64) -> Option<u64>,
    rtaddr: u64,
    caps: Caps,
    source: u16,
) -> Result<[u64; 2], u8> {
    let (bus, devfn) = (u64::from(source >> 8), u64::from(source & 0xff));
    let [low, high] = entry128(memory, (rtaddr & !0xfff) + 16 * bus).ok_or(0x08)?; // LRT.1
    if !bit(low, 0) {
        return Err(0x01); // LRT.2
    }
    if bits(low, 11, 1) != 0 || bits(low, 63, caps.haw) != 0 || high != 0 {
        return Err(0x0a); // LRT.3
    }
    entry128(memory, (low & !0xfff) + 16 * devfn).ok_or(0x09) // LCT.1
}

/// Where a walk ended and what all its entries grant.
struct Page {
    address: u64,
    readable: bool,
    writable: bool,
}

/// Why a walk ended early.
enum Stop {
    /// The entry could not be read.
    Error { top: bool },
    /// R = W = 0.
    NoRights,
    /// A reserved bit is set.
    Reserved,
}

/// Walks second-stage tables of `levels` levels from `table` [VT-d 3.7, 9.8].
fn walk(
    memory: &impl Fn(u64) -> Option<u64>,
    caps: Caps,
    mut table: u64,
    levels: u32,
    address: u64,
) -> Result<Page, Stop> {
    let (mut readable, mut writable) = (true, true);
    for level in (1..=levels).rev() {
        let shift = 12 + 9 * (level - 1);
        let index = address >> shift & 0x1ff;
        let entry = memory(table + 8 * index).ok_or(Stop::Error { top: level == levels })?;
        if !bit(entry, 0) && !bit(entry, 1) {
            return Err(Stop::NoRights);
        }
        readable &= bit(entry, 0);
        writable &= bit(entry, 1);

        // Bit 7 of a page-table entry is ignored; above the page-directory-pointer table it is
        // reserved, and so it is where CAP.SSLPS lacks the size.
        let large = bit(entry, 7) && level > 1;
        let size_supported = match level {
            2 => bit(caps.cap, 34),
            3 => bit(caps.cap, 35),
            _ => false,
        };
        let leaf = large || level == 1;
        let mut reserved = large && !size_supported;
        // The part of the address that a large page's offset takes.
        reserved |= large && bits(entry, shift - 1, 12) != 0;
        reserved |= caps.haw < 52 && bits(entry, 51, caps.haw) != 0;
        // SNP wants Snoop Control, and a page.
        reserved |= bit(entry, 11) && !(leaf && bit(caps.ecap, 7));
        // IW; SSIRWE cannot be set in legacy mode.
        reserved |= bit(entry, 62);
        if reserved {
            return Err(Stop::Reserved);
        }

        let next = entry & ((1 << caps.haw.min(52)) - 1) & !0xfff;
        if leaf {
            let offset = address & ((1 << shift) - 1);
            return Ok(Page { address: next & !((1 << shift) - 1) | offset, readable, writable });
        }
        table = next;
    }
    unreachable!("level 1 is a leaf")
}

/// The raw 128-bit fault record of a refused request [VT-d 11.4.7.6], low word first.
pub fn record(caps: Caps, request: &Request, reason: u8) -> [u64; 2] {
    let (t1, t2) = match request.access {
        Access::Write => (0, 0),
        Access::Read => (1, 0),
        Access::Atomic => (1, 1),
    };
    let fi = request.address & ((1 << caps.largest_agaw()) - 1) & !0xfff;
    // AT needs ECAP.DT.
    let at = if request.translated && bit(caps.ecap, 2) { 0b10 } else { 0 };
    let mut high = 1 << 63 | t1 << 62 | at << 60 | u64::from(reason) << 32 | t2 << 28;
    high |= u64::from(request.source);
    // PP, PV and PRIV need ECAP.PASID.
    if let Some(pasid) = request.pasid.filter(|_| bit(caps.ecap, 40)) {
        high |= 1 << 31 | u64::from(pasid) << 40 | u64::from(request.privileged) << 29;
    }
    [fi, high]
}

/// Bits of [`record`] that the specification defines for this reason: 29h leaves type and address
/// undefined [VT-d 11.4.7.6].
pub fn defined(reason: u8) -> [u64; 2] {
    if reason == 0x29 { [0xfff, !(1 << 62 | 1 << 28)] } else { [u64::MAX; 2] }
}

/// An unqualified condition: FPD does not hide it.
fn unqualified(reason: u8) -> Refusal {
    Refusal { reason, reported: true }
}

/// Reads an entry of two qwords.
fn entry128(memory: &impl Fn(u64) -> Option<u64>, address: u64) -> Option<[u64; 2]> {
    Some([memory(address)?, memory(address + 8)?])
}

/// Bit `n` of `word`.
fn bit(word: u64, n: u32) -> bool {
    word >> n & 1 == 1
}

/// Bits `high:low` of `word`.
fn bits(word: u64, high: u32, low: u32) -> u64 {
    word >> low & u64::MAX >> (63 - (high - low))
}
