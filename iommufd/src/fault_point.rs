//! Failures on purpose: every step that can fail asks here first whether it should.
//!
//! A thread arms a countdown; the n-th step after that fails, as if memory, a lookup or a copy had.
//! This is what the kernel's `fail-nth` does. Disarmed it costs one thread-local load.

use std::cell::Cell;

use crate::errno::{Errno, Result};

thread_local! {
    static REMAINING: Cell<u32> = const { Cell::new(0) };
}

/// Makes the `nth` fallible step of this thread fail from now on; 0 disarms.
pub fn arm(nth: u32) {
    REMAINING.set(nth);
}

/// Steps still to go before one fails; 0 where one has failed, or none was asked for.
pub fn remaining() -> u32 {
    REMAINING.get()
}

/// Fails with `errno` where this is the step that was asked to.
///
/// # Errors
/// `errno`.
#[inline]
pub fn fault_point(errno: Errno) -> Result<()> {
    match REMAINING.get() {
        0 => Ok(()),
        1 => {
            REMAINING.set(0);
            Err(errno)
        }
        more => {
            REMAINING.set(more - 1);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_step_fails_and_only_that() {
        arm(3);
        let outcomes: Vec<_> = (0..5).map(|_| fault_point(Errno::ENOMEM)).collect();
        assert_eq!(outcomes, [Ok(()), Ok(()), Err(Errno::ENOMEM), Ok(()), Ok(())]);
        assert_eq!(remaining(), 0);
    }

    #[test]
    fn what_was_not_reached_remains() {
        arm(3);
        assert_eq!(fault_point(Errno::ENOMEM), Ok(()));
        assert_eq!(remaining(), 2);
        arm(0);
        assert_eq!(fault_point(Errno::ENOMEM), Ok(()));
    }
}
