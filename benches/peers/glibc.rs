//! Faceplate with glibc's allocator instead of its own, to be measured beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    faceplate::cli::run()
}
