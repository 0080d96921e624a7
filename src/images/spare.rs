//! Buffers that one picture leaves to the next on the same thread. Memory of that size comes from the kernel and goes back
//! to it each time, page by page, or else the allocator keeps it for good. What is left here goes with the thread, which ends when
//! there is nothing to do.

use std::{cell::RefCell, mem};

use fast_image_resize::{
    PixelType, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{ColorType, DynamicImage, ImageDecoder, ImageResult, RgbImage};

use super::derive::Underivable;

/// The largest buffer that is left, in bytes: WhatsApp's pictures need 1.6 million.
const MOST: usize = 4 << 20;

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// What there is on this thread.
#[derive(Default)]
pub(super) struct Spare {
    resizer: Resizer,
    decoded: Vec<u8>,
    four_samples: Vec<u8>,
}

impl Spare {
    /// Lends it for one picture.
    pub(super) fn lend<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        SPARE.with_borrow_mut(|spare| {
            let done = work(spare);
            spare.shrink();
            done
        })
    }

    /// The decoder's image. A picture of the usual kind takes the buffer with it, until `take_back`.
    pub(super) fn read(&mut self, decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
        if decoder.color_type() != ColorType::Rgb8 {
            return DynamicImage::from_decoder(decoder);
        }
        let (width, height) = decoder.dimensions();
        let mut samples = mem::take(&mut self.decoded);
        // Of a damaged picture, a decoder may leave a part as it was: never another face.
        samples.clear();
        samples.resize(3 * width as usize * height as usize, 0);
        decoder.read_image(&mut samples)?;
        let image = RgbImage::from_raw(width, height, samples);
        Ok(image.expect("it has three samples a pixel").into())
    }

    /// Leaves the image's buffer to the next, if it is of the kind that `read` can use.
    pub(super) fn take_back(&mut self, image: DynamicImage) {
        if let DynamicImage::ImageRgb8(image) = image {
            self.decoded = image.into_raw();
        }
    }

    /// Fills `scaled`, of four samples a pixel, for which alone the resizer is built: for every kind, it would be three
    /// megabytes.
    pub(super) fn resize(
        &mut self,
        image: &DynamicImage,
        scaled: &mut Image<'_>,
        options: &ResizeOptions,
    ) -> Result<(), Underivable> {
        self.widen(image);
        let (width, height) = (image.width(), image.height());
        let pixels = ImageRef::new(width, height, &self.four_samples, PixelType::U8x4)?;
        Ok(self.resizer.resize(&pixels, scaled, options)?)
    }

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

    /// Lets go of what is too large to lie about.
    fn shrink(&mut self) {
        for buffer in [&mut self.decoded, &mut self.four_samples] {
            if buffer.capacity() > MOST {
                *buffer = Vec::new();
            }
        }
        if self.resizer.size_of_internal_buffers() > MOST {
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
        images::derive::{Format, Variant, derive},
    };

    fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.into().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn picture(image: impl Into<DynamicImage>) -> Picture {
        Picture::validate(file(image, ImageFormat::Png).into()).unwrap()
    }

    /// A JPEG whose scan begins again in its middle. The decoder stops there, and says that all is well.
    fn damaged() -> Picture {
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
        derive(original, Variant { edge, format }).unwrap().bytes
    }

    fn lies_about() -> usize {
        SPARE.with_borrow(|spare| {
            let buffers = spare.decoded.capacity() + spare.four_samples.capacity();
            buffers + spare.resizer.size_of_internal_buffers()
        })
    }

    #[test]
    fn nothing_of_one_picture_is_seen_in_the_next() {
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
            damaged(),
            opaque(301, 199, 90),
        ];
        for original in &originals {
            let alone = thread::scope(|scope| scope.spawn(|| thumbnail(original)).join());
            assert!(thumbnail(original) == alone.unwrap(), "{original:?}");
        }
    }

    #[test]
    fn the_next_picture_finds_the_buffers_of_the_last() {
        let original = picture(RgbImage::new(640, 640));
        thumbnail(&original);
        let pointer =
            || SPARE.with_borrow(|spare| (spare.decoded.as_ptr(), spare.four_samples.as_ptr()));
        let before = pointer();
        thumbnail(&original);
        assert_eq!(pointer(), before);
        assert!(lies_about() > 640 * 640 * 7);
    }

    #[test]
    fn the_buffers_of_a_giant_do_not_lie_about() {
        thumbnail(&picture(RgbImage::new(2000, 2000)));
        assert!(lies_about() < MOST, "{}", lies_about());
    }
}
