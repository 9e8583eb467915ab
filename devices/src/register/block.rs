//! Access size, alignment and splitting, solved once for every register file.
//!
//! A register file is a [`DwordSpace`]: it only ever sees whole, aligned dwords. A qword access is
//! its low dword, then its high dword, which is the order hardware may use [VT-d 11.2] and the one
//! that lets the high half of a 64-bit register start an action.

/// A register file as a sequence of aligned dwords.
pub trait DwordSpace {
    /// The dword at `offset`, a multiple of 4.
    fn read_dword(&mut self, offset: u64) -> u32;

    /// Writes the bytes of `value` that `lanes` selects (`0xff` per byte) at `offset`, a multiple
    /// of 4. Bytes of `value` outside `lanes` are zero.
    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32);
}

/// Which accesses a register file serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Naturally aligned dwords only; any other access reads zero and writes nothing.
    Aligned32,
    /// Naturally aligned dwords and qwords; any other access reads zero and writes nothing.
    Aligned32Or64,
    /// Any size and alignment: each byte goes to its lane of its dword.
    ByteLanes,
}

/// Reads `data.len()` bytes at `offset` under `rules`.
pub fn read(space: &mut impl DwordSpace, rules: Rules, offset: u64, data: &mut [u8]) {
    data.fill(0);
    for piece in pieces(rules, offset, data.len()) {
        let dword = space.read_dword(piece.dword).to_le_bytes();
        data[piece.data..piece.data + piece.len].copy_from_slice(&dword[piece.lane..piece.lane + piece.len]);
    }
}

/// Writes `data` at `offset` under `rules`.
pub fn write(space: &mut impl DwordSpace, rules: Rules, offset: u64, data: &[u8]) {
    for piece in pieces(rules, offset, data.len()) {
        let (mut value, mut lanes) = ([0; 4], [0; 4]);
        value[piece.lane..piece.lane + piece.len].copy_from_slice(&data[piece.data..piece.data + piece.len]);
        lanes[piece.lane..piece.lane + piece.len].fill(0xff);
        space.write_dword(piece.dword, u32::from_le_bytes(value), u32::from_le_bytes(lanes));
    }
}

/// The part of an access that falls into one dword.
struct Piece {
    dword: u64,
    lane: usize,
    data: usize,
    len: usize,
}

/// Cuts an access at dword borders; nothing where `rules` refuse it or it would pass the top of
/// the address space.
fn pieces(rules: Rules, offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let aligned = len > 0 && offset.is_multiple_of(len as u64);
    let served = match rules {
        Rules::Aligned32 => len == 4 && aligned,
        Rules::Aligned32Or64 => (len == 4 || len == 8) && aligned,
        Rules::ByteLanes => len > 0,
    } && offset.checked_add(len as u64).is_some();
    let mut data = 0;
    std::iter::from_fn(move || {
        if !served || data >= len {
            return None;
        }
        let at = offset + data as u64;
        let lane = (at % 4) as usize;
        let piece = Piece { dword: at - lane as u64, lane, data, len: (4 - lane).min(len - data) };
        data += piece.len;
        Some(piece)
    })
}
