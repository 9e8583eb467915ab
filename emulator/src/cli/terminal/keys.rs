//! The escape key: what is typed after Ctrl-a is meant for this side.

/// Ctrl-a.
const ESCAPE: u8 = 0x01;

/// What the keys are, for whoever asks.
pub const HELP: &str = "\
Ctrl-a x       leave: the machine is switched off at once
Ctrl-a h       this help
Ctrl-a Ctrl-a  sends Ctrl-a to the guest
";

/// What a key comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// This byte is the guest's.
    Guest(u8),
    /// The user wants to leave.
    Leave,
    /// The user wants to know the keys.
    Help,
    /// It begins an escape, or is none of those that there are.
    Nothing,
}

/// Tells the guest's keys from ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    escaped: bool,
}

impl Keys {
    /// The next byte that the terminal sends.
    pub fn next(&mut self, byte: u8) -> Key {
        if !std::mem::take(&mut self.escaped) {
            self.escaped = byte == ESCAPE;
            return if self.escaped { Key::Nothing } else { Key::Guest(byte) };
        }
        match byte {
            ESCAPE => Key::Guest(ESCAPE),
            b'x' | b'X' => Key::Leave,
            b'h' | b'H' | b'?' => Key::Help,
            _ => Key::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_is_for_this_side_and_twice_for_the_guest() {
        use Key::{Guest, Help, Leave, Nothing};
        for (typed, keys) in [
            (&b"ls\r"[..], &[Guest(b'l'), Guest(b's'), Guest(b'\r')][..]),
            (b"x\x01x", &[Guest(b'x'), Nothing, Leave]),
            (b"\x01\x01x", &[Nothing, Guest(1), Guest(b'x')]),
            (b"\x01h\x01?h", &[Nothing, Help, Nothing, Help, Guest(b'h')]),
            // A key that is none of ours is swallowed, and the next one is the guest's.
            (b"\x01zx", &[Nothing, Nothing, Guest(b'x')]),
            // Ctrl-c, Ctrl-z and Ctrl-d are the guest's.
            (b"\x03\x1a\x04\xff\0", &[Guest(3), Guest(0x1a), Guest(4), Guest(0xff), Guest(0)]),
        ] {
            let mut state = Keys::default();
            let found: Vec<_> = typed.iter().map(|byte| state.next(*byte)).collect();
            assert_eq!(found, keys, "{typed:x?}");
        }
    }
}
