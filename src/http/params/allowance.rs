//! How much is read of a body, and why one could not be read.

use crate::error::{Error, Kind, Result};
use crate::http::message::Request;
use crate::limits::BODY_BYTES_EXPECTED_MAX;
use std::cell::Cell;
use std::io::{self, Read};

/// Bytes that may be read of a body, all of its parameters together.
pub struct Allowance {
    left: Cell<u64>,
    total: Cell<u64>,
}

impl Allowance {
    /// So many.
    #[must_use]
    pub fn new(bytes: u64) -> Allowance {
        Allowance { left: Cell::new(bytes), total: Cell::new(bytes) }
    }

    /// From now on, so many in all.
    pub fn raise_to(&self, bytes: u64) {
        let more = bytes.saturating_sub(self.total.get());
        self.left.set(self.left.get() + more);
        self.total.set(self.total.get() + more);
    }

    /// Refuses a body that declares to be longer.
    ///
    /// # Errors
    /// [`Kind::TooLarge`].
    pub fn admit(&self, declared_bytes: Option<u64>) -> Result<()> {
        match declared_bytes {
            Some(bytes) if bytes > self.left.get() => Err(body_error(self.over())),
            Some(_) | None => Ok(()),
        }
    }

    fn over(&self) -> io::Error {
        let why = format!("the body may have at most {} bytes", self.total.get());
        io::Error::new(io::ErrorKind::FileTooLarge, why)
    }
}

/// A reader that ends in an error where its allowance ends.
pub struct Metered<'a> {
    /// What is read.
    pub body: &'a mut dyn Read,
    /// What may be.
    pub allowance: &'a Allowance,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.body.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    let left = self.allowance.left.get().checked_sub(count as u64);
                    self.allowance.left.set(left.ok_or_else(|| self.allowance.over())?);
                    return Ok(count);
                }
                result => return result,
            }
        }
    }
}

/// Reads a whole body into memory.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `bytes_max`, before it is read if it declares its length; what the reader says.
pub fn read_body(request: &mut Request<'_>, bytes_max: u64) -> Result<Vec<u8>> {
    let allowance = Allowance::new(bytes_max);
    allowance.admit(request.body_bytes)?;
    let expected = request.body_bytes.unwrap_or(0).min(BODY_BYTES_EXPECTED_MAX);
    let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    Metered { body: &mut *request.body, allowance: &allowance }.read_to_end(&mut body).map_err(body_error)?;
    Ok(body)
}

/// Why a body could not be read, as ours. What befell us while it was read is no fault of its sender, and stays what it is.
pub fn body_error(error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Error::new(Kind::TooLarge, error.to_string());
    }
    if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
        return Error::new(Kind::TooSlow, "the body did not arrive in time");
    }
    Error::invalid(format!("the body could not be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_while_a_body_is_read_is_not_its_senders() {
        for (error, kind) in [
            (io::Error::other(Error::new(Kind::Busy, "database: locked")), Kind::Busy),
            (io::Error::other("anything else"), Kind::Invalid),
            (io::ErrorKind::UnexpectedEof.into(), Kind::Invalid),
            (io::ErrorKind::TimedOut.into(), Kind::TooSlow),
            (Allowance::new(5).over(), Kind::TooLarge),
        ] {
            assert_eq!(body_error(error).kind, kind);
        }
    }
}
