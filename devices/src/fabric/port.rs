//! The port: the only way from a bus master to memory.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::guard::Slot;
use super::{
    Abort, Access, AtomicOp, Attrs, Effect, Effects, Initiator, Kind, Outcome, Transaction, Translate,
    Verdict,
};
use crate::addr::{Iova, PAGE_SIZE, Pa, Pasid, SourceId};
use crate::mem::{Handle, PhysMem};
use crate::trace::TraceEvent;

/// What a bus master says of a DMA beside its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// First byte.
    pub address: Iova,
    /// PASID prefix.
    pub pasid: Option<Pasid>,
    /// Attributes.
    pub attrs: Attrs,
    /// Address type.
    pub kind: Kind,
}

impl Request {
    /// A plain untranslated request.
    pub fn at(address: u64) -> Self {
        Self { address: Iova(address), ..Self::default() }
    }
}

/// How a DMA ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaResult {
    /// Bytes moved before the outcome, from the first on.
    pub done: u64,
    /// The outcome of the last piece.
    pub outcome: Outcome,
}

/// Physical addresses that take interrupt messages: after translation, unlike the window of a PC. A
/// write of 2 or 4 aligned bytes there is an interrupt request of the initiator; other writes have no
/// completer [GICv3 12.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doorbell {
    /// First byte.
    pub first: Pa,
    /// Last byte.
    pub last: Pa,
}

impl Doorbell {
    /// Whether `pa` is one of them.
    pub const fn contains(self, pa: Pa) -> bool {
        pa.0 >= self.first.0 && pa.0 <= self.last.0
    }
}

/// A bus master's connection to the fabric.
pub struct DmaPort {
    initiator: Initiator,
    mem: PhysMem,
    iommu: Arc<dyn Translate>,
    slot: Option<Slot>,
    doorbell: Option<Doorbell>,
    enabled: bool,
}

impl DmaPort {
    /// A port for the PCI function `source` of segment 0, behind `iommu`; disabled at first.
    pub fn new(source: SourceId, mem: PhysMem, iommu: Arc<dyn Translate>) -> Self {
        Self::of(Initiator::Pci { segment: 0, source }, mem, iommu)
    }

    /// A port for any bus master, behind `iommu`; disabled at first.
    pub fn of(initiator: Initiator, mem: PhysMem, iommu: Arc<dyn Translate>) -> Self {
        let slot = iommu.guard_slot();
        Self { initiator, mem, iommu, slot, doorbell: None, enabled: false }
    }

    /// The same port on a bus with a doorbell.
    #[must_use]
    pub fn with_doorbell(self, doorbell: Doorbell) -> Self {
        Self { doorbell: Some(doorbell), ..self }
    }

    /// Follows the Bus Master Enable bits on the way to the root complex. While off, nothing
    /// reaches the bus and every request is an Unsupported Request [PCIe 7.5.1.1.3].
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Whether requests reach the bus.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Follows the bus number that configuration software gave the function. No effect on the port
    /// of a bus master that is no PCI function.
    pub fn set_source(&mut self, source: SourceId) {
        if let Initiator::Pci { source: known, .. } = &mut self.initiator {
            *known = source;
        }
    }

    /// Who masters the bus through this port.
    pub fn initiator(&self) -> Initiator {
        self.initiator
    }

    /// Reads `data.len()` bytes; with an empty `data`, a zero-length read.
    pub fn read(&self, request: Request, data: &mut [u8], fx: &mut Effects) -> DmaResult {
        let (mut at, len) = (0, data.len());
        let result = self.transfer(request, len, Access::Read, fx, |place, len, _| {
            place.read(&self.mem, &mut data[at..at + len]);
            at += len;
            Outcome::Done
        });
        self.trace(request, len, Access::Read, result, fx);
        result
    }

    /// Writes `data`. An empty `data` does nothing and succeeds.
    pub fn write(&self, request: Request, data: &[u8], fx: &mut Effects) -> DmaResult {
        if data.is_empty() {
            return DmaResult { done: 0, outcome: Outcome::Done };
        }
        let mut at = 0;
        let result = self.transfer(request, data.len(), Access::Write, fx, |place, len, fx| {
            let piece = &data[at..at + len];
            at += len;
            match place {
                Place::Message(address) => return self.send(address, piece, fx),
                Place::Doorbell(pa) => return self.ring(pa, piece, fx),
                Place::Ram(..) | Place::Nowhere => {}
            }
            place.write(&self.mem, piece);
            Outcome::Done
        });
        self.trace(request, data.len(), Access::Write, result, fx);
        result
    }

    /// Sends an interrupt request; the IOMMU has checked its form.
    fn send(&self, address: Iova, data: &[u8], fx: &mut Effects) -> Outcome {
        match <[u8; 4]>::try_from(data) {
            Ok(word) => self.iommu.interrupt(self.initiator, address.0, u32::from_le_bytes(word), fx),
            Err(_) => Outcome::Abort(Abort::Ur),
        }
    }

    /// Sends an interrupt request that was translated to a doorbell.
    fn ring(&self, pa: Pa, data: &[u8], fx: &mut Effects) -> Outcome {
        let data = match *data {
            [a, b] if pa.0.is_multiple_of(2) => u32::from_le_bytes([a, b, 0, 0]),
            [a, b, c, d] if pa.0.is_multiple_of(4) => u32::from_le_bytes([a, b, c, d]),
            _ => return Outcome::Abort(Abort::Ur),
        };
        fx.push(Effect::Interrupt { initiator: self.initiator, address: pa.0, data });
        Outcome::Done
    }

    /// Performs `op` and returns the old value. An operand that is not naturally aligned is an
    /// Unsupported Request [PCIe 2.2.7].
    ///
    /// # Errors
    /// The outcome, if it is not [`Outcome::Done`].
    pub fn atomic(&self, request: Request, op: AtomicOp, fx: &mut Effects) -> Result<u64, Outcome> {
        let ur = Outcome::Abort(Abort::Ur);
        if !request.address.0.is_multiple_of(op.size()) {
            return Err(ur);
        }
        let mut old = Err(ur);
        // The operand fits one page because it is aligned, so there is exactly one piece.
        let len = op.size() as usize;
        let result = self.transfer(request, len, Access::Atomic, fx, |place, _, _| {
            if let Place::Ram(handle, _) = place {
                old = self.mem.atomic_at(handle, op).map_err(|_| ur);
            }
            Outcome::Done
        });
        self.trace(request, len, Access::Atomic, result, fx);
        if result.outcome == Outcome::Done { old } else { Err(result.outcome) }
    }

    /// A request that was held has ended with `outcome`, for whoever listens; nothing is made of it.
    pub fn ended(&self, request: Request, len: u64, access: Access, outcome: Outcome, fx: &mut Effects) {
        let (initiator, address) = (self.initiator, request.address);
        fx.trace(|| TraceEvent::Dma { initiator, address, len, access, outcome, done: 0 });
    }

    /// Cuts a request into pieces that no 4-KiB border crosses, translates each and hands it to
    /// `access`; stops at the first piece that is refused.
    fn transfer(
        &self,
        request: Request,
        len: usize,
        access: Access,
        fx: &mut Effects,
        mut access_piece: impl FnMut(Place, usize, &mut Effects) -> Outcome,
    ) -> DmaResult {
        let Request { address, pasid, attrs, kind } = request;
        let mut done = 0;
        let outcome = loop {
            let left = len - done;
            let Some(at) = address.checked_add(done as u64) else { break Outcome::Abort(Abort::Ur) };
            // At most a page, so it fits.
            let piece = left.min((PAGE_SIZE - at.page_offset()) as usize);
            let transaction = Transaction {
                initiator: self.initiator,
                pasid,
                address: at,
                len: piece as u64,
                access,
                attrs,
                kind,
            };
            let _inside = self.slot.as_ref().map(Slot::enter);
            let outcome = match self.locate(&transaction, fx) {
                Ok(place) => access_piece(place, piece, fx),
                Err(outcome) => outcome,
            };
            if outcome != Outcome::Done {
                break outcome;
            }
            done += piece;
            if done == len {
                break Outcome::Done;
            }
        };
        DmaResult { done: done as u64, outcome }
    }

    fn trace(&self, request: Request, len: usize, access: Access, result: DmaResult, fx: &mut Effects) {
        let DmaResult { done, outcome } = result;
        let (initiator, address) = (self.initiator, request.address);
        fx.trace(|| TraceEvent::Dma { initiator, address, len: len as u64, access, outcome, done });
    }

    fn locate(&self, transaction: &Transaction, fx: &mut Effects) -> Result<Place, Outcome> {
        let ur = Outcome::Abort(Abort::Ur);
        if !self.enabled {
            return Err(ur);
        }
        match self.iommu.translate(transaction, fx) {
            Verdict::Memory { pa, handle: Some(handle) } => Ok(Place::Ram(handle, pa)),
            // Peer-to-peer is off: what is not RAM has no completer.
            Verdict::Memory { pa, handle: None } => match self.mem.resolve(pa) {
                Some((handle, left)) if transaction.len <= left => Ok(Place::Ram(handle, pa)),
                Some(_) | None => match self.doorbell {
                    Some(doorbell) if transaction.access == Access::Write && doorbell.contains(pa) => {
                        Ok(Place::Doorbell(pa))
                    }
                    _ => Err(ur),
                },
            },
            Verdict::Interrupt => Ok(Place::Message(transaction.address)),
            Verdict::Nothing => Ok(Place::Nowhere),
            Verdict::Refused(outcome) => Err(outcome),
        }
    }
}

impl fmt::Debug for DmaPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DmaPort({}, enabled: {})", self.initiator, self.enabled)
    }
}

/// Where a piece of a DMA goes.
#[derive(Clone, Copy)]
enum Place {
    Ram(Handle, Pa),
    Message(Iova),
    Doorbell(Pa),
    Nowhere,
}

impl Place {
    fn read(self, mem: &PhysMem, data: &mut [u8]) {
        if let Self::Ram(handle, pa) = self
            && mem.read_at(handle, data).is_err()
        {
            // A page may span two regions that touch.
            let _ = mem.read(pa, data);
        }
    }

    fn write(self, mem: &PhysMem, data: &[u8]) {
        if let Self::Ram(handle, pa) = self
            && mem.write_at(handle, data).is_err()
        {
            let _ = mem.write(pa, data);
        }
    }
}
