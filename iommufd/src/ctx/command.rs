//! One ioctl with its argument copied in.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ctx::Ctx;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::Caller;
use crate::user_data::copy_struct;

/// An ioctl being executed: the argument structure, and who called.
pub(crate) struct Command<'a, T> {
    pub(crate) ctx: &'a Arc<Ctx>,
    pub(crate) caller: &'a Caller<'a>,
    address: u64,
    user_size: u32,
    args: T,
}

impl<'a, T: FromBytes + IntoBytes + Immutable + KnownLayout> Command<'a, T> {
    /// Copies the argument in; `user_size` bytes of it are the caller's.
    pub(super) fn read(
        ctx: &'a Arc<Ctx>,
        caller: &'a Caller<'a>,
        address: u64,
        user_size: u32,
    ) -> Result<Self> {
        let args = copy_struct(caller, address, user_size as usize)?;
        Ok(Self { ctx, caller, address, user_size, args })
    }

    /// Copies the argument back, as much of it as the caller knows of.
    ///
    /// # Errors
    /// `EFAULT`.
    pub(crate) fn respond(&self) -> Result<()> {
        fault_point(Errno::EFAULT)?;
        let bytes = self.args.as_bytes();
        let known = bytes.len().min(self.user_size as usize);
        self.caller.memory.write(self.address, &bytes[..known])
    }

    /// Address of the argument, for the calls that write single fields back.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl<T> Deref for Command<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.args
    }
}

impl<T> DerefMut for Command<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.args
    }
}
