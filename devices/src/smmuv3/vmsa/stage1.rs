//! Stage 1 [Arm ARM D8.2.4, D8.4]: which tables an address belongs to, and what they permit.

use serde::{Deserialize, Serialize};

use super::descriptor::{Layout, Stage1Descriptor, TableDescriptor};
use super::{Half, Permissions, Stage1};
use crate::addr::Ipa;
use crate::iommu::walk::{Accumulate, Entry, Format};

/// What table descriptors take away from all below them: their bits 62:59.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits(u8);

impl Limits {
    /// PXNTable: no privileged execution.
    const PXN: u8 = 1 << 0;
    /// UXNTable, or XNTable.
    const UXN: u8 = 1 << 1;
    /// APTable[0]: no unprivileged access.
    const NO_UNPRIVILEGED: u8 = 1 << 2;
    /// APTable[1]: no writes.
    const NO_WRITE: u8 = 1 << 3;

    /// From bits 62:59 of a descriptor; bits 7:4 are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0xf)
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    const fn has(self, limit: u8) -> bool {
        self.0 & limit != 0
    }
}

impl Accumulate for Limits {
    const START: Self = Self(0);

    #[inline]
    fn then(self, below: Self) -> Self {
        Self(self.0 | below.0)
    }
}

/// The tables of one half.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    layout: Layout,
    /// Which limits of table descriptors count: none or all.
    hierarchy: u8,
}

impl Tables {
    #[inline]
    pub fn new(stage1: &Stage1, half: &Half, wide: bool) -> Self {
        let top = half.granule.levels(half.input_bits);
        let layout = Layout::new(half.granule, top, stage1.ds, wide, stage1.output_bits);
        Self { layout, hierarchy: if half.no_hierarchy { 0 } else { 0xf } }
    }
}

impl Format for Tables {
    type Rights = Limits;
    type Address = Ipa;

    #[inline]
    fn top(&self) -> u32 {
        self.layout.top()
    }

    #[inline]
    fn page_bits(&self, level: u32) -> u32 {
        self.layout.page_bits(level)
    }

    #[inline]
    fn offset(&self, level: u32, input: u64) -> u64 {
        self.layout.offset(level, input)
    }

    #[inline]
    fn decode(&self, level: u32, raw: u64) -> Entry<Limits, Ipa> {
        let hierarchy = self.hierarchy;
        let limits = |table: TableDescriptor| Limits::from_bits(table.limits() & hierarchy);
        self.layout.entry(level, raw, limits)
    }
}

/// The half that `address` belongs to and the address in the form that both halves' caches tell apart:
/// bit 55 in all bits above it where these are ignored.
///
/// `None` is F_TRANSLATION: out of range, or the half is disabled for this access [Arm ARM D8.2.4].
#[inline]
pub(super) fn half_of(stage1: &Stage1, address: u64, privileged: bool) -> Option<(&Half, u64)> {
    let high = address & BIT_55 != 0;
    let half = if high { stage1.high.as_ref() } else { stage1.low.as_ref() }?;
    let va =
        if half.top_byte_ignored { ((address << 8).cast_signed() >> 8).cast_unsigned() } else { address };
    // All ones or all zeroes above the range.
    let above = va.cast_signed() >> half.input_bits.clamp(1, 55);
    let unprivileged = !privileged && !stage1.single;
    let refused = above != if high { -1 } else { 0 } || half.no_unprivileged && unprivileged;
    (!refused).then_some((half, va))
}

const BIT_55: u64 = 1 << 55;

/// What stage 1 permits [SMMUv3 13.4.1; Arm ARM D8.4.1], with the write bit already set where a clean
/// page only waits for its first write.
#[inline]
pub(super) fn permissions(
    stage1: &Stage1,
    leaf: Stage1Descriptor,
    limits: Limits,
    clean: bool,
) -> Permissions {
    let page = Page {
        writable: (!leaf.ap2() | clean) & !limits.has(Limits::NO_WRITE),
        unprivileged: leaf.ap1() & !limits.has(Limits::NO_UNPRIVILEGED),
        uxn: leaf.uxn() | limits.has(Limits::UXN),
        pxn: leaf.pxn() | limits.has(Limits::PXN),
    };
    let Stage1 { single, write_implies_xn, pan, .. } = *stage1;
    PERMITTED[number([single, write_implies_xn, pan, false])][page.number()]
}

/// What the descriptors on the way to a page say of it.
struct Page {
    /// AP[2] and APTable[1].
    writable: bool,
    /// AP[1] and APTable[0].
    unprivileged: bool,
    /// UXN and UXNTable.
    uxn: bool,
    /// PXN and PXNTable.
    pxn: bool,
}

impl Page {
    #[inline]
    const fn number(self) -> usize {
        let Self { writable, unprivileged, uxn, pxn } = self;
        number([writable, unprivileged, uxn, pxn])
    }

    const fn of_number(number: usize) -> Self {
        let [writable, unprivileged, uxn, pxn] = bits(number);
        Self { writable, unprivileged, uxn, pxn }
    }
}

/// Four bits as a number, the first as bit 0.
#[inline]
const fn number(bits: [bool; 4]) -> usize {
    let [b0, b1, b2, b3] = bits;
    b0 as usize | (b1 as usize) << 1 | (b2 as usize) << 2 | (b3 as usize) << 3
}

const fn bits(number: usize) -> [bool; 4] {
    [number & 1 != 0, number & 2 != 0, number & 4 != 0, number & 8 != 0]
}

/// [`permitted`] of every page in a regime with one range, WXN and PAN: a walk asks for each page.
static PERMITTED: [[Permissions; 16]; 8] = {
    let mut table = [[Permissions::NONE; 16]; 8];
    let mut regime = 0;
    while regime < 8 {
        let [single, wxn, pan, _] = bits(regime);
        let mut page = 0;
        while page < 16 {
            table[regime][page] = permitted(Page::of_number(page), single, wxn, pan);
            page += 1;
        }
        regime += 1;
    }
    table
};

/// What a page permits.
const fn permitted(page: Page, single: bool, wxn: bool, pan: bool) -> Permissions {
    const fn right(granted: bool, right: u8) -> u8 {
        if granted { right } else { 0 }
    }
    let Page { writable, unprivileged, uxn, pxn } = page;
    if single {
        let execute = !uxn & !(wxn & writable);
        let bits =
            Permissions::READ | right(writable, Permissions::WRITE) | right(execute, Permissions::EXECUTE);
        return Permissions::from_bits(bits | bits << 3);
    }
    let unprivileged_write = unprivileged & writable;
    let pxn = pxn | unprivileged_write;
    // PAN keeps privileged data accesses away from what unprivileged ones may reach; execution is
    // judged by what is writable without it.
    let data = !(pan & unprivileged);
    Permissions::from_bits(
        right(unprivileged, Permissions::READ)
            | right(unprivileged_write, Permissions::WRITE)
            | right(!uxn & !(wxn & unprivileged_write), Permissions::EXECUTE)
            | right(data, Permissions::PRIV_READ)
            | right(data & writable, Permissions::PRIV_WRITE)
            | right(!pxn & !(wxn & writable), Permissions::PRIV_EXECUTE),
    )
}
