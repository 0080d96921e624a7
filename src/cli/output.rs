//! Prints the lines of a command. A closed pipe (`head`, a pager) does not end the command: it runs on to its own
//! exit code. Any other error of standard output makes it fail.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    sync::OnceLock,
};

/// Prints a line to standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a line to standard error.
macro_rules! note {
    ($($text:tt)*) => { $crate::cli::output::print_error(format_args!("{}\n", format_args!($($text)*))) };
}

pub(super) use {note, say};

/// The first trouble of standard output.
static TROUBLE: OnceLock<io::Error> = OnceLock::new();

/// Prints `text` to standard output.
pub(super) fn print(text: Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = TROUBLE.set(error);
        }
        _ => {}
    }
}

/// Prints `text` to standard error, a failure of which cannot be reported.
pub(super) fn print_error(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Returns a message if any of the lines could not be printed. It does not touch standard output, which the log's thread
/// may hold while its reader has stopped.
pub(super) fn finish() -> Result<(), String> {
    match TROUBLE.get() {
        Some(error) => Err(format!(
            "cannot write to standard output: {error}; check the disk that it leads to"
        )),
        None => Ok(()),
    }
}
