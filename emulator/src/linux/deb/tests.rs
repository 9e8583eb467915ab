use std::io::Cursor;

use tar::{Builder, Header};

use super::super::compression::tests::{gzip, plain, xz, zstd};
use super::*;

/// A package as `dpkg-deb` lays it out.
fn package(tar: &[u8], compress: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    // The second has an odd size, so that a byte of padding follows.
    for (name, data) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", vec![7; 33]), ("data.tar", compress(tar))]
    {
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).bytes(),
        );
        bytes.extend_from_slice(&data);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn header(path: &str, kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    // The crate's own way refuses the paths that are to be refused here.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, data) in entries {
        builder.append(&header(path, *kind, data.len()), *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn read(package: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DebError> {
    let mut found = Vec::new();
    files(Cursor::new(package), |path, content| {
        found.push((path.to_owned(), compression::read_all(content, 1 << 20)?));
        Ok(())
    })?;
    Ok(found)
}

fn read_tar(entries: &[(&str, EntryType, &[u8])]) -> Result<Vec<(String, Vec<u8>)>, DebError> {
    read(&package(&tar(entries), plain))
}

#[test]
fn regular_files_come_out_of_every_compression() {
    let deep = format!("./usr/lib/modules/{}/kernel/a.ko", "r".repeat(150));
    let tar = tar(&[
        ("./", EntryType::Directory, b""),
        ("./boot/vmlinuz", EntryType::Regular, b"kernel"),
        ("././@LongLink", EntryType::GNULongName, format!("{deep}\0").as_bytes()),
        (&deep[..100], EntryType::Regular, b"module"),
        ("./link", EntryType::Symlink, b""),
        ("./hard", EntryType::Link, b""),
        ("./null", EntryType::Char, b""),
        ("/absolute", EntryType::Regular, b""),
    ]);
    let expected = [("boot/vmlinuz", &b"kernel"[..]), (&deep[2..], b"module"), ("absolute", b"")];
    for compress in [plain, gzip, xz, zstd] {
        let found = read(&package(&tar, compress)).unwrap();
        let found: Vec<_> = found.iter().map(|(path, data)| (path.as_str(), data.as_slice())).collect();
        assert_eq!(found, expected);
    }
}

/// The path of what is no file must not become that of the next entry.
#[test]
fn a_long_path_belongs_to_one_entry() {
    let entries: [(_, _, &[u8]); 3] = [
        ("././@LongLink", EntryType::GNULongName, b"./long\0"),
        ("./long", EntryType::Directory, b""),
        ("./file", EntryType::Regular, b"1"),
    ];
    assert_eq!(read_tar(&entries).unwrap(), [("file".to_owned(), b"1".to_vec())]);
}

#[test]
fn no_path_leads_out() {
    for path in
        ["../etc/passwd", "./../x", "a/../../x", "./a/..", "..", ".", "./", "//x", "a//b", "a/./b", "a\nb"]
    {
        let error = read_tar(&[(path, EntryType::Regular, b"")]).unwrap_err();
        assert!(matches!(&error, DebError::Path(_)), "{path}: {error}");
    }
    let name: [(_, _, &[u8]); 2] =
        [("././@LongLink", EntryType::GNULongName, b"./a/../../b\0"), ("./a", EntryType::Regular, b"")];
    assert!(matches!(read_tar(&name).unwrap_err(), DebError::Path(_)));
}

#[test]
fn sizes_are_bounded() {
    let name = [b'a'; 5000];
    let error = read_tar(&[("././@LongLink", EntryType::GNULongName, &name)]).unwrap_err();
    assert_eq!(error.to_string(), "it has more than 4096 bytes");
    let mut limited = Limited { source: Cursor::new([0; 10]), left: 9 };
    let error = io::copy(&mut limited, &mut io::sink()).unwrap_err();
    assert!(error.to_string().starts_with("it has more than 200000 entries"), "{error}");
}

#[test]
fn pax_headers_are_refused() {
    let error = read_tar(&[("x", EntryType::XHeader, b"14 path=/etc/x\n")]).unwrap_err();
    assert!(matches!(error, DebError::Malformed(_)), "{error}");
}

#[test]
fn what_is_no_package_is_refused() {
    let whole = package(&tar(&[("./a", EntryType::Regular, b"12")]), xz);
    // Nothing before the end of the data is a package.
    for kept in 0..whole.len() - 1 {
        read(&whole[..kept]).unwrap_err();
    }
    read(&whole).unwrap();
    let check = |at: usize, bytes: &[u8], expected: &str| {
        let mut broken = whole.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(read(&broken).unwrap_err().to_string(), format!("it is not a Debian package: {expected}"));
    };
    check(0, b"!<arsh>\n", "it does not start as an ar archive");
    check(8 + 48, b"-1        ", "a member has no size");
    check(8 + 48, b"          ", "a member has no size");
    check(8 + 48, b"9999999999", "it ends within a member");
    check(8 + 58, b"``", "a member has no end of its head");
    check(8, b"\xff", "a member has no size");
    let without_data = &whole[..8 + 60 + 4 + 60 + 34];
    assert!(read(without_data).unwrap_err().to_string().ends_with("it has no member data.tar"));
}

#[test]
fn what_the_caller_says_goes_through() {
    let whole = package(&tar(&[("./a", EntryType::Regular, b"12")]), plain);
    let error = files(Cursor::new(whole), |_, _| Err(DebError::Malformed("no"))).unwrap_err();
    assert_eq!(error.to_string(), "it is not a Debian package: no");
}

/// A package with these files.
pub fn package_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> = files.iter().map(|(path, data)| (*path, EntryType::Regular, *data)).collect();
    package(&tar(&entries), xz)
}
