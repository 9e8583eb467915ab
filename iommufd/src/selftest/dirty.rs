//! `IOMMU_TEST_OP_DIRTY`: writes of a device that there is not.

use crate::ctx::Command;
use crate::driver::DirtyTracking;
use crate::driver::mock::{MockDomain, as_mock_domain};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::hwpt::paging::HwptPaging;
use crate::uapi::test::{Dirty, TestCmd};

/// Bytes of the bitmap that are copied in at once.
const PIECE: usize = 4096;
/// The kernel has the whole bitmap in one allocation, which can be so large.
const LARGEST_BITMAP: u64 = i32::MAX as u64;

/// Does as if a device wrote at the address of each set bit. All of the bitmap is read before anything
/// is written to.
pub(super) fn write(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let mut op: Dirty = command.get();
    let Dirty { iova, length, page_size, uptr, .. } = op;
    if page_size == 0
        || length == 0
        || !iova.is_multiple_of(page_size)
        || !length.is_multiple_of(page_size)
        || uptr == 0
    {
        return Err(Errno::EINVAL);
    }
    let hwpt = command.ctx.objects.get::<HwptPaging>(command.id)?;
    let domain: &MockDomain = as_mock_domain(&*hwpt.domain)?;
    if !domain.enabled() {
        return Err(Errno::EINVAL);
    }
    let bits = length / page_size;
    if bits.div_ceil(8) > LARGEST_BITMAP {
        return Err(Errno::ENOMEM);
    }
    fault_point(Errno::EFAULT)?;
    op.out_nr_dirty = 0;
    for_each_piece(command, uptr, bits, |_, piece| {
        op.out_nr_dirty += set_bits(piece).count() as u64;
        Ok(())
    })?;
    for_each_piece(command, uptr, bits, |first, piece| {
        domain.write_at(set_bits(piece).map(|bit| iova.wrapping_add((first + bit) * page_size)))
    })?;
    command.set(&op);
    command.respond()?;
    Ok(0)
}

/// Calls `work` with each piece of a bitmap of `bits`, and the number of its first bit. Bits beyond the
/// last are clear.
fn for_each_piece(
    command: &Command<'_, TestCmd>,
    address: u64,
    bits: u64,
    mut work: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = [0; PIECE];
    let bytes = bits.div_ceil(8);
    let mut done = 0;
    while done < bytes {
        // At most `PIECE`.
        let piece = &mut buffer[..(bytes - done).min(PIECE as u64) as usize];
        command.caller.memory.read(address.checked_add(done).ok_or(Errno::EFAULT)?, piece)?;
        done += piece.len() as u64;
        if done == bytes && !bits.is_multiple_of(8) {
            piece[piece.len() - 1] &= (1 << (bits % 8)) - 1;
        }
        work((done - piece.len() as u64) * 8, piece)?;
    }
    Ok(())
}

/// Numbers of the set bits, the lowest of the first byte first.
fn set_bits(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let set = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
    set.flat_map(|(at, byte)| {
        (0..8).filter(move |bit| byte >> bit & 1 != 0).map(move |bit| at as u64 * 8 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::set_bits;

    #[test]
    fn bits_count_from_the_lowest_of_the_first_byte() {
        let found: Vec<u64> = set_bits(&[0x81, 0, 0x10]).collect();
        assert_eq!(found, [0, 7, 20]);
    }
}
