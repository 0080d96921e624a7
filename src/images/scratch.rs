//! Scratch buffers of a thread, reused from picture to picture: the decoder's output, the same with
//! four samples a pixel, and the resizer's own. A picture of 640 pixels needs 2.9 MB of them.
//!
//! With `MALLOC_TRIM_THRESHOLD_`, which the image and the systemd unit set, glibc takes buffers of that
//! size from the kernel page by page and returns them each time. Reuse makes a thumbnail of 96 pixels in
//! 2.8 ms instead of 4.8 (`MALLOC_TRIM_THRESHOLD_=131072 cargo bench --bench thumbnail`: `reused_buffers`
//! beside `new_buffers` less `new_thread`, fastest samples). Without the setting, both take as long, but
//! the heap of each thread keeps the memory for good.

use std::{cell::RefCell, mem};

use fast_image_resize::{
    PixelType, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{ColorType, DynamicImage, ImageDecoder, ImageResult, RgbImage};

use super::variant::TranscodeError;

/// The largest buffer that is retained, in bytes. WhatsApp's pictures need 1.6 million.
const MAX_RETAINED: usize = 2 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The buffers of one thread. They are freed when the thread ends, which the pool's do when idle.
#[derive(Default)]
pub(super) struct Scratch {
    resizer: Resizer,
    decoded: Vec<u8>,
    four_samples: Vec<u8>,
}

impl Scratch {
    /// Runs `work`, which is about one picture, with this thread's buffers.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let done = work(scratch);
            scratch.shrink();
            done
        })
    }

    /// Decodes an image. One of three samples a pixel takes the buffer along, until `take_back`.
    pub(super) fn decode(&mut self, decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
        if decoder.color_type() != ColorType::Rgb8 {
            return DynamicImage::from_decoder(decoder);
        }
        let (width, height) = decoder.dimensions();
        let mut samples = mem::take(&mut self.decoded);
        // A decoder may leave a part of a damaged picture unwritten: it must not show another face.
        samples.clear();
        samples.resize(3 * width as usize * height as usize, 0);
        decoder.read_image(&mut samples)?;
        let image = RgbImage::from_raw(width, height, samples);
        Ok(image.expect("it has three samples a pixel").into())
    }

    /// Decodes an image, to find out whether that succeeds.
    pub(super) fn check(&mut self, decoder: impl ImageDecoder) -> ImageResult<()> {
        if decoder.color_type() != ColorType::Rgb8 {
            return DynamicImage::from_decoder(decoder).map(drop);
        }
        let (width, height) = decoder.dimensions();
        let length = 3 * width as usize * height as usize;
        // The samples are not used, so those of another picture may stay. To clear them takes 5 % of a miss.
        if self.decoded.len() < length {
            self.decoded.resize(length, 0);
        }
        decoder.read_image(&mut self.decoded[..length])
    }

    /// Takes the buffer of an image back, if it is of the kind that `decode` can reuse.
    pub(super) fn take_back(&mut self, image: DynamicImage) {
        if let DynamicImage::ImageRgb8(image) = image {
            self.decoded = image.into_raw();
        }
    }

    /// Resizes `image` into `scaled`, which has four samples a pixel. The resizer is compiled for that
    /// layout alone: for every layout, it would add three megabytes to the binary.
    pub(super) fn resize(
        &mut self,
        image: &DynamicImage,
        scaled: &mut Image<'_>,
        options: &ResizeOptions,
    ) -> Result<(), TranscodeError> {
        self.widen(image);
        let (width, height) = (image.width(), image.height());
        let pixels = ImageRef::new(width, height, &self.four_samples, PixelType::U8x4)?;
        Ok(self.resizer.resize(&pixels, scaled, options)?)
    }

    /// Copies the image into `four_samples`.
    fn widen(&mut self, image: &DynamicImage) {
        match image {
            DynamicImage::ImageRgb8(image) => {
                let (from, _) = image.as_raw().as_chunks::<3>();
                self.four_samples.resize(4 * from.len(), 0);
                let (to, _) = self.four_samples.as_chunks_mut::<4>();
                for (to, &[red, green, blue]) in to.iter_mut().zip(from) {
                    *to = [red, green, blue, 255];
                }
            }
            image => self.four_samples = image.to_rgba8().into_raw(),
        }
    }

    /// Frees buffers above the limit.
    fn shrink(&mut self) {
        for buffer in [&mut self.decoded, &mut self.four_samples] {
            if buffer.capacity() > MAX_RETAINED {
                *buffer = Vec::new();
            }
        }
        if self.resizer.size_of_internal_buffers() > MAX_RETAINED {
            self.resizer.reset_internal_buffers();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, thread};

    use bytes::Bytes;
    use image::{ImageFormat, Rgb, Rgba, RgbaImage};

    use super::*;
    use crate::{
        avatar::Picture,
        images::{
            transcode::transcode,
            variant::{Format, VariantSpec},
        },
    };

    fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.into().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn picture(image: impl Into<DynamicImage>) -> Picture {
        Picture::validate(file(image, ImageFormat::Png).into()).unwrap()
    }

    /// A JPEG with a second start of scan in its middle. The decoder stops there without an error.
    fn damaged_jpeg() -> Picture {
        let noise = |x: u32, y: u32| Rgb([(x * y) as u8, (x * 7) as u8, (y * 13) as u8]);
        let whole = file(RgbImage::from_fn(300, 200, noise), ImageFormat::Jpeg);
        let scan = whole.windows(2).position(|marker| marker == [0xFF, 0xDA]);
        let scan = &whole[scan.unwrap()..];
        let header = usize::from(u16::from_be_bytes([scan[2], scan[3]])) + 2;
        let mut bytes = whole[..whole.len() / 2].to_vec();
        bytes.extend(&scan[..header]);
        bytes.extend([0xFF, 0xD9]);
        Picture::validate(bytes.into()).unwrap()
    }

    fn thumbnail(original: &Picture) -> Bytes {
        let (edge, format) = (Some(32), Format::Png);
        transcode(original, None, VariantSpec { edge, format })
            .unwrap()
            .bytes
    }

    fn retained_bytes() -> usize {
        SCRATCH.with_borrow(|scratch| {
            let buffers = scratch.decoded.capacity() + scratch.four_samples.capacity();
            buffers + scratch.resizer.size_of_internal_buffers()
        })
    }

    #[test]
    fn no_pixel_of_one_picture_shows_in_the_next() {
        let opaque = |width, height, color| {
            picture(RgbImage::from_fn(width, height, |x, y| {
                Rgb([color, (x % 256) as u8, (y % 256) as u8])
            }))
        };
        let clear = picture(RgbaImage::from_fn(70, 50, |x, y| {
            Rgba([9, x as u8, y as u8, (x + y) as u8])
        }));
        let gray = picture(DynamicImage::new_luma8(80, 40));
        let deep = picture(DynamicImage::new_rgb16(300, 200));
        let originals = [
            opaque(300, 200, 250),
            opaque(40, 40, 0),
            clear,
            opaque(100, 33, 128),
            gray,
            deep,
            opaque(300, 200, 40),
            damaged_jpeg(),
            opaque(301, 199, 90),
        ];
        for original in &originals {
            let alone = thread::scope(|scope| scope.spawn(|| thumbnail(original)).join());
            assert!(thumbnail(original) == alone.unwrap(), "{original:?}");
        }
    }

    #[test]
    fn a_thread_s_second_picture_uses_the_buffers_of_the_first() {
        let original = picture(RgbImage::new(640, 640));
        thumbnail(&original);
        let pointer = || {
            SCRATCH.with_borrow(|scratch| (scratch.decoded.as_ptr(), scratch.four_samples.as_ptr()))
        };
        let before = pointer();
        thumbnail(&original);
        assert_eq!(pointer(), before);
        assert!(retained_bytes() > 640 * 640 * 7);
    }

    #[test]
    fn buffers_above_the_limit_are_freed() {
        thumbnail(&picture(RgbImage::new(2000, 2000)));
        assert!(retained_bytes() < MAX_RETAINED, "{}", retained_bytes());
    }
}
