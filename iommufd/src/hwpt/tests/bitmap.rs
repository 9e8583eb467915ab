//! The bitmap against one that sets bit by bit.

use proptest::prelude::*;

use crate::device::fake::{BUFFER, World};
use crate::hwpt::bitmap::Bitmap;
use crate::span::Span;

/// Pages of memory for the bitmap.
const PAGES: u64 = 16;

/// What a domain would report: apart from each other and in order.
fn leaves(gaps: &[(u16, u16)], iovas: Span) -> Vec<Span> {
    let mut start = iovas.start;
    let mut leaves = Vec::new();
    for (gap, bytes) in gaps {
        let Some(first) = start.checked_add(u64::from(*gap)) else { break };
        let Some(last) = first.checked_add(u64::from(*bytes)) else { break };
        leaves.push(Span { start: first, last });
        let Some(next) = last.checked_add(1) else { break };
        start = next;
    }
    leaves
}

proptest! {
    #[test]
    fn every_bit_is_where_the_naive_one_puts_it(
        offset in 0_u64..9000,
        shift in 0_u32..5,
        start in prop_oneof![Just(0_u64), 0_u64..1 << 40, Just(u64::MAX - 150_000)],
        bytes in 1_u64..150_000,
        gaps in prop::collection::vec((0_u16..20_000, 0_u16..60_000), 0..12),
    ) {
        let iovas = Span { start, last: start + bytes - 1 };
        let leaves = leaves(&gaps, iovas);
        let mut expected = vec![0_u8; (PAGES * 4096) as usize];
        for leaf in leaves.iter().filter_map(|leaf| leaf.common(iovas)) {
            for bit in (leaf.start - start) >> shift..=(leaf.last - start) >> shift {
                expected[(offset + bit / 8) as usize] |= 1 << (bit % 8);
            }
        }

        let world = World::new();
        let mut bitmap = Bitmap::new(&world.memory, BUFFER + offset, iovas, shift);
        let (mut left, mut shown) = (leaves, start);
        while let Some(window) = bitmap.advance().unwrap() {
            prop_assert_eq!(window.start, shown, "windows follow on each other");
            shown = window.last.wrapping_add(1);
            let (here, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|leaf| leaf.meets(window));
            left = rest;
            here.into_iter().try_for_each(|leaf| bitmap.set(leaf)).unwrap();
        }
        prop_assert_eq!(shown, iovas.last.wrapping_add(1), "windows show all");
        prop_assert_eq!(world.bytes(BUFFER, expected.len()), expected);
    }
}
