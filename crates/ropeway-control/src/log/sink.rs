//! Writes whole lines to a destination that may fail at any time and come back later.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::Destination;

/// An open destination, or one that is opened with the next write.
#[derive(Debug)]
pub struct Sink {
    destination: Destination,
    output: Option<Output>,
    /// The last write failed in the middle of a line, so that the next one starts with a line break.
    torn: bool,
}

#[derive(Debug)]
enum Output {
    Stdout,
    Stderr,
    File(File),
}

/// Not all lines of a write were written.
#[derive(Debug)]
pub(super) struct Lost {
    /// How many lines.
    pub(super) lines: u64,
    /// Why.
    pub(super) cause: io::Error,
}

impl Sink {
    /// A sink that opens its destination with the first write.
    #[must_use]
    pub fn new(destination: Destination) -> Self {
        Self { destination, output: None, torn: false }
    }

    /// A sink whose destination is open.
    ///
    /// # Errors
    /// When the destination cannot be opened; a named pipe cannot without a reader (`ENXIO`).
    pub fn opened(destination: Destination) -> io::Result<Self> {
        let mut sink = Self::new(destination);
        sink.open()?;
        Ok(sink)
    }

    /// Where it writes.
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Closes the destination; the next write opens it again by its name.
    pub(super) fn close(&mut self) {
        self.output = None;
        self.torn = false;
    }

    /// Opens the destination now, so that the file exists when the signal that asked for it was served.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.was_deleted() {
            self.close();
        }
        if self.output.is_none() {
            self.output = Some(Output::open(&self.destination)?);
        }
        Ok(())
    }

    /// Writes `lines`, each of which ends with a line break. After a failure the destination is closed, and the
    /// next write tries from the start.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        self.open().map_err(|cause| Lost { lines: count_lines(lines), cause })?;
        let Some(output) = &mut self.output else { return Ok(()) };
        if self.torn {
            output
                .write_all_counted(b"\n")
                .map_err(|(_, cause)| Lost { lines: count_lines(lines), cause })?;
            self.torn = false;
        }
        let Err((written, cause)) = output.write_all_counted(lines) else { return Ok(()) };
        let (done, rest) = lines.split_at(written.min(lines.len()));
        self.close();
        self.torn = done.last().is_some_and(|last| *last != b'\n');
        Err(Lost { lines: count_lines(rest), cause })
    }

    /// Whether the open file has no name any more. A file that was only renamed is left alone: whoever rotates it
    /// says when to move on.
    fn was_deleted(&self) -> bool {
        match &self.output {
            Some(Output::File(file)) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            _ => false,
        }
    }
}

impl Output {
    fn open(destination: &Destination) -> io::Result<Self> {
        Ok(match destination {
            Destination::Stdout => Self::Stdout,
            Destination::Stderr => Self::Stderr,
            Destination::File(path) => Self::File(open_file(path)?),
        })
    }

    /// Writes everything, or says how many bytes were written before the failure.
    fn write_all_counted(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_some(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        self.flush().map_err(|error| (written, error))
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().lock().write(bytes),
            Self::Stderr => io::stderr().lock().write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().flush(),
            Self::Stderr | Self::File(_) => Ok(()),
        }
    }
}

/// Opens a file to append to, without waiting for the reader of a named pipe. What is written waits for it all the same.
fn open_file(path: &Path) -> io::Result<File> {
    // Requests carry what is nobody else's business, so others may not read.
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o640).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::test_directory::TestDirectory;

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let directory = TestDirectory::new();
        let path = directory.path().join("access.log");
        std::fs::write(&path, "old\n").unwrap();
        let mut sink = Sink::new(Destination::File(path.clone()));
        sink.write(b"one\ntwo\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\none\ntwo\n");
    }

    #[test]
    fn a_renamed_file_is_written_to_until_it_is_closed() {
        let directory = TestDirectory::new();
        let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let mut sink = Sink::new(Destination::File(path.clone()));
        sink.write(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        sink.write(b"two\n").unwrap();
        sink.close();
        sink.write(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_vanished_directory_loses_lines_until_it_is_back() {
        let directory = TestDirectory::new();
        let inner = directory.path().join("log");
        std::fs::create_dir(&inner).unwrap();
        let mut sink = Sink::new(Destination::File(inner.join("access.log")));
        sink.write(b"one\n").unwrap();
        std::fs::remove_dir_all(&inner).unwrap();
        let lost = sink.write(b"two\nthree\n").unwrap_err();
        assert_eq!(lost.lines, 2);
        assert_eq!(lost.cause.kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&inner).unwrap();
        sink.write(b"four\n").unwrap();
        assert_eq!(std::fs::read_to_string(inner.join("access.log")).unwrap(), "four\n");
    }

    #[test]
    fn a_full_disk_is_an_error_that_counts_the_lines() {
        let mut sink = Sink::new(Destination::File("/dev/full".into()));
        let lost = sink.write(b"one\ntwo\n").unwrap_err();
        assert_eq!((lost.lines, lost.cause.kind()), (2, io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_named_pipe_is_opened_when_somebody_reads_it_and_refused_otherwise() {
        let directory = TestDirectory::new();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let refused = Sink::opened(Destination::File(path.clone())).unwrap_err();
        assert_eq!(rustix::io::Errno::from_io_error(&refused), Some(rustix::io::Errno::NXIO));
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut reader = options.open(&path).unwrap();
        let mut sink = Sink::opened(Destination::File(path)).unwrap();
        sink.write(b"one\n").unwrap();
        drop(sink);
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "one\n");
    }
}
