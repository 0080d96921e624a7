//! A thumbnail of 96 pixels from a JPEG of 640, with scratch buffers reused and with new ones. Run it with the allocator's
//! setting of a deployment: `MALLOC_TRIM_THRESHOLD_=131072 cargo bench --bench thumbnail`.

#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use bytes::Bytes;
use divan::Bencher;
use faceplate::{
    avatar::{Digest, Key, Picture},
    images::{Asker, DrawnPlaceholder, Format, ImageSettings, Original, Thumbnailer, VariantSpec},
    in_flight::InFlight,
    telemetry::Metrics,
};
use image::{ImageFormat, Rgb, RgbImage};
use tokio::runtime::{Builder, Runtime};

const SPEC: VariantSpec = VariantSpec {
    edge: Some(96),
    format: Format::Jpeg,
};

fn main() {
    divan::main();
}

/// A picture with gradients and some grain, like a photograph.
fn picture() -> Original {
    let image = RgbImage::from_fn(640, 640, |x, y| {
        let wave = |scale: f32| ((x as f32 / scale).sin() + (y as f32 / scale).cos()) * 50.0;
        let grain = (x * 7919 + y * 104_729) % 17;
        Rgb([90.0, 40.0, 140.0].map(|scale| (120.0 + wave(scale)) as u8 + grain as u8))
    });
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Jpeg).unwrap();
    Original::Picture(Picture::validate(file.into_inner().into()).unwrap())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn asker() -> Asker {
    Asker::operator(Key::new("sales", &"628123".parse().unwrap()))
}

/// A thumbnailer that caches nothing.
fn thumbnailer() -> Thumbnailer {
    let settings = ImageSettings {
        memory: 0,
        work: 64 << 20,
        queue: 512,
        in_flight: InFlight::new(1 << 30),
    };
    Thumbnailer::new(&settings, Metrics::new())
}

/// Every thumbnail on the same thread, as in a busy server.
#[divan::bench]
fn reused_buffers(bencher: Bencher) {
    let (runtime, thumbnailer, original) = (runtime(), thumbnailer(), picture());
    bencher.bench(|| {
        let made = runtime.block_on(thumbnailer.make(original.clone(), SPEC, asker()));
        made.unwrap()
    });
}

/// Every thumbnail on a thread of its own, which has no buffers yet.
#[divan::bench]
fn new_buffers(bencher: Bencher) {
    let (runtime, original) = (runtime(), picture());
    bencher.bench(|| {
        let made = runtime.block_on(thumbnailer().make(original.clone(), SPEC, asker()));
        made.unwrap()
    });
}

/// The cost of the thread alone, to be subtracted from the above: the image is no image.
#[divan::bench]
fn new_thread(bencher: Bencher) {
    let runtime = runtime();
    let svg = Bytes::new();
    let digest = Digest::of(&svg);
    let original = Original::Placeholder(DrawnPlaceholder { svg, digest });
    bencher.bench(|| {
        let made = runtime.block_on(thumbnailer().make(original.clone(), SPEC, asker()));
        assert!(made.is_err());
    });
}
