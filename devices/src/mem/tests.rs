use std::sync::Mutex;

use super::*;

const BASE: Pa = Pa(0x10_0000);

/// Two regions that touch, then a hole, then a third.
fn memory() -> PhysMem {
    PhysMem::anonymous(&[(BASE, 0x2000), (Pa(0x10_2000), 0x1000), (Pa(0x20_0000), 0x1000)]).unwrap()
}

#[test]
fn resolve_knows_every_border() {
    let mem = memory();
    for (pa, left) in [
        (0xf_ffff, None),
        (0x10_0000, Some(0x2000)),
        (0x10_1fff, Some(1)),
        (0x10_2000, Some(0x1000)),
        (0x10_3000, None),
        (0x20_0fff, Some(1)),
        (0x20_1000, None),
        (u64::MAX, None),
    ] {
        assert_eq!(mem.resolve(Pa(pa)).map(|(_, left)| left), left, "{pa:#x}");
        if let Some((handle, _)) = mem.resolve(Pa(pa)) {
            assert_eq!(mem.address_of(handle), Some(Pa(pa)));
        }
    }
}

#[test]
fn copies_cross_regions_that_touch_and_stop_at_holes() {
    let mem = memory();
    let data: Vec<u8> = (0..32).collect();
    mem.write(Pa(0x10_1ff0), &data).unwrap();
    let mut back = [0; 32];
    mem.read(Pa(0x10_1ff0), &mut back).unwrap();
    assert_eq!(back, data[..]);
    assert_eq!(mem.write(Pa(0x10_2ff0), &data), Err(NotRam));
    assert_eq!(mem.read(Pa(u64::MAX - 3), &mut back), Err(NotRam));
}

#[test]
fn words_are_little_endian_and_refuse_misalignment() {
    let mem = memory();
    mem.write(BASE, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]).unwrap();
    assert_eq!(mem.load64(BASE), Ok(0x0807_0605_0403_0201));
    assert_eq!(mem.load128(BASE), Ok([0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09]));
    assert_eq!(mem.load64(Pa(BASE.0 + 4)), Err(NotRam));
    assert_eq!(mem.load128(Pa(BASE.0 + 8)), Err(NotRam));
    assert_eq!(mem.compare_exchange64(BASE, 0, 1), Ok(Err(0x0807_0605_0403_0201)));
    assert_eq!(mem.compare_exchange64(BASE, 0x0807_0605_0403_0201, 1), Ok(Ok(0x0807_0605_0403_0201)));
    assert_eq!(mem.load64(BASE), Ok(1));
}

#[test]
fn words_in_a_row_may_lie_in_several_regions() {
    let mem = memory();
    mem.plug(Pa(0x20_1000), mapping(0x1000)).unwrap();
    for (words, start) in [(1u64, 0x10_1ff0u64), (3, 0x10_2000), (5, 0x20_0ff0), (7, 0x20_1000)] {
        mem.write(Pa(start), &words.to_le_bytes()).unwrap();
        mem.write(Pa(start + 8), &(words + 1).to_le_bytes()).unwrap();
    }
    for (pa, words) in [
        (0x10_1ff0, Ok([1, 2, 3, 4])),
        (0x10_2000, Ok([3, 4, 0, 0])),
        (0x20_0ff0, Ok([5, 6, 7, 8])),
        (0x10_2fe8, Err(NotRam)),
        (0x20_1fe0, Ok([0; 4])),
        (0x20_1fe8, Err(NotRam)),
        (0x10_0004, Err(NotRam)),
        (u64::MAX - 15, Err(NotRam)),
    ] {
        assert_eq!(mem.load_words(Pa(pa)), words, "{pa:#x}");
        let mut into = [u64::MAX; 4];
        let loaded = mem.load_words_into(Pa(pa), &mut into);
        assert_eq!((loaded, into), (words.map(|_| ()), words.unwrap_or([u64::MAX; 4])), "{pa:#x}");
    }
}

#[test]
fn atomics_return_the_old_value() {
    let mem = memory();
    let (handle, _) = mem.resolve(BASE).unwrap();
    mem.write(BASE, &0xffff_ffff_0000_0005u64.to_le_bytes()).unwrap();
    for (op, old, new) in [
        (AtomicOp::FetchAdd32(3), 5, 0xffff_ffff_0000_0008),
        (AtomicOp::FetchAdd32(0xffff_ffff), 8, 0xffff_ffff_0000_0007),
        (AtomicOp::FetchAdd64(1 << 32), 0xffff_ffff_0000_0007, 7),
        (AtomicOp::Swap32(0x99), 7, 0x99),
        (AtomicOp::Swap64(1), 0x99, 1),
        (AtomicOp::CompareSwap64 { compare: 2, swap: 9 }, 1, 1),
        (AtomicOp::CompareSwap64 { compare: 1, swap: u64::MAX }, 1, u64::MAX),
        (AtomicOp::CompareSwap32 { compare: u32::MAX, swap: 4 }, 0xffff_ffff, 0xffff_ffff_0000_0004),
    ] {
        assert_eq!(mem.atomic_at(handle, op), Ok(old), "{op:?}");
        assert_eq!(mem.load64(BASE), Ok(new), "{op:?}");
    }
    assert_eq!(mem.atomic_at(handle.plus(4), AtomicOp::Swap64(0)), Err(NotRam));
}

#[test]
fn handles_of_another_memory_stay_inside_this_one() {
    let (big, small) = (memory(), PhysMem::anonymous(&[(Pa(0), 0x1000)]).unwrap());
    let (handle, _) = big.resolve(Pa(0x10_1800)).unwrap();
    assert_eq!(small.read_at(handle, &mut [0; 8]), Err(NotRam));
    let (handle, _) = big.resolve(Pa(0x20_0000)).unwrap();
    assert_eq!(small.read_at(handle, &mut [0; 8]), Err(NotRam));
    assert_eq!(small.address_of(handle), None);
}

#[derive(Default)]
struct Log(Mutex<Vec<(u64, u64)>>);

impl WriteWatch for Log {
    fn written(&self, first: Pa, last: Pa) {
        self.0.lock().unwrap().push((first.0, last.0));
    }
}

#[test]
fn the_watch_sees_every_kind_of_write() {
    let (mem, log) = (memory(), Arc::new(Log::default()));
    mem.watch(log.clone());
    mem.write(Pa(0x10_1fff), &[1, 2]).unwrap();
    mem.compare_exchange64(BASE, 0, 1).unwrap().unwrap();
    let _ = mem.compare_exchange64(BASE, 0, 1).unwrap();
    let (handle, _) = mem.resolve(Pa(0x20_0000)).unwrap();
    mem.atomic_at(handle, AtomicOp::Swap32(1)).unwrap();
    mem.read(BASE, &mut [0; 8]).unwrap();
    assert_eq!(
        *log.0.lock().unwrap(),
        [(0x10_1fff, 0x10_1fff), (0x10_2000, 0x10_2000), (0x10_0000, 0x10_0007), (0x20_0000, 0x20_0003)]
    );
}

#[test]
fn pages_round_trip_and_clear_what_was_there() {
    let mem = memory();
    mem.write(Pa(0x10_1008), &[7]).unwrap();
    let saved = mem.nonzero_pages(4096);
    assert_eq!(saved.iter().map(|(pa, _)| pa.0).collect::<Vec<_>>(), [0x10_1000]);
    mem.write(BASE, &[9]).unwrap();
    mem.restore_pages(&saved).unwrap();
    assert_eq!((mem.load64(BASE), mem.load64(Pa(0x10_1008))), (Ok(0), Ok(7)));
    assert!(mem.restore_pages(&[(Pa(0x40_0000), vec![1])]).is_err());
}

fn mapping(bytes: usize) -> Arc<MmapRegion> {
    Arc::new(MmapRegion::new(bytes).unwrap())
}

#[test]
fn entries_of_128_bits_are_stored_whole() {
    let mem = memory();
    mem.store128(BASE, [1, 2]).unwrap();
    assert_eq!((mem.load128(BASE), mem.load64(Pa(BASE.0 + 8))), (Ok([1, 2]), Ok(2)));
    assert_eq!(mem.store128(Pa(BASE.0 + 8), [3, 4]), Err(NotRam));
    assert_eq!(mem.store128(Pa(0), [3, 4]), Err(NotRam));
}

#[test]
fn plugged_memory_is_memory_in_every_way() {
    let (mem, log) = (memory(), Arc::new(Log::default()));
    let (far, near) = (Pa(1 << 40), Pa(0x10_3000));
    mem.plug(far, mapping(0x2000)).unwrap();
    mem.plug(near, mapping(0x1000)).unwrap();
    mem.watch(log.clone());
    // The near one touches a fixed region.
    mem.write(Pa(0x10_2ffc), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut back = [0; 8];
    mem.read(Pa(0x10_2ffc), &mut back).unwrap();
    assert_eq!(back, [1, 2, 3, 4, 5, 6, 7, 8]);
    let (handle, left) = mem.resolve(Pa(far.0 + 0x1ff0)).unwrap();
    assert_eq!((left, mem.address_of(handle)), (0x10, Some(Pa(far.0 + 0x1ff0))));
    mem.write_at(handle, &[9; 16]).unwrap();
    assert_eq!(mem.load128(Pa(far.0 + 0x1ff0)), Ok([0x0909_0909_0909_0909; 2]));
    assert_eq!(mem.atomic_at(handle, AtomicOp::Swap64(5)), Ok(0x0909_0909_0909_0909));
    assert_eq!(mem.compare_exchange64(Pa(far.0 + 0x1ff0), 5, 6), Ok(Ok(5)));
    mem.store128(Pa(far.0 + 0x1000), [7, 8]).unwrap();
    assert_eq!(mem.load64(Pa(far.0 + 0x1ff0)), Ok(6));
    assert_eq!(mem.resolve(Pa(far.0 + 0x2000)), None);
    assert_eq!(mem.resolve(Pa(far.0 - 1)), None);
    let (first, last) = (far.0 + 0x1ff0, far.0 + 0x1ff7);
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            (0x10_2ffc, 0x10_2fff),
            (0x10_3000, 0x10_3003),
            (first, last + 8),
            (first, last),
            (first, last),
            (far.0 + 0x1000, far.0 + 0x100f),
        ]
    );
    assert_eq!(mem.nonzero_pages(4096).len(), 1, "only what is in the fixed regions");
}

#[test]
fn unplugged_memory_is_no_memory_and_its_handles_lead_nowhere() {
    let mem = memory();
    let (a, b) = (Pa(1 << 40), Pa(2 << 40));
    mem.plug(a, mapping(0x1000)).unwrap();
    mem.plug(b, mapping(0x1000)).unwrap();
    let (stale, _) = mem.resolve(a).unwrap();
    let clone = mem.clone();
    assert!(clone.unplug(a));
    assert!(!clone.unplug(a) && !clone.unplug(Pa(b.0 + 8)) && !clone.unplug(BASE));
    assert_eq!((mem.read_at(stale, &mut [0]), mem.address_of(stale)), (Err(NotRam), None));
    assert_eq!((mem.load64(a), mem.load64(b)), (Err(NotRam), Ok(0)));
    // Even as its place is taken again, while there are other slots.
    mem.plug(a, mapping(0x1000)).unwrap();
    assert_eq!((mem.read_at(stale, &mut [0]), mem.load64(a)), (Err(NotRam), Ok(0)));
}

#[test]
fn memory_is_plugged_in_where_there_is_none() {
    let mem = memory();
    mem.plug(Pa(0x4000_0000), mapping(0x3000)).unwrap();
    let taken = |first, last| Err(PlugError::Taken { first: Pa(first), last: Pa(last) });
    for (base, bytes, result) in [
        (0x10_1000, 0x1000, taken(0x10_0000, 0x10_1fff)),
        (0xf_f000, 0x2000, taken(0x10_0000, 0x10_1fff)),
        (0x3fff_f000, 0x2000, taken(0x4000_0000, 0x4000_2fff)),
        (0x4000_2000, 0x1000, taken(0x4000_0000, 0x4000_2fff)),
        (0x4000_1000, 0x1000, taken(0x4000_0000, 0x4000_2fff)),
        (u64::MAX - 0xffe, 0x1000, Err(PlugError::Range { start: Pa(u64::MAX - 0xffe), bytes: 0x1000 })),
        (u64::MAX - 0xfff, 0x1000, Ok(())),
        (0x3fff_f000, 0x1000, Ok(())),
        (0x4000_3000, 0x1000, Ok(())),
    ] {
        assert_eq!(mem.plug(Pa(base), mapping(bytes)), result, "{base:#x}");
    }
    let read_only = Arc::new(MmapRegion::build(None, 0x1000, 1, 0x22).unwrap());
    assert_eq!(mem.plug(Pa(0x5000_0000), read_only), Err(PlugError::NotWritable));
    assert_eq!(mem.resolve(Pa(0x4000_2ff8)).map(|(_, left)| left), Some(8));
}

#[test]
fn slots_are_bounded_and_reused() {
    let (plugged, shared) = (Plugged::new(3), mapping(0x1000));
    let at = |number: u64| (1 << 40) + number * 0x1000;
    let plug = |number| plugged.plug(Region::of_mapping(at(number), shared.clone()).unwrap());
    for number in 0..3 {
        plug(number).unwrap();
    }
    assert_eq!(plug(3), Err(PlugError::TooMany(3)));
    assert!(plugged.unplug(at(1)));
    plug(3).unwrap();
    let slot = |number| plugged.find(Pa(at(number)), |slot, _, _| slot);
    assert_eq!([0, 1, 2, 3].map(slot), [Some(0), None, Some(2), Some(1)]);
}

#[test]
fn there_is_room_for_many() {
    let (mem, shared) = (memory(), mapping(0x1000));
    let at = |number: u64| Pa((1 << 40) + number * 0x1000);
    for number in 0..20_000 {
        mem.plug(at(number), shared.clone()).unwrap();
    }
    for number in [0, 4095, 4096, 19_999] {
        let (handle, left) = mem.resolve(Pa(at(number).0 + 0xff8)).unwrap();
        assert_eq!((mem.address_of(handle), left), (Some(Pa(at(number).0 + 0xff8)), 8));
    }
    // The last byte that any handle can name.
    let last = Handle::plugged(Handle::MAX_PLUGGED - 1, Handle::MAX_PLUGGED_BYTES - 1);
    assert_eq!(last.slot(), Some((Handle::MAX_PLUGGED - 1, Handle::MAX_PLUGGED_BYTES - 1)));
    assert_ne!(last.to_bits(), u64::MAX);
}

#[test]
fn a_slot_rests_before_it_is_used_again() {
    let mem = memory();
    let base = Pa(1 << 40);
    let shared = mapping(0x1000);
    mem.plug(base, shared.clone()).unwrap();
    let (first, _) = mem.resolve(base).unwrap();
    let mut rests = 0;
    loop {
        assert!(mem.unplug(base));
        mem.plug(base, shared.clone()).unwrap();
        if mem.read_at(first, &mut [0]).is_ok() {
            break;
        }
        rests += 1;
    }
    assert!((1000..10_000).contains(&rests), "as long as is useful, and no longer: {rests}");
}

#[test]
fn handles_of_fixed_and_plugged_memory_are_never_taken_for_each_other() {
    let (fixed, plugged) = (memory(), PhysMem::anonymous(&[(Pa(0), 0x1000)]).unwrap());
    let far = Pa(1 << 40);
    plugged.plug(far, mapping(0x1000)).unwrap();
    for pa in [BASE, Pa(0x10_2000), Pa(0x20_0000)] {
        let (handle, _) = fixed.resolve(pa).unwrap();
        assert_ne!(plugged.address_of(handle), Some(far));
    }
    let (handle, _) = plugged.resolve(far).unwrap();
    assert_eq!((fixed.address_of(handle), fixed.read_at(handle, &mut [0])), (None, Err(NotRam)));
    let all_ones = Handle::from_bits(u64::MAX);
    assert_eq!((plugged.address_of(all_ones), fixed.address_of(all_ones)), (None, None));
}

#[test]
fn memory_that_a_handle_cannot_span_is_refused() {
    // MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE [mmap(2)].
    let flags = 0x02 | 0x20 | 0x4000;
    let base = Pa(1 << 44);
    for (bytes, fits) in [(Handle::MAX_PLUGGED_BYTES, true), (Handle::MAX_PLUGGED_BYTES + 0x1000, false)] {
        let mapping = Arc::new(MmapRegion::build(None, bytes as usize, 3, flags).unwrap());
        let refused = Err(PlugError::Range { start: base, bytes });
        assert_eq!(memory().plug(base, mapping), if fits { Ok(()) } else { refused });
    }
}

#[test]
fn accesses_and_unplugging_may_meet() {
    let mem = memory();
    let base = Pa(1 << 40);
    std::thread::scope(|scope| {
        let reader = mem.clone();
        scope.spawn(move || {
            let mut handle = None;
            for _ in 0..20_000 {
                handle = reader.resolve(base).map(|(handle, _)| handle).or(handle);
                if let Some(handle) = handle {
                    let mut data = [0; 64];
                    let _ = reader.read_at(handle, &mut data);
                    assert!(data.iter().all(|byte| *byte == data[0]), "one region or the other");
                    let _ = reader.write_at(handle, &[3; 64]);
                }
            }
        });
        for _ in 0..500 {
            mem.plug(base, mapping(0x1000)).unwrap();
            assert!(mem.unplug(base));
        }
    });
}
