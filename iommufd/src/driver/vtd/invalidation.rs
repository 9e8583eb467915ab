//! The invalidation queue [VT-d 6.5.2]: what is no longer to be used, and waiting until it is not.

use devices::addr::{PAGE_SIZE, Pa, SourceId};

use super::entries::{ContextInvalidate, IotlbInvalidate, Wait};
use super::mmio::Registers;
use super::regs::{Cap, Fsts, offset};
use super::table_memory::TableMemory;
use crate::errno::{Errno, Result};
use crate::span::Span;

/// Descriptors of 128 bits in a queue of one page.
const ENTRIES: usize = PAGE_SIZE as usize / 16;
/// Most invalidations of one request: the wait descriptor and the one that must stay free are not among
/// them.
const BATCH: usize = ENTRIES - 2;

/// What caches have to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalidation {
    /// All context entries.
    Contexts,
    /// The context entry of a device, cached with this domain [VT-d 6.5.2.1].
    Context {
        /// The domain it was cached with; 0 for one that faulted.
        domain: u16,
        /// The device.
        source: SourceId,
    },
    /// All translations.
    Translations,
    /// The translations of a domain.
    Domain(u16),
    /// Those of 2^mask pages, the first of which is so aligned.
    Pages {
        /// The domain.
        domain: u16,
        /// First byte.
        first: u64,
        /// Log2 of how many pages.
        mask: u8,
        /// No entry changed that leads to a table.
        leaf_only: bool,
    },
}

impl Invalidation {
    /// As a descriptor. Translations drain if the hardware can: no access that used one is still under
    /// way when the wait that follows is over [VT-d 6.5.4].
    fn descriptor(self, cap: Cap) -> [u64; 2] {
        let context = |g| ContextInvalidate::ZERO.with_kind(1).with_g(g);
        let iotlb = |g| IotlbInvalidate::ZERO.with_kind(2).with_g(g).with_dr(cap.drd()).with_dw(cap.dwd());
        match self {
            Self::Contexts => context(0b01).raw(),
            Self::Context { domain, source } => context(0b11).with_did(domain).with_sid(source.0).raw(),
            Self::Translations => iotlb(0b01).raw(),
            Self::Domain(domain) => iotlb(0b10).with_did(domain).raw(),
            Self::Pages { domain, first, mask, leaf_only } => {
                let pages = iotlb(0b11).with_did(domain).with_page(first >> 12);
                pages.with_am(mask).with_ih(leaf_only).raw()
            }
        }
    }
}

/// Page-selective invalidations of spans, or the whole domain where those would be more than `most` or
/// the hardware has none.
pub(super) fn of_spans(
    spans: &[Span],
    domain: u16,
    leaf_only: bool,
    cap: Cap,
    most: usize,
) -> Vec<Invalidation> {
    let mut pages = Vec::new();
    for span in spans {
        let mut first = span.start & !(PAGE_SIZE - 1);
        loop {
            if !cap.psi() || pages.len() == most {
                return vec![Invalidation::Domain(domain)];
            }
            let left = (span.last - first) / PAGE_SIZE + 1;
            let aligned = (first / PAGE_SIZE).trailing_zeros();
            // All three are below 64.
            let mask = aligned.min(left.ilog2()).min(cap.mamv().into()) as u8;
            pages.push(Invalidation::Pages { domain, first, mask, leaf_only });
            match first.checked_add(PAGE_SIZE << mask) {
                Some(next) if next <= span.last => first = next,
                _ => break,
            }
        }
    }
    pages
}

/// The queue of one unit.
pub(super) struct Queue {
    base: Pa,
    /// Where wait descriptors write.
    status: Pa,
    tail: usize,
    /// What the last wait wrote.
    sequence: u32,
}

impl Queue {
    /// Sets a queue up in the registers; it is not enabled yet [VT-d 6.5.2].
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new(memory: &TableMemory, registers: &Registers) -> Result<Self> {
        let (base, status) = (memory.alloc()?, memory.alloc()?);
        registers.write64(offset::IQT, 0);
        // One page of descriptors of 128 bits.
        registers.write64(offset::IQA, base.0);
        Ok(Self { base, status, tail: 0, sequence: 0 })
    }

    /// Returns when `what` is forgotten and no DMA uses it any more.
    ///
    /// # Errors
    /// `EIO` where the unit refuses a descriptor, `ETIMEDOUT` where it does not answer. The queue is of
    /// no more use then.
    pub(super) fn submit(
        &mut self,
        what: &[Invalidation],
        cap: Cap,
        memory: &TableMemory,
        registers: &Registers,
    ) -> Result<()> {
        for batch in what.chunks(BATCH) {
            for invalidation in batch {
                self.push(invalidation.descriptor(cap), memory);
            }
            self.sequence = self.sequence.wrapping_add(1);
            let wait = Wait::ZERO.with_kind(5).with_sw(true).with_fence(true);
            let wait = wait.with_status_address(self.status.0 >> 2).with_status_data(self.sequence);
            self.push(wait.raw(), memory);
            registers.write32(offset::IQT, (self.tail as u32) << 4);
            self.wait(memory, registers)?;
        }
        Ok(())
    }

    fn push(&mut self, descriptor: [u64; 2], memory: &TableMemory) {
        memory.store128(Pa(self.base.0 + self.tail as u64 * 16), descriptor);
        self.tail = (self.tail + 1) % ENTRIES;
    }

    fn wait(&self, memory: &TableMemory, registers: &Registers) -> Result<()> {
        registers.poll(|| {
            if memory.load32(self.status) == Some(self.sequence) {
                return Ok(true);
            }
            let fsts = Fsts::from_raw(registers.read32(offset::FSTS));
            if fsts.iqe() || fsts.ice() || fsts.ite() { Err(Errno::EIO) } else { Ok(false) }
        })
    }
}
