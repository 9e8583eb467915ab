//! The arguments of a command: checked once, typed afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::MAX_DATA;
use super::command::Reply;

/// The words of a line after the command.
pub(super) struct Arguments<'a> {
    words: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(words: std::str::SplitAsciiWhitespace<'a>) -> Self {
        Self { words }
    }

    pub(super) fn optional(&mut self) -> Option<&'a str> {
        self.words.next()
    }

    pub(super) fn word(&mut self, name: &str) -> Result<&'a str, Reply> {
        self.words.next().ok_or_else(|| Reply::Fail(format!("missing argument {name}")))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<u64, Reply> {
        number(self.word(name)?, name)
    }

    pub(super) fn port(&mut self) -> Result<u16, Reply> {
        let port = self.number("ADDR")?;
        u16::try_from(port).map_err(|_| Reply::Fail(format!("port {port:#x} is above 0xffff")))
    }

    /// A length that is at most [`MAX_DATA`].
    pub(super) fn size(&mut self) -> Result<usize, Reply> {
        let size = self.number("SIZE")?;
        usize::try_from(size)
            .ok()
            .filter(|size| *size <= MAX_DATA)
            .ok_or_else(|| Reply::Fail(format!("size {size:#x} is above {MAX_DATA:#x} bytes")))
    }

    /// `0x` and hexadecimal digits; data shorter than `size` is continued with zeros, and what is
    /// beyond it is ignored.
    pub(super) fn hex(&mut self, size: usize) -> Result<Vec<u8>, Reply> {
        let word = self.data()?;
        let digits = word.strip_prefix("0x").ok_or_else(|| Reply::Fail("data without 0x".to_owned()))?;
        let bytes = digits.as_bytes().chunks_exact(2).take(size).map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            // Two hexadecimal digits make one byte.
            Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let mut bytes =
            bytes.ok_or_else(|| Reply::Fail("data with other than hexadecimal digits".to_owned()))?;
        bytes.resize(size, 0);
        Ok(bytes)
    }

    /// Base64; what is beyond `size` bytes is ignored, and of shorter data all is taken.
    pub(super) fn base64(&mut self, size: usize) -> Result<Vec<u8>, Reply> {
        let word = self.data()?;
        let mut bytes = STANDARD.decode(word).map_err(|e| Reply::Fail(format!("data is not base64: {e}")))?;
        bytes.truncate(size);
        Ok(bytes)
    }

    fn data(&mut self) -> Result<&'a str, Reply> {
        let word = self.word("DATA")?;
        if word.len() < 3 { Err(Reply::Error("invalid argument size".to_owned())) } else { Ok(word) }
    }
}

/// A number as C's `strtoull` with base 0 reads it, without a sign.
pub(super) fn number(word: &str, name: &str) -> Result<u64, Reply> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits
        .and_then(|digits| u64::from_str_radix(digits, radix).ok())
        .ok_or_else(|| Reply::Fail(format!("{name} '{word}' is not a 64-bit number")))
}
