//! What the auxiliary UART carries: a command's output, and behind it how the command ended.

/// The trailer is this, a decimal number up to 255, and a newline. /init sends it last.
const BEGIN: &[u8] = b"\0exit ";

/// Tells output from the trailer.
///
/// Output may look like a trailer: what more bytes follow was none.
#[derive(Debug, Default)]
pub struct Trailer {
    /// What may be the trailer, or its beginning.
    held: Vec<u8>,
}

impl Trailer {
    /// Bytes that have come: the output among them goes to `output`.
    pub fn push(&mut self, bytes: &[u8], mut output: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if !self.held.is_empty() && self.takes(byte) {
                self.held.push(byte);
                rest = after;
                continue;
            }
            if !self.held.is_empty() {
                output(&self.held);
                self.held.clear();
            }
            let begin = rest.iter().position(|byte| *byte == BEGIN[0]).unwrap_or(rest.len());
            if begin > 0 {
                output(&rest[..begin]);
            }
            rest = &rest[begin..];
            if let Some((&begin, after)) = rest.split_first() {
                self.held.push(begin);
                rest = after;
            }
        }
    }

    /// No more will come: the status, or the rest of the output if there was no trailer.
    pub fn finish(self) -> Result<u8, Vec<u8>> {
        let status = self.held.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(b"\n"));
        let number = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        number.ok_or(self.held)
    }

    /// Whether a trailer that begins with what is held can go on with this byte.
    fn takes(&self, byte: u8) -> bool {
        match self.held.strip_prefix(BEGIN) {
            None => BEGIN.get(self.held.len()) == Some(&byte),
            Some([]) => byte.is_ascii_digit(),
            Some([.., b'\n']) => false,
            Some(digits) => byte == b'\n' || digits.len() < 3 && byte.is_ascii_digit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent in these pieces.
    fn split(pieces: &[&[u8]]) -> (Vec<u8>, Option<u8>) {
        let mut trailer = Trailer::default();
        let mut output = Vec::new();
        for piece in pieces {
            trailer.push(piece, |bytes| {
                assert!(!bytes.is_empty());
                output.extend(bytes);
            });
        }
        match trailer.finish() {
            Ok(status) => (output, Some(status)),
            Err(rest) => ([output, rest].concat(), None),
        }
    }

    #[test]
    fn the_trailer_is_found_however_it_comes_in_pieces() {
        let rows: [(&[u8], &[u8], Option<u8>); 16] = [
            (b"", b"", None),
            (b"\0exit 0\n", b"", Some(0)),
            (b"out\n\0exit 7\n", b"out\n", Some(7)),
            (b"no newline\0exit 255\n", b"no newline", Some(255)),
            // No status: too large, too long, not a number, not all of it.
            (b"a\0exit 256\n", b"a\0exit 256\n", None),
            (b"a\0exit 0001\n", b"a\0exit 0001\n", None),
            (b"a\0exit \n", b"a\0exit \n", None),
            (b"a\0exit -1\n", b"a\0exit -1\n", None),
            (b"a\0exit 1", b"a\0exit 1", None),
            (b"a\0", b"a\0", None),
            // Output with the looks of a trailer.
            (b"\0exit 3\n\0exit 0\n", b"\0exit 3\n", Some(0)),
            (b"\0exit 3\nmore\0exit 1\n", b"\0exit 3\nmore", Some(1)),
            (b"\0exit 3\nmore", b"\0exit 3\nmore", None),
            (b"\0\0exit \0exit 12\0exit 34\n", b"\0\0exit \0exit 12", Some(34)),
            (b"\0ex\0\0\0exit 1\n", b"\0ex\0\0", Some(1)),
            (b"exit 3\n", b"exit 3\n", None),
        ];
        for (sent, output, status) in rows {
            let expected = (output.to_vec(), status);
            for first in 0..=sent.len() {
                for second in first..=sent.len() {
                    let pieces = [&sent[..first], &sent[first..second], &sent[second..]];
                    assert_eq!(split(&pieces), expected, "{pieces:x?}");
                }
            }
            let bytes: Vec<_> = sent.chunks(1).collect();
            assert_eq!(split(&bytes), expected, "{sent:x?}");
        }
    }
}
