//! AArch64 as the remote protocol knows it: the registers, in the order of the target description.

use gdbstub::arch::{self, Arch};

/// AArch64 with FP and Advanced SIMD.
pub(super) enum AArch64 {}

/// A CPU's registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers(pub(super) cpu::a64::Registers);

impl Arch for AArch64 {
    type Usize = u64;
    type Registers = Registers;
    type BreakpointKind = usize;
    type RegId = ();

    fn target_description_xml() -> Option<&'static str> {
        Some(include_str!("aarch64.xml"))
    }
}

impl arch::Registers for Registers {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.0.pc
    }

    fn gdb_serialize(&self, write_byte: impl FnMut(Option<u8>)) {
        let cpu::a64::Registers { x, sp, pc, pstate, v, fpcr, fpsr } = &self.0;
        let general = x.iter().chain([sp, pc]).flat_map(|value| value.to_le_bytes());
        let vectors = v.iter().flat_map(|value| value.to_le_bytes());
        let status = [fpsr, fpcr].into_iter().flat_map(|value| value.to_le_bytes());
        general.chain(pstate.to_le_bytes()).chain(vectors).chain(status).map(Some).for_each(write_byte);
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let mut left = bytes;
        let cpu::a64::Registers { x, sp, pc, pstate, v, fpcr, fpsr } = &mut self.0;
        for place in x.iter_mut().chain([sp, pc]) {
            *place = u64::from_le_bytes(take(&mut left)?);
        }
        *pstate = u32::from_le_bytes(take(&mut left)?);
        for place in v {
            *place = u128::from_le_bytes(take(&mut left)?);
        }
        *fpsr = u32::from_le_bytes(take(&mut left)?);
        *fpcr = u32::from_le_bytes(take(&mut left)?);
        Ok(())
    }
}

/// The next `N` bytes.
fn take<const N: usize>(left: &mut &[u8]) -> Result<[u8; N], ()> {
    let (taken, rest) = left.split_first_chunk().ok_or(())?;
    *left = rest;
    Ok(*taken)
}
