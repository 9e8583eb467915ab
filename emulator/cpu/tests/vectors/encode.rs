//! Writing test vectors.

use std::io::Write;

use super::format::{CODE, Case, END, Outcome, PAGE, Pool, State};

/// A file being written.
pub struct Writer {
    pub pool: Pool,
    count: u32,
    cases: Vec<u8>,
}

impl Writer {
    pub fn new(seed: u64) -> Self {
        Self { pool: Pool::new(seed), count: 0, cases: Vec::new() }
    }

    /// The index of the next case.
    pub fn next(&self) -> u32 {
        self.count
    }

    pub fn push(&mut self, case: &Case) {
        let initial = case.initial(self.pool.seed, self.count);
        self.pool.learn(case, &initial);
        let out = &mut self.cases;
        out.push(match case.outcome {
            Outcome::Ended(_) => 0,
            Outcome::Undefined => 1,
            Outcome::Digest(_) => 2,
        });
        out.extend([case.flavour as u8, case.words.len() as u8]);
        if !matches!(case.outcome, Outcome::Digest(_)) {
            out.extend(case.words.iter().flat_map(|word| word.to_le_bytes()));
        }
        out.push(case.sets.len() as u8);
        for (register, value) in &case.sets {
            out.push(*register);
            out.extend(value.to_le_bytes());
        }
        match &case.outcome {
            Outcome::Ended(end) => encode_difference(out, case, &initial, end),
            Outcome::Undefined => {}
            Outcome::Digest(digest) => out.extend(digest.to_le_bytes()),
        }
        self.count += 1;
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let mut file = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        file.write_all(b"A64V").unwrap();
        file.write_all(&self.pool.seed.to_le_bytes()).unwrap();
        file.write_all(&self.count.to_le_bytes()).unwrap();
        file.write_all(&self.cases).unwrap();
        file.finish().unwrap()
    }
}

fn encode_difference(out: &mut Vec<u8>, case: &Case, old: &State, new: &State) {
    for i in 0..32 {
        if old.x[i] != new.x[i] {
            out.push(i as u8);
            out.extend(new.x[i].to_le_bytes());
        }
        if old.v[i] != new.v[i] {
            out.push(32 + i as u8);
            out.extend(new.v[i].to_le_bytes());
        }
    }
    if old.nzcv != new.nzcv {
        out.extend([64, new.nzcv]);
    }
    for (tag, old, new) in [(65, old.fpcr, new.fpcr), (66, old.fpsr, new.fpsr)] {
        if old != new {
            out.push(tag);
            out.extend(new.to_le_bytes());
        }
    }
    let differs = |at: &usize| old.memory[*at] != new.memory[*at];
    let mut at = 0;
    while let Some(first) = (at..PAGE).find(differs) {
        let end = (first..PAGE).find(|at| !differs(at)).unwrap_or(PAGE);
        out.push(67);
        out.extend((first as u16).to_le_bytes());
        out.extend(((end - first) as u16).to_le_bytes());
        out.extend(&new.memory[first..end]);
        at = end;
    }
    if new.pc != CODE + 4 * case.words.len() as u64 {
        out.push(68);
        out.extend(new.pc.to_le_bytes());
    }
    out.push(END);
}
