//! Tars as they were, put together again from a layer's files and what docker and podman keep of the rest.
//!
//! Both keep for each layer, compressed with gzip, a list of JSON objects: pieces of the tar as they are (headers, padding), and
//! between them files whose contents stand in the layer's directory (vbatts/tar-split, `tar/storage`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use wiac_layer::compression::{Compression, decoder};

/// A piece of the tar as it was.
const SEGMENT: u8 = 2;

/// The contents of a file.
const FILE: u8 = 1;

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    name: Option<String>,
    /// A name that isn't UTF-8.
    #[serde(default)]
    name_raw: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<String>,
}

type Entries = serde_json::StreamDeserializer<'static, serde_json::de::IoRead<BufReader<Box<dyn Read + Send>>>, Entry>;

/// The tar, read from its beginning to its end.
pub struct TarSplit {
    directory: File,
    entries: Entries,
    now: Piece,
}

/// What is being given out.
enum Piece {
    Bytes(io::Cursor<Vec<u8>>),
    Contents { file: io::Take<File>, name: PathBuf },
}

impl TarSplit {
    /// Of the list at `list` and the files in `directory`.
    ///
    /// # Errors
    /// What can't be opened.
    pub fn open(list: &Path, directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let plain: Box<dyn Read + Send> = decoder(Compression::Gzip, Box::new(File::open(list)?))?;
        Ok(Self {
            directory: directory.into(),
            entries: serde_json::Deserializer::from_reader(BufReader::new(plain)).into_iter(),
            now: Piece::Bytes(io::Cursor::default()),
        })
    }

    /// The next piece; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Piece>> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        let entry = entry.map_err(|error| wrong(format!("the list of the tar's pieces is damaged: {error}")))?;
        let payload = || {
            let text = entry.payload.as_deref().unwrap_or_default();
            STANDARD
                .decode(text)
                .map_err(|error| wrong(format!("a piece is damaged: {error}")))
        };
        match entry.kind {
            SEGMENT => Ok(Some(Piece::Bytes(io::Cursor::new(payload()?)))),
            FILE if entry.size == 0 => Ok(Some(Piece::Bytes(io::Cursor::default()))),
            FILE => self.contents(&entry).map(Some),
            kind => Err(wrong(format!("a piece is of the unknown kind {kind}"))),
        }
    }

    fn contents(&self, entry: &Entry) -> io::Result<Piece> {
        let name = match (&entry.name, &entry.name_raw) {
            (Some(name), _) => PathBuf::from(name),
            (None, Some(raw)) => {
                let raw = STANDARD
                    .decode(raw)
                    .map_err(|error| wrong(format!("a name is damaged: {error}")))?;
                PathBuf::from(OsString::from_vec(raw))
            }
            (None, None) => return Err(wrong("a file without a name".to_owned())),
        };
        // As tars write them: `./a`, `/a`.
        let plain: PathBuf = name
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(&self.directory, &plain, flags, Mode::empty(), resolve)
            .map_err(|errno| wrong(format!("{}: {}", name.display(), io::Error::from(errno))))?;
        Ok(Piece::Contents {
            file: File::from(file).take(entry.size),
            name,
        })
    }
}

fn wrong(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl Read for TarSplit {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.now {
                Piece::Bytes(bytes) => bytes.read(into)?,
                Piece::Contents { file, name } => match file.read(into)? {
                    0 if file.limit() > 0 => return Err(wrong(format!("{} became shorter", name.display()))),
                    read => read,
                },
            };
            if read > 0 {
                return Ok(read);
            }
            match self.next()? {
                Some(piece) => self.now = piece,
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use wiac_layer::compression::Encoder;

    fn list(dir: &Path, entries: &[serde_json::Value]) -> PathBuf {
        let path = dir.join("list.gz");
        let file = File::create(&path).expect("create");
        let mut encoder = Encoder::new(file, Compression::Gzip, None, 1).expect("encoder");
        for entry in entries {
            encoder.write_all(format!("{entry}\n").as_bytes()).expect("written");
        }
        encoder.finish().expect("finished");
        path
    }

    #[test]
    fn pieces_and_files_take_turns() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("a"), "contents").expect("write");
        let list = list(
            dir.path(),
            &[
                serde_json::json!({"type": 2, "payload": STANDARD.encode("head "), "position": 0}),
                serde_json::json!({"type": 1, "name": "./a", "size": 8, "payload": "AAAAAAAAAAA=", "position": 1}),
                serde_json::json!({"type": 1, "name": "empty", "size": 0, "position": 2}),
                serde_json::json!({"type": 2, "payload": STANDARD.encode(" tail"), "position": 3}),
            ],
        );
        let mut text = String::new();
        let mut tar = TarSplit::open(&list, dir.path()).expect("opened");
        tar.read_to_string(&mut text).expect("read");
        assert_eq!(text, "head contents tail");
    }

    #[test]
    fn a_file_outside_is_not_read() {
        let dir = tempfile::tempdir().expect("tempdir");
        let inside = dir.path().join("in");
        std::fs::create_dir(&inside).expect("mkdir");
        std::fs::write(dir.path().join("secret"), "secret").expect("write");
        std::os::unix::fs::symlink("../secret", inside.join("link")).expect("symlink");
        for name in ["../secret", "link"] {
            let list = list(dir.path(), &[serde_json::json!({"type": 1, "name": name, "size": 6})]);
            let mut tar = TarSplit::open(&list, &inside).expect("opened");
            assert!(tar.read_to_end(&mut Vec::new()).is_err(), "{name}");
        }
    }
}
