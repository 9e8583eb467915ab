//! A root port: a bridge from the root bus to the one device behind it.

use super::config::{Builder, ConfigSpace};
use super::express;
use super::header::{
    BUS_NUMBERS, BridgeControl, BusNumbers, COMMAND, CommandStatus, Common, INTERRUPT, MEMORY, MemoryWindow,
    PREFETCH, PREFETCH_BASE_UPPER, PREFETCH_LIMIT_UPPER, PrefetchWindow, SecondaryStatus,
};

/// A root port, with the identity of the one that virtual machines commonly have.
pub(super) struct RootPort {
    pub(super) name: String,
    pub(super) config: ConfigSpace,
}

impl RootPort {
    pub(super) fn new(name: &str) -> Self {
        let mut builder = Builder::new(true);
        Common { vendor: 0x1b36, device: 0x000c, revision: 0, class: 0x06_0400, layout: 1 }
            .build(&mut builder);
        builder.register(BUS_NUMBERS, BusNumbers::ZERO);
        builder.register(0x1c, SecondaryStatus::ZERO);
        builder.register(MEMORY, MemoryWindow::ZERO);
        builder.register(PREFETCH, PrefetchWindow::ZERO.with_base_kind(1).with_limit_kind(1));
        builder.raw(PREFETCH_BASE_UPPER, 0, u32::MAX);
        builder.raw(PREFETCH_LIMIT_UPPER, 0, u32::MAX);
        builder.register(INTERRUPT, BridgeControl::ZERO);
        express::build(&mut builder, express::Kind::RootPort);
        Self { name: name.to_owned(), config: builder.finish() }
    }

    /// Number of the bus behind the port; 0 until software has given it one.
    pub(super) fn secondary(&self) -> u8 {
        BusNumbers::from_raw(self.config.dword(BUS_NUMBERS)).secondary()
    }

    /// Whether a configuration request for `bus` is passed on as one for the device behind the port.
    pub(super) fn leads_to(&self, bus: u8) -> bool {
        bus != 0 && bus == self.secondary() && !self.in_reset()
    }

    /// Whether the device behind the port is held in reset [PCIe 7.5.1.3.13].
    pub(super) fn in_reset(&self) -> bool {
        BridgeControl::from_raw(self.config.dword(INTERRUPT)).secondary_reset()
    }

    /// Whether requests from behind the port are passed on. A device held in reset makes none.
    pub(super) fn masters(&self) -> bool {
        self.command().master()
    }

    /// How many bytes from `address` on are passed to the device behind the port; `None` if it is
    /// not in a window.
    pub(super) fn window(&self, address: u64) -> Option<u64> {
        if !self.command().memory() || self.in_reset() {
            return None;
        }
        let memory = MemoryWindow::from_raw(self.config.dword(MEMORY));
        let prefetch = PrefetchWindow::from_raw(self.config.dword(PREFETCH));
        let upper = |offset| u64::from(self.config.dword(offset)) << 32;
        [
            (0, memory.base(), 0, memory.limit()),
            (upper(PREFETCH_BASE_UPPER), prefetch.base(), upper(PREFETCH_LIMIT_UPPER), prefetch.limit()),
        ]
        .into_iter()
        .map(|(base_upper, base, limit_upper, limit)| {
            (base_upper | u64::from(base) << 20, limit_upper | u64::from(limit) << 20 | 0xf_ffff)
        })
        .filter(|(base, limit)| (base..=limit).contains(&&address))
        .map(|(_, limit)| (limit - address).saturating_add(1))
        .max()
    }

    fn command(&self) -> CommandStatus {
        CommandStatus::from_raw(self.config.dword(COMMAND))
    }
}
