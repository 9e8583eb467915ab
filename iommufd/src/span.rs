//! A range of 64-bit addresses with both ends in it, so that the top of the space is not special.

use crate::errno::{Errno, Result};

/// Bytes `start..=last`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Last byte, at or after `start`.
    pub last: u64,
}

impl Span {
    /// All of the 64-bit space.
    pub const ALL: Self = Self { start: 0, last: u64::MAX };

    /// `bytes` from `start` on.
    ///
    /// # Errors
    /// `EINVAL` for 0 bytes, `EOVERFLOW` past the top of the space.
    pub fn sized(start: u64, bytes: u64) -> Result<Self> {
        let beyond = bytes.checked_sub(1).ok_or(Errno::EINVAL)?;
        let last = start.checked_add(beyond).ok_or(Errno::EOVERFLOW)?;
        Ok(Self { start, last })
    }

    /// `start..=last`; `None` where that is empty.
    pub const fn new(start: u64, last: u64) -> Option<Self> {
        if start <= last { Some(Self { start, last }) } else { None }
    }

    /// Number of bytes less one, which fits for every span.
    pub const fn beyond(self) -> u64 {
        self.last - self.start
    }

    /// Number of bytes; `u64::MAX` stands for all of the space, whose size is one more.
    pub const fn bytes(self) -> u64 {
        self.beyond().saturating_add(1)
    }

    /// Whether `address` is inside.
    pub const fn contains(self, address: u64) -> bool {
        self.start <= address && address <= self.last
    }

    /// Whether all of `other` is inside.
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.last <= self.last
    }

    /// Whether they share a byte.
    pub const fn meets(self, other: Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// As the standard library's range.
    pub const fn range(self) -> std::ops::RangeInclusive<u64> {
        self.start..=self.last
    }

    /// What both have.
    pub fn common(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.last.min(other.last))
    }
}

impl From<std::ops::RangeInclusive<u64>> for Span {
    /// The range is not empty.
    fn from(range: std::ops::RangeInclusive<u64>) -> Self {
        Self { start: *range.start(), last: *range.end() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_the_space_is_a_byte_like_others() {
        assert_eq!(Span::sized(u64::MAX, 1), Ok(Span { start: u64::MAX, last: u64::MAX }));
        assert_eq!(Span::sized(u64::MAX, 2), Err(Errno::EOVERFLOW));
        assert_eq!(Span::sized(0, 0), Err(Errno::EINVAL));
        assert_eq!(Span::ALL.beyond(), u64::MAX);
        assert_eq!(Span::ALL.bytes(), u64::MAX);
    }

    #[test]
    fn spans_meet_where_they_share_a_byte() {
        let middle = Span { start: 10, last: 20 };
        for (start, last, meets, covered) in [
            (0, 9, false, false),
            (0, 10, true, false),
            (10, 20, true, true),
            (12, 12, true, true),
            (20, 30, true, false),
            (21, 30, false, false),
        ] {
            let other = Span { start, last };
            assert_eq!(middle.meets(other), meets, "{other:?}");
            assert_eq!(middle.covers(other), covered, "{other:?}");
            assert_eq!(middle.common(other).is_some(), meets, "{other:?}");
        }
    }
}
