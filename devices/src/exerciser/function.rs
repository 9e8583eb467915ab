//! The exerciser as a PCI function.

use super::{Exerciser, MSIX};
use crate::pci::{
    BarKind, BarSpec, Context, Description, Endpoint, EndpointState, Mastering, StateError, Timer,
};
use crate::register::block::{self, Rules};

/// What the exerciser is to configuration software.
pub const DESCRIPTION: Description = Description {
    model: "exerciser",
    vendor: 0x1234,
    device: 0x1077,
    revision: 1,
    class: 0x08_8000,
    subsystem_vendor: 0x1234,
    subsystem: 0x1077,
    bars: &[BarSpec::new(0, BarKind::Memory64 { prefetchable: false }, 0x8000)],
    pin: None,
    msi: None,
    msix: Some(MSIX),
    express: true,
    mastering: Mastering::Gated,
};

impl Endpoint for Exerciser {
    fn describe(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn read(&mut self, _: u8, offset: u64, data: &mut [u8], cx: &mut Context<'_>) {
        block::read(&mut self.registers(cx), Rules::ByteLanes, offset, data);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        block::write(&mut self.registers(cx), Rules::ByteLanes, offset, data);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_>) {
        self.due(cx);
    }

    fn reset(&mut self) {
        self.clear();
    }

    fn save(&self) -> EndpointState {
        EndpointState::Exerciser(Box::new(self.to_state()))
    }

    fn restore(&mut self, state: EndpointState) -> Result<(), StateError> {
        let EndpointState::Exerciser(state) = state else {
            return Err(StateError::Model { expected: DESCRIPTION.model, found: state.model() });
        };
        self.take_state(*state).map_err(|what| StateError::Invalid { model: DESCRIPTION.model, what })
    }
}
