//! `wiac login` and `wiac logout`: who we are to a registry.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::registry::RegistryOptions;
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};

/// Where names without a registry lead.
const DEFAULT: &str = "docker.io";

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry (docker.io by itself), or REGISTRY/REPOSITORY
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
    /// The user
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password; others on this machine can see it on a command line: better --password-stdin
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Print the user that is logged in, and ask nobody
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    get_login: bool,
    #[command(flatten)]
    options: RegistryOptions,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct LogoutArguments {
    /// The registry (docker.io by itself), or REGISTRY/REPOSITORY
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
    /// Of all registries
    #[arg(short, long, conflicts_with = "registry")]
    all: bool,
    #[command(flatten)]
    options: RegistryOptions,
}

/// Runs `login`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let registry = arguments.registry.as_deref().unwrap_or(DEFAULT);
    if arguments.password_stdin && arguments.username.is_none() {
        return Err(Failure::usage("--password-stdin: name the user with --username"));
    }
    let client = arguments.options.client(rustix::process::geteuid().as_raw());
    if arguments.get_login {
        let user = client.stored_user(registry)?;
        println!("{}", user.ok_or_else(|| not_logged_in(registry))?);
        return Ok(ExitCode::SUCCESS);
    }
    let is_given = arguments.password.is_some() || arguments.password_stdin;
    if !is_given && let Some(user) = client.login_as_stored(registry, arguments.username.as_deref())? {
        println!("Already logged in to {registry} as {user}: what is stored is valid");
        return Ok(ExitCode::SUCCESS);
    }
    let user = match &arguments.username {
        Some(user) => user.clone(),
        None => ask("Username: ", false)?,
    };
    let password = match &arguments.password {
        Some(password) => {
            eprintln!("wiac: warning: others can see a password on the command line; use --password-stdin");
            password.clone()
        }
        None if arguments.password_stdin => line()?,
        None => ask("Password: ", true)?,
    };
    client.login(registry, &user, &password)?;
    println!("Login Succeeded!");
    Ok(ExitCode::SUCCESS)
}

/// Runs `logout`.
pub(crate) fn logout(arguments: &LogoutArguments) -> Result<ExitCode, Failure> {
    let registry = arguments.registry.as_deref().unwrap_or(DEFAULT);
    let client = arguments.options.client(rustix::process::geteuid().as_raw());
    if arguments.all {
        client.logout_of_all()?;
        println!("Removed login credentials for all registries");
        return Ok(ExitCode::SUCCESS);
    }
    if client.logout(registry)?.is_empty() {
        return Err(not_logged_in(registry));
    }
    println!("Removed login credentials for {registry}");
    Ok(ExitCode::SUCCESS)
}

fn not_logged_in(registry: &str) -> Failure {
    Failure::new(format!("not logged into {registry}"))
}

/// Asks on the terminal.
fn ask(prompt: &str, hidden: bool) -> Result<String, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage(
            "standard input is no terminal: give --username, and the password with --password-stdin",
        ));
    }
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let before = hidden.then(|| hide(&input)).transpose()?;
    let answer = line();
    if let Some(before) = before {
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Now, &before)?;
        eprintln!();
    }
    answer
}

/// Lets the terminal show nothing of what is typed; gives what it was set to.
fn hide(input: &std::io::Stdin) -> Result<rustix::termios::Termios, Failure> {
    let before = rustix::termios::tcgetattr(input)?;
    let mut silent = before.clone();
    silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
    rustix::termios::tcsetattr(input, rustix::termios::OptionalActions::Now, &silent)?;
    Ok(before)
}

fn line() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
