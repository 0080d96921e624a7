//! `faceplate licenses`: prints the licenses of all software and fonts in the binary. `make licenses` collects the
//! texts, and a test checks that they belong to the crates in `Cargo.lock`.

use std::io;

use flate2::read::ZlibDecoder;

const COMPRESSED: &[u8] = include_bytes!("licenses/texts.zz");

pub(super) fn run() -> Result<(), String> {
    match io::copy(&mut ZlibDecoder::new(COMPRESSED), &mut io::stdout()) {
        // The reader, such as a pager, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(format!("cannot write to standard output: {error}")),
        Ok(_) => Ok(()),
    }
}
