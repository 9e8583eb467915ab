//! Bus masters on threads of their own, while mappings change.

use std::sync::atomic::{AtomicBool, Ordering};

use super::translation::cfgi_ste;
use super::*;

/// Ends the threads of a test, also when it fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two threads write to `address` while `change` leads it from one page to another and back; what
/// completes that must leave nothing behind in the page that it led to.
fn nothing_lands(mut rig: Rig, address: u64, mut change: impl FnMut(&mut Rig, u64)) {
    change(&mut rig, DATA);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Stop(&stop);
        for _ in 0..2 {
            let mut port = DmaPort::new(PORT, rig.mem.clone(), rig.unit.translator());
            port.set_enabled(true);
            let stop = &stop;
            scope.spawn(move || {
                let mut fx = Effects::new(Time(0), false);
                while !stop.load(Ordering::Relaxed) {
                    port.write(Request::at(address), &[0x5a; 256], &mut fx);
                    fx.take();
                }
            });
        }
        for round in 0..50u64 {
            let pages = [DATA, DATA + 0x1000];
            let [old, new] = if round % 2 == 0 { pages } else { [pages[1], pages[0]] };
            change(&mut rig, new);
            // CMD_SYNC is complete: the old page is software's again.
            rig.mem.write(Pa(old), &[0; 256]).unwrap();
            for _ in 0..5 {
                std::thread::yield_now();
                let mut data = [0xff; 256];
                rig.mem.read(Pa(old), &mut data).unwrap();
                assert_eq!(data, [0; 256], "round {round}: a write landed in the old page");
            }
        }
    });
}

fn concurrent() -> Rig {
    Rig::of(Config { concurrent: true, ..config("smmuv3.3-full") })
}

#[test]
fn no_dma_lands_through_a_translation_whose_invalidation_has_completed() {
    let mut rig = concurrent();
    let root = rig.stage1();
    let leaf = rig.map(root, 0x1000, 0);
    nothing_lands(rig, 0x1000, |rig, page| {
        rig.store(leaf, &[page | PAGE]);
        // CMD_TLBI_NH_VA, VMID 0, ASID 7, Leaf.
        rig.commands(&[[0x12 | 7 << 48, 0x1000 | 1]]);
    });
}

#[test]
fn no_dma_lands_through_a_cd_table_that_was_replaced() {
    let mut rig = concurrent();
    let sides = [DATA, DATA + 0x1000].map(|page| {
        let (root, cd) = (rig.table(), rig.table());
        rig.map(root, 0x1000, page | PAGE);
        rig.store(cd, &[CD | 7 << 48, root, 0, 0xff]);
        (page, cd)
    });
    nothing_lands(rig, 0x1000, |rig, page| {
        let (_, cd) = sides.into_iter().find(|(of, _)| *of == page).unwrap();
        rig.ste(STREAM, &[STAGE1 | cd]);
        rig.commands(&[cfgi_ste(STREAM), SYNC, [0x30, 0]]);
    });
}

#[test]
fn no_dma_lands_through_an_ipa_whose_invalidation_has_completed() {
    let mut rig = concurrent();
    let (root1, root2) = rig.nested();
    rig.map(root1, 0x1000, 0x4321_5000 | PAGE);
    let leaf = rig.map(root2, 0x4321_5000, 0);
    nothing_lands(rig, 0x1000, |rig, page| {
        rig.store(leaf, &[page | S2_PAGE]);
        // CMD_TLBI_S2_IPA with Leaf and CMD_TLBI_NH_ALL, VMID 9.
        rig.commands(&[[0x2a | 9 << 32, 0x4321_5000 | 1], SYNC, [0x10 | 9 << 32, 0]]);
    });
}
