//! HEALTHCHECK: how a container's health is asked for.

use std::time::Duration;

use super::Command;
use super::parts::Parts;
use crate::duration;
use crate::error::Error;
use crate::flags::{Takes, bad_value};
use crate::model::Word;

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// No health check, not even an inherited one.
    None,
    /// Run a command.
    Check(Check),
}

/// A health check. What is `None` keeps the inherited or the default value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command; its text is not expanded.
    pub command: Command,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time after which a check has failed.
    pub timeout: Option<Duration>,
    /// Time in which failures don't count.
    pub start_period: Option<Duration>,
    /// Time between two checks during the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that mean unhealthy.
    pub retries: Option<u32>,
}

/// Types a HEALTHCHECK instruction.
pub(super) fn parse_health_check(parts: &Parts<'_>) -> Result<HealthCheck, Error> {
    let flags = parts.flags(&[
        ("interval", Takes::Value),
        ("timeout", Takes::Value),
        ("start-period", Takes::Value),
        ("start-interval", Takes::Value),
        ("retries", Takes::Value),
    ])?;
    let args = parts.args();
    let length = parts.args_str().find(char::is_whitespace).unwrap_or(args.len());
    let rest = parts.text.trim(&(args.start + length..args.end));
    match parts.args_str()[..length].to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => return Ok(HealthCheck::None),
        "NONE" => return parts.needs("nothing after NONE"),
        "CMD" => {}
        _ => return parts.needs("CMD and a command, or NONE"),
    }
    let command = parts.command(&rest)?;
    if command == Command::Exec(Vec::new()) {
        return parts.needs("a command after CMD");
    }
    let time = |flag| flags.word(flag).map_or(Ok(None), |word| parse_interval(flag, &word));
    Ok(HealthCheck::Check(Check {
        command,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries: flags.word("retries").map_or(Ok(None), |word| parse_retries(&word))?,
    }))
}

/// A duration of at least a millisecond; zero counts as not given.
fn parse_interval(flag: &'static str, word: &Word) -> Result<Option<Duration>, Error> {
    let bad = |wants| Err(Error::new(bad_value(flag, wants, Some(&word.text)), word.span));
    match duration::parse(&word.text) {
        None => bad("a duration such as 30s or 1m30s"),
        Some(time) if time.is_zero() => Ok(None),
        Some(time) if time.as_millis() == 0 => bad("at least 1ms"),
        Some(time) => Ok(Some(time)),
    }
}

/// A count; zero counts as not given.
fn parse_retries(word: &Word) -> Result<Option<u32>, Error> {
    let count = word.text.parse().ok().filter(|count| i32::try_from(*count).is_ok());
    let error = || Error::new(bad_value("retries", "a whole number", Some(&word.text)), word.span);
    count
        .map(|count| Some(count).filter(|count| *count != 0))
        .ok_or_else(error)
}
