//! Faceplate with mimalloc instead of the system's allocator, to be measured beside it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    faceplate::cli::run()
}
