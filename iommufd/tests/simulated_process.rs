//! The simulated process that other tests run on: its mappings, forks, files and pins.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use iommufd::errno::Errno;
use iommufd::process::{FileTable, MemoryObject, PinAccess, UserMemory};
use iommufd::span::Span;
use support::{AddressSpace, Descriptor, Descriptors, DiskFile, HUGE_PAGE, MemFd, PAGE, Process, Sharing};

const AT: u64 = 0x7000_0000_0000;

/// `count` pages, `first` pages after [`AT`].
fn pages(first: u64, count: u64) -> Span {
    Span::sized(AT + first * PAGE, count * PAGE).unwrap()
}

fn byte(memory: &AddressSpace, page: u64) -> Result<u8, Errno> {
    let mut data = [0];
    memory.read(AT + page * PAGE, &mut data).map(|()| data[0])
}

/// The pins of a range as (object's key, first page in it, pages).
fn pins(memory: &AddressSpace, span: Span) -> Result<Vec<(u64, u64, u64)>, Errno> {
    let extents = memory.pin(span, PinAccess::Write)?;
    Ok(extents.iter().map(|e| (e.object.key().0, e.offset / PAGE, e.bytes / PAGE)).collect())
}

#[test]
fn an_unmapped_middle_leaves_both_ends() {
    let memory = AddressSpace::new();
    memory.map_anonymous(pages(0, 5), Sharing::Shared, PAGE).unwrap();
    for page in 0..5 {
        memory.write(AT + page * PAGE, &[10 + page as u8]).unwrap();
    }
    let key = pins(&memory, pages(0, 5)).unwrap()[0].0;
    memory.unmap(pages(1, 3)).unwrap();
    assert_eq!(byte(&memory, 0), Ok(10));
    assert_eq!(byte(&memory, 4), Ok(14));
    for page in 1..4 {
        assert_eq!(byte(&memory, page), Err(Errno::EFAULT), "page {page}");
    }
    assert_eq!(pins(&memory, pages(4, 1)), Ok(vec![(key, 4, 1)]));
    assert_eq!(pins(&memory, pages(0, 5)), Err(Errno::EFAULT));
    // A copy over the hole fails, and so does one that begins in it.
    assert_eq!(memory.read(AT, &mut [0; 2 * PAGE as usize]), Err(Errno::EFAULT));
    assert_eq!(memory.write(AT + 4 * PAGE - 1, &[0; 2]), Err(Errno::EFAULT));
}

#[test]
fn a_mapping_replaces_what_it_covers() {
    let memory = AddressSpace::new();
    memory.map_anonymous(pages(0, 4), Sharing::Shared, PAGE).unwrap();
    let old = pins(&memory, pages(0, 1)).unwrap()[0].0;
    let file = MemFd::new(8 * PAGE, PAGE).unwrap();
    file.memory().write(5 * PAGE, &[55]).unwrap();
    memory.map_memfd(pages(1, 2), &file, 4 * PAGE).unwrap();
    assert_eq!(byte(&memory, 2), Ok(55));
    let new = file.memory().key().0;
    assert_eq!(pins(&memory, pages(0, 4)), Ok(vec![(old, 0, 1), (new, 4, 2), (old, 3, 1)]));
}

#[test]
fn neighbours_of_one_file_are_one_pin() {
    let memory = AddressSpace::new();
    let file = MemFd::new(4 * PAGE, PAGE).unwrap();
    memory.map_memfd(pages(0, 2), &file, 0).unwrap();
    memory.map_memfd(pages(2, 2), &file, 2 * PAGE).unwrap();
    assert_eq!(pins(&memory, pages(0, 4)), Ok(vec![(file.memory().key().0, 0, 4)]));
    memory.map_memfd(pages(2, 2), &file, 0).unwrap();
    assert_eq!(pins(&memory, pages(0, 4)).unwrap().len(), 2);
}

#[test]
fn a_read_only_page_is_read_and_pinned_to_read_only() {
    let memory = AddressSpace::new();
    memory.map_anonymous(pages(0, 3), Sharing::Private, PAGE).unwrap();
    memory.protect(pages(1, 1)).unwrap();
    assert_eq!(byte(&memory, 1), Ok(0));
    assert_eq!(memory.write(AT, &[1; 2 * PAGE as usize]), Err(Errno::EFAULT));
    assert_eq!(memory.write(AT + 2 * PAGE, &[1]), Ok(()));
    assert!(memory.pin(pages(0, 3), PinAccess::Write).is_err());
    assert_eq!(memory.pin(pages(0, 3), PinAccess::Read).unwrap().len(), 1);
}

#[test]
fn a_child_shares_what_is_shared() {
    let parent = Process::root();
    parent.memory.map_anonymous(pages(0, 1), Sharing::Shared, PAGE).unwrap();
    parent.memory.map_anonymous(pages(1, 3), Sharing::Private, PAGE).unwrap();
    parent.memory.unmap(pages(2, 1)).unwrap();
    parent.memory.write(AT + PAGE, &[1]).unwrap();
    let child = parent.fork().unwrap();
    assert_ne!(parent.memory.id(), child.memory.id());
    assert_eq!(byte(&child.memory, 1), Ok(1));
    for page in [0, 1, 3] {
        child.memory.write(AT + page * PAGE, &[2]).unwrap();
    }
    assert_eq!([0, 1, 3].map(|page| byte(&parent.memory, page)), [Ok(2), Ok(1), Ok(0)]);
    // Both pieces of the private mapping are pieces of one copy.
    let [first, last] = [1, 3].map(|page| pins(&child.memory, pages(page, 1)).unwrap()[0]);
    assert_eq!((first.0, first.1, last.1), (last.0, 0, 2));
    let memory = child.memory.clone();
    child.exit();
    assert_eq!(pins(&memory, pages(0, 1)), Err(Errno::EFAULT));
    assert_eq!(byte(&parent.memory, 0), Ok(2));
}

#[test]
fn pages_outlive_their_mapping_where_they_are_pinned() {
    let memory = AddressSpace::new();
    memory.map_anonymous(pages(0, 1), Sharing::Private, PAGE).unwrap();
    memory.write(AT, &[7]).unwrap();
    let pinned = memory.pin(pages(0, 1), PinAccess::Write).unwrap();
    memory.clear();
    let mut data = [0];
    pinned[0].object.read(pinned[0].offset, &mut data).unwrap();
    assert_eq!(data, [7]);
}

#[test]
fn memory_lies_in_frames_as_it_does_in_the_process() {
    let memory = AddressSpace::new();
    memory.map_anonymous(pages(3, 1), Sharing::Private, PAGE).unwrap();
    memory
        .map_anonymous(Span::sized(AT + HUGE_PAGE, HUGE_PAGE).unwrap(), Sharing::Shared, HUGE_PAGE)
        .unwrap();
    let layout: Vec<_> = memory.memory().iter().map(|m| (m.phase(), m.page_bytes(), m.bytes())).collect();
    assert_eq!(layout, [(3 * PAGE, PAGE, PAGE), (0, HUGE_PAGE, HUGE_PAGE)]);
    assert_eq!(memory.map_anonymous(pages(1, 512), Sharing::Shared, HUGE_PAGE), Err(Errno::EINVAL));
}

#[test]
fn a_private_file_mapping_is_a_copy() {
    let memory = AddressSpace::new();
    let file = DiskFile { content: vec![3; 100] };
    memory.map_private_file(pages(0, 1), &file).unwrap();
    assert_eq!(byte(&memory, 0), Ok(3));
    memory.write(AT, &[4]).unwrap();
    assert_eq!(file.content[0], 3);
    let mut end = [9; 2];
    memory.read(AT + 99, &mut end).unwrap();
    assert_eq!(end, [3, 0]);
}

#[test]
fn descriptors_are_the_lowest_free() {
    let descriptors = Descriptors::default();
    let file = MemFd::new(2 * PAGE, PAGE).unwrap();
    assert_eq!(descriptors.open(Descriptor::Other), Ok(0));
    assert_eq!(descriptors.open(Descriptor::Memory(file.clone())), Ok(1));
    assert_eq!(descriptors.reserve(), Ok(2));
    assert_eq!(descriptors.close(2), Err(Errno::EBADF), "nothing is there yet");
    descriptors.close(0).unwrap();
    assert_eq!(descriptors.reserve(), Ok(0));
    assert_eq!(descriptors.open(Descriptor::Other), Ok(3));
    descriptors.release(2);
    assert_eq!(descriptors.reserve(), Ok(2));
    assert_eq!(descriptors.close(17), Err(Errno::EBADF));

    let child = descriptors.fork();
    descriptors.clear();
    assert!(descriptors.memory_file(1).is_err());
    let memory = child.memory_file(1).unwrap();
    assert!(memory.pin(Span { start: 0, last: 2 * PAGE - 1 }, PinAccess::Write).is_ok());
    file.shrink(PAGE);
    assert_eq!(memory.bytes(), PAGE);
    assert_eq!(
        memory.pin(Span { start: 0, last: 2 * PAGE - 1 }, PinAccess::Write).err(),
        Some(Errno::EINVAL)
    );
    let other = child.memory_file(3).unwrap();
    assert_eq!(other.pin(Span { start: 0, last: PAGE - 1 }, PinAccess::Read).err(), Some(Errno::EINVAL));
    assert!(child.file(3).unwrap().is_none());
}

#[test]
fn the_last_close_of_a_file_frees_it() {
    let descriptors = Descriptors::default();
    let file = MemFd::new(PAGE, PAGE).unwrap();
    let memory = Arc::downgrade(file.memory());
    descriptors.open(Descriptor::Memory(file)).unwrap();
    let child = descriptors.fork();
    descriptors.close(0).unwrap();
    assert!(memory.upgrade().is_some());
    child.clear();
    assert!(memory.upgrade().is_none());
}

#[test]
fn many_descriptors_are_too_many() {
    let descriptors = Descriptors::default();
    let opened = (0..2000).map_while(|_| descriptors.open(Descriptor::Other).ok()).count();
    assert_eq!(opened, 1024);
    assert_eq!(descriptors.reserve(), Err(Errno::EMFILE));
}
