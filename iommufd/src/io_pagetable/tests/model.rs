//! A second table, as naive as can be: lists that are searched, an IOVA space of a few pages that is
//! tried place by place. Random operations must do the same to both, and the domains must always
//! hold what the model says.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What everything in the model is a multiple of.
const GRAIN: u64 = 2048;
/// IOVAs that are looked at, in grains.
const GRAINS: u64 = 96;
/// What domains can map.
const APERTURE: Span = Span { start: 0, last: 64 * GRAIN - 1 };
/// Size of the buffer: what is behind it can be mapped until a domain wants it.
const BUFFER: u64 = 64 * PAGE;

#[derive(Clone, Debug)]
enum Operation {
    /// Of the buffer, from a grain on; at a grain, or anywhere.
    Map {
        at: Option<u64>,
        from: u64,
        grains: u64,
        writable: bool,
    },
    Unmap {
        at: u64,
        grains: u64,
    },
    UnmapAll,
    Copy {
        at: Option<u64>,
        from: u64,
        grains: u64,
        writable: bool,
    },
    Allow(Vec<(u64, u64)>),
    Reserve {
        owner: u32,
        at: u64,
        grains: u64,
    },
    Release {
        owner: u32,
    },
    AddDomain,
    RemoveDomain {
        index: usize,
    },
    AddAccess,
    RemoveAccess,
    LargeLeaves(bool),
    Cut {
        at: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let at = || 0..80u64;
    let some_at = prop_oneof![2 => at().prop_map(Some), 1 => Just(None)];
    let from = prop_oneof![3 => select(vec![0, 2, 4, 8, 16, 32, 64]), 1 => 0..110u64];
    let grains = || prop_oneof![4 => 1..9u64, 1 => 1..40u64];
    let writable = prop::bool::weighted(0.7);
    prop_oneof![
        6 => (some_at.clone(), from, grains(), writable)
            .prop_map(|(at, from, grains, writable)| Operation::Map { at, from, grains, writable }),
        4 => (at(), grains()).prop_map(|(at, grains)| Operation::Unmap { at, grains }),
        1 => Just(Operation::UnmapAll),
        3 => (some_at, at(), grains(), writable)
            .prop_map(|(at, from, grains, writable)| Operation::Copy { at, from, grains, writable }),
        1 => prop::collection::vec((at(), grains()), 0..3).prop_map(Operation::Allow),
        1 => (0..2u32, at(), 1..4u64).prop_map(|(owner, at, grains)| Operation::Reserve { owner, at, grains }),
        1 => (0..2u32).prop_map(|owner| Operation::Release { owner }),
        2 => Just(Operation::AddDomain),
        1 => (0..3usize).prop_map(|index| Operation::RemoveDomain { index }),
        1 => Just(Operation::AddAccess),
        1 => Just(Operation::RemoveAccess),
        1 => any::<bool>().prop_map(Operation::LargeLeaves),
        1 => at().prop_map(|at| Operation::Cut { at }),
    ]
}

/// One area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapped {
    start: u64,
    last: u64,
    /// Offset in the buffer of what is at `start`.
    from: u64,
    /// Which call to map made its pages.
    pages: u32,
    /// These pages can be written, and in this area they may be.
    can_write: bool,
    may_write: bool,
}

#[derive(Default)]
struct Model {
    areas: Vec<Mapped>,
    reserved: Vec<(ReservedBy, u64, u64)>,
    allowed: Vec<(u64, u64)>,
    domains: Vec<DomainSlot>,
    accesses: Vec<AccessSlot>,
    small_leaves: bool,
    maps: u32,
}

impl Model {
    fn alignment(&self) -> u64 {
        if self.small_leaves || !self.accesses.is_empty() {
            PAGE
        } else if self.domains.is_empty() {
            1
        } else {
            GRAIN
        }
    }

    fn check_alignment(&self, alignment: u64) -> Result<()> {
        let aligned =
            |area: &Mapped| [area.start, area.last + 1, area.from].iter().all(|at| at % alignment == 0);
        if self.areas.iter().all(aligned) { Ok(()) } else { Err(Errno::EADDRINUSE) }
    }

    fn is_mapped(&self, start: u64, last: u64) -> bool {
        self.areas.iter().any(|area| area.start <= last && start <= area.last)
    }

    fn is_reserved(&self, start: u64, last: u64) -> bool {
        self.reserved.iter().any(|(_, first, end)| *first <= last && start <= *end)
    }

    fn is_allowed(&self, at: u64) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|(start, last)| (*start..=*last).contains(&at))
    }

    fn reserve(&mut self, owner: ReservedBy, start: u64, last: u64) -> Result<()> {
        let allowed = self.allowed.iter().any(|(first, end)| *first <= last && start <= *end);
        if allowed || self.is_mapped(start, last) {
            return Err(Errno::EADDRINUSE);
        }
        self.reserved.push((owner, start, last));
        Ok(())
    }

    fn choose(&self, bytes: u64, from: u64) -> Result<u64> {
        let address = FakeProcess::BUFFER + from;
        let alignment = bytes.next_power_of_two().min(1 << address.trailing_zeros());
        if alignment < self.alignment() {
            return Err(Errno::EINVAL);
        }
        // More than everything that can be reserved or mapped here.
        (PAGE..4 * GRAINS * GRAIN)
            .step_by(usize::try_from(GRAIN).expect("small"))
            .filter(|at| at % alignment == 0 && at & (from % PAGE) == from % PAGE)
            .find(|at| {
                let fits =
                    |at: u64| !self.is_reserved(at, at) && !self.is_mapped(at, at) && self.is_allowed(at);
                let touched = (*at..at + bytes).step_by(usize::try_from(GRAIN).expect("small"));
                touched.chain([at + bytes - 1]).all(fits)
            })
            .ok_or(Errno::ENOSPC)
    }

    /// Maps pieces of the buffer: offset, bytes, pages and whether these can be written.
    fn map(&mut self, at: Option<u64>, pieces: &[(u64, u64, u32, bool)], may_write: bool) -> Result<u64> {
        let bytes: u64 = pieces.iter().map(|piece| piece.1).sum();
        let alignment = self.alignment();
        if !bytes.is_multiple_of(alignment) {
            return Err(Errno::EINVAL);
        }
        let start = match at {
            Some(start) => start,
            None => self.choose(bytes, pieces[0].0)?,
        };
        if start % alignment != 0 || self.is_reserved(start, start + bytes - 1) {
            return Err(Errno::EINVAL);
        }
        if self.is_mapped(start, start + bytes - 1) {
            return Err(Errno::EEXIST);
        }
        for (from, _, _, can_write) in pieces {
            if may_write && !can_write {
                return Err(Errno::EPERM);
            }
            if from % alignment != 0 {
                return Err(Errno::EINVAL);
            }
        }
        if !self.domains.is_empty() && pieces.iter().any(|(from, bytes, ..)| from + bytes > BUFFER) {
            return Err(Errno::EFAULT);
        }
        let mut at = start;
        for (from, bytes, pages, can_write) in pieces {
            let (from, pages, can_write) = (*from, *pages, *can_write);
            self.areas.push(Mapped { start: at, last: at + bytes - 1, from, pages, can_write, may_write });
            at += bytes;
        }
        self.areas.sort_by_key(|area| area.start);
        Ok(start)
    }

    fn unmap(&mut self, start: u64, last: u64) -> (u64, Result<()>) {
        let mut bytes = 0;
        while let Some(index) = self.areas.iter().position(|area| area.start <= last && start <= area.last) {
            let area = self.areas[index];
            if area.start < start || area.last > last {
                return (bytes, Err(Errno::ENOENT));
            }
            bytes += area.last - area.start + 1;
            self.areas.remove(index);
        }
        (bytes, Ok(()))
    }

    fn pieces(&self, start: u64, last: u64) -> Result<Vec<(u64, u64, u32, bool)>> {
        let mut pieces = Vec::new();
        let mut at = start;
        while at <= last {
            let area = self.areas.iter().find(|area| (area.start..=area.last).contains(&at));
            let area = area.ok_or(Errno::ENOENT)?;
            let end = area.last.min(last);
            pieces.push((area.from + (at - area.start), end - at + 1, area.pages, area.can_write));
            at = end + 1;
        }
        Ok(pieces)
    }

    fn cut(&mut self, at: u64) -> Result<()> {
        let Some(index) = self.areas.iter().position(|area| (area.start..=area.last).contains(&at)) else {
            return Ok(());
        };
        let area = self.areas[index];
        if at == area.start || at == area.last {
            return Ok(());
        }
        let from = area.from + (at + 1 - area.start);
        if !((at + 1) | from).is_multiple_of(self.alignment()) {
            return Err(Errno::EINVAL);
        }
        if !self.domains.is_empty() && !self.small_leaves {
            return Err(Errno::EINVAL);
        }
        self.areas[index].last = at;
        self.areas.insert(index + 1, Mapped { start: at + 1, from, ..area });
        Ok(())
    }

    /// How often the buffer's page is pinned.
    fn pins(&self, page: u64) -> u32 {
        let on_page = |area: &&Mapped| {
            let end = area.from + (area.last - area.start);
            area.from / PAGE <= page && page <= end / PAGE
        };
        let mut pages: Vec<u32> = self.areas.iter().filter(on_page).map(|area| area.pages).collect();
        pages.sort_unstable();
        pages.dedup();
        if self.domains.is_empty() { 0 } else { u32::try_from(pages.len()).expect("few") }
    }
}

/// The table, its model, and what they are filled from and into.
struct Pair {
    real: Setting,
    model: Model,
    domains: Vec<Arc<FakeDomain>>,
}

impl Pair {
    fn new() -> Self {
        Self { real: Setting::new(), model: Model::default(), domains: Vec::new() }
    }

    fn apply(&mut self, operation: &Operation) -> std::result::Result<(), TestCaseError> {
        let table = &self.real.table;
        let model = &mut self.model;
        let owner = |owner: u32| ReservedBy::Device(owner);
        match operation {
            Operation::Map { at, from, grains, writable } => {
                let (from, bytes) = (from * GRAIN, grains * GRAIN);
                let at = at.map(|at| at * GRAIN);
                model.maps += 1;
                let expected = model.map(at, &[(from, bytes, model.maps, *writable)], *writable);
                let slice = self.real.slice(from, bytes, *writable);
                let at = at.map_or(At::Automatic, At::Fixed);
                prop_assert_eq!(table.map(vec![slice], at, if *writable { RW } else { RO }), expected);
            }
            Operation::Unmap { at, grains } => {
                let (start, bytes) = (at * GRAIN, grains * GRAIN);
                prop_assert_eq!(self.real.unmap(start, bytes), model.unmap(start, start + bytes - 1));
            }
            Operation::UnmapAll => {
                let unmapped = table.unmap(Span::ALL);
                prop_assert_eq!((unmapped.bytes, unmapped.result), model.unmap(0, u64::MAX));
            }
            Operation::Copy { at, from, grains, writable } => {
                let (start, bytes) = (from * GRAIN, grains * GRAIN);
                let at = at.map(|at| at * GRAIN);
                let expected = model
                    .pieces(start, start + bytes - 1)
                    .and_then(|pieces| model.map(at, &pieces, *writable));
                let at = at.map_or(At::Automatic, At::Fixed);
                let copied = table
                    .slices(Span::sized(start, bytes).expect("a range"))
                    .and_then(|slices| table.map(slices, at, if *writable { RW } else { RO }));
                prop_assert_eq!(copied, expected);
            }
            Operation::Allow(ranges) => {
                let ranges: Vec<(u64, u64)> =
                    ranges.iter().map(|(at, grains)| (at * GRAIN, (at + grains) * GRAIN - 1)).collect();
                let hit = ranges.iter().any(|(start, last)| model.is_reserved(*start, *last));
                let allowed = ranges.iter().map(|(start, last)| *start..=*last).collect();
                let expected = if hit { Err(Errno::EADDRINUSE) } else { Ok(()) };
                if !hit {
                    model.allowed = ranges;
                }
                prop_assert_eq!(table.allow(allowed), expected);
            }
            Operation::Reserve { owner: by, at, grains } => {
                let (start, last) = (at * GRAIN, (at + grains) * GRAIN - 1);
                let expected = model.reserve(owner(*by), start, last);
                prop_assert_eq!(table.reserve(owner(*by), Span { start, last }), expected);
            }
            Operation::Release { owner: by } => {
                model.reserved.retain(|(other, ..)| *other != owner(*by));
                table.release_reserved(owner(*by));
            }
            Operation::AddDomain => self.add_domain()?,
            Operation::RemoveDomain { index } => {
                if *index < model.domains.len() {
                    let slot = model.domains.remove(*index);
                    model.reserved.retain(|(owner, ..)| *owner != ReservedBy::Domain(slot));
                    table.remove_domain(slot);
                    prop_assert_eq!(self.domains.remove(*index).mappings(), vec![]);
                }
            }
            Operation::AddAccess => {
                let expected = model.check_alignment(PAGE);
                let added = table.add_access(None, PAGE);
                prop_assert_eq!(added.map(|_| ()), expected);
                model.accesses.extend(added.ok());
            }
            Operation::RemoveAccess => {
                if let Some(slot) = model.accesses.pop() {
                    table.remove_access(slot);
                }
            }
            Operation::LargeLeaves(large) => {
                let mut expected = Ok(());
                if !large && !model.small_leaves {
                    let filled = !model.domains.is_empty() && !model.areas.is_empty();
                    expected = if filled { Err(Errno::EINVAL) } else { model.check_alignment(PAGE) };
                }
                if expected.is_ok() {
                    model.small_leaves = !large;
                }
                prop_assert_eq!(table.set_large_leaves(*large), expected);
            }
            Operation::Cut { at } => {
                let last = at * GRAIN + GRAIN - 1;
                prop_assert_eq!(table.cut(&[last]), model.cut(last));
            }
        }
        Ok(())
    }

    fn add_domain(&mut self) -> std::result::Result<(), TestCaseError> {
        if self.domains.len() == 3 {
            return Ok(());
        }
        let model = &mut self.model;
        let domain = FakeDomain::new(APERTURE, !(GRAIN - 1));
        let mut expected = model.check_alignment(model.alignment().max(GRAIN));
        // A name that no reservation has.
        let owner = ReservedBy::NoOne;
        expected = expected.and_then(|()| model.reserve(owner, APERTURE.last + 1, u64::MAX));
        if expected.is_ok() && model.areas.iter().any(|area| area.from + (area.last - area.start) >= BUFFER) {
            model.reserved.pop();
            expected = Err(Errno::EFAULT);
        }
        let added = self.real.add(&domain);
        prop_assert_eq!(added.map(|_| ()), expected);
        if let Ok(slot) = added {
            model
                .reserved
                .iter_mut()
                .filter(|one| one.0 == owner)
                .for_each(|one| one.0 = ReservedBy::Domain(slot));
            model.domains.push(slot);
            self.domains.push(domain);
        } else {
            prop_assert_eq!(domain.mappings(), vec![]);
        }
        Ok(())
    }

    fn compare(&self) -> std::result::Result<(), TestCaseError> {
        let model = &self.model;
        prop_assert_eq!(self.real.table.alignment(), model.alignment());
        for domain in &self.domains {
            prop_assert!(!domain.is_stale());
            let bytes: u64 = model.areas.iter().map(|area| area.last - area.start + 1).sum();
            prop_assert_eq!(domain.mapped_bytes(), bytes);
            for at in (0..GRAINS).map(|grain| grain * GRAIN) {
                let area = model.areas.iter().find(|area| (area.start..=area.last).contains(&at));
                let byte = area.map(|area| area.from + (at - area.start));
                let expected = byte.and_then(|byte| self.real.process.physical(&self.real.host, byte));
                prop_assert_eq!(domain.iova_to_phys(Iova(at)), expected, "{:#x}", at);
            }
            for mapping in domain.mappings() {
                let area =
                    model.areas.iter().find(|area| (area.start..=area.last).contains(&mapping.iova.start));
                prop_assert_eq!(area.map(|area| area.may_write), Some(mapping.protection == RW));
            }
        }
        let pins: Vec<u32> = (0..64).map(|page| model.pins(page)).collect();
        let real: Vec<u32> = (0..64).map(|page| self.real.pins(page)).collect();
        prop_assert_eq!(&real, &pins);
        let charged: u32 = pins.iter().sum();
        prop_assert_eq!(self.real.host.accounts.of_user(1000), u64::from(charged));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_naive_one_does(operations in prop::collection::vec(operation(), 1..60)) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation)?;
            pair.compare()?;
        }
    }
}
