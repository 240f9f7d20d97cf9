//! What loading or pulling an image can't do without, each alone, for `cargo xtask bench load` and `bench pull` to compare with.
//!
//! `layer-floor THREADS inflate BLOB…` inflates blobs to nowhere; `… write DIR TAR…` unpacks inflated tars, each into a
//! directory of its own; `… expand DIR BLOB…` makes those tars; `… hash FILE…` hashes; `… fetch ADDRESS PATH…` gets what an HTTP
//! server has, to nowhere.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use wiac_layer::compression::{Compression, decoder};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{BUFFER, Limits, OwnerPolicy, UnpackOptions, unpack};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let usage = "usage: layer-floor THREADS inflate BLOB… | write DIR TAR… | expand DIR BLOB… | hash FILE… | fetch ADDRESS PATH…";
    let (threads, words) = words.split_first().ok_or(usage)?;
    let threads: usize = threads.to_str().and_then(|text| text.parse().ok()).ok_or(usage)?;
    match words.split_first() {
        Some((verb, blobs)) if verb == Path::new("inflate") => each(threads, blobs, |_, blob| {
            io::copy(&mut inflated(blob)?, &mut io::sink())?;
            Ok(())
        }),
        Some((verb, [directory, blobs @ ..])) if verb == Path::new("expand") => each(threads, blobs, |number, blob| {
            let mut tar = File::create(directory.join(format!("{number}.tar")))?;
            io::copy(&mut inflated(blob)?, &mut tar)?;
            Ok(())
        }),
        Some((verb, [directory, tars @ ..])) if verb == Path::new("write") => each(threads, tars, |number, tar| {
            write(&directory.join(number.to_string()), tar)
        }),
        Some((verb, files)) if verb == Path::new("hash") => each(threads, files, |_, file| hash(file)),
        Some((verb, [address, paths @ ..])) if verb == Path::new("fetch") => each(threads, paths, |_, path| {
            fetch(address.to_str().ok_or(usage)?, path.to_str().ok_or(usage)?)
        }),
        _ => Err(usage.into()),
    }
}

/// Works on all of them, so many at once.
fn each(threads: usize, files: &[PathBuf], work: impl Fn(usize, &Path) -> Outcome + Sync) -> Outcome {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let worker = || -> Outcome {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(number) else { return Ok(()) };
                work(number, file)?;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a thread has panicked".into())))
    })
}

fn inflated(blob: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(blob)?;
    let mut first = [0; Compression::MAGIC];
    file.read_exact(&mut first)?;
    decoder(Compression::detect(&first), Box::new(File::open(blob)?))
}

fn hash(file: &Path) -> Outcome {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    std::hint::black_box(hasher.finalize());
    Ok(())
}

/// The least that getting a file takes: as much HTTP as that needs.
fn fetch(address: &str, path: &str) -> Outcome {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut buffer = vec![0; BUFFER];
    let mut length = stream.read(&mut buffer)?;
    if !buffer[..length].starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&buffer[..length.min(200)])).into());
    }
    while length > 0 {
        length = stream.read(&mut buffer)?;
    }
    Ok(())
}

fn write(directory: &Path, tar: &Path) -> Outcome {
    std::fs::create_dir(directory)?;
    let options = UnpackOptions {
        form: wiac_layer::Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    let mut tar = BufReader::with_capacity(BUFFER, File::open(tar)?);
    unpack(&mut tar, File::open(directory)?, &options)?;
    Ok(())
}
