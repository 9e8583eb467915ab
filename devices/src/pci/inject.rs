//! Requests that somebody outside the guest has a function make.

use super::host::Host;
use super::node::Body;
use crate::events::DeviceId;
use crate::fabric::{DmaResult, Effects, Request};

impl Host {
    /// Has the endpoint `id` read memory by DMA although its model did not ask for it; `None` if
    /// there is no such endpoint.
    ///
    /// The request is like any other of the function: without Bus Master Enable it does not reach the
    /// bus, and how it ends is recorded in the Status register.
    pub fn dma_read(
        &mut self,
        id: DeviceId,
        request: Request,
        data: &mut [u8],
        fx: &mut Effects,
    ) -> Option<DmaResult> {
        self.endpoint(id).map(|function| function.wiring.dma_read(request, data, fx))
    }

    /// Has the endpoint `id` write memory by DMA; see [`Self::dma_read`].
    pub fn dma_write(
        &mut self,
        id: DeviceId,
        request: Request,
        data: &[u8],
        fx: &mut Effects,
    ) -> Option<DmaResult> {
        self.endpoint(id).map(|function| function.wiring.dma_write(request, data, fx))
    }

    /// Whether requests of the endpoint `id` reach the bus: Bus Master Enable is set in it and in
    /// the root port above it [PCIe 7.5.1.1.3].
    pub fn is_master(&self, id: DeviceId) -> Option<bool> {
        self.nodes.iter().find_map(|node| match &node.body {
            Body::Endpoint(function) if function.id == id => Some(function.wiring.masters()),
            _ => None,
        })
    }
}
