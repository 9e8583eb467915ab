use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use devices::addr::{Iova, PAGE_SIZE, Pa};

use super::fake::{FakeDmaBuf, FakeDomain, FakeObject, FakeProcess, Mapping};
use super::*;
use crate::accounting::Charged;
use crate::driver::Protection;
use crate::fault_point;
use crate::host::Options;

const RW: Protection = Protection::READ.union(Protection::WRITE).union(Protection::CACHE);

fn host() -> Arc<Host> {
    Host::new(Options::default())
}

fn of_buffer(
    host: &Arc<Host>,
    process: &FakeProcess,
    offset: u64,
    bytes: u64,
    writable: bool,
) -> (Arc<Pages>, u64) {
    let caller = process.caller();
    let payer = Payer::new(&caller, false);
    let pages = Pages::of_user(host, &caller, payer, FakeProcess::BUFFER + offset, bytes, writable);
    pages.expect("a range of bytes")
}

fn pages(start: u64, last: u64) -> Span {
    Span { start, last }
}

fn window(iova: u64, start_byte: u64, bytes: u64) -> Window {
    Window { iova: Span::sized(iova, bytes).expect("a range"), start_byte, protection: RW }
}

fn dynamic(domain: &Arc<FakeDomain>) -> Arc<dyn PagingDomain> {
    domain.clone()
}

#[test]
fn a_page_is_pinned_once_and_released_by_the_last_holder() {
    let (host, process) = (host(), FakeProcess::new(8));
    let (memory, _) = of_buffer(&host, &process, 0, 8 * PAGE_SIZE, true);
    let mm = process.caller().memory.id();
    assert_eq!(memory.hold(pages(0, 5)), Ok(()));
    assert_eq!(memory.hold(pages(4, 7)), Ok(()));
    assert_eq!(memory.add_access(pages(2, 4), Direction::Write).map(|frames| frames.len()), Ok(1));
    assert_eq!(host.accounts.of_mm(mm), Charged { pinned: 8, locked: 0 });
    assert_eq!(host.accounts.of_user(1000), 8);
    assert_eq!([0, 4, 7].map(|page| process.pins(&host, page)), [1, 1, 1]);

    memory.release(pages(0, 5));
    assert_eq!([1, 2, 4, 5].map(|page| process.pins(&host, page)), [0, 1, 1, 1]);
    memory.release(pages(4, 7));
    assert_eq!([2, 4, 5].map(|page| process.pins(&host, page)), [1, 1, 0]);
    assert_eq!(host.accounts.of_mm(mm).pinned, 3);
    assert!(memory.remove_access(pages(2, 4)));
    assert!(!memory.remove_access(pages(2, 4)));
    assert!(host.frames.is_empty());
    assert_eq!(host.accounts.of_mm(mm), Charged::default());
}

#[test]
fn accesses_of_the_same_pages_count() {
    let (host, process) = (host(), FakeProcess::new(4));
    let (memory, _) = of_buffer(&host, &process, 0, 4 * PAGE_SIZE, true);
    let first = memory.add_access(pages(0, 2), Direction::Read);
    assert_eq!(memory.add_access(pages(0, 2), Direction::Read), first);
    assert!(!memory.remove_access(pages(0, 1)), "another range is another access");
    assert!(memory.remove_access(pages(0, 2)));
    assert_eq!(process.pins(&host, 1), 1);
    assert!(memory.remove_access(pages(0, 2)));
    assert_eq!(process.pins(&host, 1), 0);
}

#[test]
fn pages_of_two_maps_are_pinned_twice() {
    let (host, process) = (host(), FakeProcess::new(2));
    let (first, _) = of_buffer(&host, &process, 0, PAGE_SIZE, true);
    let (second, _) = of_buffer(&host, &process, 0, PAGE_SIZE, true);
    assert_eq!((first.hold(pages(0, 0)), second.hold(pages(0, 0))), (Ok(()), Ok(())));
    assert_eq!(process.pins(&host, 0), 2);
    drop(first);
    assert_eq!(process.pins(&host, 0), 1);
}

#[test]
fn what_cannot_be_pinned_leaves_nothing_pinned() {
    let (host, mut process) = (host(), FakeProcess::new(4));
    // The last page of these is not there.
    let (memory, _) = of_buffer(&host, &process, 0, 5 * PAGE_SIZE, true);
    assert_eq!(memory.hold(pages(2, 2)), Ok(()));
    assert_eq!(memory.hold(pages(0, 4)), Err(Errno::EFAULT));
    assert_eq!([0, 2, 3].map(|page| process.pins(&host, page)), [0, 1, 0]);
    memory.release(pages(2, 2));

    process.credentials.memlock = 2 * PAGE_SIZE;
    let (memory, _) = of_buffer(&host, &process, 0, 4 * PAGE_SIZE, true);
    assert_eq!(memory.hold(pages(1, 2)), Ok(()));
    assert_eq!(memory.hold(pages(0, 3)), Err(Errno::ENOMEM));
    assert_eq!([0, 1, 2, 3].map(|page| process.pins(&host, page)), [0, 1, 1, 0]);
    assert_eq!(host.accounts.of_user(1000), 2);
}

#[test]
fn read_only_memory_is_pinned_for_reading_only() {
    let (host, process) = (host(), FakeProcess::new(1));
    process.memory.map(0x5000_0000, &FakeObject::new(PAGE_SIZE), false);
    let caller = process.caller();
    let of = |writable| {
        let payer = Payer::new(&caller, false);
        Pages::of_user(&host, &caller, payer, 0x5000_0000, PAGE_SIZE, writable).expect("a page").0
    };
    assert_eq!(of(true).hold(pages(0, 0)), Err(Errno::EFAULT));
    let memory = of(false);
    assert_eq!(memory.hold(pages(0, 0)), Ok(()));
    assert_eq!(memory.add_access(pages(0, 0), Direction::Write), Err(Errno::EPERM));
    assert_eq!(memory.rw(AccessFrom::Kernel, 0, &mut [0; 4], Direction::Write), Err(Errno::EPERM));
    assert_eq!(memory.rw(AccessFrom::Kernel, 0, &mut [0; 4], Direction::Read), Ok(()));
    memory.release(pages(0, 0));
}

/// Each row: where in the first page the window begins, its bytes, and the pieces that are mapped
/// (offset in the window and bytes), with the memory in one piece and in two.
#[test]
fn a_window_is_mapped_in_the_pieces_its_memory_is_in() {
    for (start, bytes, whole, halves) in [
        (
            0,
            4 * PAGE_SIZE,
            vec![(0, 4 * PAGE_SIZE)],
            vec![(0, 2 * PAGE_SIZE), (2 * PAGE_SIZE, 2 * PAGE_SIZE)],
        ),
        (2048, 2048, vec![(0, 2048)], vec![(0, 2048)]),
        (2048, 3 * PAGE_SIZE, vec![(0, 3 * PAGE_SIZE)], vec![(0, 6144), (6144, 6144)]),
        (PAGE_SIZE + 2048, PAGE_SIZE, vec![(0, PAGE_SIZE)], vec![(0, 2048), (2048, 2048)]),
        (2 * PAGE_SIZE, 2048, vec![(0, 2048)], vec![(0, 2048)]),
    ] {
        for (objects, pieces) in [(1, whole), (2, halves)] {
            let (host, process) = (host(), FakeProcess::new(1));
            let at = 0x6000_0000;
            for index in 0..objects {
                let size = 4 * PAGE_SIZE / objects;
                process.memory.map(at + index * size, &FakeObject::new(size), true);
            }
            let caller = process.caller();
            let payer = Payer::new(&caller, false);
            let (memory, _) =
                Pages::of_user(&host, &caller, payer, at, 4 * PAGE_SIZE, true).expect("a range");
            let domain = FakeDomain::everywhere();
            let window = window(0x10_0000, start, bytes);
            assert_eq!(memory.hold(window.pages()), Ok(()));
            assert_eq!(memory.map_in(&dynamic(&domain), &window, true), Ok(()));
            let mapped: Vec<_> =
                domain.mappings().iter().map(|map| (map.iova.start - 0x10_0000, map.iova.bytes())).collect();
            assert_eq!(mapped, pieces, "{start:#x} {bytes:#x} of {objects}");
            memory.unmap_in(&dynamic(&domain), &window);
            assert_eq!((domain.mappings(), domain.is_stale()), (vec![], false));
            memory.release(window.pages());
        }
    }
}

#[test]
fn what_was_pinned_in_parts_is_mapped_as_one() {
    let (host, process) = (host(), FakeProcess::new(8));
    let (memory, _) = of_buffer(&host, &process, 0, 8 * PAGE_SIZE, true);
    for middle in [pages(3, 3), pages(5, 6)] {
        assert_eq!(memory.add_access(middle, Direction::Read).map(|frames| frames.len()), Ok(1));
    }
    let domain = FakeDomain::everywhere();
    let window = window(0, 0, 8 * PAGE_SIZE);
    assert_eq!(memory.hold(window.pages()), Ok(()));
    assert_eq!(memory.map_in(&dynamic(&domain), &window, false), Ok(()));
    let pa = process.physical(&host, 0).expect("pinned").0;
    assert_eq!(domain.mappings(), [Mapping { iova: window.iova, pa, protection: RW, large: false }]);
}

#[test]
fn memory_outlives_its_process_where_it_is_pinned() {
    let (host, process) = (host(), FakeProcess::new(4));
    let (memory, offset) = of_buffer(&host, &process, 100, 3 * PAGE_SIZE, true);
    assert_eq!(offset, 100);
    assert_eq!(memory.rw(AccessFrom::Kernel, PAGE_SIZE - 2, &mut [1, 2, 3, 4], Direction::Write), Ok(()));
    assert_eq!(memory.hold(pages(1, 2)), Ok(()));
    process.memory.unmap_all();

    let mut data = [0; 2];
    assert_eq!(memory.rw(AccessFrom::Kernel, PAGE_SIZE, &mut data, Direction::Read), Ok(()));
    assert_eq!(data, [3, 4]);
    assert_eq!(memory.rw(AccessFrom::Kernel, 2 * PAGE_SIZE - 1, &mut [5, 6], Direction::Write), Ok(()));
    assert_eq!(
        memory.rw(AccessFrom::Kernel, PAGE_SIZE - 2, &mut [0; 4], Direction::Read),
        Err(Errno::EFAULT)
    );
    assert_eq!(memory.hold(pages(0, 1)), Err(Errno::EFAULT));
    assert_eq!(memory.hold(pages(1, 2)), Ok(()), "what is held can be held more");
}

#[test]
fn files_are_read_and_written_through_pins() {
    let (host, process) = (host(), FakeProcess::new(1));
    let file = FakeObject::new(4 * PAGE_SIZE);
    let payer = Payer::new(&process.caller(), true);
    let (memory, offset) =
        Pages::of_file(&host, payer, Arc::new(file), PAGE_SIZE + 8, 6 * PAGE_SIZE, true).expect("a range");
    assert_eq!((offset, memory.source_address(offset)), (8, PAGE_SIZE + 8));
    assert_eq!(memory.hold(pages(1, 1)), Ok(()));
    let mut data: Vec<u8> = (0..=255).cycle().take(2 * 4096).collect();
    let written = data.clone();
    assert_eq!(memory.rw(AccessFrom::Kernel, 2048, &mut data, Direction::Write), Ok(()));
    data.fill(0);
    assert_eq!(memory.rw(AccessFrom::Kernel, 2048, &mut data, Direction::Read), Ok(()));
    assert_eq!(data, written);
    assert_eq!(memory.hold(pages(0, 3)), Err(Errno::EINVAL), "beyond the end of the file");
    assert_eq!(host.accounts.of_mm(process.caller().memory.id()), Charged { pinned: 1, locked: 1 });
}

#[test]
fn a_revoked_buffer_leaves_every_domain() {
    let (host, process) = (host(), FakeProcess::new(1));
    let buffer = FakeDmaBuf::new(0x9_0000_0000, 4 * PAGE_SIZE);
    let payer = Payer::new(&process.caller(), false);
    let of = |start, bytes| Pages::of_dmabuf(&host, payer, buffer.clone(), start, bytes, true);
    assert_eq!(of(4 * PAGE_SIZE, PAGE_SIZE).err(), Some(Errno::EINVAL));
    assert_eq!(of(0, 4 * PAGE_SIZE + 1).err(), Some(Errno::EINVAL));
    let Ok((memory, _)) = of(PAGE_SIZE, 3 * PAGE_SIZE) else { panic!("within the buffer") };
    assert_eq!(memory.add_access(pages(0, 0), Direction::Read), Err(Errno::EINVAL));
    assert_eq!(memory.rw(AccessFrom::Kernel, 0, &mut [0], Direction::Read), Err(Errno::EINVAL));

    let domains = [FakeDomain::everywhere(), FakeDomain::everywhere()];
    let window = window(0x40_0000, PAGE_SIZE, 2 * PAGE_SIZE);
    for domain in &domains {
        assert_eq!(memory.hold(window.pages()), Ok(()));
        assert_eq!(memory.map_in(&dynamic(domain), &window, true), Ok(()));
        assert_eq!(domain.mappings()[0].pa, 0x9_0000_0000 + 2 * PAGE_SIZE);
    }
    assert_eq!(host.accounts.of_user(1000), 0);
    memory.unmap_in(&dynamic(&domains[0]), &window);
    buffer.revoke(true);
    assert!(domains.iter().all(|domain| domain.mappings().is_empty() && !domain.is_stale()));
    assert_eq!(of(0, PAGE_SIZE).err(), Some(Errno::ENODEV));
    buffer.revoke(false);
    assert_eq!(memory.map_in(&dynamic(&domains[0]), &window, true), Ok(()));
    assert_eq!(domains[0].mappings(), [], "what was revoked stays so");
    memory.unmap_in(&dynamic(&domains[1]), &window);
    assert!(of(0, PAGE_SIZE).is_ok());
}

/// A domain that has the buffer revoked in the middle of an unmapping.
struct RevokedMeanwhile {
    buffer: Arc<FakeDmaBuf>,
    events: Arc<Mutex<Vec<&'static str>>>,
    revoking: Mutex<Option<thread::JoinHandle<()>>>,
}

impl PagingDomain for RevokedMeanwhile {
    fn aperture(&self) -> Span {
        Span::ALL
    }

    fn page_sizes(&self) -> u64 {
        PAGE_SIZE
    }

    fn map(&self, _iova: Iova, _pa: Pa, _bytes: u64, _protection: Protection, _large: bool) -> Result<()> {
        Ok(())
    }

    fn unmap(&self, _span: Span) {
        let started = Arc::new(Barrier::new(2));
        let (buffer, events, begin) =
            (Arc::clone(&self.buffer), Arc::clone(&self.events), Arc::clone(&started));
        let revoking = thread::spawn(move || {
            begin.wait();
            buffer.revoke(true);
            lock(&events).push("revoked");
        });
        started.wait();
        // Time to be wrong in.
        for _ in 0..10_000 {
            if revoking.is_finished() {
                break;
            }
            thread::yield_now();
        }
        *lock(&self.revoking) = Some(revoking);
    }

    fn sync(&self) {
        lock(&self.events).push("no DMA any more");
    }

    fn iova_to_phys(&self, _iova: Iova) -> Option<Pa> {
        None
    }
}

#[test]
fn a_revocation_waits_for_an_unmapping() {
    let (host, process) = (host(), FakeProcess::new(1));
    let buffer = FakeDmaBuf::new(0x9_0000_0000, PAGE_SIZE);
    let payer = Payer::new(&process.caller(), false);
    let (memory, _) = Pages::of_dmabuf(&host, payer, buffer.clone(), 0, PAGE_SIZE, true).expect("a page");
    let domain = Arc::new(RevokedMeanwhile { buffer, events: Arc::default(), revoking: Mutex::default() });
    let dynamic: Arc<dyn PagingDomain> = domain.clone();
    let window = window(0, 0, PAGE_SIZE);
    assert_eq!(memory.map_in(&dynamic, &window, true), Ok(()));
    memory.unmap_in(&dynamic, &window);
    lock(&domain.revoking).take().expect("it was unmapped").join().expect("it was revoked");
    assert_eq!(*lock(&domain.events), ["no DMA any more", "revoked"]);
}

#[test]
fn every_failure_leaves_nothing() {
    let (host, process) = (host(), FakeProcess::new(1));
    for index in 0..3 {
        process.memory.map(0x6000_0000 + index * PAGE_SIZE, &FakeObject::new(PAGE_SIZE), true);
    }
    let caller = process.caller();
    let mut nth = 1;
    loop {
        fault_point::arm(nth);
        let domain = FakeDomain::everywhere();
        let result =
            Pages::of_user(&host, &caller, Payer::new(&caller, false), 0x6000_0000, 3 * PAGE_SIZE, true)
                .and_then(|(memory, _)| {
                    let window = window(0, 0, 3 * PAGE_SIZE);
                    memory.add_access(pages(1, 1), Direction::Read)?;
                    let held = memory.hold(window.pages());
                    let mapped = held.and_then(|()| memory.map_in(&dynamic(&domain), &window, true));
                    if mapped.is_ok() {
                        memory.unmap_in(&dynamic(&domain), &window);
                    }
                    if held.is_ok() {
                        memory.release(window.pages());
                    }
                    assert!(memory.remove_access(pages(1, 1)));
                    mapped
                });
        let fired = fault_point::remaining() == 0;
        fault_point::arm(0);
        assert_eq!((domain.mappings(), domain.is_stale()), (vec![], false), "{nth}");
        assert!(host.frames.is_empty(), "{nth}");
        assert_eq!(host.accounts.of_user(1000), 0, "{nth}");
        assert_eq!(result.is_err(), fired, "{nth}");
        if !fired {
            break;
        }
        nth += 1;
    }
    assert!(nth > 10, "there are more steps than {nth}");
}
