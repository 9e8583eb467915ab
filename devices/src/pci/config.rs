//! The configuration space of one function: dwords with access masks.
//!
//! The masks come from the register declarations, so what software may change is written down once,
//! beside the bits. Side effects are not here: whoever owns the space looks at it after a write.

use crate::register::{self, Access, Register, block};

/// Bytes that capabilities and headers may occupy [PCIe 7.2.1].
const CONVENTIONAL: u16 = 0x100;
/// Bytes of a function with a PCI Express capability, all of which read as zero beyond
/// [`CONVENTIONAL`]: an empty list of extended capabilities [PCIe 7.6.1].
const EXTENDED: u64 = 0x1000;
/// First byte behind the header, where the list of capabilities starts.
const CAPABILITIES: u16 = 0x40;
const STATUS_DWORD: u16 = 0x04;
const CAPABILITIES_LIST: u32 = 1 << 20;
const CAPABILITIES_POINTER: u16 = 0x34;

#[derive(Clone, Copy, Default)]
struct Dword {
    value: u32,
    reset: u32,
    rw: u32,
    rw1c: u32,
}

/// The configuration space of a function.
pub(super) struct ConfigSpace {
    dwords: [Dword; (CONVENTIONAL / 4) as usize],
    extended: bool,
}

impl ConfigSpace {
    /// The dword at `offset`; all ones outside the space.
    pub(super) fn dword(&self, offset: u16) -> u32 {
        match self.dwords.get(usize::from(offset / 4)) {
            Some(dword) => dword.value,
            None if self.extended && u64::from(offset) < EXTENDED => 0,
            None => u32::MAX,
        }
    }

    /// Sets the bits of `mask` to those of `value`, as hardware does: access masks do not count.
    pub(super) fn update(&mut self, offset: u16, mask: u32, value: u32) {
        if let Some(dword) = self.dwords.get_mut(usize::from(offset / 4)) {
            dword.value = (dword.value & !mask) | (value & mask);
        }
    }

    /// Sets bits in the value and the reset value alike: what is known only once the neighbours of
    /// a function are (the multi-function bit).
    pub(super) fn fix(&mut self, offset: u16, bits: u32) {
        if let Some(dword) = self.dwords.get_mut(usize::from(offset / 4)) {
            dword.value |= bits;
            dword.reset |= bits;
        }
    }

    /// Software reads `data.len()` bytes; what lies outside the space reads as ones.
    pub(super) fn read(&mut self, offset: u64, data: &mut [u8]) {
        let inside = self.inside(offset, data.len());
        data[inside..].fill(0xff);
        block::read(self, block::Rules::ByteLanes, offset, &mut data[..inside]);
    }

    /// Software writes `data`; what lies outside the space is dropped.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let inside = self.inside(offset, data.len());
        block::write(self, block::Rules::ByteLanes, offset, &data[..inside]);
    }

    /// Every register back to its reset value.
    pub(super) fn reset(&mut self) {
        for dword in &mut self.dwords {
            dword.value = dword.reset;
        }
    }

    /// The values, from offset 0 on.
    pub(super) fn save(&self) -> Vec<u32> {
        self.dwords.iter().map(|dword| dword.value).collect()
    }

    /// Whether [`Self::restore`] would take `values`.
    pub(super) fn fits(&self, values: &[u32]) -> bool {
        values.len() == self.dwords.len()
    }

    /// Takes over saved values.
    pub(super) fn restore(&mut self, values: &[u32]) {
        for (dword, value) in self.dwords.iter_mut().zip(values) {
            dword.value = *value;
        }
    }

    /// How many of `len` bytes at `offset` lie in the space.
    fn inside(&self, offset: u64, len: usize) -> usize {
        let limit = if self.extended { EXTENDED } else { u64::from(CONVENTIONAL) };
        usize::try_from(limit.saturating_sub(offset)).map_or(len, |left| left.min(len))
    }
}

impl block::DwordSpace for ConfigSpace {
    fn read_dword(&mut self, offset: u64) -> u32 {
        u16::try_from(offset).map_or(u32::MAX, |offset| self.dword(offset))
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let index = usize::try_from(offset / 4).unwrap_or(usize::MAX);
        if let Some(dword) = self.dwords.get_mut(index) {
            let rw = dword.rw & lanes;
            dword.value = ((dword.value & !rw) | (value & rw)) & !(value & lanes & dword.rw1c);
        }
    }
}

/// Lays out a configuration space: registers, then the list of capabilities.
pub(super) struct Builder {
    space: ConfigSpace,
    last: Option<u16>,
    free: u16,
}

impl Builder {
    /// An empty space; `extended` gives it 4 KiB.
    pub(super) fn new(extended: bool) -> Self {
        let dwords = [Dword::default(); (CONVENTIONAL / 4) as usize];
        Self { space: ConfigSpace { dwords, extended }, last: None, free: CAPABILITIES }
    }

    /// Puts a declared 32-bit register at `offset`; its value is what it has after reset.
    pub(super) fn register<R: Register>(&mut self, offset: u16, register: R) {
        const { assert!(R::BITS == 32, "a configuration register is a dword") };
        let mask = |access| register::mask_of::<1>(R::FIELDS, &[access])[0] as u32;
        // The register is 32 bits wide, so no bits are lost.
        self.raw(offset, register.bits(31, 0) as u32, mask(Access::Rw));
        self.dword(offset).rw1c = mask(Access::Rw1c);
    }

    /// Puts a register at `offset` whose writable bits are known only now (a BAR, a mask register).
    pub(super) fn raw(&mut self, offset: u16, reset: u32, rw: u32) {
        *self.dword(offset) = Dword { value: reset, reset, rw, rw1c: 0 };
    }

    /// Takes the right to write the bits of `mask` from software.
    pub(super) fn make_read_only(&mut self, offset: u16, mask: u32) {
        self.dword(offset).rw &= !mask;
    }

    /// Reserves `len` bytes for the next capability, links it into the list and returns its offset.
    /// Its first dword is the caller's to define, with a next pointer of zero.
    ///
    /// # Panics
    /// If the capabilities of a model do not fit its configuration space.
    pub(super) fn capability(&mut self, len: u16) -> u16 {
        let at = self.free;
        self.free = at + len.next_multiple_of(4);
        assert!(self.free <= CONVENTIONAL, "the capabilities of a model fit its configuration space");
        let (dword, shift) = self.last.map_or((CAPABILITIES_POINTER, 0), |last| (last, 8));
        for (offset, bits) in [(dword, u32::from(at) << shift), (STATUS_DWORD, CAPABILITIES_LIST)] {
            let dword = self.dword(offset);
            dword.reset |= bits;
            dword.value |= bits;
        }
        self.last = Some(at);
        at
    }

    /// The finished space.
    pub(super) fn finish(self) -> ConfigSpace {
        self.space
    }

    /// # Panics
    /// If the layout of a model leaves the first 256 bytes.
    fn dword(&mut self, offset: u16) -> &mut Dword {
        &mut self.space.dwords[usize::from(offset / 4)]
    }
}
