//! Reads the bytes of a file in order, and never past their end.

/// Why a file is no picture that browsers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::avatar) enum Fault {
    /// The file ends before its end mark.
    Truncated,
    /// A part that decoders insist on is missing or wrong.
    Malformed(&'static str),
}

/// Reads a file front to back. Past the end, every read is [`Fault::Truncated`].
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count).ok_or(Fault::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Fault::Truncated)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.take_array::<1>().map(|[byte]| byte)
    }
}
