//! An ioctl: its structure in, its answer out, or its structure as one should not pass it.

use std::fmt::Debug;

use iommufd::errno::{Errno, Result};
use iommufd::process::UserMemory;
use iommufd::uapi::Command;
use iommufd::uapi::test::{Operation, TestCmd};

use super::draw::Draw;
use super::world::World;
use crate::simulated::{PAGE, Process};

/// What a record's calls are made on.
pub struct Call<'a> {
    /// Everything.
    pub world: &'a mut World,
    /// What is undrawn of the record.
    pub draw: Draw,
    /// The iommufd.
    pub fd: i32,
    /// Its context.
    pub context: usize,
    /// How the structure is passed.
    pub passing: Passing,
}

/// How a structure is passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passing {
    /// As it should be.
    #[default]
    Plain,
    /// With a size that is none.
    Size(u32),
    /// With fewer bytes than it has, by so many.
    Shorter(u32),
    /// With so many more bytes, all zero or not.
    Longer(u32, bool),
    /// At an address.
    At(u64),
    /// With bits of the request changed.
    Request(u32),
}

impl Passing {
    /// One that a kernel must expect.
    pub fn hostile(draw: &mut Draw) -> Self {
        match draw.bits(4) {
            0 => Self::Size(0),
            1 => Self::Size(3),
            2 => Self::Size(u32::MAX),
            3 => Self::Size(PAGE as u32 + 1),
            4 => Self::Shorter(1),
            5 => Self::Shorter(4),
            6 => Self::Shorter(8),
            7 => Self::Longer(8, false),
            8 => Self::Longer(8, true),
            9 => Self::Longer(1000, false),
            10 => Self::At(Process::ARGUMENTS + PAGE - 16),
            11 => Self::At(Process::ARGUMENTS + 1),
            12 => Self::At(0),
            13 => Self::At(u64::MAX - 3),
            14 => Self::Request(0x40),
            _ => Self::Request(0x1_0000),
        }
    }
}

impl Call<'_> {
    /// Does `command` and gives what it returned and left in its structure. What was passed as it should
    /// not be gives nothing.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn ioctl<T: Command + Debug>(&mut self, command: T) -> Result<(i64, T)> {
        let done = self.request(T::REQUEST, command, format!("{command:x?}"));
        done.inspect(|(_, done)| self.world.answered(done))
    }

    /// Does an operation of the self-tests on `id`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn test<T: Operation + Debug>(&mut self, id: u32, operation: T) -> Result<(i64, T)> {
        let mut command = TestCmd { op: T::OP, id, ..TestCmd::default() };
        command.set(&operation);
        let what = format!("test on {id}: {operation:x?}");
        let done = self.request(TestCmd::REQUEST, command, what);
        done.map(|(value, command)| (value, command.get())).inspect(|(_, done)| self.world.answered(done))
    }

    /// Does `request` with a structure that begins with its size.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn request<T: Command>(&mut self, request: u32, command: T, what: String) -> Result<(i64, T)> {
        let (fd, passing, armed) = (self.fd, self.passing, self.world.armed);
        if let Some(known) = self.world.known(self.context) {
            known.may_make(4);
        }
        let whole = size_of::<T>() as u32;
        let size = match passing {
            Passing::Size(size) => size,
            Passing::Shorter(by) => whole.saturating_sub(by),
            Passing::Longer(by, _) => whole + by,
            _ => whole,
        };
        let address = if let Passing::At(address) = passing { address } else { Process::ARGUMENTS };
        let request = if let Passing::Request(bits) = passing { request ^ bits } else { request };
        let mut command = command;
        let result = self.world.act(
            || format!("fd {fd}: {what} {passing:?}"),
            |actor| {
                let process = &actor.process;
                command.as_mut_bytes()[..4].copy_from_slice(&size.to_ne_bytes());
                let mut bytes = command.as_bytes().to_vec();
                if let Passing::Longer(by, dirty) = passing {
                    bytes.resize(bytes.len() + by as usize, 0);
                    if let (true, Some(last)) = (dirty, bytes.last_mut()) {
                        *last = 1;
                    }
                }
                // Where there is no memory the call finds none.
                let _ = process.memory.write(address, &bytes);
                let value = process.ioctl(fd, request, address)?;
                if passing == Passing::Plain {
                    process.memory.read(address, command.as_mut_bytes())?;
                }
                Ok(value)
            },
        );
        let failed = armed != 0 && self.world.armed == 0;
        if (failed || passing != Passing::Plain)
            && let Some(known) = self.world.known(self.context)
        {
            known.unsure();
        }
        let value = result?;
        if passing == Passing::Plain { Ok((value, command)) } else { Err(Errno::EFAULT) }
    }
}
