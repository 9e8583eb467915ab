use std::sync::Arc;

use super::*;
use crate::events::Time;

fn port() -> (DmaPort, PhysMem, Effects) {
    let mem = PhysMem::anonymous(&[(Pa(0), 0x3000), (Pa(0x3000), 0x1000)]).unwrap();
    let mut port = DmaPort::new(SourceId::new(0, 3, 0), mem.clone(), Arc::new(Direct));
    port.set_enabled(true);
    (port, mem, Effects::new(Time(0), false))
}

const UR: Outcome = Outcome::Abort(Abort::Ur);

#[test]
fn data_crosses_pages_and_regions() {
    let (port, mem, mut fx) = port();
    let data: Vec<u8> = (0..0x1800).map(|i| (i % 251) as u8).collect();
    let result = port.write(Request::at(0x1ffd), &data, &mut fx);
    assert_eq!(result, DmaResult { done: 0x1800, outcome: Outcome::Done });
    let mut back = vec![0; data.len()];
    assert_eq!(port.read(Request::at(0x1ffd), &mut back, &mut fx).outcome, Outcome::Done);
    assert_eq!(back, data);
    let mut first = [0; 3];
    mem.read(Pa(0x1ffd), &mut first).unwrap();
    assert_eq!(first, [0, 1, 2]);
}

#[test]
fn what_lies_before_a_hole_has_happened() {
    let (port, mem, mut fx) = port();
    let result = port.write(Request::at(0x3ff8), &[0xaa; 16], &mut fx);
    assert_eq!(result, DmaResult { done: 8, outcome: UR });
    assert_eq!(mem.load64(Pa(0x3ff8)), Ok(0xaaaa_aaaa_aaaa_aaaa));
}

#[test]
fn the_top_of_the_address_space_is_an_end() {
    let (port, _, mut fx) = port();
    assert_eq!(port.read(Request::at(u64::MAX - 3), &mut [0; 16], &mut fx).outcome, UR);
}

#[test]
fn nothing_passes_a_disabled_port() {
    let (mut port, mem, mut fx) = port();
    port.set_enabled(false);
    assert_eq!(port.write(Request::at(0), &[1; 8], &mut fx).outcome, UR);
    assert_eq!(port.write(Request::at(0xfee0_0000), &[1; 4], &mut fx).outcome, UR);
    assert_eq!((mem.load64(Pa(0)), fx.take()), (Ok(0), vec![]));
}

#[test]
fn one_aligned_dword_into_the_window_is_an_interrupt() {
    let (port, _, mut fx) = port();
    for (address, len, outcome) in [
        (0xfee0_0000, 4, Outcome::Done),
        (0xfeef_fffc, 4, Outcome::Done),
        (0xfee0_0002, 4, UR),
        (0xfee0_0000, 8, UR),
        (0xfee0_0000, 2, UR),
        (0xfedf_fffc, 4, UR),
        (0xfef0_0000, 4, UR),
    ] {
        let result = port.write(Request::at(address), &vec![0x41; len], &mut fx);
        assert_eq!(result.outcome, outcome, "{address:#x}, {len}");
        let interrupts = fx.take();
        assert_eq!(interrupts.len(), usize::from(outcome == Outcome::Done), "{address:#x}, {len}");
        if let [interrupt] = &interrupts[..] {
            let initiator = port.initiator();
            assert_eq!(*interrupt, Effect::Interrupt { initiator, address, data: 0x4141_4141 });
        }
    }
    assert_eq!(port.read(Request::at(0xfee0_0000), &mut [], &mut fx).outcome, Outcome::Done);
    assert_eq!(port.read(Request::at(0xfee0_0000), &mut [0; 4], &mut fx).outcome, UR);
    assert_eq!(port.atomic(Request::at(0xfee0_0000), AtomicOp::Swap32(0), &mut fx), Err(UR));
}

#[test]
fn a_write_that_crosses_a_page_of_the_window_is_two_interrupts() {
    let (port, mem, mut fx) = port();
    let result = port.write(Request::at(0xfee0_0ffc), &[0x41, 0, 0, 0, 0x42, 0, 0, 0], &mut fx);
    assert_eq!(result, DmaResult { done: 8, outcome: Outcome::Done });
    let data: Vec<_> = fx
        .take()
        .into_iter()
        .map(|effect| match effect {
            Effect::Interrupt { address, data, .. } => (address, data),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(data, [(0xfee0_0ffc, 0x41), (0xfee0_1000, 0x42)]);
    // What comes after a refused piece does not happen, what came before has.
    let result = port.write(Request::at(0xfeef_fffc), &[0x43; 12], &mut fx);
    assert_eq!((result, fx.take().len()), (DmaResult { done: 4, outcome: UR }, 1));
    assert_eq!(mem.load64(Pa(0)), Ok(0));
}

#[test]
fn atomics_need_alignment_and_ram() {
    let (port, mem, mut fx) = port();
    mem.write(Pa(0x10), &5u64.to_le_bytes()).unwrap();
    assert_eq!(port.atomic(Request::at(0x10), AtomicOp::FetchAdd64(2), &mut fx), Ok(5));
    assert_eq!(mem.load64(Pa(0x10)), Ok(7));
    assert_eq!(port.atomic(Request::at(0x14), AtomicOp::FetchAdd64(2), &mut fx), Err(UR));
    assert_eq!(port.atomic(Request::at(0x9000), AtomicOp::FetchAdd64(2), &mut fx), Err(UR));
}

#[test]
fn a_translated_request_needs_an_iommu_that_knows_it() {
    let (port, _, mut fx) = port();
    let request = Request { kind: Kind::Translated, ..Request::at(0) };
    assert_eq!(port.read(request, &mut [0; 4], &mut fx).outcome, UR);
}

#[test]
fn a_posted_write_goes_where_its_address_says() {
    let (_, mem, _) = port();
    assert!(posted_write(&mem, 0xfee0_1000, 0x30));
    // The upper dword of an x2APIC message holds the upper part of the destination.
    assert!(posted_write(&mem, 0x0000_0100_fee0_1000, 0x30));
    assert!(!posted_write(&mem, 0x0000_0001_fee0_1000, 0x30));
    assert!(!posted_write(&mem, 0x100, 0x1234));
    assert_eq!(mem.load64(Pa(0x100)), Ok(0x1234));
    assert!(!posted_write(&mem, 0xfed9_0000, 1));
}

#[test]
fn wait_returns_when_those_inside_have_left_and_not_before() {
    let guards = guard::Guards::default();
    guards.wait();
    let (slot, other) = (guards.slot(), guards.slot());
    drop(other);
    let left = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (entered, wait_entered) = std::sync::mpsc::channel();
        let left = &left;
        scope.spawn(move || {
            let guard = slot.enter();
            entered.send(()).unwrap();
            (0..1000).for_each(|_| std::thread::yield_now());
            left.store(true, std::sync::atomic::Ordering::SeqCst);
            drop(guard);
            // Coming back is no reason to wait on.
            let _again = slot.enter();
            (0..1000).for_each(|_| std::thread::yield_now());
        });
        wait_entered.recv().unwrap();
        guards.wait();
        assert!(left.load(std::sync::atomic::Ordering::SeqCst));
    });
}
