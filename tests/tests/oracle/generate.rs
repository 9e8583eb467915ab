//! Random cases, most of them nearly right: a chain of tables that works, then a few changes.

use std::collections::BTreeMap;

use devices::iommu::cache::Policy;
use devices::vtd::AddressWidth;
use proptest::prelude::*;
use proptest::sample::select;
use tests::oracle::legacy::{Access, Request};

use crate::case::{Case, DATA, Invalidation, Operation, Special, Step};

const ROOT: u64 = 0x1000;
const BUSES: [u8; 4] = [0x00, 0x01, 0x80, 0xff];
const DEVFNS: [u8; 4] = [0x00, 0x18, 0x7f, 0xff];
/// No two of these are equal after a change of three bits.
const DOMAINS: [u64; 3] = [0x0000, 0x00ff, 0xff00];

/// A device, its context entry and what its domain maps.
#[derive(Clone, Debug)]
struct Device {
    bus: u8,
    devfn: u8,
    tt: u64,
    /// Levels fewer than the unit supports.
    narrower: u32,
    fpd: bool,
    mappings: Vec<Mapping>,
}

#[derive(Clone, Debug)]
struct Mapping {
    /// Input address, cut to the domain's width and the page's size.
    iova: u64,
    /// Level of the leaf: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
    leaf: u32,
    /// Output address, cut to the page's size.
    output: u64,
    /// R and W, by level from the leaf up.
    rights: [u64; 5],
    /// Put into the ignored bits of all entries.
    ignored: u64,
}

/// A change of one word, chosen by number.
#[derive(Clone, Debug)]
struct Mutation {
    which: usize,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Flip(u32),
    Low(u64),
    Pointer(u64),
    Replace(u64),
}

#[derive(Clone, Debug)]
enum Address {
    /// Inside a mapping.
    Mapped { mapping: usize, offset: u64 },
    /// Anywhere.
    Absolute(u64),
}

#[derive(Clone, Debug)]
struct Dma {
    device: usize,
    /// Exclusive-or'ed into the requester id; mostly 0.
    stranger: u16,
    address: Address,
    access: (Access, u64),
    operation: Operation,
    translated: bool,
    privileged: bool,
    pasid: Option<u32>,
}

#[derive(Clone, Debug)]
enum Plan {
    Dma(Dma),
    Rewrite(Mutation),
    ClearFaults { records: bool, overflow: bool },
}

/// Cases with at most `mutations` changes and `steps` steps.
pub fn case(mutations: usize, steps: usize) -> impl Strategy<Value = Case> {
    let unit =
        (select(AddressWidth::ALL.to_vec()), prop::bool::weighted(0.2), special(), policy(), invalidation());
    let root = (rtaddr(), prop::option::weighted(0.05, rtaddr()), prop::bool::weighted(0.95));
    let tables = (prop::collection::vec(device(), 1..=3), prop::collection::vec(mutation(), 0..=mutations));
    (unit, root, tables, prop::collection::vec(plan(), 1..=steps)).prop_map(
        |(
            (width, compress, special, policy, invalidation),
            (rtaddr, stray_rtaddr, enabled),
            (devices, mutations),
            plans,
        )| {
            let mut words = tables_of(width, &devices);
            for Mutation { which, change } in &mutations {
                let nth = which % words.len();
                if let Some(word) = words.values_mut().nth(nth) {
                    *word = changed(*word, change);
                }
            }
            let steps = plans.iter().map(|plan| step(plan, width, &devices, &words)).collect();
            let words = words.into_iter().collect();
            Case {
                width,
                compress,
                special,
                policy,
                invalidation,
                rtaddr,
                stray_rtaddr,
                enabled,
                words,
                steps,
            }
        },
    )
}

fn special() -> impl Strategy<Value = Special> {
    prop_oneof![
        2 => Just(Special::Nothing),
        2 => select(vec![Special::Sanitizer, Special::Esrtps, Special::Adms, Special::CachingMode]),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::Retain), Just(Policy::Tiny), Just(Policy::Adversarial)]
}

fn invalidation() -> impl Strategy<Value = Invalidation> {
    prop_oneof![Just(Invalidation::Registers), Just(Invalidation::Queue)]
}

/// Mostly the root table in legacy mode; other modes, bits that are not stored, tables elsewhere.
fn rtaddr() -> impl Strategy<Value = u64> {
    prop_oneof![
        60 => Just(ROOT),
        1 => (0..0x1000_u64).prop_map(|low| ROOT | low & !0xc00),
        2 => (0..0x1000_u64).prop_map(|low| ROOT | low),
        1 => pointer(),
        1 => (48..64_u32).prop_map(|bit| ROOT | 1 << bit),
    ]
}

/// Page-aligned addresses: tables, data, both sides of every island's edge, the interrupt range, no
/// RAM at all, the end of the host's addresses and beyond.
fn pointer() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0x18..0x1e_u64).prop_map(|page| page << 12),
        1 => (0..0x20_u64).prop_map(|page| page << 12),
        8 => select(vec![
            0x2_0000, 0x3fff_f000, 0x4000_0000, 0x4000_2000, 0x4000_3000, 0x401f_f000, 0x4020_0000,
            0xfec0_0000, 0xfedf_f000, 0xfee0_0000, 0xfee0_1000, 0xfeef_f000, 0xfef0_0000, 0xfef0_1000,
            0x7f_ffff_f000,
            0x80_0000_0000, 0xffff_c000_0000, 0xffff_ffff_e000, 0xffff_ffff_f000, 0x1_0000_0000_0000,
            0x1_0000_0000_1000, 0x000f_ffff_ffff_f000,
        ]),
    ]
}

fn device() -> impl Strategy<Value = Device> {
    let tt = prop_oneof![20 => Just(0b00), 4 => Just(0b10), 1 => Just(0b01), 1 => Just(0b11)];
    let narrower = prop_oneof![6 => Just(0), 2 => 1..=2_u32];
    let mappings = prop_oneof![1 => Just(Vec::new()), 8 => prop::collection::vec(mapping(), 1..=2)];
    (select(&BUSES[..]), select(&DEVFNS[..]), tt, narrower, prop::bool::weighted(0.25), mappings).prop_map(
        |(bus, devfn, tt, narrower, fpd, mappings)| Device { bus, devfn, tt, narrower, fpd, mappings },
    )
}

fn mapping() -> impl Strategy<Value = Mapping> {
    let iova = prop_oneof![
        4 => Just(0x1000),
        2 => select(vec![0, 0x20_0000, 0x4000_0000, 0x80_0000_0000, 0x1_0000_0000_0000]),
        // All indexes at their ends; the interrupt range and its neighbours.
        2 => select(vec![0x01ff_ffff_ffff_f000, 0xffff_ffff_f000, 0x7f_ffff_f000]),
        2 => select(vec![0xfedf_f000, 0xfee0_0000, 0xfeef_f000, 0xfef0_0000]),
        2 => any::<u64>(),
    ];
    let leaf = prop_oneof![6 => Just(1_u32), 2 => Just(2), 2 => Just(3)];
    let rights = prop_oneof![40 => Just(3_u64), 3 => Just(1), 3 => Just(2), 1 => Just(0)];
    let ignored = prop_oneof![3 => Just(0), 1 => any::<u64>()];
    (iova, leaf, pointer(), prop::array::uniform5(rights), ignored)
        .prop_map(|(iova, leaf, output, rights, ignored)| Mapping { iova, leaf, output, rights, ignored })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Bits with a meaning in some entry, and the borders of its fields.
    let bit = prop_oneof![
        3 => select(vec![0, 1, 2, 3, 6, 7, 8, 11, 12, 20, 21, 29, 30, 38, 39, 47, 48, 51, 52, 61, 62, 63]),
        1 => 0..64_u32,
    ];
    let change = prop_oneof![
        6 => bit.prop_map(Change::Flip),
        2 => (0..0x1000_u64).prop_map(Change::Low),
        4 => pointer().prop_map(Change::Pointer),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Change::Replace),
    ];
    (any::<u16>(), change).prop_map(|(which, change)| Mutation { which: which.into(), change })
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        16 => dma().prop_map(Plan::Dma),
        2 => mutation().prop_map(Plan::Rewrite),
        1 => (prop::bool::weighted(0.75), prop::bool::weighted(0.75))
            .prop_map(|(records, overflow)| Plan::ClearFaults { records, overflow }),
    ]
}

fn dma() -> impl Strategy<Value = Dma> {
    let offset = prop_oneof![
        6 => select(vec![0, 8, 0xffc, 0xff8, 0xfff, 0x1000, 0x1ff8]),
        // Ends of large pages, and where 1 GiB at C0000000h holds the interrupt range.
        2 => select(vec![0x1f_fffc, 0x3fff_fffc, 0x3edf_fffc, 0x3ee0_0000, 0x3eef_fffc, 0x3ef0_0000]),
        2 => any::<u64>(),
    ];
    let address = prop_oneof![
        8 => (0..2_usize, offset).prop_map(|(mapping, offset)| Address::Mapped { mapping, offset }),
        3 => absolute().prop_map(Address::Absolute),
    ];
    let length = select(vec![1_u64, 2, 4, 8, 24, 0x1000, 0x1004]);
    let access = prop_oneof![
        4 => length.clone().prop_map(|len| (Access::Read, len)),
        2 => Just((Access::Read, 0)),
        4 => length.prop_map(|len| (Access::Write, len)),
        1 => Just((Access::Write, 4)),
        2 => select(vec![4_u64, 8]).prop_map(|len| (Access::Atomic, len)),
    ];
    let operation = prop_oneof![
        Just(Operation::FetchAdd),
        Just(Operation::Swap),
        any::<bool>().prop_map(Operation::CompareSwap),
    ];
    let stranger = prop_oneof![24 => Just(0), 1 => any::<u16>(), 1 => select(vec![1, 0x80, 0x100])];
    let flags = (prop::bool::weighted(0.05), any::<bool>(), prop::option::weighted(0.05, 0..1_u32 << 20));
    (0..3_usize, stranger, address, access, operation, flags).prop_map(
        |(device, stranger, address, access, operation, (translated, privileged, pasid))| Dma {
            device,
            stranger,
            address,
            access,
            operation,
            translated,
            privileged,
            pasid,
        },
    )
}

/// Bus addresses just below and above every limit.
fn absolute() -> impl Strategy<Value = u64> {
    let limit = select(vec![
        0,
        0x1_8000,
        0x4000_0000,
        0xfee0_0000,
        0xfef0_0000,
        1 << 39,
        1 << 47,
        1 << 48,
        1 << 57,
        1 << 63,
    ]);
    let delta = select(vec![0, 4, 8, 0xff8, (-4_i64) as u64, (-8_i64) as u64, (-0x1000_i64) as u64]);
    prop_oneof![
        8 => (limit, delta).prop_map(|(limit, delta): (u64, u64)| limit.wrapping_add(delta)),
        2 => (0xfee0_0000..0xfef0_0000_u64).prop_map(|address| address & !3),
        1 => any::<u64>(),
    ]
}

/// Builds the tables, every word that belongs to them whether zero or not.
fn tables_of(width: AddressWidth, devices: &[Device]) -> BTreeMap<u64, u64> {
    let mut words = BTreeMap::new();
    // The pages after the root table, as long as there are some.
    let mut pages = (ROOT + 0x1000..DATA).step_by(0x1000);
    for (device, did) in devices.iter().zip(DOMAINS) {
        let root = ROOT + 16 * u64::from(device.bus);
        words.entry(root + 8).or_insert(0);
        let Some(contexts) = table(&mut words, root, 1, &mut pages) else { break };
        let context = contexts + 16 * u64::from(device.devfn);
        let levels = levels(width, device);
        let flags = u64::from(device.fpd) << 1 | device.tt << 2 | 1;
        words.entry(context + 8).or_insert(did << 8 | u64::from(levels - 2));
        let Some(top) = table(&mut words, context, flags, &mut pages) else { break };
        for mapping in &device.mappings {
            map(&mut words, top, levels, mapping, &mut pages);
        }
    }
    words
}

/// Enters one mapping, through tables that may be there already.
fn map(
    words: &mut BTreeMap<u64, u64>,
    top: u64,
    levels: u32,
    mapping: &Mapping,
    pages: &mut impl Iterator<Item = u64>,
) {
    let (iova, mut at) = (mapped_iova(mapping, levels), top);
    for level in (1..=levels).rev() {
        let rights = mapping.rights[level as usize - 1];
        let entry = at + 8 * (iova >> (3 + 9 * level) & 0x1ff);
        // Ignored everywhere: 10:8 but 63, 60:52 and 6:2.
        let flags = rights | mapping.ignored & 0x9ff0_0000_0000_077c;
        if level == mapping.leaf {
            let size = 1 << (3 + 9 * level);
            let large = if level > 1 { 0x80 } else { 0 };
            words.entry(entry).or_insert(mapping.output & !(size - 1) | large | flags);
            return;
        }
        let Some(next) = table(words, entry, flags, pages) else { return };
        at = next;
    }
}

/// The table that `entry` points to; a new one, with `flags`, if there is none.
fn table(
    words: &mut BTreeMap<u64, u64>,
    entry: u64,
    flags: u64,
    pages: &mut impl Iterator<Item = u64>,
) -> Option<u64> {
    if let Some(word) = words.get(&entry) {
        return Some(word & 0xf_ffff_f000);
    }
    let page = pages.next()?;
    words.insert(entry, page | flags);
    Some(page)
}

fn levels(width: AddressWidth, device: &Device) -> u32 {
    (width.levels() - device.narrower.min(2)).max(3)
}

/// Where a mapping begins.
fn mapped_iova(mapping: &Mapping, levels: u32) -> u64 {
    let size = 1 << (3 + 9 * mapping.leaf);
    mapping.iova & ((1 << (12 + 9 * levels)) - 1) & !(size - 1)
}

fn changed(word: u64, change: &Change) -> u64 {
    match change {
        Change::Flip(bit) => word ^ 1 << bit,
        Change::Low(low) => word & !0xfff | low,
        Change::Pointer(pointer) => word & 0xfff | pointer,
        Change::Replace(word) => *word,
    }
}

fn step(plan: &Plan, width: AddressWidth, devices: &[Device], words: &BTreeMap<u64, u64>) -> Step {
    match plan {
        Plan::ClearFaults { records, overflow } => {
            Step::ClearFaults { records: *records, overflow: *overflow }
        }
        Plan::Rewrite(Mutation { which, change }) => {
            // There is a root entry at least.
            let (pa, word) =
                words.iter().nth(which % words.len()).map_or((ROOT, 0), |(pa, word)| (*pa, *word));
            Step::Rewrite { pa, word: changed(word, change) }
        }
        Plan::Dma(dma) => {
            let device = &devices[dma.device % devices.len()];
            let source = u16::from(device.bus) << 8 | u16::from(device.devfn);
            let address = match dma.address {
                Address::Mapped { mapping, offset } if !device.mappings.is_empty() => {
                    let mapping = &device.mappings[mapping % device.mappings.len()];
                    let size: u64 = 1 << (3 + 9 * mapping.leaf);
                    // One page more, to look over the edge.
                    mapped_iova(mapping, levels(width, device)).wrapping_add(offset % (size + 0x1000))
                }
                Address::Mapped { offset, .. } => DATA + offset % 0x4000,
                Address::Absolute(address) => address,
            };
            let (access, len) = dma.access;
            // Most AtomicOps are aligned as they must be.
            let address = if access == Access::Atomic && address & 0xfff != 0xfff {
                address & !(len - 1)
            } else {
                address
            };
            let Dma { translated, privileged, pasid, stranger, .. } = *dma;
            let request =
                Request { source: source ^ stranger, pasid, address, len, access, translated, privileged };
            Step::Dma(request, dma.operation)
        }
    }
}
