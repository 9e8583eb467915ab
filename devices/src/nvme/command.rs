//! Entries of submission queues [NVMe 4.2].

use crate::register;

register! {
    /// A command as it lies in memory; bit 8 n is bit 0 of byte n.
    pub(super) struct Command: [u64; 8] {
        511:480 Field   cdw15: u32,
        479:448 Field   cdw14: u32,
        447:416 Field   cdw13: u32,
        415:384 Field   cdw12: u32,
        383:352 Field   cdw11: u32,
        351:320 Field   cdw10: u32,
        /// PRP Entry 2, or the upper half of SGL Entry 1.
        319:256 Field   prp2: u64,
        /// PRP Entry 1, or the lower half of SGL Entry 1.
        255:192 Field   prp1: u64,
        /// Metadata Pointer: no namespace here has metadata.
        191:128 Ignored _mptr,
        127:64  Ignored _r1,
        /// Namespace Identifier.
        63:32   Field   nsid: u32,
        /// Command Identifier.
        31:16   Field   cid: u16,
        /// PRP or SGL for Data Transfer.
        15:14   Field   psdt: u8,
        13:10   Ignored _r0,
        /// Fused Operation.
        9:8     Field   fuse: u8,
        /// Opcode.
        7:0     Field   opc: u8,
    }
}

impl Command {
    /// From the bytes in memory.
    pub(super) fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self::from_raw(words)
    }

    /// Starting LBA: command dwords 10 and 11 of the commands that have one.
    pub(super) fn slba(self) -> u64 {
        u64::from(self.cdw11()) << 32 | u64::from(self.cdw10())
    }
}
