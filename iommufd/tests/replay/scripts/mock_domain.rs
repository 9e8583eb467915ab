//! Fixture `iommufd_mock_domain`: small and huge pages and files in one or two mock domains.

use std::sync::Arc;

use iommufd::uapi::test::{CheckMap, CheckRefs, Operation};
use iommufd::uapi::{Command, IoasMap, IoasMapFile};

use super::{span, store};
use crate::recording::Kind;
use crate::script::Script;
use crate::support::{Descriptor, DiskFile, HUGE_PAGE, MemFd, PAGE, Process, Sharing};
use crate::world::{IOMMUFD, OPENED};

/// Where the recorded programs' next mapping of 8 small pages was.
const SMALL: u64 = 0x7f3e_80e1_d000;
/// Of one small page.
const SINGLE: u64 = 0x7f3e_80e2_4000;
/// Of two huge pages.
const HUGE: u64 = 0x7f3e_80a0_0000;
/// Of as many bytes of small pages.
const LONG: u64 = 0x7f3e_80a2_5000;

struct Variant {
    domains: usize,
    huge: bool,
    file: bool,
}

impl Variant {
    fn of(name: &str) -> Self {
        let (domains, huge, file) = match name {
            "one_domain" => (1, false, false),
            "two_domains" => (2, false, false),
            "one_domain_hugepage" => (1, true, false),
            "two_domains_hugepage" => (2, true, false),
            "one_domain_file" => (1, false, true),
            "one_domain_file_hugepage" => (1, true, true),
            _ => panic!("no script for variant {name}"),
        };
        Self { domains, huge, file }
    }

    /// Bytes of the buffer that a case maps for itself.
    fn bytes(&self) -> u64 {
        if self.huge { 2 * HUGE_PAGE } else { 8 * PAGE }
    }

    /// Where it is. The files are of small pages in each variant.
    fn address(&self) -> u64 {
        match (self.huge, self.file) {
            (false, _) => SMALL,
            (true, false) => HUGE,
            (true, true) => LONG,
        }
    }
}

pub fn write(script: &mut Script, variant: &str, test: &str) {
    let variant = Variant::of(variant);
    match test {
        "basic" if variant.file => basic_file(script, &variant),
        "basic" => basic(script, &variant),
        "ro_unshare" => ro_unshare(script, &variant),
        "all_aligns" | "all_aligns_copy" => all_aligns(script, &variant),
        "user_copy" | "replace" | "alloc_hwpt" => {}
        _ => panic!("no script for {test}"),
    }
}

/// Maps a buffer of which the second half, then all, is unmapped.
fn basic(script: &mut Script, variant: &Variant) {
    let (address, bytes, half) = (variant.address(), variant.bytes(), variant.bytes() / 2);
    let page_bytes = if variant.huge { HUGE_PAGE } else { PAGE };
    let map = Kind::Ioctl(IoasMap::REQUEST);
    script.before(map, 1, move |world, _| {
        let memory = &world.main().memory;
        memory.map_anonymous(span(address, bytes), Sharing::Shared, page_bytes).unwrap();
        memory.unmap(span(address + half, half)).unwrap();
    });
    script.before(map, 2, move |world, _| world.main().memory.unmap(span(address, half)).unwrap());
}

/// Maps more than there is of a file, then a file that was emptied.
fn basic_file(script: &mut Script, variant: &Variant) {
    let file = MemFd::new(variant.bytes(), PAGE).unwrap();
    let emptied = file.clone();
    let address = variant.address();
    let map = Kind::Ioctl(IoasMapFile::REQUEST);
    script.before(map, 1, move |world, _| open_memfd(&world.main(), address, &file));
    script.before(map, 2, move |_, _| emptied.shrink(0));
    script.before(Kind::Close(IOMMUFD), 0, |world, _| world.main().close(OPENED).unwrap());
}

/// Maps a private page of a file for reading, and writes to it then.
fn ro_unshare(script: &mut Script, variant: &Variant) {
    script.before(Kind::Ioctl(IoasMap::REQUEST), 0, |world, _| {
        let program = DiskFile { content: vec![0x7f; 3 * PAGE as usize] };
        world.main().memory.map_private_file(span(SINGLE, PAGE), &program).unwrap();
    });
    script.before(Kind::Test(CheckMap::OP), variant.domains, |world, _| {
        store(&world.main(), SINGLE, &[1u8; PAGE as usize]);
    });
    script.before(Kind::Close(IOMMUFD), 0, |world, _| world.main().memory.unmap(span(SINGLE, PAGE)).unwrap());
}

/// Maps every part of a buffer.
fn all_aligns(script: &mut Script, variant: &Variant) {
    let span = span(variant.address(), variant.bytes());
    let first = Kind::Test(CheckRefs::OP);
    if variant.file {
        let file = MemFd::new(variant.bytes(), PAGE).unwrap();
        script.before(first, 0, move |world, _| open_memfd(&world.main(), span.start, &file));
    } else {
        let page_bytes = if variant.huge { HUGE_PAGE } else { PAGE };
        script.before(first, 0, move |world, _| {
            world.main().memory.map_anonymous(span, Sharing::Shared, page_bytes).unwrap();
        });
    }
    let file = variant.file;
    script.before(Kind::Close(IOMMUFD), 0, move |world, _| {
        world.main().memory.unmap(span).unwrap();
        if file {
            world.main().close(OPENED).unwrap();
        }
    });
}

fn open_memfd(process: &Process, address: u64, file: &Arc<MemFd>) {
    assert_eq!(process.descriptors.open(Descriptor::Memory(file.clone())), Ok(OPENED));
    let bytes = iommufd::process::MemoryFile::bytes(&**file);
    process.memory.map_memfd(span(address, bytes), file, 0).unwrap();
}
