//! Mappings as devices meet them.

use devices::addr::{Iova, Pa};
use devices::vtd::Config;
use iommufd::Errno;
use iommufd::driver::vtd::{Direct, Setup};
use iommufd::driver::{Attachment, Protection};
use iommufd::span::Span;

use crate::exerciser::{Driver, Ended};
use crate::machine::RAM;
use crate::rig::{PINNED, RING, RW, Rig, Spy, preset, refusal, unmap};
use crate::tables;

const BUFFER: u64 = 0x1234_5000;

/// Units that differ in what software has to do for them.
fn configs() -> Vec<(&'static str, Config)> {
    let legacy = preset("vtd-legacy");
    vec![
        ("plain", legacy.clone()),
        ("caching mode", preset("vtd-legacy-cm")),
        ("write buffers", Config { write_buffer_flush: true, ..legacy.clone() }),
        ("three levels", Config { address_width: devices::vtd::AddressWidth::Bits39, ..legacy.clone() }),
        ("five levels", Config { address_width: devices::vtd::AddressWidth::Bits57, ..legacy.clone() }),
        ("root set invalidates", Config { root_set_invalidates: true, ..legacy.clone() }),
        ("protected regions", Config { protected_regions: true, ..legacy.clone() }),
        ("faults collapse", Config { compress_faults: true, ..legacy }),
    ]
}

#[test]
fn bytes_pass_while_they_are_mapped_and_fault_when_they_are_not() {
    for (name, config) in configs() {
        let rig = Rig::new(config);
        let memory = rig.pinned(PINNED, 0x3000);
        let mut user = rig.user(4, &memory);
        // Before anything is there, so that caching mode has something to cache.
        assert_eq!(user.exerciser.dma_write(BUFFER, b"early"), Ended::Refused(0), "{name}");
        for round in 0..3u8 {
            user.domain.map(Iova(BUFFER), memory.at(0x1000), 0x2000, RW, true).unwrap();
            assert_eq!(user.domain.iova_to_phys(Iova(BUFFER + 0x1abc)), Some(memory.at(0x2abc)));
            let data = [round; 100];
            assert_eq!(user.exerciser.dma_write(BUFFER + 0xff0, &data), Ended::Done(100), "{name}");
            assert_eq!(memory.bytes(0x1ff0), data, "{name}");
            let mut back = [0; 100];
            assert_eq!(user.exerciser.dma_read(BUFFER + 0xff0, &mut back), Ended::Done(100), "{name}");
            assert_eq!(back, data, "{name}");
            unmap(&user.domain, BUFFER, 0x2000);
            assert_eq!(user.domain.iova_to_phys(Iova(BUFFER)), None);
            assert_eq!(user.exerciser.dma_write(BUFFER + 0xff0, b"late"), Ended::Refused(0), "{name}");
            assert_eq!(user.exerciser.dma_read(BUFFER + 0x1000, &mut back), Ended::Refused(0), "{name}");
            assert_eq!(memory.bytes(0x1ff0), data, "{name}");
        }
        let source = u32::from(user.source.0);
        let late = [(source, BUFFER, true, 5), (source, BUFFER + 0x1000, false, 6)];
        assert_eq!(rig.reasons(), [&[(source, BUFFER, true, 5)], &late[..], &late, &late].concat(), "{name}");
        rig.assert_fresh();
    }
}

#[test]
fn a_fault_names_the_device() {
    let rig = Rig::plain();
    let memory = rig.pinned(PINNED, 0x1000);
    let mut user = rig.user(4, &memory);
    user.exerciser.dma_write(0x5678_9000, b"x");
    let [fault] = &rig.faults()[..] else { panic!("one fault") };
    assert_eq!((fault.device, fault.pasid), (Some(user.device.id()), None));
}

#[test]
fn rights_are_those_that_were_asked_for() {
    let rig = Rig::plain();
    let memory = rig.pinned(PINNED, 0x3000);
    let mut user = rig.user(4, &memory);
    user.domain.map(Iova(BUFFER), memory.at(0x1000), 0x1000, Protection::READ, true).unwrap();
    user.domain.map(Iova(BUFFER + 0x1000), memory.at(0x2000), 0x1000, Protection::WRITE, true).unwrap();
    assert_eq!(user.exerciser.dma_read(BUFFER, &mut [0; 4]), Ended::Done(4));
    assert_eq!(user.exerciser.dma_write(BUFFER, &[0; 4]), Ended::Refused(0));
    assert_eq!(user.exerciser.dma_write(BUFFER + 0x1000, &[0; 4]), Ended::Done(4));
    assert_eq!(user.exerciser.dma_read(BUFFER + 0x1000, &mut [0; 4]), Ended::Refused(0));
    let source = u32::from(user.source.0);
    assert_eq!(rig.reasons(), [(source, BUFFER, true, 5), (source, BUFFER + 0x1000, false, 6)]);
    let none = user.domain.map(Iova(0x1000), memory.base, 0x1000, Protection::CACHE, true);
    assert_eq!(refusal(none), Errno::EINVAL);
}

#[test]
fn leaves_are_as_large_as_fits() {
    const M: u64 = 1 << 20;
    const G: u64 = 1 << 30;
    // Large pages of the unit; IOVA, physical address, bytes, whether large is allowed; offsets with the
    // level of the leaf that must be there.
    type Row = (u64, (u64, u64, u64, bool), &'static [(u64, u32)]);
    let rows: &[Row] = &[
        (3, (0, PINNED, 2 * M, true), &[(0, 2), (2 * M - 1, 2)]),
        (3, (0, PINNED, 2 * M, false), &[(0, 1), (2 * M - 1, 1)]),
        (3, (0, PINNED + 0x1000, 2 * M, true), &[(0, 1), (M, 1)]),
        (3, (0x1000, PINNED + 0x1000, 4 * M, true), &[(0, 1), (2 * M, 2), (4 * M - 0x1000, 1)]),
        (3, (2 * G, 4 * G, G, true), &[(0, 3), (G - 1, 3)]),
        (1, (2 * G, 4 * G, G, true), &[(0, 2), (G - 1, 2)]),
        (0, (2 * G, 4 * G, 4 * M, true), &[(0, 1), (4 * M - 1, 1)]),
        (3, (2 * G - 2 * M, 4 * G - 2 * M, G + 4 * M, true), &[(0, 2), (2 * M, 3), (G + 2 * M, 2)]),
        (3, (2 * G, 4 * G + 2 * M, G, true), &[(0, 2), (G - 1, 2)]),
    ];
    for &(sllps, (iova, pa, bytes, large), leaves) in rows {
        let rig = Rig::with(preset("vtd-legacy"), |machine| {
            let cap = move |value: u64| value & !(0xf << 34) | sllps << 34;
            (Spy::reading(machine.registers(), 0x08, cap), machine.setup())
        });
        let (source, device) = rig.device(4);
        let domain = rig.domain(&device);
        let sizes = 1 << 12 | (sllps & 1) << 21 | (sllps & 2) << 29;
        assert_eq!(domain.page_sizes(), sizes);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        domain.map(Iova(iova), Pa(pa), bytes, RW, large).unwrap();
        for &(offset, level) in leaves {
            let leaf = tables::Leaf { level, pa: pa + offset, rights: 3 };
            assert_eq!(
                tables::leaf(&rig.machine, source, iova + offset),
                Some(leaf),
                "{iova:#x} {offset:#x}"
            );
            assert_eq!(domain.iova_to_phys(Iova(iova + offset)), Some(Pa(pa + offset)));
        }
        assert_eq!(tables::leaf(&rig.machine, source, iova + bytes), None);
        unmap(&domain, iova, bytes);
        for &(offset, _) in leaves {
            assert_eq!(tables::leaf(&rig.machine, source, iova + offset), None);
        }
    }
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let rig = Rig::plain();
    let (_, device) = rig.device(4);
    let domain = rig.domain(&device);
    assert_eq!(domain.aperture(), Span { start: 0, last: (1 << 48) - 1 });
    domain.map(Iova(0x20_0000), Pa(PINNED), 0x20_0000, RW, true).unwrap();
    let top = 1 << 48;
    for (iova, pa, bytes) in [
        (0x800, PINNED, 0x1000),
        (0x1000, PINNED + 0x800, 0x1000),
        (0x1000, PINNED, 0x800),
        (0x1000, PINNED, 0),
        (top, PINNED, 0x1000),
        (top - 0x1000, PINNED, 0x2000),
        (u64::MAX - 0xfff, PINNED, 0x1000),
        (u64::MAX - 0xfff, PINNED, 0x2000),
        (0x1000, top, 0x1000),
        (0x1000, top - 0x1000, 0x2000),
        (0x1000, u64::MAX - 0xfff, 0x1000),
        // Mapped already: within a large page, at both its ends, all of it.
        (0x30_0000, PINNED, 0x1000),
        (0x1f_f000, PINNED, 0x2000),
        (0x3f_f000, PINNED, 0x2000),
        (0, PINNED, 0x80_0000),
    ] {
        assert_eq!(refusal(domain.map(Iova(iova), Pa(pa), bytes, RW, true)), Errno::EINVAL, "{iova:#x}");
    }
    domain.map(Iova(top - 0x1000), Pa(top - 0x1000), 0x1000, RW, true).unwrap();
    domain.map(Iova(0), Pa(PINNED), 0x20_0000, RW, true).unwrap();
    domain.map(Iova(0x40_0000), Pa(PINNED), 0x1000, RW, true).unwrap();
    assert_eq!(domain.iova_to_phys(Iova(0x2f_ffff)), Some(Pa(PINNED + 0xf_ffff)));
}

#[test]
fn a_table_that_went_is_not_used_for_what_comes() {
    // A small page goes and with it its table; before that is invalidated, its neighbour comes.
    let rig = Rig::plain();
    let memory = rig.pinned(PINNED, 0x3000);
    let mut user = rig.user(4, &memory);
    user.domain.map(Iova(BUFFER), memory.at(0x1000), 0x1000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(BUFFER, b"one"), Ended::Done(3));
    user.domain.unmap(Span::sized(BUFFER, 0x1000).unwrap());
    user.domain.map(Iova(BUFFER + 0x1000), memory.at(0x2000), 0x1000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(BUFFER + 0x1000, b"two"), Ended::Done(3));
    assert_eq!(memory.bytes(0x2000), *b"two");
    user.domain.sync();
    // Small pages where a large one was, and the reverse.
    let large = rig.pinned(PINNED + (1 << 30), 0x20_0000);
    user.domain.map(Iova(0x4000_0000), large.base, 0x20_0000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(0x4000_5000, b"large"), Ended::Done(5));
    unmap(&user.domain, 0x4000_0000, 0x20_0000);
    user.domain.map(Iova(0x4000_5000), memory.at(0x1000), 0x1000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(0x4000_5000, b"small"), Ended::Done(5));
    assert_eq!((memory.bytes(0x1000), large.bytes(0x5000)), (*b"small", *b"large"));
    unmap(&user.domain, 0x4000_5000, 0x1000);
    user.domain.map(Iova(0x4000_0000), large.base, 0x20_0000, RW, true).unwrap();
    assert_eq!(user.exerciser.dma_write(0x4000_6000, b"again"), Ended::Done(5));
    assert_eq!(large.bytes(0x6000), *b"again");
    rig.assert_fresh();
    assert_eq!(rig.reasons(), []);
}

#[test]
fn devices_in_two_domains_are_apart() {
    for (name, config) in configs() {
        let rig = Rig::new(config);
        let (mine, yours) = (rig.pinned(PINNED, 0x2000), rig.pinned(2 * PINNED, 0x2000));
        let mut me = rig.user(4, &mine);
        let mut you = rig.user(5, &yours);
        me.domain.map(Iova(BUFFER), mine.at(0x1000), 0x1000, RW, true).unwrap();
        assert_eq!(me.exerciser.dma_write(BUFFER, b"mine"), Ended::Done(4), "{name}");
        assert_eq!(you.exerciser.dma_write(BUFFER, b"yours"), Ended::Refused(0), "{name}");
        you.domain.map(Iova(BUFFER), yours.at(0x1000), 0x1000, RW, true).unwrap();
        assert_eq!(you.exerciser.dma_write(BUFFER, b"yours"), Ended::Done(5), "{name}");
        assert_eq!((mine.bytes(0x1000), yours.bytes(0x1000)), (*b"mine", *b"yours"), "{name}");
        unmap(&me.domain, BUFFER, 0x1000);
        assert_eq!(me.exerciser.dma_write(BUFFER, b"mine"), Ended::Refused(0), "{name}");
        assert_eq!(you.exerciser.dma_write(BUFFER, b"still"), Ended::Done(5), "{name}");
        rig.assert_fresh();
    }
}

#[test]
fn devices_in_one_domain_share_it_and_its_id() {
    let rig = Rig::plain();
    let memory = rig.pinned(PINNED, 0x2000);
    let mut first = rig.user(4, &memory);
    let (source, second) = rig.device(5);
    rig.attach(&second, Attachment::Paging(first.domain.clone())).unwrap();
    assert_eq!(tables::context(&rig.machine, source), tables::context(&rig.machine, first.source));
    // The first leaves; the other still reaches memory, through the same id.
    rig.attach(&first.device, Attachment::Blocked).unwrap();
    assert_eq!(first.exerciser.dma_write(RING, b"x"), Ended::RingFault);
    assert_eq!(tables::leaf(&rig.machine, source, RING).map(|leaf| leaf.pa), Some(memory.base.0));
    rig.attach(&first.device, Attachment::Paging(first.domain.clone())).unwrap();
    assert_eq!(tables::context(&rig.machine, source), tables::context(&rig.machine, first.source));
}

#[test]
fn a_blocked_device_reaches_nothing() {
    for (name, config) in configs() {
        let rig = Rig::new(config);
        let memory = rig.pinned(PINNED, 0x2000);
        let mut user = rig.user(4, &memory);
        user.domain.map(Iova(BUFFER), memory.at(0x1000), 0x1000, RW, true).unwrap();
        assert_eq!(user.exerciser.dma_write(BUFFER, b"data"), Ended::Done(4), "{name}");
        rig.attach(&user.device, Attachment::Blocked).unwrap();
        assert_eq!(user.exerciser.dma_write(BUFFER, b"more"), Ended::RingFault, "{name}");
        assert_eq!(rig.reasons(), [(u32::from(user.source.0), RING, false, 2)], "{name}");
        rig.attach(&user.device, Attachment::Paging(user.domain.clone())).unwrap();
        assert_eq!(user.exerciser.dma_write(BUFFER, b"back"), Ended::Done(4), "{name}");
        assert_eq!(memory.bytes(0x1000), *b"back", "{name}");
        rig.driver.release(&user.device);
        assert_eq!(user.exerciser.dma_write(BUFFER, b"gone"), Ended::RingFault, "{name}");
        rig.assert_fresh();
    }
}

#[test]
fn identity_without_pass_through_leads_to_firmwares_memory_too() {
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let source = devices::addr::SourceId::new(0, 4, 0);
        let direct = |start, last| Direct { source, span: Span { start, last } };
        // Beside RAM, across its end, within it, twice.
        let direct = vec![
            direct(0x9000_0000, 0x9000_1fff),
            direct(RAM - 0x1000, RAM + 0xfff),
            direct(0x1000, 0x1fff),
            direct(0x9000_1000, 0x9000_2fff),
        ];
        let ecap = Spy::reading(machine.registers(), 0x10, |ecap| ecap & !(1 << 6));
        (ecap, Setup { direct, ..machine.setup() })
    });
    let (source, _device) = rig.device(4);
    for (at, reached) in [
        (0x1000, true),
        (RAM + 0xfff, true),
        (RAM + 0x1000, false),
        (0x8fff_ffff, false),
        (0x9000_0000, true),
        (0x9000_2fff, true),
        (0x9000_3000, false),
    ] {
        let leaf = tables::leaf(&rig.machine, source, at);
        assert_eq!(leaf.map(|leaf| (leaf.pa, leaf.rights)), reached.then_some((at, 3)), "{at:#x}");
    }
}

#[test]
fn identity_leads_to_ram() {
    for pass_through in [true, false] {
        let rig = Rig::with(preset("vtd-legacy"), |machine| {
            let ecap = move |value: u64| if pass_through { value } else { value & !(1 << 6) };
            (Spy::reading(machine.registers(), 0x10, ecap), machine.setup())
        });
        let (source, device) = rig.device(4);
        rig.attach(&device, Attachment::Identity).unwrap();
        let ram = rig.ram();
        let mut exerciser = Driver::new(&rig.machine, source, ram.clone(), 0x10_0000, 0x10_0000);
        assert_eq!(exerciser.dma_write(0x12_3456, b"physical"), Ended::Done(8), "{pass_through}");
        assert_eq!(ram.bytes(0x12_3456), *b"physical");
        let [low, high] = tables::context(&rig.machine, source);
        assert_eq!((low >> 2 & 3, high & 7), (if pass_through { 2 } else { 0 }, 2), "TT, AW");
        rig.attach(&device, Attachment::Blocked).unwrap();
        assert_eq!(exerciser.dma_write(0x12_3456, b"x"), Ended::RingFault);
        rig.assert_fresh();
    }
}
