//! Prints the closure of programs of this machine, and how long it took: `closure NAME…`.

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<_> = std::env::args_os().skip(1).collect();
    let start = Instant::now();
    let root = wiac_sys::root::Root::open("/")?;
    let mut collector = wiac_loader::Collector::new(&root);
    for name in &names {
        collector.add_program(name)?;
    }
    let closure = collector.finish()?;
    let time = start.elapsed();
    for entry in &closure.entries {
        println!("{} {:?}", entry.path.display(), entry.kind);
    }
    println!("{} entries, {} bytes, {time:?}", closure.entries.len(), closure.size());
    Ok(())
}
