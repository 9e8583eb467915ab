//! The end of a text, for when it turns out to be wanted.

use std::collections::VecDeque;

/// Bytes kept.
const KEPT: usize = 4096;

/// The last lines of a text.
#[derive(Clone, Debug, Default)]
pub struct Tail(VecDeque<u8>);

impl Tail {
    /// The text goes on.
    pub fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(KEPT)..];
        self.0.drain(..(self.0.len() + new.len()).saturating_sub(KEPT));
        self.0.extend(new);
    }

    /// Its last whole lines.
    pub fn lines(self) -> String {
        let full = self.0.len() == KEPT;
        let text = Vec::from(self.0);
        let text = String::from_utf8_lossy(&text);
        match text.split_once('\n') {
            // The first line is cut.
            Some((_, rest)) if full => rest.to_owned(),
            _ => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let mut tail = Tail::default();
        tail.push(b"one\n");
        assert_eq!(tail.clone().lines(), "one\n");
        tail.push(&b"x".repeat(4000));
        tail.push(b"\ntwo");
        tail.push(&b"y".repeat(100));
        assert_eq!(tail.clone().lines(), format!("two{}", "y".repeat(100)));
        tail.push(&b"z\n".repeat(5000));
        assert_eq!(tail.lines(), "z\n".repeat(2047));
    }
}
