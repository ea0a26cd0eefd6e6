//! Descriptors that whoever started this process has opened for it, known by their numbers alone.
//!
//! What must stay true: they are taken before the process opens anything of its own, so that a number cannot mean
//! something else; no process that this one starts inherits them.

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{close, dup2};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Takes over the descriptor `number`, which is free afterwards.
///
/// # Errors
/// If there is no such descriptor.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    fcntl(number, FcntlArg::F_GETFD)?;
    // What is known by its number alone cannot be owned without `unsafe`. But it can be copied to a number that is
    // owned already.
    let owned = OwnedFd::from(File::open("/dev/null")?);
    dup2(number, owned.as_raw_fd())?;
    fcntl(owned.as_raw_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    close(number)?;
    Ok(owned)
}

/// Whether a descriptor was opened for writing.
///
/// # Errors
/// If the system cannot tell.
pub fn is_writable(descriptor: &OwnedFd) -> io::Result<bool> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor.as_raw_fd(), FcntlArg::F_GETFL)?);
    Ok(matches!(flags & OFlag::O_ACCMODE, OFlag::O_WRONLY | OFlag::O_RDWR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_number_becomes_an_owned_descriptor_that_is_not_inherited() {
        let (mut reader, writer) = io::pipe().unwrap();
        assert!(!is_writable(&reader.try_clone().unwrap().into()).unwrap());
        let taken = take(OwnedFd::from(writer).into_raw_fd()).unwrap();
        assert!(is_writable(&taken).unwrap());
        assert_eq!(fcntl(taken.as_raw_fd(), FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
        File::from(taken).write_all(b"said").unwrap();
        // Ends, since nobody else holds the other end.
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "said");
    }

    #[test]
    fn a_number_without_a_descriptor_is_refused() {
        assert_eq!(take(RawFd::MAX).unwrap_err().raw_os_error(), Some(nix::libc::EBADF));
    }
}
