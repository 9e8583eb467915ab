//! Arguments out of the bits of a record.
//!
//! Every value that can be drawn is worth trying, and those that work are drawn more often than those
//! that do not. What decides most is drawn first.

use iommufd::uapi::test::{MOCK_APERTURE_LAST, MOCK_APERTURE_START, MOCK_HUGE_PAGE_SIZE, MOCK_PAGE_SIZE};

use crate::fuzz::record::Record;
use crate::simulated::{HUGE_PAGE, PAGE, Process};

/// Shared anonymous pages.
pub const SHARED: Region = Region { start: 0x7000_0000_0000, pages: 64 };
/// Private anonymous pages, not at the beginning of a large frame.
pub const PRIVATE: Region = Region { start: 0x7100_0000_3000, pages: 16 };
/// Pages of a memfd.
pub const FILE: Region = Region { start: 0x7200_0000_0000, pages: 32 };
/// One page of 2 MiB.
pub const HUGE: Region = Region { start: 0x7300_0000_0000, pages: HUGE_PAGE / PAGE };
/// Where files of the library are mapped.
pub const LIBRARY: Region = Region { start: 0x7400_0000_0000, pages: 8 };
/// Where pointers in arguments point to. Nobody unmaps it.
pub const DATA: Region = Region { start: 0x7500_0000_0000, pages: 2 };

/// Pages of a process that are always for the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first address.
    pub start: u64,
    /// How many pages of 4 KiB.
    pub pages: u64,
}

impl Region {
    /// The first address behind it. There is never anything.
    pub const fn end(self) -> u64 {
        self.start + self.pages * PAGE
    }
}

/// The undrawn bits of a record.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u128);

impl Draw {
    /// All bits of `record` but those of its kind.
    pub fn new(record: Record) -> Self {
        let Record { kind: _, place, shape, value } = record;
        Self(u128::from(place) | u128::from(shape) << 8 | u128::from(value) << 24)
    }

    /// The next `count` bits, at most 64. All are 0 when the record is used up.
    pub fn bits(&mut self, count: u32) -> u64 {
        let bits = self.0 & ((1 << count) - 1);
        self.0 >>= count;
        // No more than were asked for.
        bits as u64
    }

    /// The next bit.
    pub fn flag(&mut self) -> bool {
        self.bits(1) == 1
    }

    /// One of up to 16 values.
    pub fn one<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.bits(4) as usize % values.len()]
    }

    /// `count` known flags, and one time of eight one bit that may be unknown.
    pub fn flags(&mut self, count: u32) -> u32 {
        let known = self.bits(count) as u32;
        if self.bits(3) == 7 { known | 1 << self.bits(5) } else { known }
    }

    /// A number of bytes.
    pub fn length(&mut self) -> u64 {
        const ODD: [u64; 16] = [
            MOCK_PAGE_SIZE,
            3 * MOCK_PAGE_SIZE,
            0,
            1,
            PAGE - 1,
            64 * PAGE,
            MOCK_HUGE_PAGE_SIZE,
            HUGE_PAGE,
            HUGE_PAGE + PAGE,
            16 << 20,
            1 << 30,
            1 << 40,
            u64::MAX / 2 + 1,
            u64::MAX - PAGE + 1,
            u64::MAX - 1,
            u64::MAX,
        ];
        match self.bits(6) {
            few @ 0..48 => (few % 16 + 1) * PAGE,
            odd => ODD[odd as usize - 48],
        }
    }

    /// An address of the process, to be mapped for devices.
    pub fn user_address(&mut self) -> u64 {
        let region = [SHARED, PRIVATE, FILE, HUGE, SHARED, FILE, LIBRARY, DATA][self.bits(3) as usize];
        let offset = match self.bits(6) {
            // The last page, and beyond.
            63 => region.pages - 1,
            page => page % region.pages,
        };
        region.start + offset * PAGE + [0, 0, 0, 0, 0, MOCK_PAGE_SIZE, 1, PAGE - 1][self.bits(3) as usize]
    }

    /// A pointer in an argument: mostly to [`DATA`].
    pub fn pointer(&mut self) -> u64 {
        match self.bits(4) {
            0..9 => DATA.start,
            9 => DATA.start + 1,
            10 => DATA.end() - 8,
            11 => DATA.end(),
            12 => 0,
            13 => u64::MAX - 7,
            14 => SHARED.start + PAGE - 4,
            _ => Process::ARGUMENTS,
        }
    }

    /// An IOVA, where `known` are those of mappings.
    pub fn iova(&mut self, known: &[u64]) -> u64 {
        const ODD: [u64; 16] = [
            0,
            1,
            MOCK_PAGE_SIZE,
            PAGE,
            HUGE_PAGE,
            MOCK_APERTURE_START - MOCK_PAGE_SIZE,
            MOCK_APERTURE_START + MOCK_PAGE_SIZE,
            MOCK_APERTURE_START + 1,
            MOCK_APERTURE_START + MOCK_HUGE_PAGE_SIZE,
            MOCK_APERTURE_LAST + 1 - PAGE,
            MOCK_APERTURE_LAST + 1,
            1 << 46,
            1 << 63,
            u64::MAX - PAGE + 1,
            u64::MAX - 1,
            u64::MAX,
        ];
        let (how, which) = (self.bits(2), self.bits(4));
        match (how, known.len()) {
            (3, _) => ODD[which as usize],
            (2, _) | (_, 0) => MOCK_APERTURE_START + which * 4 * PAGE,
            (_, count) => {
                let (nth, page) = (which as usize % 4, which / 4);
                known[count - 1 - nth % count].wrapping_add(page * PAGE * (1 - how))
            }
        }
    }
}
