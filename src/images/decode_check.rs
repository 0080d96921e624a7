//! Finds out whether the pixels of a new picture can be decoded, within the bounds of all image work.

use std::time::Duration;

use bytes::Bytes;
use tokio::time;

use super::{
    price,
    thumbnailer::{Shared, Thumbnailer},
    transcode::try_decoding,
    variant::{TranscodeError, VariantError},
};
use crate::avatar::{MediaType, Picture};

/// The longest wait for the decoding of a new picture.
const MAX_WAIT: Duration = Duration::from_millis(500);

impl Thumbnailer {
    /// Whether the pixels of a picture can be decoded; true for a format that this program does not decode. `None` if
    /// too much other work waits.
    async fn is_decodable(&self, picture: &Picture) -> Option<bool> {
        let tried = time::timeout(MAX_WAIT, self.shared.try_decoding(picture)).await;
        let Err(error) = tried.ok()?? else {
            return Some(true);
        };
        Some(error.unavailable() != VariantError::Undecodable)
    }
}

impl Thumbnailer {
    /// The picture that bytes are; the error says why they are none. A file whose pixels cannot be decoded is no picture
    /// either: browsers show it as a broken icon. Of JPEGs, they show some that our decoder refuses, so these are
    /// accepted, and not marked as checked.
    pub async fn accept(&self, bytes: Bytes) -> Result<Picture, String> {
        let picture = Picture::validate(bytes).map_err(|rejected| rejected.to_string())?;
        match self.is_decodable(&picture).await {
            Some(true) => Ok(picture.checked()),
            Some(false) if picture.media() != MediaType::Jpeg => {
                let media = picture.media();
                Err(format!("the pixels of the {media} cannot be decoded"))
            }
            Some(false) | None => Ok(picture),
        }
    }
}

impl Shared {
    /// Tries to decode a picture. `None` if too much other work waits.
    async fn try_decoding(&self, picture: &Picture) -> Option<Result<(), TranscodeError>> {
        let place = self.queue.enter(None, picture.bytes().len() as u64)?;
        let structure = picture.structure();
        let price = price::of_check(picture, structure.as_ref());
        let price = price.saturating_add(self.price_of_codes(picture, price).await);
        if !self.queue.affords(price) {
            return Some(Err(TranscodeError::TooDear(price)));
        }
        let permit = self.queue.start(price).await;
        drop(place);
        let picture = picture.clone();
        let decoding = self.pool.spawn(move || {
            let _permit = permit;
            try_decoding(&picture, structure.as_ref())
        });
        let decoded = decoding.await;
        Some(decoded.unwrap_or_else(|panic| Err(TranscodeError::Panic(panic.to_string()))))
    }
}
