//! Speed of the AArch64 interpreter.

fn main() {}
