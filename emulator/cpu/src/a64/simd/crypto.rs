//! AES, SHA-1 and SHA-256 [Arm C4.1, "Cryptographic AES", "Cryptographic two-register SHA",
//! "Cryptographic three-register SHA"].

use super::lanes::{rd, rm, rn};
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::bits;
use crate::a64::features::Features;
use crate::a64::op::{Op, forms};

forms! {
    enum Form {
        Aese,
        Aesd,
        Aesmc,
        Aesimc,
        Sha1c,
        Sha1p,
        Sha1m,
        Sha1su0,
        Sha256h,
        Sha256h2,
        Sha256su1,
        Sha1h,
        Sha1su1,
        Sha256su0,
    }
}

/// The tables of two registers: bits 21:17 are 10100.
pub(super) fn decode_two(word: u32, features: &Features) -> Option<Op> {
    let (form, allocated) = match (bits(word, 31, 22), bits(word, 16, 12)) {
        (0b01_0011_1000, 0b00100) => (Form::Aese, features.aes),
        (0b01_0011_1000, 0b00101) => (Form::Aesd, features.aes),
        (0b01_0011_1000, 0b00110) => (Form::Aesmc, features.aes),
        (0b01_0011_1000, 0b00111) => (Form::Aesimc, features.aes),
        (0b01_0111_1000, 0b00000) => (Form::Sha1h, features.sha1),
        (0b01_0111_1000, 0b00001) => (Form::Sha1su1, features.sha1),
        (0b01_0111_1000, 0b00010) => (Form::Sha256su0, features.sha256),
        _ => return None,
    };
    allocated.then(|| op(word, Table::Crypto, form as u16, 0))
}

/// The table of three registers: a scalar encoding whose bits 21, 15, 11 and 10 are clear.
pub(super) fn decode_three(word: u32, features: &Features) -> Option<Op> {
    let (form, allocated) = match (bits(word, 31, 21), bits(word, 15, 10)) {
        (0b010_1111_0000, 0b000000) => (Form::Sha1c, features.sha1),
        (0b010_1111_0000, 0b000100) => (Form::Sha1p, features.sha1),
        (0b010_1111_0000, 0b001000) => (Form::Sha1m, features.sha1),
        (0b010_1111_0000, 0b001100) => (Form::Sha1su0, features.sha1),
        (0b010_1111_0000, 0b010000) => (Form::Sha256h, features.sha256),
        (0b010_1111_0000, 0b010100) => (Form::Sha256h2, features.sha256),
        (0b010_1111_0000, 0b011000) => (Form::Sha256su1, features.sha256),
        _ => return None,
    };
    allocated.then(|| op(word, Table::Crypto, form as u16, 0))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    // The instruction.
    let word = op.imm as u32;
    let (n, m, d) = (core.v[rn(word)], core.v[rm(word)], core.v[rd(word)]);
    core.v[rd(word)] = match Form::of(op.form) {
        Form::Aese => u128::from_le_bytes(shift_rows((d ^ n).to_le_bytes(), 5).map(|b| SBOX[usize::from(b)])),
        Form::Aesd => {
            u128::from_le_bytes(shift_rows((d ^ n).to_le_bytes(), 13).map(|b| INVERSE[usize::from(b)]))
        }
        Form::Aesmc => mix_columns(n, [2, 3, 1, 1]),
        Form::Aesimc => mix_columns(n, [14, 11, 13, 9]),
        Form::Sha1c => sha1(d, n as u32, m, choose),
        Form::Sha1p => sha1(d, n as u32, m, |x, y, z| x ^ y ^ z),
        Form::Sha1m => sha1(d, n as u32, m, majority),
        Form::Sha1su0 => (d >> 64 | n << 64) ^ d ^ m,
        Form::Sha256h => sha256(d, n, m).0,
        Form::Sha256h2 => sha256(n, d, m).1,
        Form::Sha256su1 => {
            let (d, first) = (words(d), words(n >> 32 | m << 96));
            let mut result = [0; 4];
            for e in 0..4 {
                let second = if e < 2 { words(m)[e + 2] } else { result[e - 2] };
                let sigma = second.rotate_right(17) ^ second.rotate_right(19) ^ second >> 10;
                result[e] = sigma.wrapping_add(d[e]).wrapping_add(first[e]);
            }
            vector(result)
        }
        Form::Sha1h => u128::from((n as u32).rotate_left(30)),
        Form::Sha1su1 => {
            let t = words(d ^ n >> 32);
            let [a, b, c, last] = t.map(|word| word.rotate_left(1));
            vector([a, b, c, last ^ t[0].rotate_left(2)])
        }
        Form::Sha256su0 => {
            let (d, t) = (words(d), words(d >> 32 | n << 96));
            vector(std::array::from_fn(|e| {
                let sigma = t[e].rotate_right(7) ^ t[e].rotate_right(18) ^ t[e] >> 3;
                sigma.wrapping_add(d[e])
            }))
        }
    };
}

/// The lanes of 32 bits.
fn words(vector: u128) -> [u32; 4] {
    std::array::from_fn(|i| (vector >> (32 * i)) as u32)
}

fn vector(words: [u32; 4]) -> u128 {
    words.iter().rev().fold(0, |vector, word| vector << 32 | u128::from(*word))
}

fn choose(x: u32, y: u32, z: u32) -> u32 {
    ((y ^ z) & x) ^ z
}

fn majority(x: u32, y: u32, z: u32) -> u32 {
    (x & y) | ((x | y) & z)
}

/// Four rounds of SHA-1.
fn sha1(x: u128, mut y: u32, w: u128, f: fn(u32, u32, u32) -> u32) -> u128 {
    let mut x = words(x);
    for word in words(w) {
        let [a, b, c, d] = x;
        let sum = y.wrapping_add(a.rotate_left(5)).wrapping_add(f(b, c, d)).wrapping_add(word);
        x = [sum, a, b.rotate_left(30), c];
        y = d;
    }
    vector(x)
}

/// Four rounds of SHA-256, both halves of the state.
fn sha256(x: u128, y: u128, w: u128) -> (u128, u128) {
    let (mut x, mut y) = (words(x), words(y));
    for word in words(w) {
        let sigma1 = y[0].rotate_right(6) ^ y[0].rotate_right(11) ^ y[0].rotate_right(25);
        let sigma0 = x[0].rotate_right(2) ^ x[0].rotate_right(13) ^ x[0].rotate_right(22);
        let t = y[3].wrapping_add(sigma1).wrapping_add(choose(y[0], y[1], y[2])).wrapping_add(word);
        let new = t.wrapping_add(sigma0).wrapping_add(majority(x[0], x[1], x[2]));
        (x, y) = ([new, x[0], x[1], x[2]], [x[3].wrapping_add(t), y[0], y[1], y[2]]);
    }
    (vector(x), vector(y))
}

/// AES: byte i comes from byte i times `factor`. Rows are moved left by 5, right by 13.
fn shift_rows(state: [u8; 16], factor: usize) -> [u8; 16] {
    std::array::from_fn(|i| state[i * factor % 16])
}

/// AES: each column times a circulant matrix, given by its first row.
fn mix_columns(state: u128, row: [u8; 4]) -> u128 {
    let state = state.to_le_bytes();
    u128::from_le_bytes(std::array::from_fn(|i| {
        (0..4).fold(0, |sum, k| sum ^ product(row[(k + 4 - i % 4) % 4], state[i / 4 * 4 + k]))
    }))
}

/// Product in the field of AES [FIPS 197 4.2].
const fn product(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut sum) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            sum ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    sum
}

/// The substitution of AES [FIPS 197 5.1.1].
const SBOX: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        // The 254th power is the inverse, zero staying zero.
        let (mut inverse, mut power) = (1, 0);
        while power < 254 {
            inverse = product(inverse, i as u8);
            power += 1;
        }
        let x: u8 = inverse;
        table[i] = x ^ x.rotate_left(1) ^ x.rotate_left(2) ^ x.rotate_left(3) ^ x.rotate_left(4) ^ 0x63;
        i += 1;
    }
    table
};

/// Its inverse.
const INVERSE: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[SBOX[i] as usize] = i as u8;
        i += 1;
    }
    table
};
