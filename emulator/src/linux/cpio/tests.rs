use expect_test::expect;

use super::*;

/// Entries as another reader of the format sees them.
fn list(mut archive: &[u8]) -> String {
    let mut lines = String::new();
    loop {
        let mut reader = cpio::NewcReader::new(archive).unwrap();
        let entry = reader.entry().clone();
        if entry.is_trailer() {
            return lines;
        }
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut data).unwrap();
        lines += &format!(
            "{} {:06o} {}:{} x{} at {} dev {:?} {} {:?}\n",
            entry.ino(),
            entry.mode(),
            entry.uid(),
            entry.gid(),
            entry.nlink(),
            entry.mtime(),
            (entry.rdev_major(), entry.rdev_minor()),
            entry.name(),
            String::from_utf8(data).unwrap()
        );
        archive = reader.finish().unwrap();
    }
}

fn archive() -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("/dev", 0o755).unwrap();
    archive.character_device("dev/console", 0o600, (5, 1)).unwrap();
    archive.file("init", 0o4755, b"#!/bin/sh\n").unwrap();
    archive.file("empty", 0o644, b"").unwrap();
    archive.symlink("bin", "usr/bin").unwrap();
    archive.finish()
}

#[test]
fn another_reader_sees_what_was_put_in() {
    expect![[r##"
        1 040755 0:0 x1 at 0 dev (0, 0) dev ""
        2 020600 0:0 x1 at 0 dev (5, 1) dev/console ""
        3 104755 0:0 x1 at 0 dev (0, 0) init "#!/bin/sh\n"
        4 100644 0:0 x1 at 0 dev (0, 0) empty ""
        5 120777 0:0 x1 at 0 dev (0, 0) bin "usr/bin"
    "##]]
    .assert_eq(&list(&archive()));
}

/// Documentation/driver-api/early-userspace/buffer-format.rst: a magic, 13 fields of 8 hexadecimal digits, a
/// name that ends in NUL, data; both padded to 4.
#[test]
fn is_laid_out_as_kernels_read_it() {
    let mut archive = Archive::default();
    archive.file("ab", 0o644, b"12345").unwrap();
    let bytes = archive.finish();
    let fields = "00000001000081A4000000000000000000000001000000000000000500000000000000000000000000000000\
                  0000000300000000";
    assert_eq!(bytes[..110], *format!("070701{fields}").as_bytes());
    assert_eq!(bytes[110..124], *b"ab\0\0\0\x0012345\0\0\0");
    let end = "0707010000000000000000000000000000000000000001000000000000000000000000000000000000000000000000\
               0000000B00000000TRAILER!!!\0\0\0\0";
    assert_eq!(bytes[bytes.len() - 124..], *end.as_bytes());
}

#[test]
fn a_name_has_an_end() {
    let mut archive = Archive::default();
    archive.file(&"n".repeat(4095), 0o644, b"").unwrap();
    assert_eq!(archive.file(&"n".repeat(4096), 0o644, b""), Err(CpioError::Name(4096)));
    assert_eq!(list(&archive.finish()).lines().count(), 1);
}
