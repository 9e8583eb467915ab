mod model;

use std::sync::{Mutex, OnceLock};

use super::*;
use crate::accounting::Payer;
use crate::driver::Protection;
use crate::fault_point;
use crate::host::{Host, Options};
use crate::pages::fake::{FakeDmaBuf, FakeDomain, FakeObject, FakeProcess};
use crate::pages::{AccessFrom, Direction, Pages};
use crate::sync::lock;

const PAGE: u64 = PAGE_SIZE;
const RW: Protection = Protection::READ.union(Protection::WRITE).union(Protection::CACHE);
const RO: Protection = Protection::READ.union(Protection::CACHE);

/// A host, a process with a buffer of 64 pages, and a table.
struct Setting {
    host: Arc<Host>,
    process: FakeProcess,
    table: IoPagetable,
}

impl Setting {
    fn new() -> Self {
        Self {
            host: Host::new(Options::default()),
            process: FakeProcess::new(64),
            table: IoPagetable::default(),
        }
    }

    fn slice(&self, offset: u64, bytes: u64, writable: bool) -> Slice {
        self.try_slice(offset, bytes, writable).expect("a range")
    }

    fn try_slice(&self, offset: u64, bytes: u64, writable: bool) -> Result<Slice> {
        let caller = self.process.caller();
        let payer = Payer::new(&caller, false);
        let address = FakeProcess::BUFFER.wrapping_add(offset);
        let (pages, start_byte) = Pages::of_user(&self.host, &caller, payer, address, bytes, writable)?;
        Ok(Slice { pages, start_byte, bytes })
    }

    fn map(&self, iova: u64, offset: u64, bytes: u64) -> Result<u64> {
        self.table.map(vec![self.slice(offset, bytes, true)], At::Fixed(iova), RW)
    }

    fn unmap(&self, start: u64, bytes: u64) -> (u64, Result<()>) {
        let unmapped = self.table.unmap(Span::sized(start, bytes).expect("a range"));
        (unmapped.bytes, unmapped.result)
    }

    fn add(&self, domain: &Arc<FakeDomain>) -> Result<DomainSlot> {
        let domain: Arc<dyn PagingDomain> = domain.clone();
        self.table.add_domain(&domain)
    }

    fn pins(&self, page: u64) -> u32 {
        self.process.pins(&self.host, page)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        fault_point::arm(0);
        let slots: Vec<_> = self.table.read().domains.iter().map(|(slot, _)| *slot).collect();
        slots.into_iter().for_each(|slot| self.table.remove_domain(slot));
        assert_eq!(self.table.unmap(Span::ALL).result, Ok(()));
        assert!(self.host.frames.is_empty(), "every pin is gone");
        assert_eq!(self.host.accounts.of_user(1000), 0);
    }
}

#[test]
fn memory_is_pinned_from_the_first_domain_to_the_last() {
    let setting = Setting::new();
    assert_eq!(setting.map(0x10_0000, 0, 4 * PAGE), Ok(0x10_0000));
    assert_eq!(setting.pins(0), 0);
    let (first, second) = (FakeDomain::everywhere(), FakeDomain::everywhere());
    let slots = [setting.add(&first), setting.add(&second)].map(|slot| slot.expect("it fits"));
    assert_eq!(setting.map(0x20_0000, 8 * PAGE, PAGE), Ok(0x20_0000));
    assert_eq!([0, 3, 4, 8].map(|page| setting.pins(page)), [1, 1, 0, 1]);
    assert_eq!(first.mappings(), second.mappings());
    assert_eq!(first.mapped_bytes(), 5 * PAGE);
    let offset = 2 * PAGE + 5;
    assert_eq!(first.iova_to_phys(Iova(0x10_0000 + offset)), setting.process.physical(&setting.host, offset));

    setting.table.remove_domain(slots[0]);
    assert_eq!((first.mappings(), first.is_stale(), setting.pins(0)), (vec![], false, 1));
    assert_eq!(setting.unmap(0x10_0000, 4 * PAGE), (4 * PAGE, Ok(())));
    assert_eq!((second.mapped_bytes(), setting.pins(0), setting.pins(8)), (PAGE, 0, 1));
    setting.table.remove_domain(slots[1]);
    assert_eq!((second.mappings(), setting.pins(8)), (vec![], 0));
    let empty = FakeDomain::everywhere();
    assert!(setting.add(&empty).is_ok());
    assert_eq!(setting.add(&empty), Err(Errno::EEXIST));
}

/// Rows of what is asked for, and what that says in a table with [0x10000, +4 pages] mapped and
/// [0x40000, +1 page] reserved, aligned to 2 KiB.
#[test]
fn fixed_maps_are_checked_in_the_kernels_order() {
    let setting = Setting::new();
    assert!(setting.add(&FakeDomain::everywhere()).is_ok());
    assert_eq!(setting.map(0x1_0000, 0, 4 * PAGE), Ok(0x1_0000));
    assert_eq!(setting.table.reserve(ReservedBy::NoOne, Span { start: 0x4_0000, last: 0x4_0fff }), Ok(()));
    for (iova, offset, bytes, expected) in [
        (0x1_0000, 0, 1024, Errno::EINVAL),
        (0x1_0001, 0, PAGE, Errno::EINVAL),
        (u64::MAX - 2047, 0, PAGE, Errno::EOVERFLOW),
        (0x3_f000, 0, 2 * PAGE, Errno::EINVAL),
        (0x4_0800, 0, 2048, Errno::EINVAL),
        (0x1_3800, 0, PAGE, Errno::EEXIST),
        (0xf800, 0, PAGE, Errno::EEXIST),
        (0x1_0000, 8, PAGE, Errno::EEXIST),
        (0x2_0000, 8, PAGE, Errno::EINVAL),
        (0x2_0000, 63 * PAGE, 2 * PAGE, Errno::EFAULT),
    ] {
        assert_eq!(setting.map(iova, offset, bytes), Err(expected), "{iova:#x} {offset} {bytes:#x}");
    }
    let writing = setting.table.map(vec![setting.slice(0, PAGE, false)], At::Fixed(0x2_0000), RW);
    assert_eq!(writing, Err(Errno::EPERM));
    for (iova, offset, bytes) in
        [(u64::MAX - 2047, 2048, 2048), (0x4_1000, 2048, PAGE + 2048), (0xf800, 0, 2048)]
    {
        assert_eq!(setting.map(iova, offset, bytes), Ok(iova));
    }
}

#[test]
fn alignment_follows_domains_accesses_and_the_option() {
    let setting = Setting::new();
    assert_eq!(setting.table.alignment(), 1);
    assert_eq!(setting.map(0x1000_0800, 2048, 2048), Ok(0x1000_0800));
    let half_pages = setting.add(&FakeDomain::everywhere());
    assert_eq!(setting.table.alignment(), 2048);
    let whole_pages = FakeDomain::new(Span::ALL, 1 << 12 | 1 << 20);
    assert_eq!(setting.add(&whole_pages), Err(Errno::EADDRINUSE));
    assert_eq!(setting.table.add_access(None, PAGE).err(), Some(Errno::EADDRINUSE));
    assert_eq!(setting.table.set_large_leaves(false), Err(Errno::EINVAL), "a domain has areas");
    setting.table.remove_domain(half_pages.expect("it fits"));
    assert_eq!(setting.table.alignment(), 1);
    assert_eq!(setting.table.set_large_leaves(false), Err(Errno::EADDRINUSE));
    assert!(setting.table.large_leaves());
    assert_eq!(setting.unmap(0x1000_0800, 2048), (2048, Ok(())));

    let access = setting.table.add_access(None, PAGE).expect("nothing is misaligned");
    assert_eq!(setting.table.alignment(), PAGE);
    assert_eq!(setting.table.set_large_leaves(false), Ok(()));
    setting.table.remove_access(access);
    assert_eq!((setting.table.alignment(), setting.table.large_leaves()), (PAGE, false));
    assert!(setting.add(&whole_pages).is_ok());
    assert_eq!(setting.map(0, 0, 2 * PAGE), Ok(0));
    assert!(!whole_pages.mappings()[0].large);
    assert_eq!(setting.table.set_large_leaves(false), Ok(()), "it is so already");
    assert_eq!(setting.table.set_large_leaves(true), Ok(()));
    for sizes in [0, 1 << 13] {
        assert_eq!(setting.add(&FakeDomain::new(Span::ALL, sizes)), Err(Errno::EINVAL));
    }
}

#[test]
fn a_domain_that_does_not_fit_changes_nothing() {
    let setting = Setting::new();
    assert_eq!(setting.map(0x10_0000, 0, PAGE), Ok(0x10_0000));
    for aperture in [(0x10_0800, u64::MAX), (0, 0x10_07ff), (0x20_0000, 0x2f_ffff)] {
        let domain = FakeDomain::new(Span { start: aperture.0, last: aperture.1 }, !2047);
        assert_eq!(setting.add(&domain), Err(Errno::EADDRINUSE));
    }
    // The process has no such memory, which nobody noticed so far.
    assert_eq!(setting.map(0x20_0000, 63 * PAGE, 2 * PAGE), Ok(0x20_0000));
    let domain = FakeDomain::new(Span { start: 0x10_0000, last: 0x2f_ffff }, !2047);
    assert_eq!(setting.add(&domain), Err(Errno::EFAULT));
    assert_eq!((domain.mappings(), domain.is_stale(), setting.pins(0)), (vec![], false, 0));
    assert_eq!(setting.table.usable(), (vec![Span::ALL], 1));
    assert_eq!(setting.unmap(0x20_0000, 2 * PAGE), (2 * PAGE, Ok(())));
    let slot = setting.add(&domain).expect("now it fits");
    assert_eq!(setting.table.usable(), (vec![Span { start: 0x10_0000, last: 0x2f_ffff }], 2048));
    assert_eq!(setting.map(0x30_0000, 0, PAGE), Err(Errno::EINVAL));
    setting.table.remove_domain(slot);
    assert_eq!(setting.table.usable(), (vec![Span::ALL], 1));
}

#[test]
fn only_whole_areas_are_unmapped() {
    let setting = Setting::new();
    for index in 0..4 {
        assert!(setting.map(0x1_0000 + index * 0x1_0000, 0, 8 * PAGE).is_ok());
    }
    assert_eq!(setting.unmap(0xc000, 8 * PAGE), (0, Err(Errno::ENOENT)));
    assert_eq!(setting.unmap(0x4_4000, 8 * PAGE), (0, Err(Errno::ENOENT)));
    assert_eq!(setting.unmap(0x1_8000, 8 * PAGE), (0, Ok(())));
    assert_eq!(setting.unmap(0x1_0000, 0x1_1000), (8 * PAGE, Err(Errno::ENOENT)), "what came before is gone");
    assert_eq!(setting.unmap(0, 0x1_0000), (0, Ok(())));
    let all = setting.table.unmap(Span::ALL);
    assert_eq!(all, Unmapped { bytes: 24 * PAGE, result: Ok(()) });
    assert_eq!(setting.table.unmap(Span::ALL), Unmapped { bytes: 0, result: Ok(()) });
}

#[test]
fn copies_share_their_pages() {
    let setting = Setting::new();
    let other = Setting::new();
    let domains = [FakeDomain::everywhere(), FakeDomain::everywhere()];
    assert!(setting.add(&domains[0]).is_ok());
    assert!(setting.map(0x1_0000, 0, 4 * PAGE).is_ok());
    assert!(setting.map(0x1_4000, 8 * PAGE, 4 * PAGE).is_ok());
    let slices = |start, bytes| setting.table.slices(Span::sized(start, bytes).expect("a range"));
    for (start, bytes) in [(0xf000, 2 * PAGE), (0x1_7000, 2 * PAGE), (0x5_0000, PAGE)] {
        assert_eq!(slices(start, bytes).err(), Some(Errno::ENOENT), "{start:#x}");
    }
    let both = slices(0x1_2000, 4 * PAGE).expect("mapped");
    assert_eq!(both.len(), 2);
    let at = setting.table.map(both, At::Automatic, RO);
    assert_eq!(at, Ok(0x2000), "as the memory is aligned");
    assert_eq!([0, 2, 8, 9, 10].map(|page| setting.pins(page)), [1; 5]);

    assert!(setting.unmap(0x1_0000, 8 * PAGE).1.is_ok());
    assert_eq!([0, 2, 3, 8, 9, 10].map(|page| setting.pins(page)), [0, 1, 1, 1, 1, 0]);
    let phys = |page: u64| setting.process.physical(&setting.host, page * PAGE);
    assert_eq!([0x2000, 0x4000].map(|iova| domains[0].iova_to_phys(Iova(iova))), [phys(2), phys(8)]);
    assert!(domains[0].mappings().iter().all(|mapping| mapping.protection == RO));

    let moved = setting.table.slices(Span::sized(0x2800, PAGE).expect("a range")).expect("mapped");
    assert_eq!(other.table.map(moved, At::Fixed(0x800), RW), Ok(0x800));
    assert!(other.add(&domains[1]).is_ok());
    assert_eq!(domains[1].iova_to_phys(Iova(0x800)), phys(2).map(|pa| devices::addr::Pa(pa.0 + 0x800)));
    assert_eq!(setting.pins(2), 1);
    assert!(setting.unmap(0x2000, 4 * PAGE).1.is_ok());
    assert_eq!([2, 3, 8].map(|page| setting.pins(page)), [1, 1, 0]);
}

#[test]
fn read_only_pages_are_not_copied_to_be_written() {
    let setting = Setting::new();
    assert!(setting.table.map(vec![setting.slice(0, PAGE, false)], At::Fixed(0), RO).is_ok());
    let slices = || setting.table.slices(Span { start: 0, last: PAGE - 1 }).expect("mapped");
    assert_eq!(setting.table.map(slices(), At::Fixed(PAGE), RW), Err(Errno::EPERM));
    assert_eq!(setting.table.map(slices(), At::Fixed(PAGE), RO), Ok(PAGE));
}

#[test]
fn reserved_regions_of_a_device() {
    use ReservedKind::{Direct, DirectRelaxable, Msi, Reserved, SoftwareMsi};
    let region = |start, kind| ReservedRegion { span: Span { start, last: start + 0xfff }, kind };
    for (kinds, expected, usable) in [
        (vec![], Ok(None), 1),
        (vec![DirectRelaxable], Ok(None), 1),
        (vec![Direct, Reserved, Msi], Ok(None), 4),
        (vec![Direct, SoftwareMsi], Ok(Some(Iova(0x2_0000))), 3),
        (vec![SoftwareMsi, SoftwareMsi], Err(Errno::EINVAL), 1),
        (vec![Msi, SoftwareMsi], Err(Errno::EINVAL), 1),
        (vec![Reserved, Reserved, Reserved, Reserved], Err(Errno::EADDRINUSE), 1),
    ] {
        let setting = Setting::new();
        assert!(setting.map(0x4_0800, 0, 2048).is_ok());
        let regions: Vec<_> =
            (1..).map(|index| index * 0x1_0000).zip(&kinds).map(|(at, kind)| region(at, *kind)).collect();
        let owner = ReservedBy::Device(3);
        assert_eq!(setting.table.reserve_regions(owner, &regions), expected, "{kinds:?}");
        assert_eq!(setting.table.usable().0.len(), usable, "{kinds:?}");
        setting.table.release_reserved(owner);
        assert_eq!(setting.table.usable().0, [Span::ALL]);
    }
}

#[test]
fn type1_areas_are_cut_where_leaves_are_small() {
    let setting = Setting::new();
    let domain = FakeDomain::everywhere();
    assert!(setting.map(0x1_0000, 0, 8 * PAGE).is_ok());
    assert_eq!(setting.table.cut(&[0x1_1000]), Ok(()), "nothing is aligned to more than a byte here");
    assert!(setting.unmap(0x1_0000, 8 * PAGE).1.is_ok());
    assert_eq!(setting.table.set_large_leaves(false), Ok(()));
    assert!(setting.add(&domain).is_ok());
    assert!(setting.map(0x1_0000, 0, 8 * PAGE).is_ok());
    for (iovas, expected) in [
        (vec![0x1_1000], Err(Errno::EINVAL)),
        (vec![0x1_0000, 0x1_7fff, 0x8000], Ok(())),
        (vec![0x1_5fff, 0x1_1fff], Ok(())),
    ] {
        assert_eq!(setting.table.cut(&iovas), expected, "{iovas:x?}");
    }
    assert_eq!(setting.unmap(0x1_2000, 4 * PAGE), (4 * PAGE, Ok(())));
    assert_eq!(domain.mapped_bytes(), 4 * PAGE);
    assert_eq!((0..9).map(|page| setting.pins(page)).collect::<Vec<_>>(), [1, 1, 0, 0, 0, 0, 1, 1, 0]);
    let seventh = setting.process.physical(&setting.host, 7 * PAGE);
    assert_eq!(domain.iova_to_phys(Iova(0x1_7000)), seventh);
    assert_eq!(setting.table.set_large_leaves(true), Ok(()));
    assert_eq!(setting.table.cut(&[0x1_0fff]), Err(Errno::EINVAL));
}

#[test]
fn a_cut_dma_buf_is_revoked_whole() {
    let setting = Setting::new();
    let domain = FakeDomain::everywhere();
    assert_eq!(setting.table.set_large_leaves(false), Ok(()));
    assert!(setting.add(&domain).is_ok());
    let buffer = FakeDmaBuf::new(0x9_0000_0000, 4 * PAGE);
    let payer = Payer::new(&setting.process.caller(), false);
    let (pages, start_byte) =
        Pages::of_dmabuf(&setting.host, payer, buffer.clone(), 0, 4 * PAGE, true).expect("within");
    let slice = Slice { pages, start_byte, bytes: 4 * PAGE };
    assert!(setting.table.map(vec![slice], At::Fixed(0x1_0000), RW).is_ok());
    assert_eq!(setting.table.cut(&[0x1_0fff]), Ok(()));
    assert_eq!(setting.unmap(0x1_0000, PAGE), (PAGE, Ok(())));
    assert_eq!(domain.mapped_bytes(), 3 * PAGE);
    buffer.revoke(true);
    assert_eq!(domain.mapped_bytes(), 0);
    assert_eq!(setting.unmap(0x1_1000, 3 * PAGE), (3 * PAGE, Ok(())));
}

/// An access that unpins what it is told to after some requests.
#[derive(Default)]
struct Slow {
    table: OnceLock<Arc<Setting>>,
    pinned: Mutex<Vec<Span>>,
    requests: Mutex<Vec<Span>>,
    patience: usize,
}

impl AccessOps for Slow {
    fn unmap(&self, span: Span) {
        let asked = {
            let mut requests = lock(&self.requests);
            requests.push(span);
            requests.len()
        };
        if asked <= self.patience {
            return;
        }
        let setting = self.table.get().expect("set up");
        // Whoever asks next waits until they are gone, and does not find nothing to wait for.
        lock(&self.pinned).drain(..).for_each(|span| setting.table.unpin(span, false));
    }
}

fn accessed(patience: usize) -> (Arc<Setting>, Arc<Slow>, AccessSlot) {
    let setting = Arc::new(Setting::new());
    let ops = Arc::new(Slow { patience, ..Slow::default() });
    assert!(ops.table.set(setting.clone()).is_ok());
    let slot = setting.table.add_access(Some(ops.clone()), PAGE).expect("an empty table");
    (setting, ops, slot)
}

#[test]
fn accesses_are_asked_to_let_go() {
    for (patience, expected, asked) in
        [(0, Ok(()), 1), (5, Ok(()), 6), (99, Ok(()), 100), (200, Err(Errno::EDEADLOCK), 101)]
    {
        let (setting, ops, _) = accessed(patience);
        assert!(setting.map(0x1_0000, 0, 4 * PAGE).is_ok());
        assert!(setting.map(0x2_0000, 0, 4 * PAGE).is_ok());
        let span = Span { start: 0x2_1000, last: 0x2_2fff };
        assert_eq!(setting.table.pin(span, Direction::Write, false).map(|frames| frames.len()), Ok(1));
        lock(&ops.pinned).push(span);
        assert_eq!(setting.table.cut(&[0x2_1fff]), Err(Errno::EINVAL));
        let bytes = if expected.is_ok() { 8 * PAGE } else { 4 * PAGE };
        assert_eq!(setting.unmap(0, 0x3_0000), (bytes, expected), "{patience}");
        let requests = lock(&ops.requests).clone();
        assert_eq!(requests, vec![Span { start: 0x2_0000, last: 0x2_3fff }; asked]);
        if expected.is_err() {
            // It is on its way out, for good.
            assert_eq!(setting.table.pin(span, Direction::Read, false), Err(Errno::EINVAL));
            assert_eq!(
                setting.table.rw(AccessFrom::Kernel, span, &mut [0], Direction::Read),
                Err(Errno::EINVAL)
            );
            setting.table.unpin(span, false);
        }
        assert_eq!(setting.pins(1), 0);
    }
}

#[test]
fn pins_are_checked_area_by_area() {
    let (setting, _ops, slot) = accessed(0);
    assert!(setting.map(0x1_0000, 0, 2 * PAGE).is_ok());
    assert!(setting.map(0x1_2000, 8 * PAGE, 2 * PAGE).is_ok());
    let read_only = vec![setting.slice(16 * PAGE, PAGE, false)];
    assert!(setting.table.map(read_only, At::Fixed(0x1_4000), RO).is_ok());
    for (start, bytes, direction, expected) in [
        (0x1_1000, 2 * PAGE, Direction::Write, Ok(2)),
        (0x1_1000, 1, Direction::Write, Ok(1)),
        (0x1_1000, PAGE + 1, Direction::Write, Ok(2)),
        (0x1_0800, PAGE, Direction::Read, Err(Errno::EINVAL)),
        (0x1_0000, 5 * PAGE, Direction::Read, Ok(3)),
        (0x1_0000, 5 * PAGE, Direction::Write, Err(Errno::EPERM)),
        (0x1_0000, 6 * PAGE, Direction::Read, Err(Errno::ENOENT)),
        (0xf000, 2 * PAGE, Direction::Read, Err(Errno::ENOENT)),
    ] {
        let span = Span::sized(start, bytes).expect("a range");
        let frames = setting.table.pin(span, direction, false);
        assert_eq!(frames.clone().map(|frames| frames.len()), expected, "{start:#x} {bytes:#x}");
        if frames.is_ok() {
            assert_eq!(setting.pins(if start == 0x1_0000 { 0 } else { 1 }), 1);
            setting.table.unpin(span, false);
        }
        assert_eq!([0, 1, 8, 9, 16].map(|page| setting.pins(page)), [0; 5], "{start:#x} {bytes:#x}");
    }
    setting.table.remove_access(slot);
    assert_eq!(setting.table.alignment(), 1);
    // Half a page in the middle: what a caller gets is pages.
    assert!(setting.map(0x3_0000, 0, 2048).is_ok());
    assert!(setting.map(0x3_0800, 8 * PAGE, PAGE).is_ok());
    let across = Span { start: 0x3_0000, last: 0x3_0fff };
    assert_eq!(setting.table.pin(across, Direction::Read, false), Err(Errno::EINVAL));
}

#[test]
fn locked_areas_stay() {
    let setting = Setting::new();
    assert!(setting.map(0x1_0000, 0, 2 * PAGE).is_ok());
    assert!(setting.map(0x1_2000, 2 * PAGE, 2 * PAGE).is_ok());
    let span = Span { start: 0x1_1000, last: 0x1_2fff };
    let frames = setting.table.pin(span, Direction::Read, true).expect("mapped");
    assert_eq!(frames.len(), 1, "neighbours in memory are one piece");
    assert_eq!(setting.unmap(0x1_0000, 4 * PAGE), (0, Err(Errno::EBUSY)));
    assert_eq!(setting.unmap(0x1_1000, PAGE), (0, Err(Errno::EBUSY)), "before what is not covered");
    setting.table.unpin(span, true);
    assert_eq!(setting.unmap(0x1_0000, 4 * PAGE), (4 * PAGE, Ok(())));
}

#[test]
fn bytes_are_copied_up_to_a_hole() {
    let setting = Setting::new();
    assert!(setting.map(100, 1000, 50).is_ok());
    assert!(setting.map(150, 3 * PAGE, 50).is_ok());
    let read_only = vec![setting.slice(0, 10, false)];
    assert!(setting.table.map(read_only, At::Fixed(300), RO).is_ok());
    let rw = |start, data: &mut [u8], direction| {
        setting.table.rw(
            AccessFrom::Kernel,
            Span::sized(start, data.len() as u64).expect("a range"),
            data,
            direction,
        )
    };
    assert_eq!(rw(145, &mut [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], Direction::Write), Ok(()));
    let mut back = [0; 12];
    assert_eq!(rw(144, &mut back, Direction::Read), Ok(()));
    assert_eq!(back, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
    let mut edge = [9; 4];
    assert_eq!(rw(198, &mut edge, Direction::Read), Err(Errno::ENOENT));
    assert_eq!(edge, [0, 0, 9, 9]);
    assert_eq!(rw(99, &mut edge, Direction::Read), Err(Errno::ENOENT));
    assert_eq!(rw(300, &mut edge, Direction::Write), Err(Errno::EPERM));
    let mut memory = [0; 5];
    assert_eq!(setting.process.caller().memory.read(FakeProcess::BUFFER + 1045, &mut memory), Ok(()));
    assert_eq!(memory, [1, 2, 3, 4, 5]);
}

#[test]
fn areas_are_walked_up_to_a_hole() {
    let setting = Setting::new();
    assert!(setting.map(0x1000, 0, PAGE).is_ok());
    assert!(setting.map(0x2000, 0, PAGE).is_ok());
    assert!(setting.map(0x4000, 0, PAGE).is_ok());
    assert_eq!(setting.table.nth_area(2), Some(Iova(0x4000)));
    assert_eq!(setting.table.nth_area(3), None);
    for (start, last, expected, parts) in [
        (0x1800, 0x27ff, Ok(()), vec![(0x1800, 0x1fff), (0x2000, 0x27ff)]),
        (0x2000, 0x4fff, Err(Errno::EINVAL), vec![(0x2000, 0x2fff)]),
        (0x3000, 0x4fff, Err(Errno::EINVAL), vec![]),
    ] {
        let mut seen = Vec::new();
        let result = setting.table.for_each_area(Span { start, last }, &mut |part| {
            seen.push((part.start, part.last));
            Ok(())
        });
        assert_eq!((result, seen), (expected, parts));
    }
    let stopped = setting.table.for_each_area(Span { start: 0x1000, last: 0x2fff }, &mut |_| Err(Errno::EIO));
    assert_eq!(stopped, Err(Errno::EIO));
}

/// Maps, copies, pins, copies bytes and changes domains from several threads at once. What a fake
/// domain refuses to do is never asked of it, and nothing is left.
#[test]
fn threads_do_not_get_in_each_others_way() {
    const TURNS: u64 = 300;
    let (setting, ops, _) = accessed(0);
    let setting = &*setting;
    let place = |turn: u64, thread: u64| 0x1_0000 + ((turn * 7 + thread * 3) % 16) * 4 * PAGE;
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let at = place(turn, thread);
                    let mapped = setting.map(at, (turn % 16) * PAGE, 4 * PAGE);
                    assert!(matches!(mapped, Ok(_) | Err(Errno::EEXIST)), "{mapped:?}");
                    let (_, result) = setting.unmap(place(turn, thread + 5), 4 * PAGE);
                    assert_eq!(result, Ok(()));
                }
            });
        }
        scope.spawn(|| {
            for turn in 0..TURNS {
                if let Ok(slices) = setting.table.slices(Span::sized(place(turn, 1), PAGE).expect("a range"))
                {
                    let at = setting.table.map(slices, At::Automatic, RW).expect("there is room");
                    assert_eq!(setting.unmap(at, PAGE).1, Ok(()));
                }
            }
        });
        scope.spawn(|| {
            for _ in 0..TURNS {
                let domain = FakeDomain::everywhere();
                let slot = setting.add(&domain).expect("it fits");
                setting.table.remove_domain(slot);
                assert_eq!(domain.mappings(), []);
            }
        });
        scope.spawn(|| {
            for turn in 0..TURNS {
                let span = Span::sized(place(turn, 2), 2 * PAGE).expect("a range");
                let mut pinned = lock(&ops.pinned);
                if setting.table.pin(span, Direction::Write, false).is_ok() {
                    pinned.push(span);
                }
                drop(pinned);
                let copied = setting.table.rw(AccessFrom::Kernel, span, &mut [0; 8192], Direction::Write);
                assert!(matches!(copied, Ok(()) | Err(Errno::ENOENT | Errno::EINVAL)), "{copied:?}");
            }
        });
    });
    assert_eq!(setting.table.unmap(Span::ALL).result, Ok(()));
    assert_eq!(lock(&ops.pinned).len(), 0);
    assert!(setting.host.frames.is_empty());
}

/// Every step of filling, copying and cutting fails once; nothing is ever half done.
#[test]
fn every_failure_leaves_the_table_as_it_was() {
    let mut nth = 1;
    loop {
        let setting = Setting::new();
        let domains = [FakeDomain::everywhere(), FakeDomain::everywhere()];
        process_of_two_objects(&setting);
        fault_point::arm(nth);
        let mut failures = 0;
        let mut step = |act: &dyn Fn() -> Result<()>| {
            let before = domains.each_ref().map(|domain| domain.mappings());
            if act().is_err() {
                failures += 1;
                assert_eq!(domains.each_ref().map(|domain| domain.mappings()), before, "{nth}");
                assert!(domains.iter().all(|domain| !domain.is_stale()), "{nth}");
                fault_point::arm(0);
                assert_eq!(act(), Ok(()), "{nth}: it can be done again");
            }
        };
        step(&|| setting.table.set_large_leaves(false));
        step(&|| map_both(&setting, 0x10_0000));
        step(&|| setting.add(&domains[0]).map(|_| ()));
        step(&|| setting.add(&domains[1]).map(|_| ()));
        step(&|| map_both(&setting, 0x20_0000));
        step(&|| {
            let slices = setting.table.slices(Span { start: 0x10_1000, last: 0x10_2fff })?;
            setting.table.map(slices, At::Automatic, RW).map(|_| ())
        });
        step(&|| setting.table.cut(&[0x10_0fff, 0x20_1fff]));
        step(&|| {
            let span = Span { start: 0x10_1000, last: 0x10_3fff };
            setting.table.pin(span, Direction::Write, true)?;
            setting.table.unpin(span, true);
            Ok(())
        });
        let fired = fault_point::remaining() == 0;
        fault_point::arm(0);
        assert_eq!(failures, u32::from(fired), "{nth}");
        if !fired {
            break;
        }
        nth += 1;
    }
    assert!(nth > 30, "there are more steps than {nth}");
}

const TWO_OBJECTS: u64 = 0x6000_0000;

fn process_of_two_objects(setting: &Setting) {
    for index in 0..2 {
        setting.process.memory.map(TWO_OBJECTS + index * 2 * PAGE, &FakeObject::new(2 * PAGE), true);
    }
}

fn map_both(setting: &Setting, iova: u64) -> Result<()> {
    let slice = setting.try_slice(TWO_OBJECTS.wrapping_sub(FakeProcess::BUFFER), 4 * PAGE, true)?;
    setting.table.map(vec![slice], At::Fixed(iova), RW).map(|_| ())
}
