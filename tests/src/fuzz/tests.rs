use super::vtd::vtd;

/// A generator with a fixed seed.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn vtd_seeds() {
    let mut random = Random(1);
    for _ in 0..20000 {
        let len = random.next() as usize % 400;
        let data: Vec<u8> = (0..len).map(|_| (random.next() >> 32) as u8).collect();
        vtd(&data);
    }
}
