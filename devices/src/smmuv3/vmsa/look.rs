//! Descriptors one at a time, for [`explain`](crate::smmuv3::explain): what each means to a walk, and which
//! of its fields keep an access out. The rules are the walk's own.

use super::descriptor::{Layout, Stage1Descriptor, Stage2Descriptor};
use super::stage1::{self, Limits, Tables};
use super::update::{Updates, WriteBit};
use super::{Half, Permissions, Stage1, Stage2, Wanted, attributes, stage2};
use crate::addr::Ipa;
use crate::iommu::walk::{Accumulate as _, Entry, Format};
use crate::smmuv3::event::Class;

/// What a descriptor means at its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::smmuv3) enum Meaning {
    /// Not valid there.
    Absent,
    /// The address in it is beyond the output size.
    Beyond,
    /// A table, and what it takes away from all below it.
    Table { next: u64, limits: Limits },
    /// A page or block of `2^bits` bytes.
    Page { base: u64, bits: u32 },
}

/// The walker's number of a level that the Arm ARM counts from -1 to 3.
fn walker_level(level: i32) -> u32 {
    // One to five.
    (4 - level.clamp(-1, 3)).cast_unsigned()
}

fn meaning<F: Format>(format: &F, level: i32, raw: u64, limits: impl Fn(F::Rights) -> Limits) -> Meaning {
    use crate::iommu::walk::Address as _;
    let level = walker_level(level);
    match format.decode(level, raw) {
        Entry::Absent => Meaning::Absent,
        Entry::Reserved => Meaning::Beyond,
        Entry::Table { next, rights } => Meaning::Table { next: next.number(), limits: limits(rights) },
        Entry::Page { base, .. } => Meaning::Page { base: base.number(), bits: format.page_bits(level) },
    }
}

/// Why no tables of stage 1 are for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::smmuv3) enum NoTables {
    /// The half is disabled: EPDx.
    Disabled,
    /// The world has one range, and this is above it.
    OneRange,
    /// Not in the range that TxSZ leaves.
    OutOfRange,
    /// E0PDx keeps unprivileged accesses out.
    Unprivileged,
}

/// Stage 1 for one address.
#[derive(Clone, Copy, Debug)]
pub(in crate::smmuv3) struct Stage1Look<'a> {
    stage1: &'a Stage1,
    tables: Tables,
    limits: Limits,
}

/// Fields whose other values would let an access through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::smmuv3) struct Culprits {
    /// Of the descriptor.
    pub descriptor: Vec<&'static str>,
    /// Of the CD.
    pub context: Vec<&'static str>,
    /// Of the tables above.
    pub limits: bool,
}

impl<'a> Stage1Look<'a> {
    /// The tables for an address.
    ///
    /// # Errors
    /// [`NoTables`].
    pub fn new(stage1: &'a Stage1, address: u64, privileged: bool, wide: bool) -> Result<Self, NoTables> {
        match stage1::half_of(stage1, address, privileged) {
            Some((half, _)) => {
                let tables = Tables::new(stage1, half, wide);
                Ok(Self { stage1, tables, limits: Limits::START })
            }
            None => Err(match (half(stage1, address), stage1.single && is_high(address)) {
                (_, true) => NoTables::OneRange,
                (None, _) => NoTables::Disabled,
                (Some(_), _) if stage1::half_of(stage1, address, true).is_some() => NoTables::Unprivileged,
                (Some(_), _) => NoTables::OutOfRange,
            }),
        }
    }

    /// Goes on from a table that a cache holds.
    pub fn start(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What a descriptor means; a table's limits count from here on.
    pub fn next(&mut self, level: i32, raw: u64) -> Meaning {
        let meaning = meaning(&self.tables, level, raw, |limits| limits);
        if let Meaning::Table { limits, .. } = meaning {
            self.limits = self.limits.then(limits);
        }
        meaning
    }

    /// What a page permits, a clean one after its first write.
    pub fn permissions(&self, raw: u64) -> Permissions {
        let clean = self.updates().clean(raw);
        stage1::permissions(self.stage1, Stage1Descriptor::from_raw(raw), self.limits, clean)
    }

    /// What the unit would make of the descriptor of a page.
    pub fn after(&self, raw: u64, write: bool) -> u64 {
        self.updates().after(raw, write)
    }

    fn updates(&self) -> Updates {
        Updates::new(self.stage1.update, WriteBit::Zero)
    }

    /// Which fields keep an access out of a page: of the smallest sets that would do, all.
    pub fn culprits(&self, raw: u64, wanted: Wanted) -> Culprits {
        let descriptor = Stage1Descriptor::from_raw(raw);
        // Bit n of a choice is the change of row n.
        let permitted = |choice: u32| {
            let on = |bit: u32| choice >> bit & 1 != 0;
            let changed = descriptor
                .with_ap1(descriptor.ap1() ^ on(0))
                .with_ap2(descriptor.ap2() ^ on(1))
                .with_uxn(descriptor.uxn() ^ on(2))
                .with_pxn(descriptor.pxn() ^ on(3));
            let stage1 = Stage1 {
                write_implies_xn: self.stage1.write_implies_xn ^ on(4),
                pan: self.stage1.pan ^ on(5),
                ..*self.stage1
            };
            let limits = if on(6) { Limits::START } else { self.limits };
            let clean = self.updates().clean(changed.raw());
            stage1::permissions(&stage1, changed, limits, clean).grant(wanted)
        };
        const NAMES: [&str; 6] = ["ap1", "ap2", "uxn", "pxn", "wxn", "pan"];
        let granted: Vec<u32> = (1_u32..1 << 7).filter(|choice| permitted(*choice)).collect();
        let least = granted.iter().map(|choice| choice.count_ones()).min();
        let any = granted
            .iter()
            .filter(|choice| Some(choice.count_ones()) == least)
            .fold(0, |all, choice| all | choice);
        let named = |bits: std::ops::Range<usize>| -> Vec<_> {
            bits.filter(|bit| any >> bit & 1 != 0).map(|bit| NAMES[bit]).collect()
        };
        Culprits { descriptor: named(0..4), context: named(4..6), limits: any >> 6 & 1 != 0 }
    }
}

/// Whether an address belongs to TTB1.
pub(in crate::smmuv3) const fn is_high(address: u64) -> bool {
    address >> 55 & 1 != 0
}

/// The half for an address, if it is enabled.
fn half(stage1: &Stage1, address: u64) -> Option<&Half> {
    if is_high(address) { stage1.high.as_ref() } else { stage1.low.as_ref() }
}

/// Stage 2.
#[derive(Clone, Copy, Debug)]
pub(in crate::smmuv3) struct Stage2Look<'a> {
    stage2: &'a Stage2,
    layout: Layout,
}

impl<'a> Stage2Look<'a> {
    pub fn new(stage2: &'a Stage2, wide: bool) -> Self {
        let Stage2 { granule, start_level, ds, output_bits, .. } = *stage2;
        Self { stage2, layout: Layout::new(granule, walker_level(start_level), ds, wide, output_bits) }
    }

    /// Whether an address is in the range that S2T0SZ leaves.
    pub fn covers(&self, Ipa(ipa): Ipa) -> bool {
        ipa.checked_shr(self.stage2.input_bits).unwrap_or(0) == 0
    }

    /// What a descriptor means.
    pub fn meaning(&self, level: i32, raw: u64) -> Meaning {
        meaning(&self.layout, level, raw, |()| Limits::START)
    }

    /// What a page permits, a clean one after its first write.
    pub fn permissions(&self, raw: u64) -> Permissions {
        let descriptor = Stage2Descriptor::from_raw(raw);
        stage2::permissions(self.stage2, descriptor, self.updates().clean(raw))
    }

    /// What the unit would make of the descriptor of a page.
    pub fn after(&self, raw: u64, write: bool) -> u64 {
        self.updates().after(raw, write)
    }

    fn updates(&self) -> Updates {
        Updates::new(self.stage2.update, WriteBit::One)
    }

    /// Whether S2PTW keeps a walk out of Device memory.
    pub fn keeps_out(&self, raw: u64, class: Class) -> bool {
        let Stage2 { protected_walk, forced_write_back, .. } = *self.stage2;
        let memattr = Stage2Descriptor::from_raw(raw).memattr();
        class != Class::In && protected_walk && attributes::is_device(memattr, forced_write_back)
    }

    /// Which fields of a page's descriptor keep an access out.
    pub fn culprits(&self, raw: u64, wanted: Wanted) -> Vec<&'static str> {
        let permissions = self.permissions(raw);
        let refused = |read, write, instruction| {
            !permissions.grant(Wanted { read, write, instruction, privileged: wanted.privileged })
        };
        let execution = wanted.read && wanted.instruction;
        let data = refused(wanted.read && !execution, wanted.write, false);
        let fields = [(data, "s2ap"), (execution && refused(true, false, true), "xn")];
        fields.into_iter().filter_map(|(wrong, field)| wrong.then_some(field)).collect()
    }
}
