//! The text protocol, with a machine behind it.
//!
//! Beside "no panic": each line is answered exactly once, whatever it holds, and by one of the
//! protocol's words.

use emulator::qtest::serve;

use super::pci::with_board;

/// Bytes of an input that are used: a line can ask for 16 MiB of accesses, so few lines are enough.
pub const MAX_INPUT: usize = 1024;
/// The machine, as for [`super::pci`].
pub const IOMMU: &str = "vtd-legacy,cache=tiny";

/// Feeds `data` to a server.
///
/// # Panics
/// If what the module says does not hold.
pub fn qtest(data: &[u8]) {
    let data = &data[..data.len().min(MAX_INPUT)];
    with_board(IOMMU, |board| {
        board.reset();
        let mut output = Vec::new();
        let served = serve(&mut board.machine, data, &mut output);
        assert!(served.is_ok(), "a server fails without input or output failing: {served:?}");
        let text = String::from_utf8(output);
        // A reply repeats words of its line, which was text.
        let text = text.expect("replies are text");
        let mut replies = 0;
        for line in text.lines() {
            let word = line.split(' ').next().unwrap_or_default();
            assert!(["OK", "FAIL", "ERR", "IRQ"].contains(&word), "reply {line:?}");
            replies += usize::from(word != "IRQ");
        }
        let lines = data.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(replies, lines, "lines and replies: {text}");
    });
}
