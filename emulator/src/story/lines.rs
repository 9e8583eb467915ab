//! Text that comes in pieces, cut into lines.

/// A line longer than this is given in parts.
const MAX_LINE: usize = 4096;

/// The line that is not whole yet.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Adds text as it came, and calls `line` for each line that this ends, without its newline.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' || self.line.len() == MAX_LINE {
                line(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            }
            if byte != b'\n' && byte != b'\r' {
                self.line.push(byte);
            }
        }
    }

    /// Takes what came after the last newline, if anything did.
    pub fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.line);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}
