//! Any sequence of maps and unmaps against a table of pages.

use std::collections::BTreeMap;

use devices::addr::{Iova, Pa};
use iommufd::Errno;
use iommufd::driver::{Attachment, Protection};
use iommufd::span::Span;
use proptest::prelude::*;

use crate::rig::{Rig, preset};
use crate::tables;

/// 4-KiB pages.
const PAGE: u64 = 4096;

#[derive(Clone, Debug)]
enum Step {
    /// Pages from one on to pages from another on, in leaves of any size or small ones.
    Map {
        iova: u64,
        pa: u64,
        pages: u64,
        write: bool,
        large: bool,
    },
    /// The mapping that was made so many steps ago; of one in small leaves only a part, from so many
    /// eighths to so many.
    Unmap {
        back: usize,
        from: u64,
        to: u64,
    },
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    // Around what entries of each level translate, aligned or not.
    let place = || {
        let base = prop_oneof![Just(0u64), Just(512), Just(512 * 512 - 600), Just(512 * 512 * 512 - 520)];
        (base, prop_oneof![Just(0u64), Just(512), 0..1100u64]).prop_map(|(base, offset)| base + offset)
    };
    let pages = prop_oneof![Just(512u64), Just(1), 1..2000u64, Just(512 * 512)];
    prop_oneof![
        4 => (place(), place(), pages, any::<bool>(), any::<bool>()).prop_map(
            |(iova, pa, pages, write, large)| {
                // A gigabyte in small leaves is only slow.
                Step::Map { iova, pa, pages: if large { pages } else { pages.min(2000) }, write, large }
            }
        ),
        3 => (0..4usize, 0..8u64, 1..9u64).prop_map(|(back, from, to)| Step::Unmap { back, from, to }),
        1 => Just(Step::Sync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_say_what_was_mapped(steps in proptest::collection::vec(step(), 1..24)) {
        let rig = Rig::new(preset("vtd-legacy"));
        let (source, device) = rig.device(4);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        let mut model: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut made: Vec<(u64, u64, bool)> = Vec::new();
        let mut places = Vec::new();
        for step in steps {
            match step {
                Step::Map { iova, pa, pages, write, large } => {
                    places.push((iova, pages));
                    let protection = if write { Protection::WRITE } else { Protection::READ };
                    let free = model.range(iova..iova + pages).next().is_none();
                    let result = domain.map(Iova(iova * PAGE), Pa(pa * PAGE), pages * PAGE, protection, large);
                    prop_assert_eq!(result, if free { Ok(()) } else { Err(Errno::EINVAL) });
                    if free {
                        let rights = if write { 2 } else { 1 };
                        model.extend((0..pages).map(|page| (iova + page, (pa + page, rights))));
                        made.push((iova, pages, large));
                    }
                }
                Step::Unmap { back, from, to } => {
                    let Some(index) = made.len().checked_sub(back + 1) else { continue };
                    let (iova, pages, large) = made[index];
                    let (from, to) = if large { (0, pages) } else { (pages * from / 8, pages * to / 8) };
                    if from >= to {
                        continue;
                    }
                    // What is there now may be of a later mapping, but of none that is cut: those in large
                    // leaves are unmapped whole.
                    if model.range(iova..iova + pages).next().is_none() {
                        continue;
                    }
                    made.remove(index);
                    domain.unmap(Span::sized((iova + from) * PAGE, (to - from) * PAGE).unwrap());
                    model.retain(|page, _| !(iova + from..iova + to).contains(page));
                    let gone = domain.iova_to_phys(Iova((iova + from) * PAGE));
                    prop_assert_eq!(gone, None);
                    for page in [iova + from - u64::from(from > 0), (iova + to).min(iova + pages - 1)] {
                        let expected = model.get(&page).map(|(pa, _)| Pa(pa * PAGE));
                        prop_assert_eq!(domain.iova_to_phys(Iova(page * PAGE)), expected);
                    }
                    // The rest of it, so that no part stays that nobody remembers.
                    domain.unmap(Span::sized(iova * PAGE, pages * PAGE).unwrap());
                    model.retain(|page, _| !(iova..iova + pages).contains(page));
                }
                Step::Sync => domain.sync(),
            }
            for (iova, pages) in &places {
                for page in [iova.wrapping_sub(1), *iova, iova + pages / 2, iova + pages - 1, iova + pages] {
                    let page = page & ((1 << 36) - 1);
                    let expected = model.get(&page).map(|(pa, rights)| (pa * PAGE + 8, *rights));
                    let leaf = tables::leaf(&rig.machine, source, page * PAGE + 8);
                    prop_assert_eq!(leaf.map(|leaf| (leaf.pa, leaf.rights)), expected);
                    let reached = domain.iova_to_phys(Iova(page * PAGE + 8));
                    prop_assert_eq!(reached.map(|pa| pa.0), expected.map(|(pa, _)| pa));
                }
            }
        }
    }
}
