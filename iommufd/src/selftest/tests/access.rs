use super::process::{BASE, PAGE};
use super::{Fixture, IOVA, fail_each_step};
use crate::errno::{Errno, Result};
use crate::uapi::test::{
    AccessPages, AccessPagesFlags, AccessReplaceIoas, AccessRw, AccessRwFlags, CreateAccess,
    CreateAccessFlags, DestroyAccessPages,
};

fn create(fixture: &Fixture, ioas: u32, flags: CreateAccessFlags) -> Result<u32> {
    fixture.op(ioas, CreateAccess { flags, ..Default::default() }).map(|(_, answer)| answer.out_access_fd)
}

fn pinning(fixture: &Fixture) -> u32 {
    create(fixture, fixture.ioas, CreateAccessFlags::NEEDS_PIN_PAGES).unwrap()
}

fn pin_at(fixture: &Fixture, access: u32, iova: u64, length: u64, uptr: u64) -> Result<u32> {
    let op = AccessPages { iova, length, uptr, flags: AccessPagesFlags::WRITE, ..Default::default() };
    fixture.op(access, op).map(|(_, answer)| {
        assert_eq!((answer.iova, answer.length), (iova, length), "what was asked stays");
        answer.out_access_pages_id
    })
}

fn unpin(fixture: &Fixture, access: u32, access_pages_id: u32) -> Result<i64> {
    fixture.op(access, DestroyAccessPages { access_pages_id }).map(|(value, _)| value)
}

#[test]
fn an_access_is_a_file() {
    let fixture = Fixture::new();
    assert_eq!(
        create(&fixture, fixture.ioas, CreateAccessFlags::from_bits_retain(2)),
        Err(Errno::EOPNOTSUPP)
    );
    assert_eq!(create(&fixture, 77, CreateAccessFlags::empty()), Err(Errno::ENOENT));
    assert_eq!(fixture.process.open_files(), 0);
    let fd = create(&fixture, fixture.ioas, CreateAccessFlags::empty()).unwrap();
    assert_eq!(fixture.process.open_files(), 1);
    assert_eq!(fixture.destroy(fixture.ioas), Err(Errno::EBUSY));
    for (fd, errno) in [(fd + 1, Errno::EBADFD), (u32::MAX, Errno::EBADFD), (fd, Errno::ENOENT)] {
        assert_eq!(unpin(&fixture, fd, 0), Err(errno), "{fd}");
    }
    fixture.process.close(fd as i32);
    assert_eq!(unpin(&fixture, fd, 0), Err(Errno::EBADFD));
    assert_eq!(fixture.destroy(fixture.ioas), Ok(0));
    fixture.close();
}

#[test]
fn pins_are_kept_by_number() {
    let fixture = Fixture::new();
    fixture.map(8);
    let access = pinning(&fixture);
    assert_eq!(pin_at(&fixture, access, IOVA, 2 * PAGE, BASE), Ok(0));
    assert_eq!(pin_at(&fixture, access, IOVA + PAGE, 300, BASE + PAGE), Ok(1));
    assert_eq!(pin_at(&fixture, access, IOVA, PAGE, 0), Ok(2));
    // Pages are pinned once however many accesses do.
    assert_eq!(fixture.refs(1, 0, 2), Ok(0));
    assert_eq!(fixture.refs(0, 2, 1), Ok(0));
    for (iova, length, uptr, errno) in [
        (IOVA, (16 << 20) + 1, BASE, Errno::ENOMEM),
        (IOVA, PAGE, BASE + PAGE, Errno::EBADE),
        (IOVA + 100, 300, BASE + 100, Errno::EINVAL),
        (IOVA, PAGE, BASE - PAGE, Errno::EFAULT),
        (IOVA + 8 * PAGE, PAGE, BASE, Errno::ENOENT),
        (IOVA, 0, BASE, Errno::EINVAL),
        (u64::MAX, 2, BASE, Errno::EOVERFLOW),
    ] {
        assert_eq!(pin_at(&fixture, access, iova, length, uptr), Err(errno), "{iova:#x} {length:#x}");
    }
    assert_eq!(fixture.refs(1, 0, 2), Ok(0));
    assert_eq!(fixture.refs(0, 2, 1), Ok(0));
    assert_eq!(unpin(&fixture, access, 1), Ok(0));
    assert_eq!(unpin(&fixture, access, 1), Err(Errno::ENOENT));
    assert_eq!(unpin(&fixture, access, 0), Ok(0));
    assert_eq!(fixture.refs(1, 0, 1), Ok(0));
    assert_eq!(fixture.refs(0, 1, 1), Ok(0));
    assert_eq!(pin_at(&fixture, access, IOVA, PAGE, BASE), Ok(3), "numbers go on");
    fixture.process.close(access as i32);
    assert_eq!(fixture.refs(0, 0, 2), Ok(0));
    fixture.close();
}

#[test]
fn unmapping_takes_pins_away() {
    let fixture = Fixture::new();
    fixture.map(2);
    fixture.map_at(fixture.ioas, BASE + 4 * PAGE, PAGE, IOVA + 4 * PAGE, true);
    let access = pinning(&fixture);
    assert_eq!(pin_at(&fixture, access, IOVA, 2 * PAGE, BASE), Ok(0));
    assert_eq!(pin_at(&fixture, access, IOVA + 4 * PAGE, PAGE, BASE + 4 * PAGE), Ok(1));
    assert_eq!(fixture.unmap(IOVA, 2 * PAGE), Ok(0));
    assert_eq!(unpin(&fixture, access, 0), Err(Errno::ENOENT));
    assert_eq!(fixture.refs(0, 0, 2), Ok(0));
    assert_eq!(fixture.refs(1, 4, 1), Ok(0));
    assert_eq!(unpin(&fixture, access, 1), Ok(0));
    fixture.close();
}

#[test]
fn another_ioas_has_other_pins() {
    let fixture = Fixture::new();
    fixture.map(1);
    let other = fixture.new_ioas();
    fixture.map_at(other, BASE + 4 * PAGE, PAGE, IOVA, true);
    let access = pinning(&fixture);
    assert_eq!(pin_at(&fixture, access, IOVA, PAGE, BASE), Ok(0));
    let replace = |ioas_id| fixture.op(access, AccessReplaceIoas { ioas_id }).map(|(value, _)| value);
    assert_eq!(replace(77), Err(Errno::ENOENT));
    assert_eq!(fixture.refs(1, 0, 1), Ok(0));
    assert_eq!(replace(other), Ok(0));
    assert_eq!(fixture.refs(0, 0, 1), Ok(0));
    assert_eq!(unpin(&fixture, access, 0), Err(Errno::ENOENT));
    assert_eq!(pin_at(&fixture, access, IOVA, PAGE, BASE + 4 * PAGE), Ok(1));
    assert_eq!(fixture.destroy(fixture.ioas), Ok(0));
    fixture.close();
}

#[test]
fn pinning_asks_for_it_first() {
    let fixture = Fixture::new();
    fixture.map_at(fixture.ioas, BASE + 1, 1, IOVA + 1, true);
    assert_eq!(
        create(&fixture, fixture.ioas, CreateAccessFlags::NEEDS_PIN_PAGES),
        Err(Errno::EADDRINUSE),
        "an area is not aligned to pages"
    );
    let access = create(&fixture, fixture.ioas, CreateAccessFlags::empty()).unwrap();
    assert_eq!(pin_at(&fixture, access, IOVA + 1, 1, BASE + 1), Err(Errno::EOPNOTSUPP));
    let op = AccessPages { length: 1, flags: AccessPagesFlags::from_bits_retain(2), ..Default::default() };
    assert_eq!(fixture.op(access, op).err(), Some(Errno::EOPNOTSUPP));
    fixture.close();
}

#[test]
fn bytes_are_copied_both_ways() {
    let fixture = Fixture::new();
    fixture.map(2);
    fixture.map_at(fixture.ioas, BASE + 8 * PAGE, PAGE, IOVA + 2 * PAGE, false);
    let access = create(&fixture, fixture.ioas, CreateAccessFlags::empty()).unwrap();
    let there = BASE + 20 * PAGE;
    let copy = |iova, length, uptr, flags| {
        let op = AccessRw { iova, length, uptr, flags, padding: 0 };
        fixture.op(access, op).map(|(value, _)| value)
    };
    const WRITE: AccessRwFlags = AccessRwFlags::WRITE;
    const READ: AccessRwFlags = AccessRwFlags::empty();
    fixture.process.write(there, b"into the other pages");
    assert_eq!(copy(IOVA + PAGE - 7, 20, there, WRITE), Ok(0));
    assert_eq!(fixture.process.read(BASE + PAGE - 7, 20), b"into the other pages");
    fixture.process.write(BASE + 2 * PAGE - 4, b"and out");
    assert_eq!(copy(IOVA + 2 * PAGE - 4, 4, there, READ | AccessRwFlags::SLOW_PATH), Ok(0));
    assert_eq!(fixture.process.read(there, 8), b"and  the");
    for (iova, length, uptr, flags, errno) in [
        (IOVA, (16 << 20) + 1, there, READ, Errno::ENOMEM),
        (IOVA, 8, there, AccessRwFlags::from_bits_retain(2), Errno::EOPNOTSUPP),
        (IOVA, 8, BASE - 8, READ, Errno::EFAULT),
        (IOVA, 8, BASE - 8, WRITE, Errno::EFAULT),
        (IOVA + 3 * PAGE, 8, there, READ, Errno::ENOENT),
        (IOVA + 2 * PAGE, 8, there, WRITE, Errno::EPERM),
        (IOVA, 0, there, READ, Errno::EINVAL),
        (u64::MAX, 2, there, READ, Errno::EOVERFLOW),
    ] {
        assert_eq!(copy(iova, length, uptr, flags), Err(errno), "{iova:#x} {length:#x} {flags:?}");
    }
    // The second area, 3 bytes in.
    fixture.process.write(BASE + 8 * PAGE + 3, b"counted");
    assert_eq!(copy(1 | 3 << 32, 7, there, AccessRwFlags::SYZ), Ok(0));
    assert_eq!(fixture.process.read(there, 7), b"counted");
    assert_eq!(copy(2, 7, there, AccessRwFlags::SYZ), Err(Errno::ENOENT), "no third one");
    fixture.close();
}

#[test]
fn the_context_lives_while_an_access_does() {
    let mut fixture = Fixture::new();
    fixture.map(1);
    let access = pinning(&fixture);
    assert_eq!(pin_at(&fixture, access, IOVA, PAGE, BASE), Ok(0));
    let old = fixture.file.replace(fixture.host.open());
    drop(old);
    assert_eq!(fixture.refs(1, 0, 1), Ok(0));
    fixture.process.close(access as i32);
    assert_eq!(fixture.refs(0, 0, 1), Ok(0));
    fixture.close();
}

#[test]
fn every_failure_is_undone() {
    let fixture = Fixture::new();
    fixture.map(2);
    let flags = CreateAccessFlags::NEEDS_PIN_PAGES;
    let mut access = 0;
    let steps = fail_each_step(
        || create(&fixture, fixture.ioas, flags).map(|fd| access = fd).is_ok(),
        || assert_eq!(fixture.process.open_files(), 0),
    );
    assert!(steps > 3);
    let steps = fail_each_step(
        || pin_at(&fixture, access, IOVA, 2 * PAGE, BASE).is_ok(),
        || assert_eq!(fixture.refs(0, 0, 2), Ok(0)),
    );
    assert!(steps > 4);
    fixture.close();
}
