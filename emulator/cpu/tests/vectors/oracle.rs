//! The program that runs instructions for the generator: `oracle.c` in a child process.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use super::format::{PAGE, State};

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;

pub struct Oracle {
    command: Command,
    child: Child,
}

/// The oracle itself gave up.
pub struct Died;

impl Oracle {
    pub fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { command, child }
    }

    /// The state that the words end in, `None` where one is undefined.
    pub fn run(&mut self, state: &State, words: &[u32]) -> Result<Option<State>, Died> {
        match self.ask(state, words)? {
            (_, SIGILL) => Ok(None),
            (end, SIGTRAP) => Ok(Some(end)),
            (_, signal) => panic!("{words:08x?} ended by signal {signal}"),
        }
    }

    /// Is a word defined? What it does, and whether it faults, does not matter.
    pub fn defines(&mut self, state: &State, word: u32) -> Result<bool, Died> {
        Ok(self.ask(state, &[word])?.1 != SIGILL)
    }

    /// The state that the words end in, and the number of the signal that ended them.
    fn ask(&mut self, state: &State, words: &[u32]) -> Result<(State, u32), Died> {
        let mut request = Vec::new();
        request.extend(state.x.iter().flat_map(|x| x.to_le_bytes()));
        request.extend(state.v.iter().flat_map(|v| v.to_le_bytes()));
        request.extend(state.pc.to_le_bytes());
        request.extend((u32::from(state.nzcv) << 28).to_le_bytes());
        request.extend([state.fpcr, state.fpsr, 0].iter().flat_map(|word| word.to_le_bytes()));
        request.extend(&state.memory[..]);
        request.extend((words.len() as u32).to_le_bytes());
        request.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(&request).unwrap();
        input.flush().unwrap();
        let mut reply = vec![0; 32 * 8 + 32 * 16 + 8 + 16 + PAGE + 4];
        if self.child.stdout.as_mut().unwrap().read_exact(&mut reply).is_err() {
            self.child.wait().unwrap();
            self.child = self.command.spawn().unwrap();
            return Err(Died);
        }
        let mut at = 0;
        let mut take = |length: usize| {
            at += length;
            let mut number = [0; 16];
            number[..length].copy_from_slice(&reply[at - length..at]);
            u128::from_le_bytes(number)
        };
        let mut end = state.clone();
        end.x.fill_with(|| take(8) as u64);
        end.v.fill_with(|| take(16));
        end.pc = take(8) as u64;
        end.nzcv = (take(4) as u32 >> 28) as u8;
        [end.fpcr, end.fpsr] = [take(4) as u32, take(4) as u32];
        take(4);
        end.memory.fill_with(|| take(1) as u8);
        let signal = take(4) as u32;
        Ok((end, signal))
    }
}
