//! What a model of a PCI function is, and what it is given to work with.

use serde::{Deserialize, Serialize};

use super::bar::BarSpec;
use super::function::Wiring;
use super::lines::Pin;
use super::msi::MsiSpec;
use super::msix::MsixSpec;
use super::state::StateError;
use crate::events::Time;
use crate::fabric::{AtomicOp, DmaResult, Effects, Outcome, Request};
use crate::{edu, exerciser, iommu_testdev, nvme};

/// When a function may master the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mastering {
    /// While Bus Master Enable is set on the way to the root complex, as the specification says.
    Gated,
    /// Always. Not what PCI functions do: for test devices whose clients do not set the bit.
    Always,
}

/// What a model is, as configuration software sees it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Name of the model, for people.
    pub model: &'static str,
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Revision ID.
    pub revision: u8,
    /// Class code: base class 23:16, sub-class 15:8, programming interface 7:0.
    pub class: u32,
    /// Subsystem Vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
    /// BARs, each at most once.
    pub bars: &'static [BarSpec],
    /// Legacy interrupt pin.
    pub pin: Option<Pin>,
    /// MSI capability.
    pub msi: Option<MsiSpec>,
    /// MSI-X capability.
    pub msix: Option<MsixSpec>,
    /// Whether it has a PCI Express capability, with function-level reset: an endpoint behind a
    /// root port, a root-complex integrated endpoint on the root bus. Else it is conventional PCI.
    pub express: bool,
    /// When it may master the bus.
    pub mastering: Mastering,
}

/// A timer of a function. A model has two, each set or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The first.
    Main,
    /// The second.
    Second,
}

impl Timer {
    /// How many there are.
    pub(super) const COUNT: usize = 2;

    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Main => 0,
            Self::Second => 1,
        }
    }

    pub(super) const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Main),
            1 => Some(Self::Second),
            _ => None,
        }
    }
}

/// A model of a PCI function.
///
/// No method panics or works without bound, whatever offsets, lengths and data it is given. Offsets
/// lie inside the BAR; an access may reach beyond its end only if the BAR is smaller than the access.
pub trait Endpoint: Send {
    /// What the function is. It never changes.
    fn describe(&self) -> &'static Description;

    /// Software reads `data.len()` bytes at `offset` of BAR `bar`.
    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], cx: &mut Context<'_>);

    /// Software writes `data` at `offset` of BAR `bar`.
    fn write(&mut self, bar: u8, offset: u64, data: &[u8], cx: &mut Context<'_>);

    /// A timer that the model set is due; it is off now.
    fn timer(&mut self, timer: Timer, cx: &mut Context<'_>);

    /// Everything back to its reset value. Timers are off and INTx is low already.
    fn reset(&mut self);

    /// The model as data.
    fn save(&self) -> EndpointState;

    /// Takes over what was saved.
    ///
    /// # Errors
    /// [`StateError`] if it is not a state of this model; nothing has changed then.
    fn restore(&mut self, state: EndpointState) -> Result<(), StateError>;
}

/// A saved model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointState {
    /// Of an [`edu::Edu`].
    Edu(edu::State),
    /// Of an [`exerciser::Exerciser`].
    Exerciser(Box<exerciser::State>),
    /// Of an [`iommu_testdev::IommuTestdev`].
    IommuTestdev(iommu_testdev::State),
    /// Of an [`nvme::Nvme`].
    Nvme(Box<nvme::State>),
}

impl EndpointState {
    /// Name of the model, as its description has it.
    pub fn model(&self) -> &'static str {
        match self {
            Self::Edu(_) => edu::DESCRIPTION.model,
            Self::Exerciser(_) => exerciser::DESCRIPTION.model,
            Self::IommuTestdev(_) => iommu_testdev::DESCRIPTION.model,
            Self::Nvme(_) => nvme::DESCRIPTION.model,
        }
    }
}

/// What a model can do while it runs: DMA through its port, interrupts, timers.
pub struct Context<'a> {
    pub(super) wiring: &'a mut Wiring,
    pub(super) fx: &'a mut Effects,
}

impl Context<'_> {
    /// Machine time.
    pub fn now(&self) -> Time {
        self.fx.now()
    }

    /// Reads memory by DMA; see [`DmaPort::read`](crate::fabric::DmaPort::read).
    pub fn dma_read(&mut self, request: Request, data: &mut [u8]) -> DmaResult {
        self.wiring.dma_read(request, data, self.fx)
    }

    /// Writes memory by DMA; see [`DmaPort::write`](crate::fabric::DmaPort::write).
    pub fn dma_write(&mut self, request: Request, data: &[u8]) -> DmaResult {
        self.wiring.dma_write(request, data, self.fx)
    }

    /// Updates memory by DMA; see [`DmaPort::atomic`](crate::fabric::DmaPort::atomic).
    ///
    /// # Errors
    /// The outcome, if it is not [`Outcome::Done`].
    pub fn dma_atomic(&mut self, request: Request, op: AtomicOp) -> Result<u64, Outcome> {
        self.wiring.dma_atomic(request, op, self.fx)
    }

    /// The event of message vector `vector` has occurred. By MSI-X or MSI, whichever is enabled, its
    /// message is sent or becomes pending; if neither is, nothing happens.
    pub fn interrupt(&mut self, vector: u16) {
        self.wiring.interrupt(vector, self.fx);
    }

    /// The level that the model wants on its interrupt pin; it reaches the pin only while neither
    /// MSI nor MSI-X is enabled and Interrupt Disable is clear.
    pub fn set_intx(&mut self, level: bool) {
        self.wiring.set_intx(level);
    }

    /// Sets `timer` to `ns` nanoseconds from now, instead of any earlier setting. With 0 it comes
    /// after what else is due now.
    pub fn set_timer(&mut self, timer: Timer, ns: u64) {
        self.wiring.set_timer(timer, ns, self.fx);
    }

    /// Turns `timer` off.
    pub fn clear_timer(&mut self, timer: Timer) {
        self.wiring.clear_timer(timer);
    }
}
