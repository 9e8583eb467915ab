//! Which addresses a TLB may hold translations wider than a page for.

/// Log2 of the bytes that one bit stands for: the size of most such translations.
const BLOCK_SHIFT: u32 = 21;
const BLOCKS: u64 = 4096;
/// The bits that tell addresses of a guest apart. Those above repeat bit 48 or are a tag, which flushes do not
/// compare: the first and last of addresses with tags say nothing about the order without.
const LOW: u64 = (1 << 49) - 1;

/// The translations wider than a page that a TLB was given since it was last emptied, or more: enough
/// to tell that most pages are of none. A page of a wide translation can be in any entry, so an
/// invalidation that may concern one has to look at them all.
pub(super) struct Wide {
    /// One bit for each block of 2 MiB, by its number modulo [`BLOCKS`]: translations up to that size.
    blocks: Box<[u64; (BLOCKS / 64) as usize]>,
    /// First and last address of the larger ones, and of what lies between them, by their low bits.
    large: Option<(u64, u64)>,
}

impl Wide {
    pub(super) fn new() -> Self {
        Self { blocks: Box::new([0; (BLOCKS / 64) as usize]), large: None }
    }

    /// The translation that covers `first..=last`, which is a naturally aligned block.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        if last - first < 1 << BLOCK_SHIFT {
            let (word, bit) = place(first >> BLOCK_SHIFT);
            self.blocks[word] |= bit;
        } else {
            let (from, to) = self.large.unwrap_or((!0, 0));
            self.large = Some((from.min(first & LOW), to.max(last & LOW)));
        }
    }

    /// May one of them cover an address in `first..=last`, by the address bits of `mask`? It has all bits
    /// that tell blocks apart here.
    pub(super) fn may_cover(&self, first: u64, last: u64, mask: u64) -> bool {
        let large = self.large.is_some_and(|(from, to)| {
            let mask = mask & LOW;
            last.wrapping_sub(first) > LOW || first & mask <= to & mask && last & mask >= from & mask
        });
        let (first, last) = (first >> BLOCK_SHIFT, last >> BLOCK_SHIFT);
        large
            || last.wrapping_sub(first) >= BLOCKS
            || (first..=last).any(|block| {
                let (word, bit) = place(block);
                self.blocks[word] & bit != 0
            })
    }

    pub(super) fn clear(&mut self) {
        self.blocks.fill(0);
        self.large = None;
    }
}

/// Word and bit of a block.
fn place(block: u64) -> (usize, u64) {
    let number = block % BLOCKS;
    ((number / 64) as usize, 1 << (number % 64))
}
