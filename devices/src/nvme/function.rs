//! The controller as a PCI function.

use super::controller::{Controller, Outside};
use super::data::Bus;
use super::engine::STEP;
use super::registers::Registers;
use super::{Nvme, State, VECTORS};
use crate::pci::{
    BarKind, BarSpec, Context, Description, Endpoint, EndpointState, Mastering, MsixSpec, Pin, StateError,
    Timer,
};
use crate::register::block::{self, Rules};

/// What the controller is to configuration software.
pub const DESCRIPTION: Description = Description {
    model: "nvme",
    vendor: 0x1234,
    device: 0x1078,
    revision: 1,
    class: 0x01_0802,
    subsystem_vendor: 0x1234,
    subsystem: 0x1078,
    bars: &[BarSpec::new(0, BarKind::Memory64 { prefetchable: false }, 0x4000)],
    pin: Some(Pin::A),
    msi: None,
    msix: Some(MsixSpec { vectors: VECTORS, bar: 0, table: 0x2000, pending: 0x3000 }),
    express: true,
    mastering: Mastering::Gated,
};

impl Nvme {
    /// The controller and what it works with during one step.
    fn parts<'a, 'b>(&'a mut self, cx: &'a mut Context<'b>) -> (&'a mut Controller, Outside<'a, 'b>) {
        let Self { config, controller, medium } = self;
        (controller, Outside { config, medium: &mut **medium, bus: Bus { cx, pieces: STEP } })
    }
}

impl Endpoint for Nvme {
    fn describe(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn read(&mut self, _: u8, offset: u64, data: &mut [u8], cx: &mut Context<'_>) {
        let (controller, mut out) = self.parts(cx);
        block::read(&mut Registers { controller, out: &mut out }, Rules::Aligned32Or64, offset, data);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        let (controller, mut out) = self.parts(cx);
        block::write(&mut Registers { controller, out: &mut out }, Rules::Aligned32Or64, offset, data);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_>) {
        let (controller, mut out) = self.parts(cx);
        controller.run(&mut out);
    }

    /// The logs outlive it [NVMe 5.14.1].
    fn reset(&mut self) {
        let Controller { errors, health, .. } = std::mem::take(&mut self.controller);
        self.controller = Controller { errors, health, ..Controller::default() };
    }

    fn save(&self) -> EndpointState {
        let Self { config: _, controller, medium } = self;
        EndpointState::Nvme(Box::new(State { controller: controller.clone(), medium: medium.save() }))
    }

    fn restore(&mut self, state: EndpointState) -> Result<(), StateError> {
        let EndpointState::Nvme(state) = state else {
            return Err(StateError::Model { expected: DESCRIPTION.model, found: state.model() });
        };
        let State { controller, medium } = *state;
        let invalid = |what| StateError::Invalid { model: DESCRIPTION.model, what };
        controller.check().map_err(invalid)?;
        self.medium.restore(medium).map_err(invalid)?;
        self.controller = controller;
        Ok(())
    }
}
