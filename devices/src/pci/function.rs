//! An endpoint in its slot: the model, and all that the specification puts around it.

use super::config::{Builder, ConfigSpace};
use super::endpoint::{Context, Description, Endpoint, Mastering, Timer};
use super::express;
use super::header::{self, COMMAND, CommandStatus};
use super::msi::Msi;
use super::msix::{Msix, Part};
use super::state::{FunctionState, StateError};
use crate::addr::SourceId;
use crate::alarm::{Alarm, Fired};
use crate::events::{DeviceEvent, DeviceId};
use crate::fabric::{Abort, AtomicOp, DmaPort, DmaResult, Effects, Outcome, Request};
use crate::register::block::{self, Rules};
use crate::vectors::Message;

/// The parts of a function that are not the model.
pub(super) struct Wiring {
    pub(super) config: ConfigSpace,
    port: DmaPort,
    source: SourceId,
    express: Option<u16>,
    msi: Option<Msi>,
    msix: Option<Msix>,
    intx: bool,
    alarms: [Alarm; Timer::COUNT],
}

impl Wiring {
    pub(super) fn dma_read(&mut self, request: Request, data: &mut [u8], fx: &mut Effects) -> DmaResult {
        let result = self.port.read(request, data, fx);
        self.note(result.outcome);
        result
    }

    pub(super) fn dma_write(&mut self, request: Request, data: &[u8], fx: &mut Effects) -> DmaResult {
        let result = self.port.write(request, data, fx);
        self.note(result.outcome);
        result
    }

    pub(super) fn dma_atomic(
        &mut self,
        request: Request,
        op: AtomicOp,
        fx: &mut Effects,
    ) -> Result<u64, Outcome> {
        let result = self.port.atomic(request, op, fx);
        self.note(result.err().unwrap_or(Outcome::Done));
        result
    }

    /// Records in the Status register how a request ended [PCIe 7.5.1.1.4].
    ///
    /// DEVIATION: a posted write has no completion, but one that was refused is recorded too.
    fn note(&mut self, outcome: Outcome) {
        let status = match outcome {
            // Without Bus Master Enable nothing reached the bus, so nothing came back.
            Outcome::Abort(_) if !self.port.is_enabled() => return,
            Outcome::Abort(Abort::Ur) => CommandStatus::ZERO.with_received_master_abort(true),
            Outcome::Abort(Abort::Ca) => CommandStatus::ZERO.with_received_target_abort(true),
            Outcome::Done | Outcome::Raz | Outcome::Stalled(_) => return,
        };
        self.config.update(COMMAND, status.raw(), status.raw());
    }

    pub(super) fn interrupt(&mut self, vector: u16, fx: &mut Effects) {
        let message = match (&mut self.msix, &self.msi) {
            (Some(msix), _) if msix.enabled(&self.config) => msix.raise(&self.config, vector),
            (_, Some(msi)) if msi.enabled(&self.config) => msi.raise(&mut self.config, vector),
            _ => None,
        };
        if let Some(message) = message {
            self.send(message, fx);
        }
    }

    /// Sends what was pending and may go now.
    fn send_unmasked(&mut self, fx: &mut Effects) {
        while let Some(message) = self.msix.as_mut().and_then(|msix| msix.unmasked(&self.config)) {
            self.send(message, fx);
        }
        while let Some(message) = self.msi.and_then(|msi| msi.unmasked(&mut self.config)) {
            self.send(message, fx);
        }
    }

    fn send(&mut self, message: Message, fx: &mut Effects) {
        // A message that is refused is lost: its sender learns nothing [PCIe 7.7].
        let _ = self.dma_write(Request::at(message.address), &message.data.to_le_bytes(), fx);
    }

    /// Whether requests reach the bus.
    pub(super) fn masters(&self) -> bool {
        self.port.is_enabled()
    }

    pub(super) fn set_intx(&mut self, level: bool) {
        self.intx = level;
    }

    pub(super) fn set_timer(&mut self, timer: Timer, ns: u64, fx: &mut Effects) {
        let now = fx.now();
        if let Some(at) = self.alarm(timer).set(now.after(ns)) {
            fx.schedule_after(at.0.saturating_sub(now.0), DeviceEvent::Timer(timer.number()));
        }
    }

    pub(super) fn clear_timer(&mut self, timer: Timer) {
        self.alarm(timer).clear();
    }

    fn alarm(&mut self, timer: Timer) -> &mut Alarm {
        let [main, second] = &mut self.alarms;
        match timer {
            Timer::Main => main,
            Timer::Second => second,
        }
    }

    fn command(&self) -> CommandStatus {
        CommandStatus::from_raw(self.config.dword(COMMAND))
    }

    /// Brings the INTx Status bit up to date and returns the level of the pin.
    fn pin_level(&mut self) -> bool {
        let messages = self.msi.is_some_and(|msi| msi.enabled(&self.config))
            || self.msix.as_ref().is_some_and(|msix| msix.enabled(&self.config));
        let pending = self.intx && !messages;
        let status = CommandStatus::ZERO.with_interrupt(true).raw();
        self.config.update(COMMAND, status, if pending { status } else { 0 });
        pending && !self.command().interrupt_disable()
    }
}

/// An endpoint in its slot.
pub(super) struct Function {
    pub(super) id: DeviceId,
    pub(super) description: &'static Description,
    model: Box<dyn Endpoint>,
    pub(super) wiring: Wiring,
}

impl Function {
    /// `source` is the id before any bus number is captured.
    pub(super) fn new(
        id: DeviceId,
        model: Box<dyn Endpoint>,
        port: DmaPort,
        source: SourceId,
        kind: express::Kind,
    ) -> Self {
        let description = model.describe();
        let mut builder = Builder::new(description.express);
        header::type0(&mut builder, description);
        let msi = description.msi.map(|spec| Msi::build(&mut builder, spec));
        let msix = description.msix.map(|spec| Msix::build(&mut builder, spec));
        let express = description.express.then(|| express::build(&mut builder, kind));
        let wiring = Wiring {
            config: builder.finish(),
            port,
            source,
            express,
            msi,
            msix,
            intx: false,
            alarms: Default::default(),
        };
        Self { id, description, model, wiring }
    }

    /// A configuration write that named the function as `source`: it captures its bus number
    /// [PCIe 2.2.6.2].
    pub(super) fn write_config(&mut self, source: SourceId, offset: u64, data: &[u8], fx: &mut Effects) {
        fx.set_device(self.id);
        self.wiring.source = source;
        self.wiring.config.write(offset, data);
        if self.wiring.express.is_some_and(|at| express::initiates_flr(&self.wiring.config, at)) {
            self.reset();
        }
    }

    /// Follows what configuration software wrote; `upstream` says whether the bridges above let
    /// the function master the bus. Returns the level of its interrupt pin.
    pub(super) fn refresh(&mut self, upstream: bool, fx: &mut Effects) -> bool {
        let wiring = &mut self.wiring;
        let enabled = match self.description.mastering {
            Mastering::Gated => upstream && wiring.command().master(),
            Mastering::Always => true,
        };
        wiring.port.set_enabled(enabled);
        wiring.port.set_source(wiring.source);
        wiring.send_unmasked(fx);
        wiring.pin_level()
    }

    pub(super) fn read_bar(&mut self, bar: u8, offset: u64, data: &mut [u8], fx: &mut Effects) {
        fx.set_device(self.id);
        let mut done = 0;
        while done < data.len() {
            let (part, len) = self.piece(bar, offset, done, data.len());
            let piece = &mut data[done..done + len];
            match (part, &mut self.wiring.msix) {
                (Part::Table(at), Some(msix)) => block::read(&mut msix.table(), Rules::ByteLanes, at, piece),
                (Part::Pending(at), Some(msix)) => {
                    block::read(&mut msix.pending(), Rules::ByteLanes, at, piece);
                }
                _ => {
                    let mut cx = Context { wiring: &mut self.wiring, fx };
                    self.model.read(bar, offset + done as u64, piece, &mut cx);
                }
            }
            done += len;
        }
    }

    pub(super) fn write_bar(&mut self, bar: u8, offset: u64, data: &[u8], fx: &mut Effects) {
        fx.set_device(self.id);
        let mut done = 0;
        while done < data.len() {
            let (part, len) = self.piece(bar, offset, done, data.len());
            let piece = &data[done..done + len];
            match (part, &mut self.wiring.msix) {
                (Part::Table(at), Some(msix)) => block::write(&mut msix.table(), Rules::ByteLanes, at, piece),
                (Part::Pending(at), Some(msix)) => {
                    block::write(&mut msix.pending(), Rules::ByteLanes, at, piece);
                }
                _ => {
                    let mut cx = Context { wiring: &mut self.wiring, fx };
                    self.model.write(bar, offset + done as u64, piece, &mut cx);
                }
            }
            done += len;
        }
    }

    /// What an access of `len` bytes at `offset` meets after `done` bytes, and for how many more.
    fn piece(&self, bar: u8, offset: u64, done: usize, len: usize) -> (Part, usize) {
        let (part, left) = match &self.wiring.msix {
            Some(msix) => msix.locate(bar, offset + done as u64),
            None => (Part::Model, u64::MAX),
        };
        (part, usize::try_from(left).map_or(len - done, |left| left.min(len - done)))
    }

    pub(super) fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        fx.set_device(self.id);
        let timer = match event {
            DeviceEvent::Timer(number) => Timer::from_number(number),
            DeviceEvent::Work => None,
        };
        let Some(timer) = timer else { return };
        let now = fx.now();
        match self.wiring.alarm(timer).fire(now) {
            Fired::Due => {
                let mut cx = Context { wiring: &mut self.wiring, fx };
                self.model.timer(timer, &mut cx);
            }
            Fired::Early(Some(at)) => {
                fx.schedule_after(at.0.saturating_sub(now.0), DeviceEvent::Timer(timer.number()));
            }
            Fired::Early(None) => {}
        }
    }

    /// A function-level or conventional reset: all but the captured bus number, and the knowledge
    /// of events still to come.
    pub(super) fn reset(&mut self) {
        let Wiring { config, port: _, source: _, express: _, msi: _, msix, intx, alarms } = &mut self.wiring;
        config.reset();
        if let Some(msix) = msix {
            msix.reset();
        }
        *intx = false;
        alarms.iter_mut().for_each(Alarm::clear);
        self.model.reset();
    }

    /// The machine starts anew, with an empty event queue.
    pub(super) fn power_on(&mut self, source: SourceId) {
        self.reset();
        self.wiring.source = source;
        self.wiring.alarms = Default::default();
    }

    pub(super) fn save(&self) -> FunctionState {
        let Self { id: _, description: _, model, wiring } = self;
        let Wiring { config, port: _, source, express: _, msi: _, msix, intx, alarms } = wiring;
        FunctionState::Endpoint {
            config: config.save(),
            source: *source,
            msix: msix.as_ref().map(Msix::save).unwrap_or_default(),
            intx: *intx,
            alarms: alarms.clone(),
            model: model.save(),
        }
    }

    pub(super) fn restore(&mut self, state: FunctionState) -> Result<(), StateError> {
        let name = self.description.model;
        let FunctionState::Endpoint { config, source, msix, intx, alarms, model } = state else {
            return Err(StateError::Model { expected: name, found: state.model() });
        };
        let wiring = &mut self.wiring;
        let fits = wiring.config.fits(&config)
            && wiring.msix.as_ref().map_or(msix.is_empty(), |here| here.fits(&msix));
        if !fits {
            return Err(StateError::Invalid { model: name, what: "its configuration space or MSI-X table" });
        }
        self.model.restore(model)?;
        wiring.config.restore(&config);
        if let Some(here) = &mut wiring.msix {
            here.restore(msix);
        }
        wiring.source = source;
        wiring.intx = intx;
        wiring.alarms = alarms;
        Ok(())
    }
}
