//! Who decodes an access to memory or I/O space.

use super::host::Host;
use super::node::Body;
use crate::fabric::Effects;

/// The address space of an access.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Memory,
    Io,
}

/// Who decodes an access.
struct Claim {
    node: usize,
    bar: u8,
    offset: u64,
    /// Bytes from the first on that it decodes.
    left: u64,
}

impl Host {
    /// Who decodes `address`; of several, the one with the lowest requester id.
    fn claim(&self, space: Space, address: u64) -> Option<Claim> {
        let claims = self.nodes.iter().enumerate().filter_map(|(index, node)| {
            let Body::Endpoint(function) = &node.body else { return None };
            let window = match node.parent.and_then(|at| self.bridge(at)) {
                None => u64::MAX,
                Some(_) if space == Space::Io => return None,
                Some(port) => port.window(address)?,
            };
            function.description.bars.iter().find_map(|bar| {
                if bar.kind().is_memory() != (space == Space::Memory) {
                    return None;
                }
                let (offset, left) = bar.decode(&function.wiring.config, address)?;
                Some(Claim { node: index, bar: bar.index(), offset, left: left.min(window) })
            })
        });
        claims.min_by_key(|claim| self.source(&self.nodes[claim.node]))
    }

    pub(super) fn read_space(
        &mut self,
        space: Space,
        address: u64,
        data: &mut [u8],
        fx: &mut Effects,
    ) -> bool {
        let Some(Claim { node, bar, offset, left }) = self.claim(space, address) else { return false };
        let Body::Endpoint(function) = &mut self.nodes[node].body else { return false };
        let inside = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
        data[inside..].fill(0xff);
        function.read_bar(bar, offset, &mut data[..inside], fx);
        self.refresh(fx);
        true
    }

    pub(super) fn write_space(&mut self, space: Space, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        let Some(Claim { node, bar, offset, left }) = self.claim(space, address) else { return false };
        let Body::Endpoint(function) = &mut self.nodes[node].body else { return false };
        let inside = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
        function.write_bar(bar, offset, &data[..inside], fx);
        self.refresh(fx);
        true
    }
}
