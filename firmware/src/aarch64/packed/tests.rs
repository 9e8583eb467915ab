#![allow(clippy::unwrap_used)]

use super::super::is_image;
use super::*;

/// 64 bytes of a kernel as the tools of their names compress them: `gzip -9n`,
/// `zstd -22 --ultra`, `xz --check=crc32 --arm64 --lzma2=preset=9,dict=32MiB`, `lzma -9`.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x13\x14\x84\x00\x06\x18\x10\x80\x50\x82\x04\x80\x63\x90\
    \x6f\x0a\x48\x1f\x00\x85\x8c\x63\x19\x40\x00\x00\x00";
const ZSTD: &[u8] =
    b"\x28\xb5\x2f\xfd\x04\x88\xdd\x00\x00\xa2\x41\x04\x08\xe0\x6d\x3c\x3e\xc5\xcc\xcf\xa7\x49\xd2\x51\
    \xf9\x7f\xfc\xff\x9f\x02\x00\x41\xdb\x0c\x5c\x01\x51\x46\xb7\x0a";
const XZ: &[u8] =
    b"\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x01\x0a\x00\x21\x01\x1a\x00\x71\xa8\x8a\x89\
    \xe0\x00\x3f\x00\x13\x5d\x00\x08\xea\x7c\x35\x8e\x79\x0f\x51\x55\x15\x61\xc0\xde\x3d\x0d\xb1\x0f\
    \xcd\xc0\x00\x00\x85\x8c\x63\x19\x00\x01\x2b\x40\xd2\x09\x2a\x20\x90\x42\x99\x0d\x01\x00\x00\x00\
    \x00\x01\x59\x5a";
const LZMA: &[u8] =
    b"\x5d\x00\x00\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff\x00\x08\xea\x7c\x35\x8e\x79\x0f\x51\x55\x15\
    \x61\xc0\xde\x3d\x0d\xb1\xc3\x69\x43\xff\xff\xa9\x3a\x00\x00";

/// What is in them: text_offset 0, image_size 0x1000, "ARM\x64", 0x11 elsewhere.
fn kernel() -> Vec<u8> {
    let mut kernel = vec![0x11; 64];
    kernel[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
    kernel[56..60].copy_from_slice(b"ARM\x64");
    kernel
}

/// A zboot image: its header, a PE header at 0x40, the data at 0x60, and the size of what is inside, as Linux's
/// build appends it.
fn zboot(method: &[u8], data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 0x60];
    image[..8].copy_from_slice(b"MZ\0\0zimg");
    image[8] = 0x60;
    image[12..16].copy_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    image[24..24 + method.len()].copy_from_slice(method);
    image[0x38..0x40].copy_from_slice(&[0xcd, 0x23, 0x82, 0x81, 0x40, 0, 0, 0]);
    image[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    image.extend(data);
    image.extend([64, 0, 0, 0]);
    image
}

fn fails(image: &[u8]) -> String {
    unpack(image).unwrap_err().to_string()
}

#[test]
fn kernels_are_unpacked_whatever_their_wrapping() {
    let packed = [
        GZIP.to_vec(),
        ZSTD.to_vec(),
        XZ.to_vec(),
        // What follows the data is not theirs.
        [XZ, &[64, 0, 0, 0]].concat(),
        zboot(b"gzip", GZIP),
        zboot(b"zstd", ZSTD),
        zboot(b"zstd22", ZSTD),
        zboot(b"xzkern", XZ),
        zboot(b"lzma", LZMA),
    ];
    for image in packed {
        assert_eq!(*unpack(&image).unwrap(), kernel(), "{image:x?}");
        assert!(is_image(&image), "{image:x?}");
    }
    assert!(matches!(unpack(&kernel()), Ok(Cow::Borrowed(_))));
}

#[test]
fn wrappings_of_something_else_are_no_images() {
    // Of `hello`.
    let text =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00";
    assert_eq!(*unpack(text).unwrap(), *b"hello");
    assert!(!is_image(text));
    let mut x86 = zboot(b"gzip", GZIP);
    x86[0x44..0x46].copy_from_slice(&[0x64, 0x86]);
    assert!(!is_image(&x86));
    assert!(fails(&x86).contains("PE machine 0x8664"));
    // A compression that is not known is no reason to call it no image.
    assert!(is_image(&zboot(b"lzo", b"")));
}

#[test]
fn compressions_that_are_not_known_are_named() {
    for (name, told) in
        [(&b"lzo"[..], "'lzo'"), (b"lz4", "'lz4'"), (b"", "''"), (b"\xff\n", "'\\u{fffd}\\n'")]
    {
        let error = fails(&zboot(name, GZIP));
        assert!(error.contains(told) && error.contains("gzip, zstd, xzkern and lzma"), "{error}");
    }
}

#[test]
fn damage_is_told_of() {
    for (name, data) in [("gzip", GZIP), ("zstd", ZSTD), ("xz", XZ), ("lzma", LZMA)] {
        let method: &[u8] = if name == "xz" { b"xzkern" } else { name.as_bytes() };
        for image in [zboot(method, &data[..data.len() - 7]), zboot(method, &data[..4]), zboot(method, b"")] {
            let error = fails(&image);
            assert!(error.contains(&format!("the image's {name} data cannot be unpacked")), "{error}");
        }
        let mut flipped = data.to_vec();
        flipped[data.len() / 2] ^= 0x10;
        let damaged = unpack(&zboot(method, &flipped)).map(Cow::into_owned);
        assert_ne!(damaged.ok(), Some(kernel()), "{name}");
    }
    let good = zboot(b"gzip", GZIP);
    // (offset, what is written there, what is told)
    for (at, bytes, told) in [
        (8, [0xff; 4], "compressed data leave the file"),
        (12, [0xff; 4], "compressed data leave the file"),
        (12, [0x2a, 0, 0, 0], "compressed data leave the file"),
        (60, [0xff; 4], "no PE header"),
        (60, [0x84, 0, 0, 0], "no PE header"),
        (0x40, *b"XE\0\0", "no PE header"),
    ] {
        let mut image = good.clone();
        image[at..at + 4].copy_from_slice(&bytes);
        assert!(fails(&image).contains(told), "{at:#x}");
    }
    for size in 0..0x46 {
        assert!(unpack(&good[..size]).is_ok() == (size < 8), "{size}");
    }
}

/// Whatever bit is wrong, there is an answer; for most, the check sum's.
#[test]
fn each_flipped_bit_ends_in_an_answer() {
    for (method, data) in [(&b"gzip"[..], GZIP), (b"zstd", ZSTD), (b"xzkern", XZ), (b"lzma", LZMA)] {
        let image = zboot(method, data);
        for bit in 0..image.len() * 8 {
            let mut image = image.clone();
            image[bit / 8] ^= 1 << (bit % 8);
            match unpack(&image) {
                Ok(bytes) => assert!(bytes.len() as u64 <= UNPACKED_MAX),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            is_image(&image);
        }
    }
}

#[test]
fn no_more_is_unpacked_than_a_kernel_can_have() {
    let packed = Packed { method: Method::Gzip, data: GZIP };
    assert_eq!(packed.read(10).unwrap(), kernel()[..10]);
    // A window of 512 MiB: more than is granted.
    let mut window = ZSTD.to_vec();
    window[5] = 19 << 3;
    assert!(fails(&window).contains("zstd"), "{}", fails(&window));
    let mut dictionary = LZMA.to_vec();
    dictionary[1..5].copy_from_slice(&[0, 0, 0, 0x20]);
    assert!(fails(&zboot(b"lzma", &dictionary)).contains("lzma"));
}
