use super::*;

/// Three blocks, the last of them short.
const BYTES: u64 = 2 * BLOCK + 1024;

/// A medium of one byte repeated, which is only read.
struct Filled(u8);

impl Medium for Filled {
    fn bytes(&self) -> u64 {
        BYTES
    }
    fn read_only(&self) -> bool {
        true
    }
    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError> {
        assert!(contains(BYTES, at, data.len()));
        data.fill(self.0);
        Ok(())
    }
    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), MediumError> {
        panic!("what is below an overlay is only read")
    }
    fn deallocate(&mut self, _: u64, _: u64) {
        panic!("what is below an overlay is only read")
    }
    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
    fn save(&self) -> MediumState {
        MediumState::Host { bytes: BYTES }
    }
    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        if state == self.save() { Ok(()) } else { Err("another") }
    }
}

fn contents(medium: &mut dyn Medium) -> Vec<u8> {
    let mut all = vec![0; BYTES as usize];
    medium.read(0, &mut all).unwrap();
    all
}

fn kept(medium: &dyn Medium) -> Vec<u64> {
    let blocks = match medium.save() {
        MediumState::Memory(blocks) | MediumState::Overlay { blocks, .. } => blocks,
        MediumState::Host { .. } => Vec::new(),
    };
    blocks.iter().map(|block| block.index).collect()
}

#[test]
fn writes_at_every_border() {
    for fill in [0, 0xee] {
        for (at, len) in [
            (0, 1),
            (BLOCK - 1, 2),
            (BLOCK, BLOCK),
            (1, 2 * BLOCK),
            (2 * BLOCK, 1024),
            (2 * BLOCK + 1023, 1),
            (0, BYTES),
            (5, 0),
            (BYTES, 0),
        ] {
            let mut medium: Box<dyn Medium> = if fill == 0 {
                Box::new(Memory::new(BYTES))
            } else {
                Box::new(Overlay::new(Box::new(Filled(fill))))
            };
            let mut expected = vec![fill; BYTES as usize];
            expected[at as usize..(at + len) as usize].fill(0x5a);
            medium.write(at, &vec![0x5a; len as usize]).unwrap();
            assert!(contents(&mut *medium) == expected, "{len} at {at:#x} over {fill:#x}");
        }
    }
}

#[test]
fn ranges_that_leave_it() {
    for (at, len) in [(BYTES, 1), (BYTES - 1, 2), (u64::MAX, 1), (u64::MAX, 2), (0, BYTES as usize + 1)] {
        let mut memory = Memory::new(BYTES);
        let mut overlay = Overlay::new(Box::new(Filled(1)));
        for medium in [&mut memory as &mut dyn Medium, &mut overlay] {
            assert_eq!(medium.read(at, &mut vec![0; len]), Err(MediumError), "{len} at {at:#x}");
            assert_eq!(medium.write(at, &vec![1; len]), Err(MediumError), "{len} at {at:#x}");
            assert_eq!(kept(medium), [0; 0]);
        }
    }
}

#[test]
fn memory_keeps_what_is_not_zero() {
    let mut memory = Memory::new(BYTES);
    memory.write(0, &vec![0; BYTES as usize]).unwrap();
    assert!(!memory.keeps(0), "zeros take no memory");
    memory.write(BLOCK, &[1]).unwrap();
    memory.write(BLOCK, &[0]).unwrap();
    assert_eq!(memory.save(), Memory::new(BYTES).save(), "states of equal contents are equal");
    memory.write(0, &vec![7; BYTES as usize]).unwrap();
    for (at, len, left) in [
        (1, BLOCK, vec![0, 1, 2]),
        (1, BLOCK - 1, vec![0, 1, 2]),
        (BLOCK, BLOCK, vec![0, 2]),
        (BYTES - 1, 1, vec![0, 2]),
        (2 * BLOCK, u64::MAX, vec![0]),
        (u64::MAX, u64::MAX, vec![0]),
        (0, BLOCK, vec![]),
    ] {
        memory.deallocate(at, len);
        assert_eq!(kept(&memory), left, "{len:#x} at {at:#x}");
    }
}

#[test]
fn overlays_keep_what_is_written() {
    let mut overlay = Overlay::new(Box::new(Filled(0xee)));
    overlay.deallocate(0, BYTES);
    overlay.write(BLOCK + 5, &[0]).unwrap();
    overlay.write(2 * BLOCK, &[0xee; 1024]).unwrap();
    assert_eq!(kept(&overlay), [1, 2], "also what is zero, and what is the same");
}

#[test]
fn states() {
    let mut memory = Memory::new(BYTES);
    let mut overlay = Overlay::new(Box::new(Filled(0xee)));
    for medium in [&mut memory as &mut dyn Medium, &mut overlay] {
        medium.write(BLOCK - 2, &[1, 2, 3, 4]).unwrap();
        let before = contents(medium);
        let state = serde_json::from_str(&serde_json::to_string(&medium.save()).unwrap()).unwrap();
        medium.write(2 * BLOCK, &[9; 1024]).unwrap();
        medium.restore(state).unwrap();
        assert!(contents(medium) == before);
    }
    let block = |index, len: usize| Block { index, bytes: Bytes(vec![1; len]) };
    for (blocks, good) in [
        (vec![block(0, BLOCK as usize), block(2, 1024)], true),
        (vec![block(0, BLOCK as usize - 1)], false),
        (vec![block(2, BLOCK as usize)], false),
        (vec![block(3, 0)], false),
        (vec![block(3, 1024)], false),
        (vec![block(u64::MAX, BLOCK as usize)], false),
    ] {
        let before = (memory.save(), overlay.save());
        assert_eq!(memory.restore(MediumState::Memory(blocks.clone())).is_ok(), good, "{blocks:?}");
        let below = Box::new(MediumState::Host { bytes: BYTES });
        assert_eq!(overlay.restore(MediumState::Overlay { below, blocks }).is_ok(), good);
        assert_eq!((memory.save(), overlay.save()) == before, !good);
    }
    let host = MediumState::Host { bytes: BYTES };
    assert!(memory.restore(host.clone()).is_err() && overlay.restore(host.clone()).is_err());
    let below = Box::new(MediumState::Host { bytes: 0 });
    assert!(overlay.restore(MediumState::Overlay { below, blocks: Vec::new() }).is_err());
}
