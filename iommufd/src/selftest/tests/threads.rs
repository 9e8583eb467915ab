//! Operations against each other.

use std::thread;

use super::process::{BASE, PAGE};
use super::{Fixture, IOVA};
use crate::errno::Errno;
use crate::uapi::test::{
    AccessPages, AccessReplaceIoas, CreateAccess, CreateAccessFlags, DestroyAccessPages, MockDomainReplace,
};
use crate::uapi::{Destroy, IoasMap, IoasMapFlags, IoasUnmap};

const ROUNDS: usize = 300;

/// Pins come and go while what they pin is unmapped and the access moves. In the end nothing is pinned.
#[test]
fn pins_do_not_outlive_what_they_pin() {
    let fixture = Fixture::new();
    let other = fixture.new_ioas();
    let flags = CreateAccessFlags::NEEDS_PIN_PAGES;
    let (_, access) = fixture.op(fixture.ioas, CreateAccess { flags, ..Default::default() }).unwrap();
    let access = access.out_access_fd;
    let process = |argument| fixture.process.with_argument(argument);
    thread::scope(|scope| {
        scope.spawn(|| {
            let process = process(1);
            for round in 0..ROUNDS {
                let ioas_id = if round % 3 == 0 { other } else { fixture.ioas };
                let flags = IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
                let mut map = IoasMap {
                    flags,
                    ioas_id,
                    user_va: BASE,
                    length: 4 * PAGE,
                    iova: IOVA,
                    ..Default::default()
                };
                assert_eq!(process.ioctl(fixture.file(), &mut map), Ok(0));
                let mut unmap = IoasUnmap { ioas_id, iova: IOVA, length: 4 * PAGE, ..Default::default() };
                assert_eq!(process.ioctl(fixture.file(), &mut unmap), Ok(0));
            }
        });
        scope.spawn(|| {
            let process = process(2);
            for _ in 0..ROUNDS {
                let op = AccessPages { iova: IOVA, length: 2 * PAGE, uptr: BASE, ..Default::default() };
                match process.test(fixture.file(), access, op) {
                    Ok((_, pinned)) => {
                        let op = DestroyAccessPages { access_pages_id: pinned.out_access_pages_id };
                        let outcome = process.test(fixture.file(), access, op).map(|(value, _)| value);
                        assert!(matches!(outcome, Ok(0) | Err(Errno::ENOENT)), "{outcome:?}");
                    }
                    Err(errno) => assert!(matches!(errno, Errno::ENOENT | Errno::EINVAL), "{errno}"),
                }
            }
        });
        scope.spawn(|| {
            let process = process(3);
            for round in 0..ROUNDS {
                let ioas_id = if round % 2 == 0 { other } else { fixture.ioas };
                let outcome = process.test(fixture.file(), access, AccessReplaceIoas { ioas_id });
                assert_eq!(outcome.map(|(value, _)| value), Ok(0));
            }
        });
    });
    assert_eq!(fixture.refs(0, 0, 4), Ok(0));
    fixture.close();
}

/// Devices come, move and go at once.
#[test]
fn devices_do_not_disturb_each_other() {
    let fixture = Fixture::new();
    fixture.map(4);
    let other = fixture.new_ioas();
    thread::scope(|scope| {
        for argument in 1..4 {
            let (fixture, process) = (&fixture, fixture.process.with_argument(argument));
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let made =
                        process.test(fixture.file(), fixture.ioas, crate::uapi::test::MockDomain::default());
                    let id = made.unwrap().1.out_stdev_id;
                    let moved = process.test(fixture.file(), id, MockDomainReplace { pt_id: other });
                    assert!(moved.is_ok(), "{moved:?}");
                    assert_eq!(
                        process.ioctl(fixture.file(), &mut Destroy { id, ..Default::default() }),
                        Ok(0)
                    );
                }
            });
        }
    });
    assert_eq!(fixture.refs(0, 0, 4), Ok(0));
    assert_eq!(fixture.destroy(other), Ok(0));
    assert_eq!(fixture.destroy(fixture.ioas), Ok(0));
    fixture.close();
}
