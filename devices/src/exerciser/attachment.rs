//! What an exerciser needs of its surroundings: the engine knows nothing else of them.

use crate::addr::Pasid;
use crate::fabric::{Access, AtomicOp, DmaResult, Outcome, Request};
use crate::pci::{Context, Timer};

/// Where an exerciser is attached: a function's slot, or the platform bus.
///
/// No DMA of the engine crosses a page, so it moves all of its bytes or none.
pub(crate) trait Attachment {
    /// Reads memory; see [`DmaPort::read`](crate::fabric::DmaPort::read).
    fn dma_read(&mut self, request: Request, data: &mut [u8]) -> DmaResult;

    /// Writes memory; see [`DmaPort::write`](crate::fabric::DmaPort::write).
    fn dma_write(&mut self, request: Request, data: &[u8]) -> DmaResult;

    /// Updates memory; see [`DmaPort::atomic`](crate::fabric::DmaPort::atomic).
    ///
    /// # Errors
    /// The outcome, if it is not [`Outcome::Done`].
    fn dma_atomic(&mut self, request: Request, op: AtomicOp) -> Result<u64, Outcome>;

    /// A DMA of `len` bytes that was held has ended with `outcome` and is not made again.
    fn dma_ended(&mut self, request: Request, len: u64, access: Access, outcome: Outcome);

    /// Whether a request can carry this PASID.
    fn carries(&self, pasid: Pasid) -> bool;

    /// The event of vector `vector` has occurred.
    fn interrupt(&mut self, vector: u16);

    /// Sets the timer to `ns` nanoseconds from now, instead of any earlier setting.
    fn set_timer(&mut self, ns: u64);

    /// Turns the timer off.
    fn clear_timer(&mut self);
}

impl Attachment for Context<'_> {
    fn dma_read(&mut self, request: Request, data: &mut [u8]) -> DmaResult {
        Context::dma_read(self, request, data)
    }

    fn dma_write(&mut self, request: Request, data: &[u8]) -> DmaResult {
        Context::dma_write(self, request, data)
    }

    fn dma_atomic(&mut self, request: Request, op: AtomicOp) -> Result<u64, Outcome> {
        Context::dma_atomic(self, request, op)
    }

    /// DMA of PCI functions is never held [SMMUv3 3.12.2].
    fn dma_ended(&mut self, _: Request, _: u64, _: Access, _: Outcome) {}

    /// A prefix has room for each [PCIe 6.20.1].
    fn carries(&self, _: Pasid) -> bool {
        true
    }

    fn interrupt(&mut self, vector: u16) {
        Context::interrupt(self, vector);
    }

    fn set_timer(&mut self, ns: u64) {
        Context::set_timer(self, Timer::Main, ns);
    }

    fn clear_timer(&mut self) {
        Context::clear_timer(self, Timer::Main);
    }
}
