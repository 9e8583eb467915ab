//! The root complex: where an access goes.

use super::decode::Space;
use super::endpoint::Endpoint;
use super::express;
use super::function::Function;
use super::header::{self, HEADER, HeaderType};
use super::lines::{Intx, Pin};
use super::node::{Body, Node};
use super::placement::{AddError, Bus, FunctionInfo, FunctionKind, Placement};
use super::root_port::RootPort;
use super::state::{FunctionState, State, StateError};
use crate::addr::SourceId;
use crate::events::{DeviceEvent, DeviceId};
use crate::fabric::{DmaPort, Effect, Effects};
use crate::register;

/// I/O port of the configuration address register.
const CONFIG_ADDRESS: u16 = 0xcf8;
/// First of the four I/O ports of the configuration data register.
const CONFIG_DATA: u16 = 0xcfc;

register! {
    /// The configuration address register, CONFIG_ADDRESS [PCI 3.2.2.3.2].
    ///
    /// DEVIATION: bits 1:0 are reserved there. QEMU has them name a byte together with the data port,
    /// and guests that were only ever run there leave the port at its first byte.
    struct ConfigAddress: u32 {
        31:31 Rw    enable: bool,
        30:24 RsvdZ _r0,
        23:8  Rw    source: u16,
        7:2   Rw    dword: u8,
        1:0   Rw    byte: u8,
    }
}

/// The PCI root complex of a machine, with all its functions. See the
/// [module documentation](super).
pub struct Host {
    pub(super) nodes: Vec<Node>,
    config_address: ConfigAddress,
    intx: Intx,
    /// Levels of the interrupt lines from the first on, as last reported.
    lines: u8,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A root complex with nothing but its host bridge, 00:00.0, whose pins lead where those of an ICH9
    /// lead.
    pub fn new() -> Self {
        Self::with_intx(Intx::default())
    }

    /// As [`Self::new`], with other lines.
    pub fn with_intx(intx: Intx) -> Self {
        let body = Body::HostBridge(header::host_bridge());
        let nodes = vec![Node { parent: None, device: 0, function: 0, body }];
        Self { nodes, config_address: ConfigAddress::ZERO, intx, lines: 0 }
    }

    /// Adds a root port at `device`.`function` of bus 0.
    ///
    /// # Errors
    /// [`AddError`] if the place or the name cannot be had.
    pub fn add_root_port(&mut self, name: &str, device: u8, function: u8) -> Result<(), AddError> {
        if self.root_port(name).is_some() {
            return Err(AddError::DuplicateRootPort(name.to_owned()));
        }
        let parent = self.check_place(Placement { bus: Bus::Root, device, function })?;
        self.insert(Node { parent, device, function, body: Body::RootPort(RootPort::new(name)) });
        Ok(())
    }

    /// Adds a function. `port` is its way to memory: the host keeps its requester id and its enable
    /// up to date. Events for `id` are then passed to [`Self::event`].
    ///
    /// # Errors
    /// [`AddError`] if the place cannot be had.
    ///
    /// # Panics
    /// If another function has that `id`.
    pub fn add_endpoint(
        &mut self,
        at: Placement<'_>,
        id: DeviceId,
        port: DmaPort,
        model: Box<dyn Endpoint>,
    ) -> Result<(), AddError> {
        assert!(self.endpoint(id).is_none(), "every function has a number of its own");
        let parent = self.check_place(at)?;
        let Placement { device, function, .. } = at;
        let kind = match parent {
            Some(_) => express::Kind::Endpoint,
            None => express::Kind::RootComplexEndpoint,
        };
        let source = SourceId::new(0, device, function);
        let mut body = Function::new(id, model, port, source, kind);
        // Applies the reset values to the port. Nothing can be pending yet, so there are no effects.
        body.refresh(false, &mut Effects::default());
        self.insert(Node { parent, device, function, body: Body::Endpoint(Box::new(body)) });
        Ok(())
    }

    /// All functions, in the order they were added, the host bridge first.
    pub fn functions(&self) -> impl Iterator<Item = FunctionInfo<'_>> {
        self.nodes.iter().map(|node| {
            let Node { parent, device, function, ref body } = *node;
            let bus = parent.and_then(|at| self.bridge(at)).map_or(Bus::Root, |port| Bus::Behind(&port.name));
            let (kind, bars, pin) = match body {
                Body::HostBridge(_) => (FunctionKind::HostBridge, &[][..], None),
                Body::RootPort(port) => (FunctionKind::RootPort { name: &port.name }, &[][..], None),
                Body::Endpoint(function) => {
                    let Function { id, description, .. } = &**function;
                    let kind = FunctionKind::Endpoint { id: *id, model: description.model };
                    (kind, description.bars, description.pin)
                }
            };
            FunctionInfo {
                placement: Placement { bus, device, function },
                kind,
                source: (parent.is_none() || self.bus(node) != 0).then(|| self.source(node)),
                bars,
                line: pin.map(|pin| self.line(node, pin)),
            }
        })
    }

    /// Configuration read of `data.len()` bytes at `offset` of a function. What does not exist reads
    /// as ones.
    pub fn read_config(&mut self, source: SourceId, offset: u64, data: &mut [u8]) {
        match self.route(source) {
            Some(node) => self.nodes[node].body.config().read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// Configuration write. What does not exist takes no notice.
    pub fn write_config(&mut self, source: SourceId, offset: u64, data: &[u8], fx: &mut Effects) {
        let Some(node) = self.route(source) else { return };
        match &mut self.nodes[node].body {
            Body::HostBridge(config) => config.write(offset, data),
            Body::RootPort(port) => {
                let before = port.in_reset();
                port.config.write(offset, data);
                if port.in_reset() && !before {
                    self.reset_behind(node);
                }
            }
            Body::Endpoint(function) => function.write_config(source, offset, data, fx),
        }
        self.refresh(fx);
    }

    /// Read at `offset` of the memory-mapped configuration space of buses 0 to 255
    /// [PCIe 7.2.2].
    pub fn ecam_read(&mut self, offset: u64, data: &mut [u8]) {
        match ecam_source(offset) {
            Some(source) => self.read_config(source, offset % 0x1000, data),
            None => data.fill(0xff),
        }
    }

    /// Write at `offset` of the memory-mapped configuration space of buses 0 to 255.
    pub fn ecam_write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        if let Some(source) = ecam_source(offset) {
            self.write_config(source, offset % 0x1000, data, fx);
        }
    }

    /// Reads I/O ports. Returns whether any of them is the host's or a function's; if none is,
    /// `data` is untouched.
    pub fn io_read(&mut self, port: u16, data: &mut [u8], fx: &mut Effects) -> bool {
        if port == CONFIG_ADDRESS && data.len() == 4 {
            data.copy_from_slice(&self.config_address.raw().to_le_bytes());
            return true;
        }
        let Some(lane) = data_lane(port) else { return self.read_space(Space::Io, port.into(), data, fx) };
        data.fill(0xff);
        if let Some((source, offset, len)) = self.config_target(lane, data.len()) {
            self.read_config(source, offset, &mut data[..len]);
        }
        true
    }

    /// Writes I/O ports. Returns whether any of them is the host's or a function's.
    pub fn io_write(&mut self, port: u16, data: &[u8], fx: &mut Effects) -> bool {
        if port == CONFIG_ADDRESS
            && let Ok(value) = <[u8; 4]>::try_from(data)
        {
            self.config_address = self.config_address.written(u32::from_le_bytes(value));
            return true;
        }
        let Some(lane) = data_lane(port) else { return self.write_space(Space::Io, port.into(), data, fx) };
        if let Some((source, offset, len)) = self.config_target(lane, data.len()) {
            self.write_config(source, offset, &data[..len], fx);
        }
        true
    }

    /// Reads memory space. Returns whether a function decodes the first byte; if none does, `data`
    /// is untouched. The access is that function's: what lies beyond its BAR reads as ones.
    pub fn mmio_read(&mut self, address: u64, data: &mut [u8], fx: &mut Effects) -> bool {
        self.read_space(Space::Memory, address, data, fx)
    }

    /// Writes memory space. Returns whether a function decodes the first byte. The access is that
    /// function's: what lies beyond its BAR is dropped.
    pub fn mmio_write(&mut self, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        self.write_space(Space::Memory, address, data, fx)
    }

    /// Delivers an event that the function `device` has asked for. Events for other devices and
    /// events that are not expected any more do nothing.
    pub fn event(&mut self, device: DeviceId, event: DeviceEvent, fx: &mut Effects) {
        if let Some(function) = self.endpoint(device) {
            function.event(event, fx);
            self.refresh(fx);
        }
    }

    /// Power-on reset of all functions. The machine empties its event queue too.
    pub fn reset(&mut self, fx: &mut Effects) {
        self.config_address = ConfigAddress::ZERO;
        for Node { device, function, body, .. } in &mut self.nodes {
            match body {
                Body::HostBridge(config) => config.reset(),
                Body::RootPort(port) => port.config.reset(),
                Body::Endpoint(endpoint) => endpoint.power_on(SourceId::new(0, *device, *function)),
            }
        }
        self.refresh(fx);
    }

    /// The host and all functions as data.
    pub fn save(&self) -> State {
        let Self { nodes, config_address, intx: _, lines } = self;
        let functions = nodes
            .iter()
            .map(|node| match &node.body {
                Body::HostBridge(config) => FunctionState::HostBridge { config: config.save() },
                Body::RootPort(port) => FunctionState::RootPort { config: port.config.save() },
                Body::Endpoint(function) => function.save(),
            })
            .collect();
        State { config_address: config_address.raw(), lines: *lines, functions }
    }

    /// Takes over what was saved from a host with the same functions, added in the same order.
    ///
    /// # Errors
    /// [`StateError`] if they are not the same; some functions may have been restored then.
    pub fn restore(&mut self, state: State) -> Result<(), StateError> {
        let State { config_address, lines, functions } = state;
        if functions.len() != self.nodes.len() {
            return Err(StateError::Functions { saved: functions.len(), here: self.nodes.len() });
        }
        for (node, saved) in self.nodes.iter_mut().zip(functions) {
            let (expected, here) = match (&mut node.body, &saved) {
                (Body::HostBridge(here), FunctionState::HostBridge { config }) => (config.clone(), here),
                (Body::RootPort(here), FunctionState::RootPort { config }) => {
                    (config.clone(), &mut here.config)
                }
                (Body::Endpoint(function), _) => {
                    function.restore(saved)?;
                    continue;
                }
                (Body::HostBridge(_), _) => {
                    return Err(StateError::Model { expected: "host bridge", found: saved.model() });
                }
                (Body::RootPort(_), _) => {
                    return Err(StateError::Model { expected: "root-port", found: saved.model() });
                }
            };
            if !here.fits(&expected) {
                return Err(StateError::Invalid { model: saved.model(), what: "its configuration space" });
            }
            here.restore(&expected);
        }
        self.config_address = ConfigAddress::ZERO.written(config_address);
        self.lines = lines;
        // What is saved was up to date, so this changes the ports and causes no effects.
        self.refresh(&mut Effects::default());
        Ok(())
    }

    fn insert(&mut self, node: Node) {
        let (parent, device) = (node.parent, node.device);
        self.nodes.push(node);
        let shares = |node: &&mut Node| node.parent == parent && node.device == device;
        if self.nodes.iter_mut().filter(shares).count() > 1 {
            let bit = HeaderType::ZERO.with_multi_function(true).raw();
            self.nodes.iter_mut().filter(shares).for_each(|node| node.body.config().fix(HEADER, bit));
        }
    }

    /// Finds the parent of what goes to `at`, if it may go there.
    fn check_place(&self, at: Placement<'_>) -> Result<Option<usize>, AddError> {
        let Placement { bus, device, function } = at;
        if device > 31 || function > 7 {
            return Err(AddError::Range { device, function });
        }
        let parent = match bus {
            Bus::Root => None,
            Bus::Behind(_) if device != 0 => return Err(AddError::Link(device)),
            Bus::Behind(name) => {
                Some(self.root_port(name).ok_or_else(|| AddError::NoRootPort(name.to_owned()))?)
            }
        };
        let same = |node: &&Node| (node.parent, node.device, node.function) == (parent, device, function);
        match self.nodes.iter().find(same) {
            Some(node) => Err(AddError::Taken { device, function, by: node.body.name() }),
            None => Ok(parent),
        }
    }

    fn root_port(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| matches!(&node.body, Body::RootPort(port) if port.name == name))
    }

    pub(super) fn bridge(&self, index: usize) -> Option<&RootPort> {
        match &self.nodes.get(index)?.body {
            Body::RootPort(port) => Some(port),
            Body::HostBridge(_) | Body::Endpoint(_) => None,
        }
    }

    pub(super) fn endpoint(&mut self, id: DeviceId) -> Option<&mut Function> {
        self.nodes.iter_mut().find_map(|node| match &mut node.body {
            Body::Endpoint(function) if function.id == id => Some(&mut **function),
            _ => None,
        })
    }

    /// Number of the bus that a function is on; 0 also where that bus has no number yet.
    fn bus(&self, node: &Node) -> u8 {
        node.parent.and_then(|at| self.bridge(at)).map_or(0, RootPort::secondary)
    }

    pub(super) fn source(&self, node: &Node) -> SourceId {
        SourceId::new(self.bus(node), node.device, node.function)
    }

    fn line(&self, node: &Node, pin: Pin) -> u32 {
        match node.parent.and_then(|at| self.nodes.get(at)) {
            Some(bridge) => self.intx.line(bridge.device, pin.behind_bridge(node.device)),
            None => self.intx.line(node.device, pin),
        }
    }

    /// The function that a configuration request names. Of two root ports with the same bus number
    /// the one added first takes it.
    fn route(&self, source: SourceId) -> Option<usize> {
        let parent = match source.bus() {
            0 => None,
            bus => {
                let leads_to = |at: &usize| self.bridge(*at).is_some_and(|port| port.leads_to(bus));
                Some((0..self.nodes.len()).find(leads_to)?)
            }
        };
        let (device, function) = (source.device(), source.function());
        self.nodes
            .iter()
            .position(|node| (node.parent, node.device, node.function) == (parent, device, function))
    }

    /// What an access of `len` bytes from byte `lane` of the data register reaches: a function, an
    /// offset there, and how many of the bytes. A configuration request stays inside of its dword.
    fn config_target(&self, lane: u8, len: usize) -> Option<(SourceId, u64, usize)> {
        let address = self.config_address;
        let byte = address.byte() | lane;
        let offset = u64::from(address.dword()) * 4 + u64::from(byte);
        address.enable().then(|| (SourceId(address.source()), offset, len.min(usize::from(4 - byte))))
    }

    fn reset_behind(&mut self, port: usize) {
        for node in self.nodes.iter_mut().filter(|node| node.parent == Some(port)) {
            if let Body::Endpoint(function) = &mut node.body {
                function.reset();
            }
        }
    }

    /// Follows a change of registers: which functions master the bus, under which id, and the
    /// levels of the interrupt lines, each the wired-or of the pins that drive it.
    pub(super) fn refresh(&mut self, fx: &mut Effects) {
        let mut lines = 0;
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let upstream = node.parent.and_then(|at| self.bridge(at)).is_none_or(RootPort::masters);
            let Body::Endpoint(function) = &node.body else { continue };
            let description = &function.description;
            let line = description.pin.map(|pin| self.line(node, pin) - self.intx.first());
            if let Body::Endpoint(function) = &mut self.nodes[index].body
                && function.refresh(upstream, fx)
                && let Some(line) = line
            {
                lines |= 1_u8 << line;
            }
        }
        let changed = lines ^ std::mem::replace(&mut self.lines, lines);
        for line in (0..u8::BITS).filter(|line| changed & 1 << line != 0) {
            fx.push(Effect::Line { line: self.intx.first() + line, asserted: lines & 1 << line != 0 });
        }
    }
}

fn ecam_source(offset: u64) -> Option<SourceId> {
    u16::try_from(offset >> 12).ok().map(SourceId)
}

/// Which byte of the configuration data register an I/O port is.
fn data_lane(port: u16) -> Option<u8> {
    // At most 3.
    port.checked_sub(CONFIG_DATA).filter(|lane| *lane < 4).map(|lane| lane as u8)
}
