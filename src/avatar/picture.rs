//! Validated pictures: whole images of a format that browsers show. A [`Picture`] is only made from
//! validated bytes, so every one can be served.

use std::fmt;

use arrayvec::ArrayString;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    formats::{self, Fault},
    media_type::MediaType,
    structure::Structure,
};

use crate::hex;

/// A validated picture.
#[derive(Clone, PartialEq)]
pub struct Picture {
    bytes: Bytes,
    digest: Digest,
    media: MediaType,
    width: u32,
    height: u32,
    /// Whether the pixels were decoded once, or are of a kind that is not decoded.
    is_checked: bool,
}

/// The proof that bytes with this digest were validated. Stored beside the bytes, it saves validating
/// them again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    digest: Digest,
    media: MediaType,
    width: u32,
    height: u32,
    /// Whether the whole structure was walked and the metadata left out. The first versions did neither,
    /// so their files are validated once more when they are read.
    #[serde(default)]
    stripped: bool,
    /// See [`Picture::is_checked`].
    #[serde(default)]
    checked: bool,
}

impl Proof {
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// A BLAKE3 digest of a representation's bytes; the strong `ETag` is made from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// Why bytes are not a valid picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPicture {
    /// No bytes, as visual rate limiting sends.
    #[error("the picture is empty (0 bytes)")]
    NoBytes,
    /// Another format: HTML, SVG, JSON, noise.
    #[error("the bytes are not a JPEG, PNG, WebP or GIF")]
    UnknownFormat,
    /// The end of the file is missing.
    #[error("the {0} is cut off")]
    Truncated(MediaType),
    /// A part that browsers insist on is missing or wrong.
    #[error("the {0} has {1}")]
    Malformed(MediaType, &'static str),
    /// An edge of zero pixels, or longer than allowed.
    #[error("the {0} has invalid or too large dimensions")]
    Dimensions(MediaType),
}

// === impl Picture ===

impl Picture {
    /// The longest edge in pixels. WhatsApp's pictures are 640 pixels square.
    const MAX_EDGE: u32 = 8192;

    /// Validates the whole structure of `bytes`, without decoding pixels. A vendor's `Content-Type` is not
    /// considered. The picture lacks the metadata of the file (camera, place, comments); its pixels are the
    /// same.
    pub fn validate(bytes: Bytes) -> Result<Self, InvalidPicture> {
        if bytes.is_empty() {
            return Err(InvalidPicture::NoBytes);
        }
        let media = MediaType::sniff(&bytes).ok_or(InvalidPicture::UnknownFormat)?;
        let structure = formats::walk(media, &bytes).map_err(|fault| match fault {
            Fault::Truncated => InvalidPicture::Truncated(media),
            Fault::Malformed(part) => InvalidPicture::Malformed(media, part),
        })?;
        let edges = 1..=Self::MAX_EDGE;
        if !edges.contains(&structure.width) || !edges.contains(&structure.height) {
            return Err(InvalidPicture::Dimensions(media));
        }
        let bytes = structure.strip(&bytes).map_or(bytes, Bytes::from);
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes,
            media,
            width: structure.width,
            height: structure.height,
            is_checked: false,
        })
    }

    /// The same picture, after its pixels were decoded.
    pub fn checked(self) -> Self {
        Self {
            is_checked: true,
            ..self
        }
    }

    /// Whether the pixels were decoded when the picture came, or are of a kind that is not decoded. Earlier versions
    /// did not try, and a server that is short of time does not.
    pub fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// The structure of the file, which says how much work its variants are. `None` for a file that an
    /// earlier version accepted and this one would refuse.
    pub fn structure(&self) -> Option<Structure> {
        formats::walk(self.media, &self.bytes).ok()
    }

    /// The picture of `proof`, if these are its bytes.
    pub fn from_proof(bytes: Bytes, proof: &Proof) -> Option<Self> {
        let Proof {
            digest,
            media,
            width,
            height,
            stripped,
            checked,
        } = *proof;
        (stripped && Digest::of(&bytes) == digest).then_some(Self {
            bytes,
            digest,
            media,
            width,
            height,
            is_checked: checked,
        })
    }

    /// The proof by which [`Picture::from_proof`] accepts these bytes.
    pub fn proof(&self) -> Proof {
        Proof {
            digest: self.digest,
            media: self.media,
            width: self.width,
            height: self.height,
            stripped: true,
            checked: self.is_checked,
        }
    }

    /// The validated bytes: the vendor's file without its metadata.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of the bytes.
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat};

    use super::*;

    fn encode(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(96, 64)
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    /// A 1x1 GIF; no encoder for it is among the dependencies.
    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

    #[test]
    fn one_wrong_magic_byte_is_an_unknown_format() {
        let gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF\x21\xF9\x04\x01\x00\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01\x44\x00\x3B";
        assert!(Picture::validate(Bytes::from_static(gif)).is_ok());
        for at in 0..6 {
            let mut other = gif.to_vec();
            other[at] ^= 1;
            assert_eq!(
                Picture::validate(other.into()),
                Err(InvalidPicture::UnknownFormat)
            );
        }
    }

    #[test]
    fn the_bytes_of_a_picture_decide_its_media_type() {
        for (format, media) in [
            (ImageFormat::Jpeg, MediaType::Jpeg),
            (ImageFormat::Png, MediaType::Png),
            (ImageFormat::WebP, MediaType::Webp),
        ] {
            let picture = Picture::validate(encode(format).into()).unwrap();
            assert_eq!(picture.media(), media);
            assert_eq!(picture.dimensions(), (96, 64));
        }
        let gif = Picture::validate(Bytes::from_static(GIF)).unwrap();
        assert_eq!((gif.media(), gif.dimensions()), (MediaType::Gif, (1, 1)));
    }

    #[test]
    fn a_picture_truncated_anywhere_is_refused() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = encode(format);
            for end in (0..whole.len() - 1).step_by(7) {
                let cut = Bytes::copy_from_slice(&whole[..end]);
                assert!(Picture::validate(cut).is_err(), "{format:?} cut at {end}");
            }
        }
    }

    #[test]
    fn a_proof_accepts_the_bytes_of_its_picture_and_no_others() {
        let picture = Picture::validate(encode(ImageFormat::Png).into()).unwrap();
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
    fn the_proof_of_a_version_that_kept_metadata_accepts_nothing() {
        let picture = Picture::validate(encode(ImageFormat::Png).into()).unwrap();
        let written = serde_json::to_string(&picture.proof()).unwrap();
        let old = written.replace(",\"stripped\":true", "");
        assert_ne!(old, written);
        let proof: Proof = serde_json::from_str(&old).unwrap();
        assert_eq!(Picture::from_proof(picture.bytes().clone(), &proof), None);
    }

    #[test]
    fn formats_that_browsers_run_or_do_not_show_are_refused() {
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
                Err(InvalidPicture::UnknownFormat)
            );
        }
        assert_eq!(
            Picture::validate(Bytes::new()),
            Err(InvalidPicture::NoBytes)
        );
    }

    #[test]
    fn a_picture_with_huge_dimensions_in_its_header_is_refused() {
        let mut png = encode(ImageFormat::Png);
        png[16..20].copy_from_slice(&100_000u32.to_be_bytes());
        let checksum = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(
            Picture::validate(png.into()),
            Err(InvalidPicture::Dimensions(MediaType::Png))
        );
    }
}
