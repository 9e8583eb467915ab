//! Identification registers, the last eight of every PrimeCell [DDI 0183 3.3.16].

/// First of the identification registers.
const FIRST: u64 = 0xfe0;
/// UARTPCellID0 to 3, the same for all [DDI 0183 3.3.17].
const CELL: [u8; 4] = [0x0d, 0xf0, 0x05, 0xb1];

/// The identification register at `offset`, if there is one, of a device with this PeriphID0 to 3.
pub(super) fn read(peripheral: [u8; 4], offset: u64) -> Option<u32> {
    // One byte in each word.
    let index = usize::try_from(offset.checked_sub(FIRST)? / 4).ok()?;
    peripheral.iter().chain(&CELL).nth(index).copied().map(u32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_the_register_file() {
        let ids = (0xfdc..=0x1000).step_by(4).map(|offset| read([1, 2, 3, 4], offset));
        let words = [1, 2, 3, 4, 0x0d, 0xf0, 0x05, 0xb1].map(Some);
        assert_eq!(ids.collect::<Vec<_>>(), [&[None], &words[..], &[None]].concat());
    }
}
