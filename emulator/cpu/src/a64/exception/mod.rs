//! Exceptions: what is recorded, how it is entered, how it returns.

pub(in crate::a64) mod debug;
mod entry;
pub(in crate::a64) mod syndrome;

pub(in crate::a64) use entry::{exception_return, pstate_of, spsr, take};

/// Where in the vector table an exception enters [Arm D1.3.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Vector {
    Synchronous,
    Irq,
    Fiq,
    SError,
}

/// An exception to be taken to EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Exception {
    pub(in crate::a64) vector: Vector,
    /// ESR_EL1; unused for interrupts.
    pub(in crate::a64) syndrome: u32,
    /// FAR_EL1, where the exception writes it.
    pub(in crate::a64) address: Option<u64>,
}

impl Exception {
    /// An IRQ or FIQ.
    pub(in crate::a64) const fn interrupt(vector: Vector) -> Self {
        Self { vector, syndrome: 0, address: None }
    }

    /// An SError with its 25-bit syndrome.
    pub(in crate::a64) const fn serror(iss: u32) -> Self {
        let syndrome = syndrome::syndrome(syndrome::class::SERROR, iss & 0x1ff_ffff);
        Self { vector: Vector::SError, syndrome, address: None }
    }

    /// A synchronous exception that does not write FAR.
    pub(in crate::a64) const fn synchronous(syndrome: u32) -> Self {
        Self { vector: Vector::Synchronous, syndrome, address: None }
    }

    /// A synchronous exception that writes FAR.
    pub(in crate::a64) const fn at(syndrome: u32, address: u64) -> Self {
        Self { vector: Vector::Synchronous, syndrome, address: Some(address) }
    }
}
