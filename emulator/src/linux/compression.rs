//! Compressed files: xz, gzip and zstd, told apart by their first bytes.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The most that a decompressor may take for its window: what `xz -9` and `zstd --ultra` ask for fits.
const WINDOW_LIMIT: u64 = 128 << 20;

const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What `source` holds, decompressed if it is compressed. How much comes is for the caller to bound.
pub(super) fn reader<'a>(mut source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let start = source.fill_buf()?;
    Ok(if start.starts_with(XZ) {
        Box::new(XzReader::new_mem_limit(source, true, (WINDOW_LIMIT >> 10) as u32))
    } else if start.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(source))
    } else if start.starts_with(ZSTD) {
        Box::new(Frames { decoder: Some(frame(source)?) })
    } else {
        Box::new(source)
    })
}

/// A file of zstd is a chain of frames, and the decoder is one of a frame.
struct Frames<R: BufRead> {
    /// `None` after the last frame.
    decoder: Option<StreamingDecoder<R, FrameDecoder>>,
}

fn frame<R: BufRead>(source: R) -> io::Result<StreamingDecoder<R, FrameDecoder>> {
    StreamingDecoder::new_with_max_window_size(source, WINDOW_LIMIT).map_err(io::Error::other)
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(buffer)?;
            if count != 0 {
                return Ok(count);
            }
            let Some(mut source) = self.decoder.take().map(StreamingDecoder::into_inner) else { break };
            if !source.fill_buf()?.is_empty() {
                self.decoder = Some(frame(source)?);
            }
        }
        Ok(0)
    }
}

/// Reads all of `source`, which must not come to more than `limit` bytes.
pub(super) fn read_all(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use lzma_rust2::{XzOptions, XzWriter};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    pub fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    pub fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    pub fn plain(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    /// Programs with several threads write a stream per thread; the second is no rubbish at the end.
    fn halves(compress: fn(&[u8]) -> Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        [compress(first), compress(second)].concat()
    }

    fn decompress(bytes: Vec<u8>, limit: u64) -> io::Result<Vec<u8>> {
        reader(Cursor::new(bytes)).and_then(|source| read_all(source, limit))
    }

    #[test]
    fn every_format_is_known_by_its_start() {
        let text = b"two halves of one text ".repeat(1000);
        for compress in [plain, xz, gzip, zstd] {
            assert_eq!(decompress(compress(&text), 23_000).unwrap(), text);
            assert_eq!(decompress(halves(compress, &text), 23_000).unwrap(), text);
            let error = decompress(compress(&text), 22_999).unwrap_err();
            assert_eq!(error.to_string(), "it has more than 22999 bytes");
        }
        assert_eq!(decompress(Vec::new(), 0).unwrap(), b"");
    }

    #[test]
    fn damage_is_an_error() {
        let text = b"not to be cut short ".repeat(1000);
        for compress in [xz, gzip, zstd] {
            let whole = compress(&text);
            for kept in [8, whole.len() / 2, whole.len() - 1] {
                decompress(whole[..kept].to_vec(), 1 << 20).unwrap_err();
            }
        }
    }

    /// The block header of `xz --lzma2=dict=1GiB`, whose decoder would take that much.
    #[test]
    fn a_window_is_bounded() {
        let mut stream = xz(b"text");
        // Magic and flags are 12 bytes; then size, flags, filter 0x21, one byte of properties: the dictionary.
        assert_eq!(stream[14..16], [0x21, 1]);
        stream[16] = 36;
        let checked = crc32(&stream[12..20]);
        stream[20..24].copy_from_slice(&checked.to_le_bytes());
        let error = decompress(stream, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8)
                .fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
        })
    }
}
