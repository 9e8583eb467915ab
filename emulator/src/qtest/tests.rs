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
    check_on(&MachineConfig::default(), script, expected);
}

fn check_on(config: &MachineConfig, script: &str, expected: Expect) {
    let mut machine = Machine::new(config).unwrap();
    expected.assert_eq(&transcript(&mut machine, script));
}

fn with_devices(iommu: Option<&str>, devices: &[&str]) -> MachineConfig {
    MachineConfig {
        iommus: iommu.iter().map(|text| text.parse().unwrap()).collect(),
        memory: "16M".parse().unwrap(),
        devices: devices.iter().map(|text| text.parse().unwrap()).collect(),
        ..MachineConfig::default()
    }
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

#[test]
fn edu_moves_memory_without_an_iommu() {
    let script = "\
        outl 0xcf8 0x80000800\ninl 0xcfc\n\
        outl 0xcf8 0x80000810\noutl 0xcfc 0xfe000000\noutl 0xcf8 0x80000804\noutw 0xcfc 6\n\
        readl 0xfe000000\nwriteq 0x1000 0x1122334455667788\nirq_intercept_in ioapic\n\
        writeq 0xfe000080 0x1000\nwriteq 0xfe000088 0x40000\nwriteq 0xfe000090 8\nwriteq 0xfe000098 1\n\
        clock_step 99999999\nreadl 0xfe000098\nclock_step\nreadl 0xfe000098\n\
        writeq 0xfe000080 0x40000\nwriteq 0xfe000088 0x2000\nwriteq 0xfe000098 7\n\
        clock_step\nreadq 0x2000\nreadl 0xfe000024\nwritel 0xfe000064 0x100\nreadl 0xfe000024\n";
    check_on(
        &with_devices(None, &["edu"]),
        script,
        expect![[r#"
        OK
        OK 0x11e81234
        OK
        OK
        OK
        OK
        OK 0x00000000010000ed
        OK
        OK
        OK
        OK
        OK
        OK
        OK 99999999
        OK 0x0000000000000001
        OK 100000000
        OK 0x0000000000000000
        OK
        OK
        OK
        IRQ raise 21
        OK 200000000
        OK 0x1122334455667788
        OK 0x0000000000000100
        IRQ lower 21
        OK
        OK 0x0000000000000000
    "#]],
    );
}

#[test]
fn a_fault_is_recorded_and_signalled() {
    let arm_and_trigger = "writel 0xfe100014 1\nreadl 0xfe100000\nreadl 0xfe100010\n";
    let script = format!(
        "irq_intercept_in lapic\n\
         writel 0xb0010010 0xfe100000\nwritew 0xb0010004 2\nreadl 0xb0010000\n\
         writel 0xfe100004 0x5000\nwritel 0xfe10000c 16\nwritel 0xfe10001c 0x5000\nwritel 0xfe100018 0xa\n\
         {arm_and_trigger}readl 0x500c\n\
         writeq 0xfed90020 0x8000\nwritel 0xfed90018 0x40000000\nreadl 0xfed9001c\n\
         writel 0xfed90018 0x80000000\nreadl 0xfed9001c\n\
         writel 0xfed9003c 0x55\nwritel 0xfed90040 0xfee00000\nwritel 0xfed90038 0\n\
         {arm_and_trigger}readl 0xfed90034\nreadq 0xfed90220\nreadq 0xfed90228\n"
    );
    let config = with_devices(Some("vtd-legacy"), &["iommu-testdev,addr=02.0"]);
    check_on(
        &config,
        &script,
        expect![[r#"
        OK
        OK
        OK
        OK 0x0000000000051b36
        OK
        OK
        OK
        OK
        OK
        OK 0x0000000000000000
        OK 0x0000000000000000
        OK 0x0000000012345678
        OK
        OK
        OK 0x0000000040000000
        OK
        OK 0x00000000c0000000
        OK
        OK
        OK
        OK
        IRQ raise 85
        IRQ lower 85
        OK 0x0000000000000000
        OK 0x00000000dead0002
        OK 0x0000000000000002
        OK 0x0000000000005000
        OK 0x8000000100000010
    "#]],
    );
}

#[test]
fn a_restored_machine_continues_as_the_one_that_was_saved() {
    let config = with_devices(Some("vtd-legacy"), &["edu", "exerciser,functions=2"]);
    let mut one = Machine::new(&config).unwrap();
    transcript(
        &mut one,
        "outl 0xcf8 0x80000810\noutl 0xcfc 0xfe000000\noutl 0xcf8 0x80000804\noutw 0xcfc 6\n\
         memset 0x1000 64 0x5a\nwriteq 0xfe000080 0x1000\nwriteq 0xfe000088 0x40000\nwriteq 0xfe000090 64\n\
         writeq 0xfe000098 5\nclock_step 1000\noutb 0x3ff 0x33\noutb 0x70 0x0a\n",
    );
    let saved = serde_json::to_string(&one.save()).unwrap();
    let mut two = Machine::new(&config).unwrap();
    two.restore(serde_json::from_str(&saved).unwrap()).unwrap();
    let rest = "irq_intercept_in ioapic\ninb 0x71\ninb 0x3ff\nclock_step\nreadl 0xfe000024\n\
                writeq 0xfe000080 0x40000\nwriteq 0xfe000088 0x2000\nwriteq 0xfe000098 3\n\
                clock_step\nread 0x2000 64\n";
    let expected = transcript(&mut one, rest);
    assert!(expected.contains("IRQ raise 21") && expected.contains(&"5a".repeat(64)), "{expected}");
    assert_eq!(transcript(&mut two, rest), expected);
    assert_eq!(two.save(), one.save());
}
