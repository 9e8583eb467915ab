//! The user's terminal, or whatever standard input is, as the console of a guest.

mod input;
mod keys;
mod pace;

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io;
use rustix::termios::{
    self, ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios,
};

pub use input::{Input, Step};
pub use keys::HELP;

/// A terminal that passes every key on at once. It is put back when this goes, by a panic too.
///
/// Output is processed as before, so that messages of this process look as always.
#[derive(Debug)]
pub struct Raw<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> Raw<F> {
    /// Makes `terminal` raw; `None` if it is no terminal.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn new(terminal: F) -> io::Result<Option<Self>> {
        if !termios::isatty(&terminal) {
            return Ok(None);
        }
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::IGNCR
            | InputModes::INLCR
            | InputModes::INPCK
            | InputModes::ISTRIP
            | InputModes::IXON
            | InputModes::PARMRK;
        raw.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::IEXTEN
            | LocalModes::ISIG;
        raw.control_modes -= ControlModes::CSIZE | ControlModes::PARENB;
        raw.control_modes |= ControlModes::CS8;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed ahead is not thrown away.
        termios::tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Some(Self { terminal, before }))
    }
}

impl<F: AsFd> AsFd for Raw<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl<F: AsFd> Drop for Raw<F> {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing. Draining would wait for one that does not read.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of the terminal at `output`, if it is one that knows.
pub fn size(output: impl AsFd) -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(output).ok()?;
    (size.ws_col != 0 && size.ws_row != 0).then_some((size.ws_col, size.ws_row))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    /// Both ends of a pseudo-terminal: the user's and the process's.
    pub(super) fn pty() -> (OwnedFd, OwnedFd) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let process = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (user, process)
    }

    fn modes(terminal: &OwnedFd) -> (InputModes, LocalModes, rustix::termios::OutputModes) {
        let termios = tcgetattr(terminal).unwrap();
        (termios.input_modes, termios.local_modes, termios.output_modes)
    }

    #[test]
    fn a_raw_terminal_passes_every_key_and_is_put_back() {
        let (user, process) = pty();
        let before = modes(&process);
        assert!(before.1.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        let raw = Raw::new(&process).unwrap().unwrap();
        let (input, local, output) = modes(&process);
        assert!(!input.intersects(InputModes::ICRNL | InputModes::IXON), "{input:?}");
        assert!(!local.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{local:?}");
        assert_eq!(output, before.2);
        // No newline, and Ctrl-c, Ctrl-d, Ctrl-s and return as they are.
        rustix::io::write(&user, b"a\x03\x04\x13\r").unwrap();
        let mut typed = [0; 16];
        let count = rustix::io::read(&raw, &mut typed).unwrap();
        assert_eq!(&typed[..count], b"a\x03\x04\x13\r");
        drop(raw);
        assert_eq!(modes(&process), before);
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let (_user, process) = pty();
        let before = modes(&process);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let _raw = Raw::new(&process).unwrap().unwrap();
            assert_ne!(modes(&process), before);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(ended.is_err());
        assert_eq!(modes(&process), before);
    }

    #[test]
    fn a_terminal_knows_its_size_once_it_has_one_and_a_file_is_no_terminal() {
        let (user, process) = pty();
        assert_eq!(size(&process), None);
        let winsize = termios::Winsize { ws_row: 40, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
        termios::tcsetwinsize(&user, winsize).unwrap();
        assert_eq!(size(&process), Some((132, 40)));
        let file = File::open("/dev/null").unwrap();
        assert!(Raw::new(&file).unwrap().is_none());
        assert_eq!(size(&file), None);
    }
}
