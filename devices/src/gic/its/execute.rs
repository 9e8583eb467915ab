//! What commands do, and the lookups that they share with messages.

use super::command::{Command, decode};
use super::tables::{Cte, Dte, Ite, entry_address, ite_address, store};
use super::{EVENT_BITS, Error, Its, Lpi, LpiAction, Redistributors, UNIT};
use crate::addr::Pa;
use crate::fabric::Effects;
use crate::gic::is_lpi;
use crate::trace::TraceEvent;

impl Its {
    /// Executes one command [GICv3 5.3].
    ///
    /// # Errors
    /// What kept it from having any effect.
    pub(super) fn execute(
        &mut self,
        words: [u64; 4],
        redistributors: &mut impl Redistributors,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        match decode(words).map_err(|_| Error::Opcode)? {
            Command::Mapd { device, size, itt, valid } => {
                let at = self.device_address(device)?;
                if valid && u32::from(size) >= EVENT_BITS {
                    return Err(Error::Size);
                }
                let dte = Dte::ZERO.with_valid(true).with_size(size).with_itt(itt >> 8);
                self.store(at, if valid { dte.raw() } else { 0 })?;
            }
            Command::Mapc { icid, rdbase, valid } => {
                let at = self.collection_address(icid)?;
                let entry = if valid {
                    Cte::ZERO.with_valid(true).with_processor(self.redistributor(rdbase)?)
                } else {
                    Cte::ZERO
                };
                self.store(at, entry.raw())?;
            }
            Command::Mapti { device, event, pintid, icid } => {
                let at = self.event_address(device, event, fx)?;
                if !is_lpi(pintid) {
                    return Err(Error::Intid);
                }
                self.collection_address(icid)?;
                let ite = Ite::ZERO.with_valid(true).with_icid(icid).with_intid(pintid);
                self.store(at, ite.raw())?;
            }
            Command::Movi { device, event, icid } => {
                let (at, ite) = self.mapped(device, event, fx)?;
                let to = self.collection(icid, fx)?;
                let from = self.collection(ite.icid(), fx);
                self.store(at, ite.with_icid(icid).raw())?;
                if let Some(from) = from.ok().filter(|from| *from != to) {
                    redistributors.act(LpiAction::Move { intid: ite.intid(), from, to }, fx);
                }
            }
            Command::Discard { device, event } => {
                let (at, ite) = self.mapped(device, event, fx)?;
                let target = self.collection(ite.icid(), fx);
                self.store(at, 0)?;
                // Without a redistributor there is no pending state.
                if let Ok(target) = target {
                    redistributors.act(LpiAction::ClearPending { target, intid: ite.intid() }, fx);
                }
            }
            Command::Int { device, event } => {
                let Lpi { intid, target } = self.translate(device, event, fx)?;
                redistributors.act(LpiAction::SetPending { target, intid }, fx);
            }
            Command::Clear { device, event } => {
                let Lpi { intid, target } = self.translate(device, event, fx)?;
                redistributors.act(LpiAction::ClearPending { target, intid }, fx);
            }
            Command::Inv { device, event } => {
                let Lpi { intid, target } = self.translate(device, event, fx)?;
                redistributors.act(LpiAction::Invalidate { target, intid }, fx);
            }
            Command::Invall { icid } => {
                let target = self.collection(icid, fx)?;
                redistributors.act(LpiAction::InvalidateAll { target }, fx);
            }
            Command::Movall { from, to } => {
                let (from, to) = (self.redistributor(from)?, self.redistributor(to)?);
                if from != to {
                    redistributors.act(LpiAction::MoveAll { from, to }, fx);
                }
            }
            // Actions are performed at once.
            Command::Sync { rdbase } => {
                self.redistributor(rdbase)?;
            }
        }
        Ok(())
    }

    /// The LPI that `event` of `device` is, and where.
    pub(super) fn translate(&self, device: u32, event: u32, fx: &mut Effects) -> Result<Lpi, Error> {
        let (_, ite) = self.mapped(device, event, fx)?;
        Ok(Lpi { intid: ite.intid(), target: self.collection(ite.icid(), fx)? })
    }

    /// Where the device table has its entry for `device`.
    fn device_address(&self, device: u32) -> Result<Pa, Error> {
        if !self.config.has_device(device) {
            return Err(Error::DeviceRange);
        }
        entry_address(&self.mem, self.state.devices, device).ok_or(Error::DeviceRange)
    }

    /// Where the translation entry of an event of a mapped device is.
    fn event_address(&self, device: u32, event: u32, fx: &mut Effects) -> Result<Pa, Error> {
        let dte = Dte::from_raw(self.load("device table entry", self.device_address(device)?, fx)?);
        // MAPD writes no such size; the guest did.
        if !dte.valid() || u32::from(dte.size()) >= EVENT_BITS {
            return Err(Error::Device);
        }
        ite_address(dte, event).ok_or(Error::EventRange)
    }

    /// The valid translation entry of an event, and where it is.
    fn mapped(&self, device: u32, event: u32, fx: &mut Effects) -> Result<(Pa, Ite), Error> {
        let at = self.event_address(device, event, fx)?;
        let ite = Ite::from_raw(self.load("interrupt translation entry", at, fx)?);
        if ite.valid() && is_lpi(ite.intid()) { Ok((at, ite)) } else { Err(Error::Event) }
    }

    /// Where the collection table has its entry for `icid`.
    fn collection_address(&self, icid: u16) -> Result<Pa, Error> {
        entry_address(&self.mem, self.state.collections, u32::from(icid)).ok_or(Error::CollectionRange)
    }

    /// The redistributor of a mapped collection.
    fn collection(&self, icid: u16, fx: &mut Effects) -> Result<u16, Error> {
        let at = self.collection_address(icid)?;
        let cte = Cte::from_raw(self.load("collection table entry", at, fx)?);
        if cte.valid() && cte.processor() < self.config.redistributors {
            Ok(cte.processor())
        } else {
            Err(Error::Collection)
        }
    }

    /// The processor number that RDbase names.
    fn redistributor(&self, rdbase: u64) -> Result<u16, Error> {
        let number = u16::try_from(rdbase).ok().filter(|number| *number < self.config.redistributors);
        number.ok_or(Error::Redistributor)
    }

    fn load(&self, table: &'static str, at: Pa, fx: &mut Effects) -> Result<u64, Error> {
        let entry = self.mem.load64(at).map_err(|_| Error::Table)?;
        fx.trace(|| TraceEvent::Fetch { unit: UNIT, table, address: at, words: [entry, 0] });
        Ok(entry)
    }

    fn store(&self, at: Pa, entry: u64) -> Result<(), Error> {
        store(&self.mem, at, entry).map_err(|_| Error::Table)
    }
}
