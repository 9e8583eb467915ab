//! Fixture `iommufd_dirty_tracking`: bitmaps of what a mock domain's devices wrote.

use std::cell::Cell;
use std::rc::Rc;

use iommufd::uapi::test::{
    Dirty, MOCK_HUGE_PAGE_SIZE, MOCK_IOMMUPT_DEFAULT, MOCK_IOMMUPT_HUGE, MOCK_PAGE_SIZE, Operation, TestCmd,
};
use iommufd::uapi::{Command, HwptGetDirtyBitmap, HwptGetDirtyBitmapFlags, IoasMap};

use super::{hwpt_data, load_bytes, span, store};
use crate::recording::Kind;
use crate::script::Script;
use crate::support::{HUGE_PAGE, PAGE, Sharing};
use crate::world::IOMMUFD;

pub fn write(script: &mut Script, variant: &str, test: &str) {
    let huge = variant.ends_with("_huge");
    match test {
        "get_dirty_bitmap" | "get_dirty_bitmap_no_clear" => bitmaps(script, bytes(variant), huge),
        "device_dirty_capability" | "enforce_dirty" | "pasid_set_dirty_tracking" | "set_dirty_tracking" => {}
        _ => panic!("no script for {test}"),
    }
}

/// Bytes of the variant's buffer.
fn bytes(variant: &str) -> u64 {
    match variant.trim_end_matches("_huge") {
        "domain_dirty8k" => 8 << 10,
        "domain_dirty16k" => 16 << 10,
        "domain_dirty64k" => 64 << 10,
        "domain_dirty128k" => 128 << 10,
        "domain_dirty320k" => 320 << 10,
        "domain_dirty64M" => 64 << 20,
        "domain_dirty128M" => 128 << 20,
        _ => panic!("no script for variant {variant}"),
    }
}

/// Every second page of the domain is made dirty; reading says so, once or each time. A bit is for less
/// than that.
fn bitmaps(script: &mut Script, bytes: u64, huge: bool) {
    let (table, domain_page, page_bytes) = if huge {
        (MOCK_IOMMUPT_HUGE, MOCK_HUGE_PAGE_SIZE, HUGE_PAGE)
    } else {
        (MOCK_IOMMUPT_DEFAULT, PAGE, PAGE)
    };
    hwpt_data(script, table);
    let mapped = Rc::new(Cell::new(None));
    let unmapped = mapped.clone();
    script.before(Kind::Ioctl(IoasMap::REQUEST), 0, move |world, call| {
        let map = call.structure::<IoasMap>();
        assert_eq!(map.length, bytes);
        let buffer = span(map.user_va, bytes);
        world.main().memory.map_anonymous(buffer, Sharing::Shared, page_bytes).unwrap();
        mapped.set(Some(buffer));
    });
    script.before(Kind::Close(IOMMUFD), 0, move |world, _| {
        world.main().memory.unmap(unmapped.get().unwrap()).unwrap();
    });

    let bits = bytes / MOCK_PAGE_SIZE;
    let bits_of_page = domain_page / MOCK_PAGE_SIZE;
    // One bit of every page is given, all bits of it are returned.
    let given = bitmap(bits, |bit| bit.is_multiple_of(2 * bits_of_page));
    let dirty = bitmap(bits, |bit| (bit / bits_of_page).is_multiple_of(2));
    let clean = bitmap(bits, |_| false);

    script.before_each(Kind::Test(Dirty::OP), move |world, call| {
        let uptr = call.structure::<TestCmd>().get::<Dirty>().uptr;
        store(&world.main(), uptr, &given[..]);
    });
    let get = Kind::Ioctl(HwptGetDirtyBitmap::REQUEST);
    let zeroes = clean.clone();
    script.before_each(get, move |world, call| {
        store(&world.main(), call.structure::<HwptGetDirtyBitmap>().data, &zeroes[..]);
    });
    for nth in 0..6 {
        let (dirty, clean) = (dirty.clone(), clean.clone());
        script.after(get, nth, move |world, call, _| {
            let get = call.structure::<HwptGetDirtyBitmap>();
            let again = nth % 2 == 1 && !get.flags.contains(HwptGetDirtyBitmapFlags::NO_CLEAR);
            let found = load_bytes(&world.main(), get.data, dirty.len() as u64);
            assert!(found == if again { &clean[..] } else { &dirty[..] }, "the bitmap after call {nth}");
        });
    }
}

fn bitmap(bits: u64, is_set: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut bitmap = vec![0; bits.div_ceil(8) as usize];
    for bit in (0..bits).filter(|bit| is_set(*bit)) {
        bitmap[bit as usize / 8] |= 1 << (bit % 8);
    }
    bitmap
}
