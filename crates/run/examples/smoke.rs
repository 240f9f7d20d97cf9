//! smoke
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let layers = args[0].split(':').rev().map(Into::into).collect();
    let c = std::path::PathBuf::from(&args[1]);
    for d in ["diff", "work", "merged"] {
        std::fs::create_dir_all(c.join(d)).unwrap();
    }
    let mut config = wiac_oci::runtime::RuntimeConfig::default_container().with_host_network();
    let p = config.process.as_mut().unwrap();
    p.args = args[2..].to_vec();
    p.terminal = std::env::var_os("TTY").is_some();
    config.hostname = Some("smoke".into());
    let mut settings = wiac_run::plan::Settings::default();
    if wiac_run::user_namespace::is_needed() {
        settings.user_namespace = Some(wiac_run::user_namespace::enter().unwrap());
    }
    let rootfs = wiac_run::plan::Rootfs::Overlay(wiac_run::plan::OverlayPaths {
        layers,
        upper: c.join("diff"),
        work: c.join("work"),
        merged: c.join("merged"),
        volatile: true,
        user_xattrs: settings.user_namespace.is_some(),
    });
    let signals = wiac_run::attach::Signals::catch().unwrap();
    let plan = match wiac_run::Plan::new(&config, &rootfs, &settings) {
        Ok(p) => p,
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(125)
        }
    };
    match wiac_run::Container::run(plan, wiac_run::io::Io::default()) {
        Ok(mut c) => std::process::exit(wiac_run::attach::attach(&mut c, &signals).unwrap().exit_code()),
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(125)
        }
    }
}
