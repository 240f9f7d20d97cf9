//! `wiac store check`: proves the data directory.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format;
use crate::{Global, data};
use clap::{Args, Subcommand};
use serde_json::json;
use std::fmt::Write as _;
use wiac_store::check::{CheckOptions, CheckReport, Finding};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Look whether everything is there and is what it says it is; others may go on meanwhile
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    /// Delete what leads nowhere, set aside what is damaged, and say what to get again; with --deep, mend layers from their blobs
    #[arg(long)]
    repair: bool,
    /// Don't read contents
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Also unpack layers that came in again and pack the others again, and compare
    #[arg(long)]
    deep: bool,
    /// Say nothing where nothing is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
}

/// Runs the command: exit code 1 where something is wrong and wasn't mended.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Commands::Check(arguments) = &arguments.command;
    let data = data::open(global)?;
    let report = data.store.check(CheckOptions {
        quick: arguments.quick,
        deep: arguments.deep,
        repair: arguments.repair,
        owners: data.owner_policy(),
    })?;
    if arguments.format.is_some() {
        format::write(&to_json(&report))?;
    } else {
        format::write(&lines(&report, arguments))?;
    }
    let is_well = report.findings.iter().all(Finding::is_mended);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line for each finding.
fn lines(report: &CheckReport, arguments: &Check) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = write!(
            text,
            "{}: {}",
            format::plain(&finding.what),
            format::plain(&finding.problem)
        );
        if let Some(repaired) = &finding.repaired {
            let _ = write!(text, "; {repaired}");
        }
        if let Some(advice) = &finding.advice {
            let _ = write!(text, "; {advice}");
        }
        text.push('\n');
    }
    if arguments.quiet {
        return text;
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let contents = if arguments.quick { " (contents not read)" } else { "" };
    let found = match report.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let counts = [
        (report.compared, "compared with their blobs"),
        (
            report.first_seen,
            "with nothing to compare, which the next --deep compares with what they are now",
        ),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let compared: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let compared = match compared.as_slice() {
        [] => String::new(),
        parts => format!(" ({})", parts.join(", ")),
    };
    let _ = writeln!(
        text,
        "{} images, {} layers{compared}, {} blobs{contents}: {found}",
        report.images, report.layers, report.blobs
    );
    if !report.findings.is_empty() && !arguments.repair {
        let (deep, mends) = if arguments.deep {
            (" --deep", "mends layers from their blobs, ")
        } else {
            ("", "")
        };
        let _ = writeln!(
            text,
            "wiac store check{deep} --repair {mends}deletes what leads nowhere and sets aside what is damaged"
        );
    }
    let is_gone = |finding: &Finding| finding.is_mended() && finding.advice.is_some();
    if arguments.repair && report.findings.iter().any(is_gone) {
        text.push_str(
            "layers that are whole are still here until wiac prune: getting an image again fetches only the rest\n",
        );
    }
    text
}

fn to_json(report: &CheckReport) -> String {
    let finding = |finding: &Finding| {
        json!({
            "What": finding.what,
            "Problem": finding.problem,
            "Repaired": finding.repaired,
            "Advice": finding.advice,
        })
    };
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    format::pretty(&json!({
        "Findings": findings,
        "Notes": report.notes,
        "Images": report.images,
        "Layers": report.layers,
        "Compared": report.compared,
        "FirstSeen": report.first_seen,
        "Blobs": report.blobs,
    }))
}
