//! What comes from standard input, on its way to the guest's console.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::Instant;

use devices::events::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io;

use super::Raw;
use super::keys::{Key, Keys};
use super::pace::{Pace, Sleep};

/// Bytes read at once: more of a stream are left where they come from until the guest has taken these.
const CHUNK: usize = 4096;
/// Bytes of a terminal that wait for the guest: more than anybody types, and most of what is pasted. What is
/// typed on at a guest that does not read is lost.
const TYPED_AHEAD: usize = 64 << 10;
/// Ctrl-d, which a terminal sends for the end of the input.
const END_OF_TRANSMISSION: u8 = 0x04;
/// Nanoseconds of machine time until the end of the input is said again.
const REMIND: u64 = 1_000_000_000;

/// Where input comes from.
#[derive(Debug)]
enum Source<F: AsFd> {
    /// A terminal, whose user has an escape key.
    Terminal(Raw<F>, Keys),
    /// A pipe or a file, whose bytes are all the guest's.
    Stream(F),
}

/// What is to be done after a look at the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The guest goes on.
    Continue,
    /// The user wants to know the keys.
    Help,
    /// The user wants to leave.
    Leave,
}

/// Input for a guest's console. Of a stream nothing is read before the guest has taken what was read before;
/// a terminal is always read, for the keys that are for this side.
///
/// The end of a stream is typed as Ctrl-d, and again from time to time: like every read of an ended file,
/// each program that reads on finds the end.
#[derive(Debug)]
pub struct Input<F: AsFd> {
    source: Source<F>,
    waiting: VecDeque<u8>,
    /// The last byte of a stream that was read.
    last: u8,
    /// When to say that there is no more, once there is none.
    ended: Option<Time>,
    pace: Pace,
}

impl<F: AsFd + Copy> Input<F> {
    /// Takes input from `from`, which is made raw if it is a terminal.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn new(from: F) -> io::Result<Self> {
        let source = match Raw::new(from)? {
            Some(raw) => Source::Terminal(raw, Keys::default()),
            None => Source::Stream(from),
        };
        Ok(Self { source, waiting: VecDeque::new(), last: b'\n', ended: None, pace: Pace::default() })
    }
}

impl<F: AsFd> Input<F> {
    /// Whether a user sits there.
    pub fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal(..))
    }

    /// Passes on what has come: `type_console` is given bytes and says how many the guest took.
    pub fn serve(&mut self, now: Time, mut type_console: impl FnMut(&[u8]) -> usize) -> Step {
        let step = self.fetch(now);
        while !self.waiting.is_empty() {
            let taken = type_console(self.waiting.make_contiguous());
            if taken == 0 {
                break;
            }
            self.waiting.drain(..taken.min(self.waiting.len()));
            if self.ended.is_some() {
                self.ended = Some(now.after(REMIND));
            }
        }
        step
    }

    /// Waits for input while the guest waits for so many nanoseconds, or for good: how much machine time
    /// has passed.
    pub fn rest(&mut self, wait: Option<u64>) -> u64 {
        match self.pace.begin(wait) {
            Sleep::Over(passed) => passed,
            Sleep::For(nanoseconds) => {
                let since = Instant::now();
                self.poll(nanoseconds);
                // 584 years fit.
                self.pace.end(wait, since.elapsed().as_nanos() as u64)
            }
        }
    }

    /// Reads what is there, if it is wanted.
    fn fetch(&mut self, now: Time) -> Step {
        if self.ended.is_some_and(|due| now >= due) && self.waiting.is_empty() {
            self.end(now);
        }
        if !self.is_wanted() || !self.poll(0) {
            return Step::Continue;
        }
        let mut bytes = [0; CHUNK];
        match io::read(&self.source, &mut bytes) {
            Err(io::Errno::INTR | io::Errno::AGAIN) => Step::Continue,
            Ok(count) if count > 0 => self.take(&bytes[..count]),
            // The end, a terminal that has hung up, or what cannot be read: nothing will come any more.
            Ok(_) | Err(_) => {
                self.end(now);
                Step::Continue
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Step {
        let Source::Terminal(_, keys) = &mut self.source else {
            self.last = bytes.last().copied().unwrap_or(self.last);
            self.waiting.extend(bytes);
            return Step::Continue;
        };
        let mut step = Step::Continue;
        for byte in bytes {
            match keys.next(*byte) {
                Key::Guest(byte) if self.waiting.len() < TYPED_AHEAD => self.waiting.push_back(byte),
                Key::Leave => return Step::Leave,
                Key::Help => step = Step::Help,
                Key::Guest(_) | Key::Nothing => {}
            }
        }
        step
    }

    /// Says that there is no more.
    fn end(&mut self, now: Time) {
        // Ctrl-d behind other bytes of a line would only send these.
        if std::mem::replace(&mut self.last, b'\n') != b'\n' {
            self.waiting.push_back(b'\n');
        }
        self.waiting.push_back(END_OF_TRANSMISSION);
        self.ended = Some(now.after(REMIND));
    }

    /// Whether what there is to read is to be read now.
    fn is_wanted(&self) -> bool {
        self.ended.is_none() && (self.is_terminal() || self.waiting.is_empty())
    }

    /// Whether there is something to read within so many nanoseconds. What is not wanted is just a way to
    /// sleep.
    fn poll(&self, nanoseconds: u64) -> bool {
        let source = PollFd::new(&self.source, PollFlags::IN);
        let fds = &mut [source][..];
        let fds = if self.is_wanted() { fds } else { &mut [] };
        let timeout = Timespec {
            // Both fit: a second has 10^9 nanoseconds, and 2^64 of these are 584 years.
            tv_sec: (nanoseconds / 1_000_000_000) as i64,
            tv_nsec: (nanoseconds % 1_000_000_000) as i64,
        };
        // A signal ends the sleep too: whoever waits for it looks next.
        matches!(poll(fds, Some(&timeout)), Ok(ready) if ready > 0)
    }
}

impl<F: AsFd> AsFd for Source<F> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Terminal(raw, _) => raw.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::fd::OwnedFd;

    use rustix::pipe::pipe;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A guest that takes so many bytes at once.
    struct Guest {
        room: usize,
        typed: Vec<u8>,
    }

    impl Guest {
        fn serve(&mut self, input: &mut Input<&OwnedFd>, now: u64, room: usize) -> Step {
            self.room = room;
            input.serve(Time(now), |bytes| {
                let taken = bytes.len().min(self.room);
                self.room -= taken;
                self.typed.extend(&bytes[..taken]);
                taken
            })
        }
    }

    fn guest() -> Guest {
        Guest { room: 0, typed: Vec::new() }
    }

    #[test]
    fn bytes_wait_where_they_come_from_until_there_is_room() {
        let (read, write) = pipe().unwrap();
        let mut input = Input::new(&read).unwrap();
        assert!(!input.is_terminal());
        let mut guest = guest();
        assert_eq!(guest.serve(&mut input, 0, 16), Step::Continue);
        // Ctrl-a is no escape in a stream.
        let text: Vec<u8> = (0..10_000_u32).map(|byte| byte as u8).collect();
        assert_eq!(io::write(&write, &text), Ok(text.len()));
        for turn in 1..=text.len() / 16 {
            guest.serve(&mut input, 0, 16);
            assert_eq!(guest.typed, text[..16 * turn]);
        }
        assert_eq!(guest.typed, text);
    }

    #[test]
    fn the_end_of_a_stream_is_typed_after_a_whole_line_and_again() {
        for (text, typed) in [(&b"exit\n"[..], &b"exit\n\x04"[..]), (b"exit", b"exit\n\x04"), (b"", b"\x04")]
        {
            let (read, write) = pipe().unwrap();
            let mut input = Input::new(&read).unwrap();
            assert_eq!(io::write(&write, text), Ok(text.len()));
            drop(write);
            let mut guest = guest();
            // The guest does not listen yet.
            guest.serve(&mut input, 0, 0);
            for now in [SECOND, SECOND + 1, 2 * SECOND - 1] {
                guest.serve(&mut input, now, 16);
            }
            assert_eq!(guest.typed, typed);
            guest.serve(&mut input, 2 * SECOND + 1, 16);
            assert_eq!(guest.typed, [typed, b"\x04"].concat());
        }
    }

    #[test]
    fn a_user_leaves_a_guest_that_does_not_read() {
        let (user, process) = super::super::tests::pty();
        let mut input = Input::new(&process).unwrap();
        assert!(input.is_terminal());
        let mut guest = guest();
        // More than is kept, in pieces that a terminal takes.
        for _ in 0..70 {
            assert_eq!(io::write(&user, &[b'k'; 1000]), Ok(1000));
            assert_eq!(guest.serve(&mut input, 0, 0), Step::Continue);
        }
        assert_eq!(io::write(&user, b"\x01h"), Ok(2));
        assert_eq!(guest.serve(&mut input, 0, 0), Step::Help);
        assert_eq!(io::write(&user, b"\x01x"), Ok(2));
        assert_eq!(guest.serve(&mut input, 0, usize::MAX), Step::Leave);
        assert!(guest.typed == [b'k'; TYPED_AHEAD], "{} bytes", guest.typed.len());
    }

    #[test]
    fn rest_ends_with_input_or_with_the_wait() {
        let (read, write) = pipe().unwrap();
        let mut input = Input::new(&read).unwrap();
        // Too short to sleep.
        assert_eq!(input.rest(Some(1000)), 1000);
        assert_eq!(input.rest(Some(2_000_000)), 2_000_000, "nothing comes, so all of it passes");
        assert_eq!(io::write(&write, b"x"), Ok(1));
        let passed = input.rest(None);
        assert!(passed < 20_000_000, "{passed}: it does not wait beside input");
        // What the guest does not take is no reason to wake.
        guest().serve(&mut input, 0, 0);
        assert_eq!(input.rest(Some(2_000_000)), 2_000_000);
    }
}
