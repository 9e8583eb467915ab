use super::process::PAGE;
use super::{Fixture, IOVA};
use crate::errno::{Errno, Result};
use crate::file::MapRequest;
use crate::uapi::test::{DmabufGet, DmabufRevoke};
use crate::uapi::{IoasMapFile, IoasMapFlags};

fn get(fixture: &Fixture, length: u32) -> Result<i32> {
    fixture.op(0, DmabufGet { length, open_flags: 0 }).map(|(fd, _)| fd as i32)
}

fn revoke(fixture: &Fixture, dmabuf_fd: i32, revoked: u32) -> Result<i64> {
    fixture.op(0, DmabufRevoke { dmabuf_fd, revoked }).map(|(value, _)| value)
}

fn map(fixture: &Fixture, fd: i32, start: u64, length: u64, iova: u64) -> Result<i64> {
    let flags = IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
    let mut map = IoasMapFile { flags, ioas_id: fixture.ioas, fd, start, length, iova, ..Default::default() };
    fixture.process.ioctl(fixture.file(), &mut map)
}

#[test]
fn a_dmabuf_is_some_pages() {
    let fixture = Fixture::new();
    for (length, outcome) in [
        (0, Err(Errno::EINVAL)),
        (1, Ok(0)),
        (512 * PAGE as u32, Ok(1)),
        (512 * PAGE as u32 + 1, Err(Errno::EINVAL)),
        (u32::MAX, Err(Errno::EINVAL)),
    ] {
        assert_eq!(get(&fixture, length), outcome, "{length:#x}");
    }
    let file = fixture.process.caller().files.file(0).unwrap().unwrap();
    assert_eq!(file.read(&mut [0]), Err(Errno::EINVAL));
    let request = MapRequest { offset: 0, bytes: PAGE, shared: true, executable: false };
    assert_eq!(file.mmap(request).err(), Some(Errno::EINVAL));
    drop(file);
    assert_eq!(revoke(&fixture, 9, 1), Err(Errno::EBADF));
    fixture.close();
}

#[test]
fn what_is_revoked_cannot_be_mapped() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    let fd = get(&fixture, 2 * PAGE as u32).unwrap();
    assert_eq!(map(&fixture, fd, 0, 2 * PAGE, IOVA), Ok(0));
    assert_eq!(map(&fixture, fd, PAGE, 2 * PAGE, IOVA + 4 * PAGE), Err(Errno::EINVAL));
    let domain = |iova| {
        let ctx = fixture.file().ctx();
        let hwpt = ctx.objects.get::<crate::hwpt::paging::HwptPaging>(device.out_hwpt_id).unwrap();
        hwpt.domain.iova_to_phys(devices::addr::Iova(iova))
    };
    let place = domain(IOVA).unwrap();
    assert_eq!(domain(IOVA + PAGE).map(|pa| pa.0 - place.0), Some(PAGE));
    assert_eq!(revoke(&fixture, fd, 1), Ok(0));
    assert_eq!(domain(IOVA), None);
    assert_eq!(map(&fixture, fd, 0, PAGE, IOVA + 4 * PAGE), Err(Errno::ENODEV));
    assert_eq!(revoke(&fixture, fd, 0), Ok(0));
    assert_eq!(domain(IOVA), None, "what was taken away stays away");
    assert_eq!(map(&fixture, fd, 0, PAGE, IOVA + 4 * PAGE), Ok(0));
    assert_eq!(domain(IOVA + 4 * PAGE), Some(place));
    assert_eq!(fixture.unmap(IOVA, 2 * PAGE), Ok(0));
    fixture.process.close(fd);
    assert_eq!(domain(IOVA + 4 * PAGE), Some(place), "a mapping holds the memory");
    let frames = fixture.host.frames.clone();
    fixture.close();
    assert!(frames.object_at(place).is_none());
}
