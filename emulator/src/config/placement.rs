//! Who sits where on which bus.

use std::collections::BTreeMap;

use super::{ConfigError, DeviceKind, DeviceSpec, SlotAddress};

/// The name of the root bus in `bus=`.
pub const ROOT_BUS: &str = "pcie.0";

/// A device and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The device.
    pub spec: &'a DeviceSpec,
    /// Where its first function is.
    pub address: SlotAddress,
}

/// Gives every PCI device a place: those with an address first, then the others, in their order, the
/// first slot that is free. Root ports come first in the result, so that their buses exist.
///
/// # Errors
/// Places that are taken twice, do not exist or would not be found by software.
pub fn place(devices: &[DeviceSpec]) -> Result<Vec<Placed<'_>>, ConfigError> {
    let mut buses = Buses::new(devices)?;
    let devices: Vec<_> = devices.iter().filter(|spec| spec.platform.is_none()).collect();
    let mut places = vec![None; devices.len()];
    for (spec, place) in devices.iter().copied().zip(&mut places) {
        if let Some(address) = spec.address {
            buses.take(spec, address)?;
            *place = Some(address);
        }
    }
    let mut placed = Vec::with_capacity(devices.len());
    for (spec, place) in devices.into_iter().zip(places) {
        let address = match place {
            Some(address) => address,
            None => buses.take_free(spec)?,
        };
        placed.push(Placed { spec, address });
    }
    for Placed { spec, address } in &placed {
        buses.check_found(spec, *address)?;
    }
    placed.sort_by_key(|placed| !matches!(placed.spec.kind, DeviceKind::RootPort { .. }));
    Ok(placed)
}

/// What is taken on each bus.
struct Buses<'a> {
    taken: BTreeMap<&'a str, BTreeMap<SlotAddress, &'static str>>,
}

impl<'a> Buses<'a> {
    fn new(devices: &'a [DeviceSpec]) -> Result<Self, ConfigError> {
        let host = SlotAddress { device: 0, function: 0 };
        let mut taken = BTreeMap::from([(ROOT_BUS, BTreeMap::from([(host, "the host bridge")]))]);
        for spec in devices {
            if let DeviceKind::RootPort { id } = &spec.kind
                && taken.insert(id, BTreeMap::new()).is_some()
            {
                return Err(ConfigError::SameName(id.clone()));
            }
        }
        for bus in devices.iter().filter_map(|spec| spec.bus.as_deref()) {
            if !taken.contains_key(bus) {
                let known: Vec<_> = taken.keys().copied().collect();
                return Err(ConfigError::unknown("bus", bus, &known));
            }
        }
        Ok(Self { taken })
    }

    fn bus(&mut self, spec: &'a DeviceSpec) -> (&'a str, &mut BTreeMap<SlotAddress, &'static str>) {
        let name = spec.bus.as_deref().unwrap_or(ROOT_BUS);
        (name, self.taken.entry(name).or_default())
    }

    fn take(&mut self, spec: &'a DeviceSpec, at: SlotAddress) -> Result<(), ConfigError> {
        let device = spec.kind.name();
        let (bus, taken) = self.bus(spec);
        let refused = |why| ConfigError::Place { device, at, bus: bus.to_owned(), why };
        if bus != ROOT_BUS && at.device != 0 {
            return Err(refused("the link behind a root port has device 0 only; use addr=00"));
        }
        if spec.kind.functions() > 8 - at.function {
            return Err(refused("its functions do not fit one device; use function 0"));
        }
        for function in at.function..at.function + spec.kind.functions() {
            let at = SlotAddress { function, ..at };
            if let Some(taken_by) = taken.insert(at, device) {
                return Err(ConfigError::Clash { device, at, bus: bus.to_owned(), taken_by });
            }
        }
        Ok(())
    }

    fn take_free(&mut self, spec: &'a DeviceSpec) -> Result<SlotAddress, ConfigError> {
        let (bus, taken) = self.bus(spec);
        let slots = if bus == ROOT_BUS { 1..32 } else { 0..1 };
        let free = slots
            .into_iter()
            .find(|device| !taken.keys().any(|at| at.device == *device))
            .ok_or_else(|| ConfigError::Full { device: spec.kind.name(), bus: bus.to_owned() })?;
        let at = SlotAddress { device: free, function: 0 };
        self.take(spec, at)?;
        Ok(at)
    }

    /// Software looks at function 0 first, and at others only if it is there [PCIe 7.5.1.1.9].
    fn check_found(&mut self, spec: &'a DeviceSpec, at: SlotAddress) -> Result<(), ConfigError> {
        let (bus, taken) = self.bus(spec);
        if taken.contains_key(&SlotAddress { function: 0, ..at }) {
            return Ok(());
        }
        let (device, bus) = (spec.kind.name(), bus.to_owned());
        let why = "software finds it only if that device has a function 0; add one, or use function 0";
        Err(ConfigError::Place { device, at, bus, why })
    }
}
