//! Fixture `iommufd_ioas`: an IOAS with no, one or two mock domains.

use iommufd::process::UserMemory;
use iommufd::uapi::test::{
    AccessPages, HW_INFO_SELFTEST_REGVAL, HwptInvalidateSelftest, MOCK_APERTURE_LAST, MOCK_APERTURE_START,
    MOCK_IOMMUPT_DEFAULT, MemoryLimit, Operation, TestHwInfo, TestInvalidateFlags,
};
use iommufd::uapi::{Command, HwInfo, HwptInvalidate, IoasAllowIovas, IoasIovaRanges, IoasMap, IovaRange};
use zerocopy::IntoBytes;

use super::{access, hwpt_data, load, load_bytes, span, store};
use crate::recording::Kind;
use crate::script::Script;
use crate::support::{HUGE_PAGE, PAGE, Sharing};
use crate::world::{BUFFER, BUFFER_BYTES, OPENED};

pub fn write(script: &mut Script, variant: &str, test: &str) {
    let has_domain = match variant {
        "no_domain" => false,
        "mock_domain" | "two_mock_domain" | "mock_domain_limit" => true,
        _ => panic!("no script for variant {variant}"),
    };
    match test {
        "access_domain_destory" => huge_buffer(script),
        "access_rw" | "access_rw_unaligned" => access::check_rw(script),
        "alloc_hwpt_nested" => alloc_hwpt_nested(script, has_domain),
        "area_allowed" => {
            let start = if has_domain { MOCK_APERTURE_START } else { 0 };
            allow(script, &[IovaRange { start, last: start + 600 * PAGE }; 3]);
        }
        "area_auto_iova" => {
            let first = if has_domain { MOCK_APERTURE_START + PAGE } else { 200 * PAGE };
            let last = if has_domain { MOCK_APERTURE_START } else { 0 } + 600 * PAGE - 1;
            allow(script, &[IovaRange { start: PAGE, last: 600 * PAGE }, IovaRange { start: first, last }]);
        }
        "dmabuf_revoke" | "dmabuf_simple" => {
            script.before(Kind::Test(MemoryLimit::OP), 1, |world, _| world.main().close(OPENED).unwrap());
        }
        "fork_gone" => {
            script.after(Kind::Ioctl(IoasMap::REQUEST), 0, |world, _, _| world.end_children());
            access::check_rw(script);
        }
        "fork_present" => {
            script.before(Kind::Close(OPENED), 0, |world, _| world.end_children());
            access::check_rw(script);
        }
        "get_hw_info" => get_hw_info(script),
        "iova_ranges" => iova_ranges(script, has_domain),
        "access_pin"
        | "access_pin_unmap"
        | "area"
        | "copy_area"
        | "copy_sweep"
        | "hwpt_attach"
        | "ioas_align_change"
        | "ioas_area_auto_destroy"
        | "ioas_area_destroy"
        | "ioas_auto_destroy"
        | "ioas_destroy"
        | "ioas_iova_alloc"
        | "ioas_option_huge_pages"
        | "reserved_overflow"
        | "unmap_fully_contained_areas" => {}
        _ => panic!("no script for {test}"),
    }
}

/// Two huge pages, of which the second small page is pinned by an access.
fn huge_buffer(script: &mut Script) {
    const MAPPED: u64 = 0x7f3e_80a0_0000;
    script.before(Kind::Ioctl(IoasMap::REQUEST), 0, |world, _| {
        let pages = span(MAPPED, 2 * HUGE_PAGE);
        world.main().memory.map_anonymous(pages, Sharing::Shared, HUGE_PAGE).unwrap();
    });
    script.after(Kind::Test(AccessPages::OP), 0, |_, _, answer| assert_eq!(answer.result, Ok(0)));
    script.after(Kind::Close(OPENED), 0, |world, _, _| {
        world.main().memory.unmap(span(MAPPED, 2 * HUGE_PAGE)).unwrap();
    });
}

/// What the range points to at each `IOMMU_IOAS_ALLOW_IOVAS`.
fn allow(script: &mut Script, ranges: &[IovaRange]) {
    for (nth, range) in ranges.iter().copied().enumerate() {
        script.before(Kind::Ioctl(IoasAllowIovas::REQUEST), nth, move |world, call| {
            store(&world.main(), call.structure::<IoasAllowIovas>().allowed_iovas, &range);
        });
    }
}

fn alloc_hwpt_nested(script: &mut Script, has_domain: bool) {
    hwpt_data(script, MOCK_IOMMUPT_DEFAULT);
    if !has_domain {
        return;
    }
    const BAD: u32 = u32::MAX;
    let all = TestInvalidateFlags::ALL.bits();
    // The two entries (flags, entry of the HWPT) at each call; most are refused before they are read.
    let entries: [[(u32, u32); 2]; 16] = [
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(BAD, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 0), (0, 0)],
        [(0, 4), (0, 0)],
        [(0, 0), (BAD, 1)],
        [(0, 0), (0, 4)],
        [(0, 1), (0, 4)],
        [(0, 2), (0, 3)],
        [(all, 2), (0, 3)],
    ];
    for (nth, entries) in entries.into_iter().enumerate() {
        let entries = entries.map(|(flags, iotlb_id)| HwptInvalidateSelftest {
            flags: TestInvalidateFlags::from_bits_retain(flags),
            iotlb_id,
        });
        script.before(Kind::Ioctl(HwptInvalidate::REQUEST), nth, move |world, call| {
            let address = call.structure::<HwptInvalidate>().data_uptr;
            if address != 0 {
                store(&world.main(), address, &entries);
            }
        });
    }
}

/// What of the answer there is room for, and zeroes beyond it.
fn get_hw_info(script: &mut Script) {
    const ROOM: u64 = 16;
    let kind = Kind::Ioctl(HwInfo::REQUEST);
    script.before_each(kind, |world, call| {
        let info = call.structure::<HwInfo>();
        if info.data_uptr != 0 {
            store(&world.main(), info.data_uptr, &[0xffu8; ROOM as usize]);
        }
    });
    script.after_each(kind, |world, call, answer| {
        let info = call.structure::<HwInfo>();
        if info.data_uptr != 0 && answer.result == Ok(0) {
            let mut expected = vec![0; info.data_len as usize];
            let known = TestHwInfo { flags: 0, test_reg: HW_INFO_SELFTEST_REGVAL };
            let bytes = expected.len().min(size_of::<TestHwInfo>());
            expected[..bytes].copy_from_slice(&known.as_bytes()[..bytes]);
            expected.resize(ROOM as usize, 0xff);
            assert_eq!(load_bytes(&world.main(), info.data_uptr, ROOM), expected, "{info:?}");
        }
    });
}

fn iova_ranges(script: &mut Script, has_domain: bool) {
    const NONE: IovaRange = IovaRange { start: 0, last: 0 };
    let whole = if has_domain {
        IovaRange { start: MOCK_APERTURE_START, last: MOCK_APERTURE_LAST }
    } else {
        IovaRange { start: 0, last: u64::MAX }
    };
    // With a domain, the page that is reserved after the second call is outside of the aperture.
    let (before, after) = if has_domain {
        (whole, NONE)
    } else {
        (IovaRange { start: 0, last: PAGE - 1 }, IovaRange { start: 2 * PAGE, last: u64::MAX })
    };
    let expected = [[whole, NONE], [NONE, NONE], [before, after], [before, NONE]];
    for (nth, expected) in expected.into_iter().enumerate() {
        let kind = Kind::Ioctl(IoasIovaRanges::REQUEST);
        script.before(kind, nth, |world, _| {
            world.main().memory.write(BUFFER, &[0; BUFFER_BYTES as usize]).unwrap();
        });
        script.after(kind, nth, move |world, _, _| {
            assert_eq!(load::<[IovaRange; 2]>(&world.main(), BUFFER), expected);
        });
    }
}
