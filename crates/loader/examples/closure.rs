//! Prints the closure of programs, and how long it took: `closure NAME…`; the root is "/" or what ROOT says.

use std::time::Instant;
use wiac_loader::Collector;
use wiac_sys::root::Root;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<_> = std::env::args_os().skip(1).collect();
    let start = Instant::now();
    let root = Root::open(std::env::var_os("ROOT").unwrap_or("/".into()))?;
    let mut collector = Collector::new(&root);
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
