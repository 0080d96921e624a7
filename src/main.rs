//! The `faceplate` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    faceplate::cli::run()
}
