//! Bytes that were proven to be a whole picture of a kind that browsers show. A [`Picture`] is
//! made from nothing else, so whatever holds one can be served.

use std::fmt;

use arrayvec::ArrayString;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex;

/// A validated picture.
#[derive(Clone, PartialEq)]
pub struct Picture {
    bytes: Bytes,
    digest: Digest,
    media: MediaType,
    width: u32,
    height: u32,
}

/// What a picture is known again by: its bytes may lie elsewhere, and come back proven.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    digest: Digest,
    media: MediaType,
    width: u32,
    height: u32,
}

/// A BLAKE3 digest of a representation's bytes; the strong `ETag` is made from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// The image formats that vendors send and browsers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/gif`
    Gif,
}

/// Why bytes were not taken for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPicture {
    /// No byte at all: what visual rate limiting sends.
    #[error("the picture is empty (0 bytes)")]
    Nothing,
    /// Magic bytes of none of the four formats: HTML, SVG, JSON, noise.
    #[error("the bytes are no JPEG, PNG, WebP or GIF")]
    Unknown,
    /// The end is missing.
    #[error("the {0} is cut off")]
    CutOff(MediaType),
    /// A header that makes no sense, or an edge longer than allowed.
    #[error("the {0} has unreadable or unreasonable dimensions")]
    Dimensions(MediaType),
}

// === impl Picture ===

impl Picture {
    /// The longest edge believed. WhatsApp's pictures are 640 pixels square.
    const LONGEST_EDGE: usize = 8192;

    /// Takes `bytes` for a picture if their beginning, dimensions and end say so. What a vendor's
    /// `Content-Type` claims does not matter.
    pub fn validate(bytes: Bytes) -> Result<Self, InvalidPicture> {
        if bytes.is_empty() {
            return Err(InvalidPicture::Nothing);
        }
        let media = MediaType::sniff(&bytes).ok_or(InvalidPicture::Unknown)?;
        if !media.is_whole(&bytes) {
            return Err(InvalidPicture::CutOff(media));
        }
        let size = imagesize::blob_size(&bytes).map_err(|_| InvalidPicture::Dimensions(media))?;
        let edges = 1..=Self::LONGEST_EDGE;
        if !edges.contains(&size.width) || !edges.contains(&size.height) {
            return Err(InvalidPicture::Dimensions(media));
        }
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes,
            media,
            width: size.width as u32,
            height: size.height as u32,
        })
    }

    /// The picture that `proof` was taken of, if these are its bytes: they were validated then.
    pub fn from_proof(bytes: Bytes, proof: &Proof) -> Option<Self> {
        let Proof {
            digest,
            media,
            width,
            height,
        } = *proof;
        (Digest::of(&bytes) == digest).then_some(Self {
            bytes,
            digest,
            media,
            width,
            height,
        })
    }

    /// What it is known again by.
    pub fn proof(&self) -> Proof {
        Proof {
            digest: self.digest,
            media: self.media,
            width: self.width,
            height: self.height,
        }
    }

    /// The picture, byte for byte as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What identifies the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The format.
    pub fn media(&self) -> MediaType {
        self.media
    }

    /// Width and height in pixels, as the header says.
    pub fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Picture({} {}x{}, {} bytes)",
            self.media,
            self.width,
            self.height,
            self.bytes.len()
        )
    }
}

// === impl Digest ===

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 128 bits in hexadecimal: enough for an `ETag`.
    pub fn short(&self) -> ArrayString<32> {
        hex::encode(&self.0[..16])
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode::<64>(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let digest =
            hex::decode(text).ok_or_else(|| de::Error::custom("not 64 hexadecimal digits"))?;
        Ok(Self(digest))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

// === impl MediaType ===

impl MediaType {
    /// The media type as `Content-Type` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Jpeg => "image/jpeg",
            MediaType::Png => "image/png",
            MediaType::Webp => "image/webp",
            MediaType::Gif => "image/gif",
        }
    }

    /// The format whose magic bytes these are, all of them: browsers look at all of them, too.
    fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xFF\xD8\xFF") {
            Some(MediaType::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
            Some(MediaType::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(MediaType::Webp)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(MediaType::Gif)
        } else {
            None
        }
    }

    /// Whether the format's own end is there. A vendor that cuts a file and adjusts its length is
    /// found out by nothing else.
    fn is_whole(self, bytes: &[u8]) -> bool {
        match self {
            // Some encoders pad behind the end-of-image marker.
            MediaType::Jpeg => bytes.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]),
            MediaType::Png => bytes
                .windows(8)
                .rev()
                .any(|chunk| chunk == b"IEND\xAE\x42\x60\x82"),
            MediaType::Webp => bytes
                .get(4..8)
                .and_then(|size| size.try_into().ok())
                .is_some_and(|size| bytes.len() as u64 >= 8 + u64::from(u32::from_le_bytes(size))),
            MediaType::Gif => bytes.iter().rev().take(64).any(|byte| *byte == 0x3B),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat};

    use super::*;

    fn drawn(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(96, 64)
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    /// A 1x1 GIF; the encoder for it is not among our dependencies.
    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

    #[test]
    fn magic_bytes_that_are_nearly_right_are_wrong() {
        let gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF\x21\xF9\x04\x01\x00\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01\x44\x00\x3B";
        assert!(Picture::validate(Bytes::from_static(gif)).is_ok());
        for at in 0..6 {
            let mut other = gif.to_vec();
            other[at] ^= 1;
            assert_eq!(
                Picture::validate(other.into()),
                Err(InvalidPicture::Unknown)
            );
        }
    }

    #[test]
    fn the_bytes_decide_the_type() {
        for (format, media) in [
            (ImageFormat::Jpeg, MediaType::Jpeg),
            (ImageFormat::Png, MediaType::Png),
            (ImageFormat::WebP, MediaType::Webp),
        ] {
            let picture = Picture::validate(drawn(format).into()).unwrap();
            assert_eq!(picture.media(), media);
            assert_eq!(picture.dimensions(), (96, 64));
        }
        let gif = Picture::validate(Bytes::from_static(GIF)).unwrap();
        assert_eq!((gif.media(), gif.dimensions()), (MediaType::Gif, (1, 1)));
    }

    #[test]
    fn a_picture_cut_anywhere_is_refused() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = drawn(format);
            for end in (0..whole.len() - 1).step_by(7) {
                let cut = Bytes::copy_from_slice(&whole[..end]);
                assert!(Picture::validate(cut).is_err(), "{format:?} cut at {end}");
            }
        }
    }

    #[test]
    fn a_picture_comes_back_by_its_proof_and_no_other_bytes_do() {
        let picture = Picture::validate(drawn(ImageFormat::Png).into()).unwrap();
        let written = serde_json::to_string(&picture.proof()).unwrap();
        let proof: Proof = serde_json::from_str(&written).unwrap();
        let bytes = picture.bytes().clone();
        assert_eq!(Picture::from_proof(bytes.clone(), &proof), Some(picture));
        for at in 0..bytes.len() {
            let mut other = bytes.to_vec();
            other[at] ^= 1;
            assert_eq!(Picture::from_proof(other.into(), &proof), None);
        }
        assert_eq!(Picture::from_proof(bytes.slice(1..), &proof), None);
    }

    #[test]
    fn what_browsers_would_run_or_not_show_is_refused() {
        for bytes in [
            &b"<!doctype html><title>Login</title>"[..],
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"{\"url\":null}",
            b"%PDF-1.7",
            b"BM\x00\x00",
            b"\x00\x00\x01\x00",
        ] {
            assert_eq!(
                Picture::validate(Bytes::copy_from_slice(bytes)),
                Err(InvalidPicture::Unknown)
            );
        }
        assert_eq!(
            Picture::validate(Bytes::new()),
            Err(InvalidPicture::Nothing)
        );
    }

    #[test]
    fn a_header_that_claims_a_huge_canvas_is_refused() {
        let mut png = drawn(ImageFormat::Png);
        png[16..20].copy_from_slice(&100_000u32.to_be_bytes());
        assert_eq!(
            Picture::validate(png.into()),
            Err(InvalidPicture::Dimensions(MediaType::Png))
        );
    }
}
