//! The `faceplate` binary.

fn main() {}
