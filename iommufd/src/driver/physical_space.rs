//! Pinned memory in the reach of modelled devices: the RAM of their machine is where objects are plugged.

use std::sync::Arc;

use devices::addr::Pa;
use devices::mem::PhysMem;

use crate::errno::{Errno, Result};
use crate::frames::PhysicalSpace;
use crate::process::MemoryObject;

impl PhysicalSpace for PhysMem {
    /// As `ENOMEM`, this refuses memory that has no mapping, or at whose place the machine has RAM.
    fn plug(&self, base: Pa, object: &Arc<dyn MemoryObject>) -> Result<()> {
        let mapping = object.mapping().ok_or(Errno::ENOMEM)?;
        self.plug(base, mapping).map_err(|_| Errno::ENOMEM)
    }

    fn unplug(&self, base: Pa) {
        let was_there = self.unplug(base);
        debug_assert!(was_there, "only what was plugged in is unplugged");
    }
}
