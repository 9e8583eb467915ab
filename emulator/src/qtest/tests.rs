use expect_test::{Expect, expect};

use super::*;
use crate::config::MachineConfig;

/// Runs a script on a machine and returns what a client sees.
fn transcript(machine: &mut Machine, script: &str) -> String {
    let mut output = Vec::new();
    serve(machine, script.as_bytes(), &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

fn check(script: &str, expected: Expect) {
    let mut machine = Machine::new(&MachineConfig::default()).unwrap();
    expected.assert_eq(&transcript(&mut machine, script));
}

#[test]
fn memory_of_every_size() {
    check(
        "writeq 0x1000 0x1122334455667788\nreadq 0x1000\nreadl 0x1000\nreadw 0x1002\nreadb 4099\n\
         writel 0x1000 0xffffffffcafebabe\nreadq 010000\nwritew 0x1000 1\nwriteb 0x1003 0x2ff\nreadl 0x1000\n",
        expect![[r#"
            OK
            OK 0x1122334455667788
            OK 0x0000000055667788
            OK 0x0000000000005566
            OK 0x0000000000000055
            OK
            OK 0x11223344cafebabe
            OK
            OK
            OK 0x00000000fffe0001
        "#]],
    );
}

#[test]
fn blocks() {
    check(
        "write 0x2000 6 0x0102aBcD\nread 0x2000 8\nwrite 0x2000 1 0x7fffff\nread 0x2000 2\nwrite 0x2000 2 0x123\n\
         read 0x2000 2\nmemset 0x2000 4 0x1aa\nread 0x1fff 6\nmemset 0x2000 0 1\n\
         b64write 0x3000 4 3q2+7w==\nb64read 0x3000 5\nreadl 0x3000\nb64write 0x3000 2 AAAAAA==\nread 0x3000 4\n\
         b64read 0x3000 0\n",
        expect![[r#"
            OK
            OK 0x0102abcd00000000
            OK
            OK 0x7f02
            OK
            OK 0x1200
            OK
            OK 0x00aaaaaaaa00
            OK
            OK
            OK 3q2+7wA=
            OK 0x00000000efbeadde
            OK
            OK 0x0000beef
            OK 
        "#]],
    );
}

#[test]
fn what_nobody_claims_reads_as_ones() {
    check(
        "readb 0xfe000000\nreadq 0xfe000000\nwriteq 0xfe000000 0\ninb 0x1234\ninw 0x1234\ninl 0xffff\noutl 0x1234 1\n\
         read 0x1ffffffe 4\nread 0xfffffffffffffffe 4\nwrite 0x1ffffffe 4 0x11223344\nread 0x1ffffffe 4\n",
        expect![[r#"
            OK 0x00000000000000ff
            OK 0xffffffffffffffff
            OK
            OK 0x00ff
            OK 0xffff
            OK 0xffffffff
            OK
            OK 0x0000ffff
            OK 0xffffffff
            OK
            OK 0x1122ffff
        "#]],
    );
}

#[test]
fn the_clock_moves_only_forwards_and_only_when_told() {
    check(
        "clock_step\nclock_step 0\nclock_step 100\nclock_set 0x100\nclock_set 50\nclock_step 1\n\
         clock_set 18446744073709551615\nclock_step 1\n",
        expect![[r#"
            FAIL cannot advance clock to the next deadline because there is no pending deadline
            FAIL could not advance time
            OK 100
            OK 256
            FAIL 256
            OK 257
            OK 18446744073709551615
            FAIL could not advance time
        "#]],
    );
}

#[test]
fn bad_commands_are_answered_and_the_next_one_runs() {
    check(
        "\nfoo 1\nreadb\nreadb x\nreadb -1\nreadb 0x\nreadb 08\nreadb 0x10000000000000000\nwriteb 0\ninb 0x10000\n\
         read 0 0\nread 0 0x1000001\nmemset 0 0xffffffffffffffff 0\nwrite 0 1\nwrite 0 1 0x\nwrite 0 1 1234\n\
         write 0 1 0xzz\nb64write 0 4 !!!!\nb64write 0 1 A\nclock_step x\nclock_set\nclock_set -5\n\
         irq_intercept_in\nirq_intercept_in pic\nirq_intercept_out ioapic\nirq_intercept_in ioapic\n\
         irq_intercept_in ioapic\nirq_intercept_in lapic\nendianness\r\nreadb 0\nreadb 1 (no newline)",
        expect![[r#"
            FAIL Unknown command ''
            FAIL Unknown command 'foo'
            FAIL missing argument ADDR
            FAIL ADDR 'x' is not a 64-bit number
            FAIL ADDR '-1' is not a 64-bit number
            FAIL ADDR '0x' is not a 64-bit number
            FAIL ADDR '08' is not a 64-bit number
            FAIL ADDR '0x10000000000000000' is not a 64-bit number
            FAIL missing argument VALUE
            FAIL port 0x10000 is above 0xffff
            FAIL size 0
            FAIL size 0x1000001 is above 0x1000000 bytes
            FAIL size 0xffffffffffffffff is above 0x1000000 bytes
            FAIL missing argument DATA
            ERR invalid argument size
            FAIL data without 0x
            FAIL data with other than hexadecimal digits
            FAIL data is not base64: Invalid symbol 33, offset 0.
            ERR invalid argument size
            FAIL NS 'x' is not a 64-bit number
            FAIL missing argument NS
            FAIL NS '-5' is not a 64-bit number
            FAIL missing argument QOM-PATH
            FAIL Unknown device
            FAIL No intercepts installed
            OK
            OK
            FAIL IRQ intercept already enabled
            OK little
            OK 0x0000000000000000
        "#]],
    );
}

#[test]
fn a_line_too_long_or_not_text_is_answered_once() {
    let mut script = vec![b'x'; MAX_LINE + 1];
    script.extend_from_slice(b"\n\xff\xfe\nendianness\n");
    let mut machine = Machine::new(&MachineConfig::default()).unwrap();
    let mut output = Vec::new();
    serve(&mut machine, &script[..], &mut output).unwrap();
    expect![[r#"
        FAIL line longer than 33554560 bytes
        FAIL the line is not text
        OK little
    "#]]
    .assert_eq(&String::from_utf8(output).unwrap());
}

#[test]
fn the_longest_write_fits_a_line() {
    let script = format!("write 0x100000 0x1000000 0x{}\nreadl 0x10ffffc\n", "5a".repeat(MAX_DATA));
    check(
        &script,
        expect![[r#"
        OK
        OK 0x000000005a5a5a5a
    "#]],
    );
}
