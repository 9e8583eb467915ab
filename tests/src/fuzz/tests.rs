use super::record::{Input, Record};
use super::*;

/// Inputs for each target.
const INPUTS: u64 = 20_000;

/// Xorshift, so that every run sees the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn input(&mut self, layout: Layout) -> Vec<u8> {
        match layout {
            Layout::Records => {
                let config = self.next() as u8;
                let records = (0..self.below(24)).map(|_| self.record()).collect();
                Input { config, records }.to_bytes()
            }
            Layout::Text => (0..self.below(12)).flat_map(|_| self.line().into_bytes()).collect(),
        }
    }

    fn record(&mut self) -> Record {
        let (bits, value) = (self.next(), self.next());
        // Small values are as likely as any.
        let value = value >> (bits >> 32 & 63);
        Record { kind: bits as u8, place: (bits >> 8) as u8, shape: (bits >> 16) as u16, value }
    }

    fn line(&mut self) -> String {
        const WORDS: [&str; 16] = [
            "readl", "writel", "readq", "writeq", "read", "write", "outl", "inl", "memset", "b64write",
            "clock_step", "clock_set", "irq_intercept_in", "lapic", "b64read", "x",
        ];
        let mut line = WORDS[self.below(WORDS.len())].to_owned();
        for _ in 0..self.below(4) {
            let number = self.next();
            line += &match self.below(5) {
                0 => format!(" {:#x}", number & 0x1fff),
                1 => format!(" {:#x}", 0xfed9_0000 + (number & 0x2ff)),
                2 => format!(" {}", number & 0xff),
                3 => format!(" {:#x}", number),
                _ => format!(" {}", WORDS[self.below(WORDS.len())]),
            };
        }
        line + "\n"
    }
}

fn run_seeds(name: &str) {
    let target = Target::named(name).unwrap();
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..INPUTS {
        (target.run)(&random.input(target.layout));
    }
}

#[test]
fn vtd_survives_fixed_seeds() {
    run_seeds("vtd");
}

#[test]
fn decoders_survive_fixed_seeds() {
    run_seeds("decode");
}

#[test]
fn machine_survives_fixed_seeds() {
    run_seeds("pci");
}

#[test]
fn protocol_survives_fixed_seeds() {
    run_seeds("qtest");
}

#[test]
fn inputs_are_what_their_bytes_say() {
    let data = [0x12, 3, 4, 0x06, 0x05, 8, 7, 6, 5, 4, 3, 2, 1, 0xff];
    let full = Record { kind: 3, place: 4, shape: 0x0506, value: 0x0102_0304_0506_0708 };
    let cut_off = Record { kind: 0xff, ..Record::default() };
    let input = Input::parse(&data);
    assert_eq!(input, Input { config: 0x12, records: vec![full, cut_off] });
    assert_eq!(input.to_bytes()[..14], data);
    assert_eq!(Input::parse(&input.to_bytes()), input);
    assert_eq!(Input::parse(&[0; 4000]).records.len(), record::MAX_RECORDS);
}
