//! Makes thumbnails with the server's code: `thumbs jpeg|webp|png EDGE TO FILE…` writes a thumbnail of each file into the
//! folder `TO`.

use std::{env, error::Error, fs, path::Path};

use faceplate::{
    avatar::{Key, Picture},
    images::{Asker, Format, ImageSettings, Original, Thumbnailer, VariantSpec},
    in_flight::InFlight,
    telemetry::Metrics,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [format, edge, to, files @ ..] => {
            let format = match format.as_str() {
                "jpeg" => Format::Jpeg,
                "webp" => Format::Webp,
                "png" => Format::Png,
                _ => return Err("write jpeg, webp or png".into()),
            };
            let edge = Some(edge.parse()?);
            let settings = ImageSettings {
                memory: 64 << 20,
                work: 1 << 30,
                queue: 512,
                in_flight: InFlight::new(1 << 30),
            };
            let asker = Asker::operator(Key::new("sales", &"628123".parse()?));
            let thumbnailer = Thumbnailer::new(&settings, Metrics::new());
            for file in files {
                let picture = Picture::validate(fs::read(file)?.into())?;
                let original = Original::Picture(picture);
                let variant = VariantSpec { edge, format };
                let made = thumbnailer
                    .make(original, variant, asker)
                    .await
                    .map_err(|why| why.as_str())?;
                let name = Path::new(file).file_name().ok_or("no file")?;
                fs::write(Path::new(to).join(name), &made.bytes)?;
            }
        }
        _ => return Err("write FORMAT EDGE TO FILE…".into()),
    }
    Ok(())
}
