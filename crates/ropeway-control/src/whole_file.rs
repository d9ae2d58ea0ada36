//! Files of our own: there as a whole or not at all, and never readable by more than they should be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Nobody but the owner, for what holds a key.
pub(crate) const PRIVATE: u32 = 0o600;

/// Everybody may read it.
pub(crate) const PUBLIC: u32 = 0o644;

/// Puts `bytes` into the file `path`, with the permissions `mode`. Whoever looks sees all of it or what was there before,
/// also after a crash.
///
/// # Errors
/// As the system says; what was there before still is. One of two processes that write the same file at the same time
/// may fail.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = directory.join(format!(".{name}.new"));
    // One that is left over is of a process that is gone. It is not used: it may have other permissions.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&draft)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // A disk that is full has better use for the space.
        let _ = fs::remove_file(&draft);
    }
    written?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::log::test_directory::TestDirectory;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let directory = TestDirectory::new();
        let path = directory.path().join("account.json");
        let draft = directory.path().join(".account.json.new");
        fs::write(&draft, "left over").unwrap();
        fs::set_permissions(&draft, PermissionsExt::from_mode(0o644)).unwrap();
        for text in ["one", "two"] {
            write(&path, text.as_bytes(), PRIVATE).unwrap();
            assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
        // A directory cannot be replaced by a file.
        fs::create_dir(directory.path().join("taken")).unwrap();
        assert!(write(&directory.path().join("taken"), b"three", PRIVATE).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left over");
    }
}
