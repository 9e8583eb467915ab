//! Software that does anything.

use super::*;

/// A small generator of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// An address that is often a page, often in RAM, and sometimes anything.
    fn address(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1 => u64::MAX - self.below(0x3000),
            2 => self.below(1 << 20),
            _ => self.below(256) << 12,
        }
    }

    /// A command that is often nearly right.
    fn command(&mut self, admin: bool) -> C {
        let opcodes: &[u32] = if admin { &[0, 1, 2, 4, 5, 6, 8, 9, 10, 12] } else { &[0, 1, 2, 5, 8, 9] };
        let opcode = opcodes[self.below(opcodes.len() as u64) as usize]
            | if admin { 0 } else { (self.below(8) as u32 & 1) << 14 };
        let prp2 = if opcode >> 14 != 0 { self.below(5) << 60 | self.below(0x4000) } else { self.address() };
        let small = |numbers: &mut Self| match numbers.below(4) {
            0 => numbers.next() as u32,
            1 => numbers.below(16) as u32,
            2 => (numbers.below(64) << 16 | numbers.below(10)) as u32,
            _ => (numbers.below(10) << 16 | 3) as u32,
        };
        let nsid = if self.below(8) == 0 { self.next() as u32 } else { 1 };
        C {
            opcode,
            nsid,
            prp1: self.address(),
            prp2,
            d10: small(self),
            d11: if admin { small(self) } else { 0 },
            d12: small(self) & 0xfff,
            d13: 0,
        }
    }
}

#[test]
fn anything_is_survived_and_bounded() {
    for seed in 1..=300u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut driver = Driver::new();
        for _ in 0..150 {
            match numbers.below(16) {
                0 => {
                    let offset = numbers.below(0x40) & !3;
                    let value = numbers.next() as u32;
                    driver.rig.write32(BAR + offset, value);
                }
                1 => driver.rig.write32(BAR + 0x14, 0x0046_0000 | (numbers.next() as u32 & 0x0000_c001)),
                2 => {
                    let offset = 0x1000 + 4 * numbers.below(20);
                    let value = numbers.below(48) as u32;
                    driver.rig.write32(BAR + offset, value);
                }
                3 => {
                    driver.rig.write32(BAR + 0x14, 0);
                    driver.enable();
                }
                4..=6 => {
                    let at = numbers.address();
                    let words: Vec<u64> =
                        (0..32).map(|_| numbers.address() | numbers.below(5) << 60).collect();
                    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    let _ = driver.rig.mem.write(Pa(at), &bytes);
                }
                7..=9 => {
                    driver.rig.step();
                }
                10 => {
                    driver.reap(0);
                    driver.reap(1);
                }
                kind => {
                    let queue = u16::from(kind > 12);
                    let command = numbers.command(queue == 0);
                    driver.put(queue, command);
                    driver.ring(queue);
                }
            }
            assert!(driver.rig.requesters().len() <= 400, "bounded");
            assert!(driver.rig.queue.len() <= 16);
        }
        // What it has become can be saved and restored.
        let text = serde_json::to_string(&driver.rig.host.save()).unwrap();
        driver.rig.host.restore(serde_json::from_str(&text).unwrap()).unwrap();
        let mut steps = 0;
        while driver.rig.step() {
            steps += 1;
            assert!(steps < 20_000, "it comes to rest");
        }
        driver.rig.write32(BAR + 0x14, 0);
        driver.enable();
        let done = driver.admin(C { opcode: 0x0a, d10: 6, ..C::default() });
        assert_eq!((driver.csts(), done.status, done.dw0), (1, 0, 1), "a reset always helps");
    }
}

#[test]
fn every_access_is_survived() {
    let mut driver = Driver::new();
    for offset in 0..0x2000u64 {
        for len in [1, 2, 3, 4, 8, 16] {
            driver.rig.host.mmio_read(BAR + offset, &mut vec![0; len], &mut driver.rig.fx);
            driver.rig.write(BAR + offset, &vec![0; len]);
        }
    }
}
