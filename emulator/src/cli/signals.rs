//! Signals that ask this process to end, taken at a place where it can put things in order first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

/// Signals that end the process.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// The number of the last one; 0 if none has come.
    caught: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes them from now on, until the process ends. A second one ends it at once.
    ///
    /// # Errors
    /// Those of the host.
    pub fn catch(&self) -> io::Result<()> {
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // In this order: the first signal arms what ends the process at the second.
            flag::register_conditional_default(signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            // Numbers of signals are small and positive.
            flag::register_usize(signal, Arc::clone(&self.caught), signal as usize)?;
        }
        Ok(())
    }

    /// Whether one has come.
    pub fn any(&self) -> bool {
        self.caught.load(Ordering::Relaxed) != 0
    }

    /// Ends the process as the signal that has come would have, so that its parent sees which; returns
    /// if none has.
    pub fn obey(&self) {
        let signal = self.caught.load(Ordering::Relaxed);
        if signal != 0 {
            // An error means that the signal has no such effect: then there is none to have.
            let _ = low_level::emulate_default_handler(signal as i32);
        }
    }
}
