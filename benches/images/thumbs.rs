//! Makes thumbnails as the server does: `thumbs pictures COUNT FOLDER` draws pictures of 640 pixels to make them of;
//! `thumbs jpeg|webp|png EDGE TO FILE…` makes one of each file, and writes it into the folder `TO`.

use std::{env, error::Error, fs, path::Path};

use faceplate::{
    avatar::Picture,
    emulator::{Emulator, Options},
    images::{Format, Original, Studio, Variant},
    telemetry::Metrics,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [pictures, count, folder] if pictures == "pictures" => {
            let emulator = Emulator::start(Options::default()).await?;
            let mut written = 0;
            for number in 0.. {
                let jid = format!("62899{number:07}@c.us");
                let bytes = emulator.control().face_bytes(&jid).ok_or("no such face")?;
                let picture = Picture::validate(bytes.clone())?;
                if picture.dimensions() != (640, 640) || picture.media().as_str() != "image/jpeg" {
                    continue;
                }
                fs::write(Path::new(folder).join(format!("{written:04}.jpg")), bytes)?;
                written += 1;
                if written == count.parse::<usize>()? {
                    break;
                }
            }
        }
        [format, edge, to, files @ ..] => {
            let format = match format.as_str() {
                "jpeg" => Format::Jpeg,
                "webp" => Format::Webp,
                "png" => Format::Png,
                _ => return Err("write jpeg, webp or png".into()),
            };
            let edge = Some(edge.parse()?);
            let studio = Studio::new(64 << 20, Metrics::new());
            for file in files {
                let picture = Picture::validate(fs::read(file)?.into())?;
                let original = Original::Picture(picture);
                let variant = Variant { edge, format };
                let made = studio.make(original, variant).await.ok_or("not made")?;
                let name = Path::new(file).file_name().ok_or("no file")?;
                fs::write(Path::new(to).join(name), &made.bytes)?;
            }
        }
        _ => return Err("write pictures COUNT FOLDER, or FORMAT EDGE TO FILE…".into()),
    }
    Ok(())
}
