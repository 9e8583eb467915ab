//! A debugger of few words: packets over a socket [GDB, Remote Protocol].

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// A client that needs no acknowledgements.
    pub fn new(stream: UnixStream) -> Self {
        let mut client = Self { stream };
        client.send("QStartNoAckMode");
        assert_eq!(client.byte(), b'+');
        assert_eq!(client.receive(), "OK");
        // The last acknowledgement.
        client.stream.write_all(b"+").unwrap();
        client
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// Sends a packet. Where nobody listens any more, it is the missing answer that tells.
    pub fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        let _ = self.stream.write_all(format!("${packet}#{sum:02x}").as_bytes());
    }

    /// Sends Ctrl-C.
    pub fn interrupt(&mut self) {
        self.stream.write_all(&[3]).unwrap();
    }

    /// The contents of the next packet, run lengths expanded.
    pub fn receive(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut packet = Vec::new();
        let mut sum = 0u8;
        loop {
            let byte = self.byte();
            if byte == b'#' {
                break;
            }
            sum = sum.wrapping_add(byte);
            if byte == b'*' {
                let count = self.byte();
                sum = sum.wrapping_add(count);
                let last = *packet.last().unwrap();
                packet.extend(std::iter::repeat_n(last, usize::from(count - 29)));
            } else {
                packet.push(byte);
            }
        }
        let digits = [self.byte(), self.byte()];
        assert_eq!(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16), Ok(sum), "checksum");
        String::from_utf8(packet).unwrap()
    }

    /// Sends a packet and gives the answer.
    pub fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.receive()
    }

    /// Asks, and compares the answer.
    pub fn expect(&mut self, packet: &str, answer: &str) {
        assert_eq!(self.ask(packet), answer, "to {packet}");
    }
}
