//! The space in memory for pictures: of the memory tier, and of pictures that are read from disk or downloaded.

use super::Store;
use crate::{
    avatar::{Key, Picture},
    in_flight::Reservation,
};

impl Store {
    /// Changes how many bytes of pictures the memory tier keeps.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.set_capacity(bytes);
    }

    /// Waits for space in memory for the picture of `key`, which [`Store::find_uncached`] reads. `None` if slow
    /// clients leave no space in time.
    pub async fn reserve_space(&self, key: &Key) -> Option<Reservation> {
        // The reservation for an entry that the index does not know yet.
        const USUAL: u32 = 64 * 1024;
        let length = self.disk.length(key).unwrap_or(USUAL);
        self.in_flight.reserve(length.into()).await
    }

    /// The same picture, counted against the budget of bytes in flight, except while the memory tier has it.
    pub fn charge(&self, picture: Picture) -> Picture {
        let bytes = self.in_flight.charge(picture.bytes().clone());
        Picture::from_proof(bytes, &picture.proof()).unwrap_or(picture)
    }
}
