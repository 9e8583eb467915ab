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
