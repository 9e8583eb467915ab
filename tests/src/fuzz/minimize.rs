//! Smaller inputs that still fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Target;

/// What a target said about an input, if it failed.
pub fn failure(target: &Target, data: &[u8]) -> Option<String> {
    // What an input leaves behind is cleared by the next one.
    let payload = catch_unwind(AssertUnwindSafe(|| (target.run)(data))).err()?;
    let text = payload.downcast_ref::<String>().cloned();
    Some(text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
}

/// Leaves out and zeroes what `fails` does not need. An input that does not fail comes back as it is.
///
/// The result is a local minimum: no single piece can be left out of it, and no byte of it can be
/// zero instead. `fails` is asked at most once for each piece and byte in each round, and each round
/// makes the input smaller.
pub fn minimize(target: &Target, data: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = data.to_vec();
    if !fails(&best) {
        return best;
    }
    loop {
        let shorter = leave_out(target, &best, &fails);
        let simpler = zero(target, &shorter, &fails);
        if simpler == best {
            return best;
        }
        best = simpler;
    }
}

/// Tries to leave out runs of pieces, long runs first.
fn leave_out(target: &Target, data: &[u8], fails: &impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (first, mut pieces) = target.layout.split(data);
    let join = |pieces: &[&[u8]]| [first, &pieces.concat()].concat();
    let mut run = pieces.len();
    while run > 0 {
        let mut at = 0;
        while at < pieces.len() {
            let mut fewer = pieces.clone();
            fewer.drain(at..(at + run).min(pieces.len()));
            if fails(&join(&fewer)) {
                pieces = fewer;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    join(&pieces)
}

/// Tries zero for each byte that is not; text stays as it is.
fn zero(target: &Target, data: &[u8], fails: &impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut data = data.to_vec();
    if target.layout == super::Layout::Text {
        return data;
    }
    for at in 0..data.len() {
        let old = std::mem::replace(&mut data[at], 0);
        if old != 0 && !fails(&data) {
            data[at] = old;
        }
    }
    data
}
