//! What a model wants done elsewhere, queued until its caller delivers it.

use super::{Initiator, Resumption, StallTag};
use crate::events::{DeviceEvent, DeviceId, Time};
use crate::iommu::{Stale, UnitId};
use crate::trace::TraceEvent;
use crate::{smmuv3, vtd};

/// Something for the machine to do after the model has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A message interrupt that passed the IOMMU, for the interrupt controllers.
    Interrupt {
        /// Who sent it.
        initiator: Initiator,
        /// Address in the message window, or of the doorbell.
        address: u64,
        /// Data.
        data: u32,
    },
    /// A 4-byte write of a model that is no bus master (an IOMMU's own message interrupt); see
    /// [`posted_write`](super::posted_write).
    PostedWrite {
        /// Which unit.
        unit: UnitId,
        /// Physical address.
        address: u64,
        /// Data.
        data: u32,
    },
    /// An event for the control half of the SMMUv3 that stands before the bus master.
    Event {
        /// Which of the machine's units that is.
        unit: UnitId,
        /// The event.
        report: smmuv3::Report,
    },
    /// A fault for the control half of the VT-d unit that stands before the bus master.
    Fault {
        /// Which of the machine's units that is.
        unit: UnitId,
        /// The fault.
        fault: vtd::Fault,
    },
    /// The IOMMU's sanitizer saw a cached entry used that memory no longer bears out.
    Stale {
        /// The unit that used it.
        unit: UnitId,
        /// The use.
        stale: Stale,
    },
    /// A held transaction goes on, or ends.
    Resume {
        /// Which one.
        tag: StallTag,
        /// How.
        how: Resumption,
    },
    /// An edge on an interrupt line: it was asserted and released.
    Pulse {
        /// Global system interrupt number.
        line: u32,
    },
    /// A unit sends an event to every CPU, as SEV does: WFE ends.
    SendEvent {
        /// Which unit.
        unit: UnitId,
    },
    /// A level-triggered interrupt line changed.
    Line {
        /// Global system interrupt number.
        line: u32,
        /// The new level.
        asserted: bool,
    },
    /// Call a model back.
    Schedule {
        /// Which one.
        device: DeviceId,
        /// When.
        time: Time,
        /// With what.
        event: DeviceEvent,
    },
}

/// The output of a model: effects in order, trace events in order, and the time that is "now".
#[derive(Debug, Default)]
pub struct Effects {
    now: Time,
    device: DeviceId,
    queue: Vec<Effect>,
    trace: Option<Vec<TraceEvent>>,
}

impl Effects {
    /// An empty output at time `now`; trace events are kept if `traced`.
    pub fn new(now: Time, traced: bool) -> Self {
        Self { now, device: DeviceId::default(), queue: Vec::new(), trace: traced.then(Vec::new) }
    }

    /// Machine time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Moves the time that models see.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// Says which model is about to be called, so that what it schedules comes back to it.
    pub fn set_device(&mut self, device: DeviceId) {
        self.device = device;
    }

    /// Queues an effect.
    pub fn push(&mut self, effect: Effect) {
        self.queue.push(effect);
    }

    /// Asks for the model now running to be called back `ns` nanoseconds from now.
    pub fn schedule_after(&mut self, ns: u64, event: DeviceEvent) {
        self.push(Effect::Schedule { device: self.device, time: self.now.after(ns), event });
    }

    /// Records what happened; `event` is only evaluated if somebody listens.
    pub fn trace(&mut self, event: impl FnOnce() -> TraceEvent) {
        if let Some(events) = &mut self.trace {
            events.push(event());
        }
    }

    /// Whether trace events are kept. A caller on the hot path asks first and builds the event in a
    /// cold function: what an event captures would otherwise be spilled whether anybody listens or not.
    pub fn traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Removes and returns all effects, oldest first.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.queue)
    }

    /// Removes and returns all trace events, oldest first.
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
