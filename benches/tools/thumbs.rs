//! Makes thumbnails with the server's code: `thumbs jpeg|webp|png EDGE TO FILE…` writes a thumbnail of each file into the
//! folder `TO`.

use std::{env, error::Error, fs, path::Path};

use faceplate::{
    avatar::Picture,
    images::{Format, Original, Thumbnailer, VariantSpec},
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
            let thumbnailer = Thumbnailer::new(64 << 20, Metrics::new());
            for file in files {
                let picture = Picture::validate(fs::read(file)?.into())?;
                let original = Original::Picture(picture);
                let variant = VariantSpec { edge, format };
                let made = thumbnailer
                    .make(original, variant)
                    .await
                    .ok_or("not made")?;
                let name = Path::new(file).file_name().ok_or("no file")?;
                fs::write(Path::new(to).join(name), &made.bytes)?;
            }
        }
        _ => return Err("write FORMAT EDGE TO FILE…".into()),
    }
    Ok(())
}
