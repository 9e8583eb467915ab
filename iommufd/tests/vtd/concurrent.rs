//! Bus masters on threads of their own, while mappings change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use devices::addr::Iova;
use devices::fabric::{Effect, Effects, Outcome, Request};
use devices::vtd::Config;
use iommufd::driver::Attachment;

use crate::rig::{PINNED, RW, Rig, preset, unmap};

/// Changes of a test. Those that must never go wrong go wrong in the first few where an invalidation is
/// missing.
const ROUNDS: u64 = 100;

/// Says when a change is under way: between its first store and its return a stale entry may be used.
#[derive(Default)]
struct Window(AtomicU64);

impl Window {
    /// Makes a change.
    fn during<R>(&self, change: impl FnOnce() -> R) -> R {
        self.0.fetch_add(1, Ordering::SeqCst);
        let result = change();
        self.0.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// Does DMA; whether no change was under way meanwhile.
    fn outside(&self, dma: impl FnOnce()) -> bool {
        let before = self.0.load(Ordering::SeqCst);
        dma();
        before.is_multiple_of(2) && self.0.load(Ordering::SeqCst) == before
    }
}

/// Ends the threads of a test, also when it fails.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a thread of DMA saw.
#[derive(Default)]
struct Seen {
    done: u64,
    refused: u64,
    /// Stale uses that no change excuses.
    stale: Vec<String>,
}

/// Calls `dma` until `stop`, and judges what came of it.
fn master(
    rig: &Rig,
    window: &Window,
    stop: &AtomicBool,
    mut dma: impl FnMut(&mut Effects) -> Outcome,
) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Acquire) {
        let mut fx = Effects::default();
        let mut outcome = Outcome::Done;
        let quiet = window.outside(|| outcome = dma(&mut fx));
        match outcome {
            Outcome::Done => seen.done += 1,
            _ => seen.refused += 1,
        }
        let mut rest = Effects::default();
        for effect in fx.take() {
            match effect {
                Effect::Stale { stale, .. } if quiet => seen.stale.push(stale.to_string()),
                Effect::Stale { .. } => {}
                other => rest.push(other),
            }
        }
        rig.machine.absorb(&mut rest);
    }
    seen
}

fn configs() -> [Config; 2] {
    ["vtd-legacy", "vtd-legacy-cm"].map(|name| Config { concurrent: true, ..preset(name) })
}

#[test]
fn nothing_lands_after_an_unmap_has_returned() {
    for config in configs() {
        let rig = &Rig::new(config);
        let (source, device) = rig.device(4);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        let (window, stop) = (&Window::default(), &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let end = Stop(stop);
            let masters: Vec<_> = (0..2u64)
                .map(|number| {
                    scope.spawn(move || {
                        let port = rig.machine.port(source);
                        let mut page = number;
                        master(rig, window, stop, move |fx| {
                            page = (page + 1) % 4;
                            port.write(Request::at(0x10_0000 + page * 0x1000), &[0xaa; 64], fx).outcome
                        })
                    })
                })
                .collect();
            for round in 0..ROUNDS {
                // Memory that is new each time, in the place of what went: what lands late shows.
                let memory = rig.pinned(PINNED + (round % 3) * 0x10_0000, 0x4000);
                // In one piece or four.
                let piece = if round % 2 == 0 { 0x4000 } else { 0x1000 };
                for offset in (0..0x4000).step_by(piece as usize) {
                    let (iova, pa) = (Iova(0x10_0000 + offset), memory.at(offset));
                    window.during(|| domain.map(iova, pa, piece, RW, true)).unwrap();
                }
                std::thread::yield_now();
                window.during(|| unmap(&domain, 0x10_0000, 0x4000));
                use crate::exerciser::UserView;
                memory.write(0, &[0x55; 0x4000]);
                for _ in 0..3 {
                    std::thread::yield_now();
                    assert_eq!(memory.bytes::<0x4000>(0), [0x55; 0x4000], "round {round}");
                }
                assert!(rig.machine.mem.unplug(memory.base));
            }
            drop(end);
            for thread in masters {
                let seen = thread.join().unwrap();
                assert_eq!(seen.stale, [""; 0]);
                assert!(seen.done > 0 && seen.refused > 0, "{} done, {} refused", seen.done, seen.refused);
            }
        });
    }
}

#[test]
fn a_replacement_leaves_no_gap_and_no_one_behind() {
    for config in configs() {
        let rig = &Rig::new(config);
        let (source, device) = rig.device(4);
        let sides: Vec<_> = (0..2)
            .map(|number| {
                let memory = rig.pinned(PINNED + number * 0x10_0000, 0x1000);
                let domain = rig.domain(&device);
                domain.map(Iova(0x10_0000), memory.base, 0x1000, RW, true).unwrap();
                (domain, memory)
            })
            .collect();
        rig.attach(&device, Attachment::Paging(Arc::clone(&sides[0].0))).unwrap();
        let (window, stop) = (&Window::default(), &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let end = Stop(stop);
            let thread = scope.spawn(move || {
                let port = rig.machine.port(source);
                let mut count = 0u64;
                master(rig, window, stop, move |fx| {
                    count += 1;
                    port.write(Request::at(0x10_0000), &count.to_le_bytes(), fx).outcome
                })
            });
            for round in 1..ROUNDS as usize {
                let (domain, _) = &sides[round % 2];
                window.during(|| rig.attach(&device, Attachment::Paging(Arc::clone(domain)))).unwrap();
                // The side that was left stays as it is.
                let left = &sides[(round + 1) % 2].1;
                let before = left.bytes::<8>(0);
                (0..3).for_each(|_| std::thread::yield_now());
                assert_eq!(left.bytes::<8>(0), before, "round {round}");
            }
            drop(end);
            let seen = thread.join().unwrap();
            assert_eq!((seen.refused, seen.stale), (0, Vec::new()));
            assert!(seen.done > 0);
        });
        assert_eq!(rig.reasons(), []);
    }
}

#[test]
fn neighbours_come_and_go_without_touching_each_other() {
    // Two threads change mappings of one domain in one table; a third masters a page between them.
    let rig = &Rig::new(Config { concurrent: true, ..preset("vtd-legacy") });
    let (source, device) = rig.device(4);
    let memory = &rig.pinned(PINNED, 0x10_000);
    let domain = &rig.domain(&device);
    rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
    let (window, stop) = (&Window::default(), &AtomicBool::new(false));
    let at_work = &std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        let end = Stop(stop);
        let changers: Vec<_> = [0x10_0000, 0x10_8000]
            .into_iter()
            .map(|iova| {
                scope.spawn(move || {
                    at_work.wait();
                    for _ in 0..20 * ROUNDS {
                        domain.map(Iova(iova), memory.at(0x1000), 0x3000, RW, true).unwrap();
                        unmap(domain, iova, 0x3000);
                    }
                })
            })
            .collect();
        let thread = scope.spawn(move || {
            let port = rig.machine.port(source);
            at_work.wait();
            master(rig, window, stop, |fx| {
                // Mapped by this thread alone, so it is there when it is used.
                domain.map(Iova(0x10_5000), memory.at(0x5000), 0x1000, RW, true).unwrap();
                let outcome = port.write(Request::at(0x10_5000), &[1; 8], fx).outcome;
                unmap(domain, 0x10_5000, 0x1000);
                outcome
            })
        });
        changers.into_iter().for_each(|changer| changer.join().unwrap());
        drop(end);
        let seen = thread.join().unwrap();
        assert_eq!((seen.refused, seen.stale), (0, Vec::new()));
        assert!(seen.done > 0);
    });
}
