//! Calls of the binary that tests of its command line share.

use std::process::{Command, Output, Stdio};

/// Runs it to its end, without input.
pub fn iommulator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iommulator")).args(args).stdin(Stdio::null()).output().unwrap()
}

/// It must end with this code, and say this on standard error.
pub fn check_failure(args: &[&str], code: i32, message: &str) {
    let output = iommulator(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(message), "{args:?}: {text}");
}
