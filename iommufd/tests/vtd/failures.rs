//! Running out, failing, and hostile hardware: nothing is half done, nothing leaks, nothing passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use devices::addr::{Iova, Pa};
use devices::fabric::Effects;
use devices::vtd::Config;
use iommufd::driver::vtd::Setup;
use iommufd::driver::{Attachment, PagingDomain};
use iommufd::span::Span;
use iommufd::{Errno, fault_point};

use crate::exerciser::Ended;
use crate::rig::{PINNED, RING, RW, Rig, Spy, preset, refusal, unmap};
use crate::tables;

/// What was in the queue from IQH on, each wait left out.
fn descriptors(rig: &Rig, from: u64) -> Vec<[u64; 2]> {
    let queue = rig.machine.register(0x90) & !0xfff;
    let all = (from..rig.machine.register(0x80)).step_by(16);
    let all = all.map(|at| rig.machine.mem.load128(Pa(queue + at)).unwrap());
    all.filter(|words| words[0] & 0xf != 5).collect()
}

/// A rig whose driver has so many pages for tables.
fn with_pages(pages: u64, config: Config) -> Rig {
    Rig::with(config, |machine| {
        let start = crate::machine::TABLES.start;
        let tables = Span { start, last: start + pages * 4096 - 1 };
        (machine.registers(), Setup { tables, ..machine.setup() })
    })
}

/// Maps a page each a gigabyte apart until that fails, and gives how many there were.
fn exhaust(domain: &Arc<dyn PagingDomain>) -> u64 {
    let page = |number: u64| Iova(number << 30);
    let count = (0..100).find(|n| domain.map(page(*n), Pa(PINNED), 4096, RW, true).is_err()).unwrap();
    (0..count).for_each(|number| unmap(domain, page(number).0, 4096));
    count
}

#[test]
fn a_mapping_that_finds_no_memory_leaves_nothing() {
    // Root, empty root, queue, status, context table, first table: 6. A page at a new gigabyte takes 2 or 3.
    for config in [preset("vtd-legacy"), preset("vtd-legacy-cm")] {
        let rig = with_pages(6 + 1 + 2 * 8, config);
        let (_, device) = rig.device(4);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        let room = exhaust(&domain);
        assert_eq!(room, 8);
        // Small pages across more tables than there is memory for, beside one that stays.
        domain.map(Iova(0x5000), Pa(PINNED), 4096, RW, true).unwrap();
        let wide = domain.map(Iova(0x20_0000), Pa(PINNED), 64 << 20, RW, false);
        assert_eq!(refusal(wide), Errno::ENOMEM);
        assert_eq!(domain.iova_to_phys(Iova(0x5000)), Some(Pa(PINNED)));
        for iova in (0x20_0000..0x420_0000).step_by(0x1000) {
            assert_eq!(domain.iova_to_phys(Iova(iova)), None);
        }
        unmap(&domain, 0x5000, 4096);
        assert_eq!(exhaust(&domain), room, "nothing was lost");
        // Nor with the domain, nor with its device.
        rig.attach(&device, Attachment::Blocked).unwrap();
        drop(domain);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        assert_eq!(exhaust(&domain), room);
    }
}

#[test]
fn every_step_that_can_fail_fails_clean() {
    let rig = with_pages(6 + 1 + 2 * 8, preset("vtd-legacy-cm"));
    let (source, device) = rig.device(4);
    let mut failures = 0;
    for nth in 1.. {
        fault_point::arm(nth);
        let scenario = || {
            let domain = rig.driver.alloc_paging(&device, Default::default(), None)?;
            domain.map(Iova(0x1ff_f000), Pa(PINNED), 0x3000, RW, true)?;
            rig.attach(&device, Attachment::Paging(domain.clone()))?;
            domain.map(Iova(0x4000_0000), Pa(PINNED), 0x40_0000, RW, false)?;
            Ok(domain)
        };
        let result: iommufd::Result<_> = scenario();
        let fired = fault_point::remaining() == 0;
        fault_point::arm(0);
        assert_eq!(fired, result.is_err(), "step {nth}");
        rig.attach(&device, Attachment::Blocked).unwrap();
        drop(result);
        assert_eq!(tables::context(&rig.machine, source), [0, 0]);
        let domain = rig.domain(&device);
        assert_eq!(exhaust(&domain), 8, "step {nth}");
        if !fired {
            break;
        }
        failures += 1;
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn domain_ids_are_within_what_the_unit_has() {
    // CAP.ND = 0: 16 ids, of which 0 and pass-through's are taken.
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        (Spy::reading(machine.registers(), 0x08, |cap| cap & !7), machine.setup())
    });
    let users: Vec<_> = (1..=15)
        .map(|number| {
            let (source, device) = rig.device(number);
            let domain = rig.domain(&device);
            (source, device, domain)
        })
        .collect();
    let mut ids = Vec::new();
    for (source, device, domain) in &users[..14] {
        rig.attach(device, Attachment::Paging(domain.clone())).unwrap();
        ids.push(tables::context(&rig.machine, *source)[1] >> 8);
    }
    ids.sort_unstable();
    assert_eq!(ids, (2..16).collect::<Vec<_>>());
    let (source, device, domain) = &users[14];
    assert_eq!(rig.attach(device, Attachment::Paging(domain.clone())), Err(Errno::ENOSPC));
    assert_eq!(tables::context(&rig.machine, *source), [0, 0]);
    rig.attach(device, Attachment::Identity).unwrap();
    let (_, leaver, _) = &users[7];
    rig.attach(leaver, Attachment::Blocked).unwrap();
    rig.attach(device, Attachment::Paging(domain.clone())).unwrap();
}

#[test]
fn an_attachment_that_fails_costs_no_domain_id() {
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        (Spy::reading(machine.registers(), 0x08, |cap| cap & !7), machine.setup())
    });
    let (_, device) = rig.device(4);
    let domain = rig.domain(&device);
    for _ in 0..20 {
        // The id, then the context table.
        fault_point::arm(2);
        assert_eq!(rig.attach(&device, Attachment::Paging(domain.clone())), Err(Errno::ENOMEM));
    }
    rig.attach(&device, Attachment::Paging(domain)).unwrap();
}

#[test]
fn a_new_root_entry_is_made_known_to_caches_of_what_is_absent() {
    // Which invalidations the first device of a bus is attached with, and the second.
    for (name, first, second) in [
        ("vtd-legacy", vec![], vec![]),
        ("vtd-legacy-cm", vec![1 | 1 << 4, 2 | 1 << 4], vec![1 | 3 << 4, 2 | 2 << 4]),
    ] {
        let rig = Rig::new(preset(name));
        for (number, expected) in [(4, first), (5, second)] {
            let (source, device) = rig.device(number);
            let from = rig.machine.register(0x80);
            rig.attach(&device, Attachment::Paging(rig.domain(&device))).unwrap();
            let descriptors = descriptors(&rig, from);
            let kinds: Vec<_> = descriptors.iter().map(|words| words[0] & 0x3f).collect();
            assert_eq!(kinds, expected, "{name} {number}");
            if let [context, iotlb] = descriptors[..]
                && number == 5
            {
                let id = tables::context(&rig.machine, source)[1] >> 8;
                assert_eq!(context[0] >> 16, u64::from(source.0) << 16, "absent ones are of domain 0");
                assert_eq!(iotlb[0] >> 16, id);
            }
        }
    }
}

#[test]
fn more_faults_than_records_are_no_end() {
    let rig = Rig::plain();
    let (source, device) = rig.device(4);
    // Straight from the fabric: all before the driver hears of the first.
    let port = rig.machine.port(source);
    for round in 0..3 {
        let mut fx = Effects::default();
        for page in 0..20 {
            port.write(devices::fabric::Request::at(page << 12), &[0], &mut fx);
        }
        rig.machine.absorb(&mut fx);
        let faults = rig.faults();
        let pages: Vec<_> = faults.iter().map(|fault| fault.address >> 12).collect();
        assert_eq!(pages, (0..8).collect::<Vec<_>>(), "round {round}: as many as there are records");
        assert!(faults.iter().all(|fault| fault.device == Some(device.id())));
        assert_eq!(rig.machine.register(0x30) >> 32 & 0xff, 0, "FSTS is clear again");
    }
}

#[test]
fn faults_that_come_while_others_are_cleared_are_seen() {
    let fault = |page: u64| devices::vtd::Fault {
        source: devices::addr::SourceId::new(0, 4, 0),
        address: Iova(page << 12),
        access: devices::fabric::Access::Atomic,
        reason: devices::vtd::Reason::NoWrite,
    };
    // Bring-up clears the records too; it is not disturbed.
    let storm = Arc::new(AtomicBool::new(false));
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let inject = |page: u64| {
            let owner = Arc::downgrade(machine);
            move || owner.upgrade().unwrap().with_unit(|unit, fx| unit.fault(fault(page), fx))
        };
        let (fifth, others) = (inject(5), [inject(6), inject(7), inject(8)]);
        let (here, storm) = (Arc::clone(&storm), Arc::clone(&storm));
        let unit = Arc::downgrade(machine);
        let once = AtomicBool::new(true);
        // Five are on record. When they are cleared, and FRI says nothing, the sixth comes: FRI is 5. Each
        // of the next comes before the last one is cleared, so FRI stays; the ninth is in the first record.
        let read = move |offset, value| {
            let now = here.load(Ordering::SeqCst) && offset == 0x22c + 5 * 16;
            if now && once.swap(false, Ordering::SeqCst) {
                fifth();
                return unit.upgrade().unwrap().register(0x228 + 5 * 16) >> 32;
            }
            value
        };
        let write = move |offset, value| {
            if storm.load(Ordering::SeqCst) && (0x220 + 5 * 16..0x2a0).contains(&offset) {
                others[((offset - 0x220) / 16) as usize - 5]();
            }
            value
        };
        (Spy::new(machine.registers(), read, write), machine.setup())
    });
    let (_, device) = rig.device(4);
    let mut fx = Effects::default();
    for page in 0..5 {
        fx.push(devices::fabric::Effect::Fault {
            unit: devices::iommu::UnitId::only(devices::iommu::UnitKind::Vtd),
            fault: fault(page),
        });
    }
    storm.store(true, Ordering::SeqCst);
    rig.machine.absorb(&mut fx);
    let seen: Vec<_> = rig.faults().iter().map(|f| (f.device, f.address >> 12, f.write, f.reason)).collect();
    assert_eq!(seen, (0..9).map(|page| (Some(device.id()), page, true, 5)).collect::<Vec<_>>());
}

#[test]
fn a_record_that_is_made_while_it_is_read_is_read_whole() {
    let fault = |page: u64| devices::vtd::Fault {
        source: devices::addr::SourceId::new(0, 4, 0),
        address: Iova(page << 12),
        access: devices::fabric::Access::Atomic,
        reason: devices::vtd::Reason::NoWrite,
    };
    let armed = Arc::new(AtomicBool::new(false));
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let (owner, armed) = (Arc::downgrade(machine), Arc::clone(&armed));
        // The second fault is recorded right after the driver has read any part of the second record.
        let read = move |offset, value| {
            if (0x230..0x240).contains(&offset) && armed.swap(false, Ordering::SeqCst) {
                owner.upgrade().unwrap().with_unit(|unit, fx| unit.fault(fault(0x222), fx));
            }
            value
        };
        (Spy::new(machine.registers(), read, |_, value| value), machine.setup())
    });
    rig.device(4);
    let mut fx = Effects::default();
    fx.push(devices::fabric::Effect::Fault {
        unit: devices::iommu::UnitId::only(devices::iommu::UnitKind::Vtd),
        fault: fault(0x111),
    });
    armed.store(true, Ordering::SeqCst);
    rig.machine.absorb(&mut fx);
    let pages: Vec<_> = rig.faults().iter().map(|fault| fault.address >> 12).collect();
    assert_eq!(pages, [0x111, 0x222]);
}

#[test]
fn faults_without_end_let_the_handler_go_and_are_not_lost() {
    let machine = crate::machine::Machine::new(preset("vtd-legacy"));
    let limit = Arc::new(AtomicU64::new(0));
    let owner = Arc::downgrade(&machine);
    let (left, page) = (Arc::clone(&limit), AtomicU64::new(0));
    // Whenever the driver looks whether there is more, there is.
    let read = move |offset, value| {
        let more = |left: u64| left.checked_sub(1);
        if offset == 0x34 && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok() {
            let fault = devices::vtd::Fault {
                source: devices::addr::SourceId::new(0, 4, 0),
                address: Iova(page.fetch_add(1, Ordering::SeqCst) << 12),
                access: devices::fabric::Access::Atomic,
                reason: devices::vtd::Reason::NoWrite,
            };
            owner.upgrade().unwrap().with_unit(|unit, fx| unit.fault(fault, fx));
            return value | 2;
        }
        value
    };
    let spy = Spy::new(machine.registers(), read, |_, value| value);
    let driver = iommufd::driver::vtd::VtdDriver::new(spy, machine.setup()).unwrap();
    let host = iommufd::Host::new(iommufd::Options::default());
    let dynamic: Arc<dyn iommufd::driver::IommuDriver> = driver.clone();
    host.add_driver(&dynamic);
    let vector = crate::machine::FAULT_VECTOR;
    limit.store(200, Ordering::SeqCst);
    assert!(driver.interrupt(vector), "there is more");
    let mut seen = host.take_dma_faults().faults;
    assert!(!seen.is_empty() && seen.len() < 100, "{}", seen.len());
    while driver.interrupt(vector) {
        seen.extend(host.take_dma_faults().faults);
    }
    seen.extend(host.take_dma_faults().faults);
    let pages: Vec<_> = seen.iter().map(|fault| fault.address >> 12).collect();
    assert_eq!(pages, (0..200).collect::<Vec<_>>());
    assert!(!driver.interrupt(vector), "and the handler is free");
}

#[test]
fn write_buffers_are_flushed_where_nothing_is_invalidated() {
    let mut spies = Vec::new();
    let rig = Rig::with(Config { write_buffer_flush: true, ..preset("vtd-legacy") }, |machine| {
        let spy = Spy::new(machine.registers(), |_, value| value, |_, value| value);
        spies.push(Arc::clone(&spy));
        (spy, machine.setup())
    });
    let flushes = || {
        let flush = |(offset, value): &(u64, u64)| *offset == 0x18 && value & 1 << 27 != 0;
        spies[0].writes().iter().filter(|write| flush(write)).count()
    };
    let (_, device) = rig.device(4);
    let domain = rig.domain(&device);
    flushes();
    rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
    assert_eq!(flushes(), 1);
    domain.map(Iova(0x1000), Pa(PINNED), 0x5000, RW, true).unwrap();
    assert_eq!(flushes(), 1);
    unmap(&domain, 0x1000, 0x5000);
    rig.attach(&device, Attachment::Blocked).unwrap();
    assert_eq!(flushes(), 0, "an invalidation flushes them by itself");
}

#[test]
fn invalidations_are_as_narrow_as_the_unit_takes() {
    // Which pages with which masks; a domain-selective one where there are none or too many.
    let pages = |count: u64| (0..count).map(|n| (0x1000 + n * 0x2000, 0x1000)).collect::<Vec<_>>();
    // CAP is masked with the first; what is unmapped; addresses and masks.
    type Row = (u64, Vec<(u64, u64)>, Option<Vec<(u64, u8)>>);
    let rows: Vec<Row> = vec![
        (!0, vec![(0x3000, 0x1000)], Some(vec![(0x3000, 0)])),
        (!0, vec![(0x3000, 0x5000)], Some(vec![(0x3000, 0), (0x4000, 2)])),
        (!0, vec![(0x20_0000, 0x20_0000)], Some(vec![(0x20_0000, 9)])),
        (!0, pages(3), Some(vec![(0x1000, 0), (0x3000, 0), (0x5000, 0)])),
        (!0, pages(17), None),
        // Masks of at most 2.
        (!(0x10 << 48), vec![(0x8000, 0x8000)], Some(vec![(0x8000, 2), (0xc000, 2)])),
        (!(0x10 << 48), vec![(0x4000, 0x10_0000)], None),
        // No page-selective invalidation.
        (!(1 << 39), vec![(0x3000, 0x1000)], None),
    ];
    for (mask, spans, expected) in rows {
        let rig = Rig::with(preset("vtd-legacy"), |machine| {
            (Spy::reading(machine.registers(), 0x08, move |cap| cap & mask), machine.setup())
        });
        let (source, device) = rig.device(4);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        let id = tables::context(&rig.machine, source)[1] >> 8 & 0xffff;
        for (start, bytes) in &spans {
            domain.map(Iova(*start), Pa(PINNED), *bytes, RW, true).unwrap();
        }
        let from = rig.machine.register(0x80);
        spans.iter().for_each(|(start, bytes)| domain.unmap(Span::sized(*start, *bytes).unwrap()));
        assert_eq!(rig.machine.register(0x80), from, "not before it is asked for");
        domain.sync();
        let found = descriptors(&rig, from);
        // Type 2, draining reads and writes, the domain's id.
        let low = 2 | 1 << 7 | 1 << 6 | id << 16;
        let expected = match expected {
            None => vec![[low | 2 << 4, 0]],
            // IH stays clear: a table went with the last page.
            Some(pages) => pages.iter().map(|(at, am)| [low | 3 << 4, at | u64::from(*am)]).collect(),
        };
        assert_eq!(found, expected);
        domain.sync();
        assert_eq!(rig.machine.register(0x80), rig.machine.register(0x88), "nothing more to do");
    }
}

#[test]
fn the_queue_wraps() {
    let rig = Rig::plain();
    let memory = rig.pinned(PINNED, 0x2000);
    let mut user = rig.user(4, &memory);
    for _ in 0..600 {
        user.domain.map(Iova(0x5000), memory.at(0x1000), 0x1000, RW, true).unwrap();
        unmap(&user.domain, 0x5000, 0x1000);
    }
    assert_eq!(user.exerciser.dma_write(0x5000, b"x"), Ended::Refused(0));
    rig.assert_fresh();
}

#[test]
fn a_unit_that_refuses_an_invalidation_lets_nothing_pass() {
    let broken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&broken);
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let memory = machine.mem.clone();
        let queue = AtomicU64::new(0);
        // When it is time, the first descriptor that the tail passes is replaced by one of no type.
        let corrupt = move |offset, value: u64| {
            match offset {
                0x90 => queue.store(value & !0xfff, Ordering::SeqCst),
                0x88 if flag.load(Ordering::SeqCst) => {
                    let first = (value.wrapping_sub(0x20)) & 0xff0;
                    memory.store128(Pa(queue.load(Ordering::SeqCst) + first), [0xf, 0]).unwrap();
                }
                _ => {}
            }
            value
        };
        (Spy::new(machine.registers(), |_, value| value, corrupt), machine.setup())
    });
    let memory = rig.pinned(PINNED, 0x3000);
    let mut user = rig.user(4, &memory);
    let mut other = rig.user(5, &memory);
    user.domain.map(Iova(0x5000), memory.at(0x1000), 0x1000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(0x5000, b"data"), Ended::Done(4));
    assert_eq!(other.exerciser.dma_write(RING + 0x800, b"data"), Ended::Done(4));
    broken.store(true, Ordering::SeqCst);
    unmap(&user.domain, 0x5000, 0x1000);
    broken.store(false, Ordering::SeqCst);
    assert_eq!(user.exerciser.dma_write(0x5000, b"more"), Ended::RingFault);
    assert_eq!(other.exerciser.dma_write(RING + 0x800, b"more"), Ended::RingFault);
    assert_eq!(memory.bytes(0x1000), *b"data");
    assert_eq!(rig.attach(&user.device, Attachment::Blocked), Err(Errno::EIO));
    assert_eq!(rig.attach(&user.device, Attachment::Identity), Err(Errno::EIO));
}
