//! Root and context tables: what each device's DMA goes through [VT-d 3.4.2, 9.1, 9.3].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use devices::addr::{Pa, SourceId};

use super::domain::Domain;
use super::domain_ids;
use super::entries;
use super::invalidation::Invalidation;
use super::unit::Unit;
use crate::device::DeviceId;
use crate::errno::{Errno, Result};
use crate::sync::{Mutex, lock};

/// Where a device's DMA goes.
#[derive(Clone)]
pub(super) enum Target {
    /// Nowhere.
    Blocked,
    /// To the address that it names.
    PassThrough,
    /// Through the tables of a domain.
    Domain(Arc<Domain>),
}

impl Target {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blocked, Self::Blocked) | (Self::PassThrough, Self::PassThrough) => true,
            (Self::Domain(a), Self::Domain(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn leave(&self) {
        if let Self::Domain(domain) = self {
            domain.leave();
        }
    }
}

struct Device {
    id: DeviceId,
    target: Target,
    /// What is in its context entry.
    entry: entries::Context,
}

/// The tables of one unit, and the devices behind it.
pub(super) struct Contexts {
    unit: Arc<Unit>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Context tables, by bus.
    tables: BTreeMap<u8, Pa>,
    devices: BTreeMap<SourceId, Device>,
}

impl Contexts {
    /// No device, and an empty root table.
    pub(super) fn new(unit: &Arc<Unit>) -> Self {
        Self { unit: Arc::clone(unit), state: Mutex::default() }
    }

    /// Takes on a device whose DMA is blocked.
    ///
    /// # Errors
    /// `ENODEV` where another device has its number.
    pub(super) fn add(&self, source: SourceId, id: DeviceId) -> Result<()> {
        match lock(&self.state).devices.entry(source) {
            Entry::Occupied(_) => Err(Errno::ENODEV),
            Entry::Vacant(place) => {
                place.insert(Device { id, target: Target::Blocked, entry: entries::Context::ZERO });
                Ok(())
            }
        }
    }

    /// Blocks a device's DMA and forgets it. A unit that fails at that lets nothing pass.
    pub(super) fn remove(&self, source: SourceId) {
        let _ = self.set(source, &Target::Blocked);
        lock(&self.state).devices.remove(&source);
    }

    /// The device with this number.
    pub(super) fn device(&self, source: SourceId) -> Option<DeviceId> {
        lock(&self.state).devices.get(&source).map(|device| device.id)
    }

    /// Sends a device's DMA to `to`. The entry is replaced in one step, so that DMA meets the old or the
    /// new; when this returns, none uses the old.
    ///
    /// # Errors
    /// `ENODEV` for a device that was not added; `ENOMEM`, `ENOSPC` without memory or domain ids; `EIO`
    /// where the unit failed. Nothing has changed then.
    pub(super) fn set(&self, source: SourceId, to: &Target) -> Result<()> {
        let mut state = lock(&self.state);
        let State { tables, devices } = &mut *state;
        let device = devices.get_mut(&source).ok_or(Errno::ENODEV)?;
        if device.target.same(to) {
            return Ok(());
        }
        let new = match to {
            Target::Blocked => entries::Context::ZERO,
            Target::PassThrough => self.pass_through(),
            Target::Domain(domain) => domain.join()?,
        };
        let changed = self.replace(tables, source, device.entry, new);
        if changed.is_err() {
            to.leave();
            return changed;
        }
        device.entry = new;
        std::mem::replace(&mut device.target, to.clone()).leave();
        Ok(())
    }

    fn pass_through(&self) -> entries::Context {
        let entry = entries::Context::ZERO.with_p(true).with_tt(entries::PASS_THROUGH);
        entry.with_did(domain_ids::PASS_THROUGH).with_aw(self.unit.width())
    }

    /// Puts `new` in the place of `old` and invalidates what [VT-d 6.5.3.3] asks for.
    fn replace(
        &self,
        tables: &mut BTreeMap<u8, Pa>,
        source: SourceId,
        old: entries::Context,
        new: entries::Context,
    ) -> Result<()> {
        let unit = &self.unit;
        let (table, linked) = match tables.entry(source.bus()) {
            Entry::Occupied(table) => (*table.get(), true),
            Entry::Vacant(place) => (*place.insert(unit.memory.alloc()?), false),
        };
        let at = Pa(table.0 + u64::from(source.devfn()) * 16);
        unit.memory.store128(at, new.raw());
        if !linked {
            let root = entries::Root::ZERO.with_p(true).with_ctp(table.0 >> 12);
            unit.memory.store128(Pa(unit.root.0 + u64::from(source.bus()) * 16), root.raw());
        }
        let done = if old.p() {
            let domain = old.did();
            unit.invalidate(&[Invalidation::Context { domain, source }, Invalidation::Domain(domain)])
        } else if !unit.cap.cm() {
            unit.publish()
        } else if linked {
            // An absent entry may be cached, and then is of domain 0 [VT-d 6.2.2].
            let context = Invalidation::Context { domain: 0, source };
            unit.invalidate(&[context, Invalidation::Domain(new.did())])
        } else {
            unit.invalidate(&[Invalidation::Contexts, Invalidation::Translations])
        };
        if done.is_err() {
            unit.memory.store128(at, old.raw());
        }
        done
    }
}
