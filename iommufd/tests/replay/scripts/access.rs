//! Copies through an access, compared byte by byte with the memory that is mapped.

use iommufd::uapi::test::{AccessRw, AccessRwFlags, Operation, TestCmd};

use super::{load_bytes, store};
use crate::recording::Kind;
use crate::script::Script;
use crate::support::PAGE;
use crate::world::{BUFFER, BUFFER_BYTES};

/// How far before the end of the buffer's first page the first copy begins.
const FIRST: u64 = 50;
/// Bytes of the variable that is copied to and from.
const VARIABLE: u64 = 64;

/// All of the buffer is mapped, and every copy takes some of it or puts some there.
pub fn check_rw(script: &mut Script) {
    let kind = Kind::Test(AccessRw::OP);
    script.before(kind, 0, |world, _| store(&world.main(), BUFFER, &pattern(BUFFER_BYTES, 1)[..]));

    let mut seed = 2;
    script.before_each(kind, move |world, call| {
        let rw = call.structure::<TestCmd>().get::<AccessRw>();
        seed += 1;
        store(&world.main(), rw.uptr, &pattern(VARIABLE, seed)[..]);
    });

    let mut mapped_at = None;
    let mut expected = pattern(BUFFER_BYTES, 1);
    let mut seed = 2;
    script.after_each(kind, move |world, call, _| {
        let rw = call.structure::<TestCmd>().get::<AccessRw>();
        let mapped_at = *mapped_at.get_or_insert(rw.iova - (PAGE - FIRST));
        let from = (rw.iova - mapped_at) as usize;
        let bytes = rw.length as usize;
        seed += 1;
        let mut variable = pattern(VARIABLE, seed);
        if rw.flags.contains(AccessRwFlags::WRITE) {
            expected[from..from + bytes].copy_from_slice(&variable[..bytes]);
        } else {
            variable[..bytes].copy_from_slice(&expected[from..from + bytes]);
        }
        let process = world.main();
        assert!(load_bytes(&process, BUFFER, BUFFER_BYTES) == expected, "the buffer after {rw:?}");
        assert_eq!(load_bytes(&process, rw.uptr, VARIABLE), variable, "the variable after {rw:?}");
    });
}

/// Bytes without a period that a mistake could fall into.
fn pattern(bytes: u64, seed: u64) -> Vec<u8> {
    (0..bytes)
        .map(|at| ((at + 1).wrapping_mul(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
