//! The archive: the directory of the capture as a compressed tar.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Packs a directory into an archive that appears whole or not at all, and removes the directory.
pub(super) fn pack(directory: &Path, archive: &Path) -> io::Result<()> {
    let mut temporary = archive.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let packed = write(directory, &temporary).and_then(|()| std::fs::rename(&temporary, archive));
    if let Err(error) = packed {
        // It may not be there yet.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    std::fs::remove_dir_all(directory)
}

fn write(directory: &Path, to: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(to)?, Compression::default()));
    let name = directory.file_name().map_or_else(|| PathBuf::from("debug"), PathBuf::from);
    tar.append_dir_all(name, directory)?;
    tar.into_inner()?.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_becomes_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let capture = dir.path().join("capture");
        std::fs::create_dir_all(capture.join("1")).unwrap();
        std::fs::write(capture.join("1/metrics.json"), "{}").unwrap();
        let archive = dir.path().join("capture.tar.gz");
        pack(&capture, &archive).unwrap();
        assert!(!capture.exists());
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&archive).unwrap()));
        let names: Vec<String> =
            tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert!(names.contains(&"capture/1/metrics.json".to_owned()), "{names:?}");
        let error = pack(&dir.path().join("none"), &dir.path().join("x.tar.gz"));
        assert!(error.is_err());
        assert!(!dir.path().join("x.tar.gz.tmp").exists());
    }
}
