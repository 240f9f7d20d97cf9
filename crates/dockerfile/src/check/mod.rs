//! Checks: what is no error but better done otherwise. These are the ones that need nothing but the file.
//!
//! `InvalidBaseImagePlatform` and `CopyIgnoredFile` need images and the build context, and are the builder's.

mod from;
mod names;
mod rule;
mod scope;
mod stage;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use rule::Rule;

use crate::excerpt;
use crate::model::{CheckOptions, CheckSet, Dockerfile};
use crate::span::Span;

/// Something a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub rule: Rule,
    /// What it found, in one line.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl Finding {
    /// `file:line: warning: …`, then the line with the place underlined. Ends with a line feed.
    pub fn render(&self, file_name: &str, source: &[u8]) -> String {
        let file = excerpt::sanitise(file_name);
        let message = excerpt::sanitise(&self.message);
        let mut text = format!(
            "{file}:{}: warning: {message} [{}]\n",
            self.span.first_line,
            self.rule.name()
        );
        text.push_str(&excerpt::excerpt(self.span, source));
        text
    }
}

/// What is known besides the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The values of the arguments that need no ARG, such as `TARGETPLATFORM`.
    pub automatic: BTreeMap<String, String>,
    /// The build arguments given.
    pub build_args: BTreeMap<String, String>,
    /// The environments of base images, by the image as FROM names it once expanded. The variables of a stage whose
    /// base image is not here are not checked.
    pub base_environments: BTreeMap<String, BTreeMap<String, String>>,
    /// Options that replace those of the file's `# check=` directive.
    pub options: Option<CheckOptions>,
}

impl Default for Context {
    /// Linux on amd64, nothing given, no base image known.
    fn default() -> Self {
        let mut automatic = BTreeMap::new();
        for side in ["TARGET", "BUILD"] {
            let parts = [
                ("PLATFORM", "linux/amd64"),
                ("OS", "linux"),
                ("OSVERSION", ""),
                ("ARCH", "amd64"),
                ("VARIANT", ""),
            ];
            automatic.extend(parts.map(|(name, value)| (format!("{side}{name}"), value.to_owned())));
        }
        automatic.insert("TARGETSTAGE".to_owned(), String::new());
        let (build_args, base_environments) = (BTreeMap::new(), BTreeMap::new());
        Self {
            automatic,
            build_args,
            base_environments,
            options: None,
        }
    }
}

/// Runs all checks that are not turned off; the findings are in the order of the file.
pub fn check(dockerfile: &Dockerfile, context: &Context) -> Vec<Finding> {
    let options = context.options.as_ref().unwrap_or(&dockerfile.directives.check);
    let mut report = Report {
        options,
        findings: Vec::new(),
    };
    names::check(dockerfile, &mut report);
    from::check(dockerfile, context, &mut report);
    stage::check(dockerfile, context, &mut report);
    report.findings.sort_by_key(|finding| finding.span.start);
    report.findings
}

/// Collects findings, but for those that are turned off.
struct Report<'a> {
    options: &'a CheckOptions,
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// Adds a finding about an instruction whose comments skip the checks `skip`.
    fn add(&mut self, rule: Rule, skip: &CheckSet, span: Span, message: String) {
        let name = rule.name();
        let off = if rule.is_experimental() {
            !self.options.experimental.contains(name)
        } else {
            self.options.skip.contains(name)
        };
        if !off && !skip.contains(name) {
            self.findings.push(Finding { rule, message, span });
        }
    }
}
