//! Faceplate with mimalloc instead of the system's allocator, for comparison.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    faceplate::cli::run()
}
