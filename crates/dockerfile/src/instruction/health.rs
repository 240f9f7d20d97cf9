//! HEALTHCHECK: how a container's health is asked for.

use std::time::Duration;

use super::Command;

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
