//! LPIs of a redistributor: configuration in memory, pending state inside [GICv3 5.1].
//!
//! An LPI's priority and enable come from a byte of the configuration table. It is read when the LPI
//! first becomes pending and kept until INV or INVALL, so a driver's missing invalidation shows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bank::{Candidate, Group, PRIORITY_MASK};
use super::{FIRST_LPI, INTID_BITS, is_lpi};
use crate::addr::Pa;
use crate::mem::PhysMem;
use crate::register;

register! {
    /// Common LPI configuration table pointer [GICv3 GICR_PROPBASER].
    pub struct Propbaser: u64 {
        63:59 RsvdZ _r2,
        /// Outer cacheability.
        58:56 Rw    outer_cache: u8,
        55:52 RsvdZ _r1,
        /// Address of the table, bits 51:12.
        51:12 Rw    address: u64,
        /// Shareability.
        11:10 Rw    shareability: u8,
        /// Inner cacheability.
        9:7   Rw    inner_cache: u8,
        6:5   RsvdZ _r0,
        /// INTID bits, less one.
        4:0   Rw    id_bits: u8,
    }
}

register! {
    /// LPI pending table pointer [GICv3 GICR_PENDBASER].
    pub struct Pendbaser: u64 {
        63:63 RsvdZ _r3,
        /// The table is all zero.
        62:62 Wo    ptz: bool,
        61:59 RsvdZ _r2,
        /// Outer cacheability.
        58:56 Rw    outer_cache: u8,
        55:52 RsvdZ _r1,
        /// Address of the table, bits 51:16.
        51:16 Rw    address: u64,
        15:12 RsvdZ _r0,
        /// Shareability.
        11:10 Rw    shareability: u8,
        /// Inner cacheability.
        9:7   Rw    inner_cache: u8,
        6:0   RsvdZ _r4,
    }
}

/// The LPI configuration table.
#[derive(Clone, Copy, Debug)]
pub struct ConfigurationTable<'a> {
    mem: &'a PhysMem,
    propbaser: Propbaser,
}

impl<'a> ConfigurationTable<'a> {
    /// The table that GICR_PROPBASER describes.
    pub const fn new(mem: &'a PhysMem, propbaser: Propbaser) -> Self {
        Self { mem, propbaser }
    }

    /// Whether software said that there is such an LPI. Bits beyond those implemented do not count.
    fn has(self, intid: u32) -> bool {
        let bits = (u32::from(self.propbaser.id_bits()) + 1).min(INTID_BITS);
        is_lpi(intid) && intid >> bits == 0
    }

    /// The configuration byte; one outside memory is that of a disabled LPI.
    fn byte(self, intid: u16) -> u8 {
        let mut byte = [0];
        let offset = u64::from(intid).saturating_sub(u64::from(FIRST_LPI));
        let at = Pa(self.propbaser.address() << 12).checked_add(offset);
        let read = at.is_some_and(|at| self.mem.read(at, &mut byte).is_ok());
        if read { byte[0] } else { 0 }
    }
}

/// The LPIs of one redistributor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lpis {
    /// By INTID.
    pending: BTreeSet<u16>,
    /// Configuration bytes that were read and not invalidated since.
    configuration: BTreeMap<u16, u8>,
    /// Those pending that are enabled, by priority, then INTID; unless `unsettled`.
    ready: BTreeSet<(u8, u16)>,
    /// `ready` must be made again.
    unsettled: bool,
}

/// Saved [`Lpis`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pending: BTreeSet<u16>,
    configuration: BTreeMap<u16, u8>,
}

/// The key of an LPI; `None` for any other number.
fn key(intid: u32) -> Option<u16> {
    is_lpi(intid).then(|| u16::try_from(intid).ok()).flatten()
}

impl Lpis {
    /// An LPI becomes pending, if the table has a place for it.
    pub fn set_pending(&mut self, intid: u32, table: ConfigurationTable<'_>) {
        if let Some(intid) = key(intid).filter(|_| table.has(intid)) {
            self.pending.insert(intid);
            self.make_ready(intid, table);
        }
    }

    /// An LPI is no longer pending; whether it was.
    pub fn clear_pending(&mut self, intid: u32) -> bool {
        let Some(intid) = key(intid) else { return false };
        if let Some(byte) = self.configuration.get(&intid) {
            self.ready.remove(&(priority(*byte), intid));
        }
        self.pending.remove(&intid)
    }

    /// Moves all that are pending `to` another redistributor, or nowhere. [`Self::settle`] does the rest
    /// there, so that many such commands in a row cost little more than one.
    pub fn move_pending(&mut self, to: Option<&mut Self>) {
        self.ready.clear();
        let mut moved = std::mem::take(&mut self.pending);
        if let Some(to) = to {
            to.pending.append(&mut moved);
            to.unsettled = true;
        }
    }

    /// Removes and returns those that are pending and enabled, most urgent first.
    pub fn take_ready(&mut self) -> impl Iterator<Item = u32> + use<> {
        let ready = std::mem::take(&mut self.ready);
        for (_, intid) in &ready {
            self.pending.remove(intid);
        }
        ready.into_iter().map(|(_, intid)| u32::from(intid))
    }

    /// Reads the configuration of an LPI again.
    pub fn invalidate(&mut self, intid: u32, table: ConfigurationTable<'_>) {
        let Some(intid) = key(intid) else { return };
        if let Some(byte) = self.configuration.remove(&intid) {
            self.ready.remove(&(priority(byte), intid));
        }
        if self.pending.contains(&intid) {
            self.make_ready(intid, table);
        }
    }

    /// Forgets all that was read of the configuration table. It is read again by [`Self::settle`], so
    /// that many such commands in a row cost no more than one.
    pub fn invalidate_all(&mut self) {
        self.configuration.clear();
        self.ready.clear();
        self.unsettled = true;
    }

    /// Makes up what [`Self::invalidate_all`] and [`Self::move_pending`] left to do.
    pub fn settle(&mut self, table: ConfigurationTable<'_>) {
        if std::mem::take(&mut self.unsettled) {
            self.ready.clear();
            for intid in std::mem::take(&mut self.pending) {
                if table.has(u32::from(intid)) {
                    self.pending.insert(intid);
                    self.make_ready(intid, table);
                }
            }
        }
    }

    /// The most urgent LPI that may be signalled. LPIs are of group 1 [GICv3 4.6].
    pub fn candidate(&self) -> Option<Candidate> {
        let (priority, intid) = self.ready.first()?;
        Some(Candidate { intid: u32::from(*intid), priority: *priority, group: Group::One })
    }

    /// LPIs go on: reads the pending table, unless software says that it is zero.
    pub fn enable(&mut self, mem: &PhysMem, pendbaser: Pendbaser, table: ConfigurationTable<'_>) {
        *self = Self { unsettled: true, ..Self::default() };
        let mut bits = [0; PENDING_BYTES];
        let unread = pendbaser.ptz() || mem.read(pending_table(pendbaser), &mut bits).is_err();
        if !unread {
            let set = |intid: &u16| bits[usize::from(*intid) / 8] >> (intid % 8) & 1 != 0;
            let all = (0..=u16::MAX).filter(|intid| table.has(u32::from(*intid)));
            self.pending = all.filter(set).collect();
        }
    }

    /// LPIs go off: the pending table in memory shows which are pending [GICv3 GICR_CTLR].
    pub fn disable(&mut self, mem: &PhysMem, pendbaser: Pendbaser, table: ConfigurationTable<'_>) {
        let mut bits = [0; PENDING_BYTES];
        for intid in std::mem::take(&mut self.pending) {
            bits[usize::from(intid) / 8] |= 1 << (intid % 8);
        }
        *self = Self::default();
        // The table has a bit for each INTID that there is, and software owns what follows.
        let ids = (0..=u16::MAX).rev().find(|intid| table.has(u32::from(*intid)));
        let bytes = ids.map_or(0, |last| usize::from(last) / 8 + 1);
        let first = (FIRST_LPI / 8) as usize;
        if let Some(bits) = bits.get(first..bytes) {
            // A table outside memory keeps nothing.
            let at = pending_table(pendbaser).checked_add(first as u64);
            let _ = at.map(|at| mem.write(at, bits));
        }
    }

    /// The LPIs as data.
    pub fn save(&self) -> State {
        let Self { pending, configuration, ready: _, unsettled: _ } = self;
        State { pending: pending.clone(), configuration: configuration.clone() }
    }

    /// Continues from what was saved; numbers that are no LPIs are left out.
    pub fn restore(&mut self, state: State) {
        let State { mut pending, mut configuration } = state;
        pending.retain(|intid| is_lpi(u32::from(*intid)));
        configuration.retain(|intid, _| is_lpi(u32::from(*intid)));
        *self = Self { pending, configuration, ready: BTreeSet::new(), unsettled: true };
    }

    fn make_ready(&mut self, intid: u16, table: ConfigurationTable<'_>) {
        let byte = *self.configuration.entry(intid).or_insert_with(|| table.byte(intid));
        // Bit 0 enables.
        if byte & 1 != 0 {
            self.ready.insert((priority(byte), intid));
        }
    }
}

/// Bytes of a pending table of all INTIDs; those below [`FIRST_LPI`] have no meaning in it.
const PENDING_BYTES: usize = 1 << (INTID_BITS - 3);

fn pending_table(pendbaser: Pendbaser) -> Pa {
    Pa(pendbaser.address() << 16)
}

/// The priority in a configuration byte: with one Security state, as it stands there.
const fn priority(byte: u8) -> u8 {
    byte & PRIORITY_MASK
}
