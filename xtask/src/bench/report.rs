//! What was measured: a table for people, JSON for programs, and whether the targets are met.

use super::measure::{Contender, Sample};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// A target: this peer's median divided by ours is at least this, in wall time, and in processor time where asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The peer, by the start of its name.
    pub(super) peer: &'static str,
    /// The smallest quotient.
    pub(super) factor: f64,
    /// Also in processor time.
    pub(super) processor: bool,
}

/// A race's result. The first contender is ours.
#[derive(Debug)]
struct Section {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    wall: Figures,
    processor: Figures,
    target: Option<Target>,
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    min: f64,
    median: f64,
}

/// Everything that a benchmark found.
#[derive(Debug, Default)]
pub(super) struct Report {
    notes: Vec<String>,
    sections: Vec<Section>,
    facts: Vec<(String, String, bool)>,
}

impl Report {
    /// Something to know about the figures.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// A figure that isn't a time, and whether it meets its target.
    pub(super) fn fact(&mut self, name: impl Into<String>, figure: impl Into<String>, met: bool) {
        self.facts.push((name.into(), figure.into(), met));
    }

    /// A race.
    pub(super) fn section(
        &mut self,
        title: &str,
        contenders: &[Contender],
        samples: &[Vec<Sample>],
        targets: &[Target],
    ) {
        let row = |(contender, samples): (&Contender, &Vec<Sample>)| Row {
            name: contender.name.clone(),
            wall: figures(samples.iter().map(|sample| sample.wall)),
            processor: figures(samples.iter().map(|sample| sample.processor)),
            target: targets.iter().copied().find(|target| target.peer == contender.name),
        };
        let rows = contenders.iter().zip(samples).map(row).collect();
        self.sections.push(Section {
            title: title.to_owned(),
            rows,
        });
    }

    /// The tables.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            section.write(&mut text);
        }
        for (name, figure, met) in &self.facts {
            let _ = writeln!(text, "{name}: {figure} ({})", word(*met));
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// The same for programs, times in milliseconds.
    pub(super) fn json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            let rows = section.rows.iter().map(|row| {
                let figures = |figures: Figures| json!({ "min": figures.min, "median": figures.median });
                let target = section.verdict(row).map(|(factor, met)| json!({ "factor": factor, "met": met }));
                json!({ "name": row.name, "wall": figures(row.wall), "processor": figures(row.processor), "target": target })
            });
            json!({ "title": section.title, "rows": rows.collect::<Vec<_>>() })
        });
        let facts = self
            .facts
            .iter()
            .map(|(name, figure, met)| json!({ "name": name, "figure": figure, "met": met }));
        json!({ "sections": sections.collect::<Vec<_>>(), "facts": facts.collect::<Vec<_>>(), "notes": self.notes })
    }
}

impl Section {
    fn quotients(&self, row: &Row) -> (f64, f64) {
        let ours = &self.rows[0];
        (
            row.wall.median / ours.wall.median,
            row.processor.median / ours.processor.median,
        )
    }

    fn verdict(&self, row: &Row) -> Option<(f64, bool)> {
        let target = row.target?;
        let (wall, processor) = self.quotients(row);
        Some((
            target.factor,
            wall >= target.factor && (!target.processor || processor >= target.factor),
        ))
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n{}: milliseconds; ×: the peer's median divided by ours",
            self.title
        );
        let _ = writeln!(
            text,
            "{:<28}{:>10}{:>10}{:>8}{:>10}{:>10}{:>8}  target",
            "", "wall min", "median", "×", "cpu min", "median", "×"
        );
        for row in &self.rows {
            let (wall, processor) = self.quotients(row);
            let verdict = self.verdict(row).map(|(factor, met)| {
                let both = if row.target.is_some_and(|target| target.processor) {
                    "both"
                } else {
                    "wall"
                };
                format!("≥ {factor:.2} {both}: {}", word(met))
            });
            let _ = writeln!(
                text,
                "{:<28}{:>10.2}{:>10.2}{wall:>8.2}{:>10.2}{:>10.2}{processor:>8.2}  {}",
                row.name,
                row.wall.min,
                row.wall.median,
                row.processor.min,
                row.processor.median,
                verdict.unwrap_or_default()
            );
        }
    }
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn figures(times: impl Iterator<Item = Duration>) -> Figures {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let median = match times.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => times[middle],
        _ => f64::midpoint(times[middle - 1], times[middle]),
    };
    Figures {
        min: times.first().copied().unwrap_or(f64::NAN),
        median,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, wall: f64, processor: f64, target: Option<Target>) -> Row {
        let figures = |median| Figures { min: median, median };
        Row {
            name: name.to_owned(),
            wall: figures(wall),
            processor: figures(processor),
            target,
        }
    }

    #[test]
    fn medians() {
        let median = |times: &[u64]| figures(times.iter().map(|ms| Duration::from_millis(*ms))).median;
        assert!((median(&[5, 1, 3]) - 3.0).abs() < 1e-9);
        assert!((median(&[4, 1, 3, 2]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn targets_are_judged_by_both_times_where_asked_for() {
        let target = |processor| {
            Some(Target {
                peer: "p",
                factor: 2.0,
                processor,
            })
        };
        let section = |peer: Row| Section {
            title: String::new(),
            rows: vec![row("wiac", 10.0, 10.0, None), peer],
        };
        for (wall, cpu, both, met) in [
            (20.0, 20.0, true, true),
            (20.0, 19.0, true, false),
            (20.0, 1.0, false, true),
            (19.0, 20.0, false, false),
        ] {
            let section = section(row("p", wall, cpu, target(both)));
            assert_eq!(
                section.verdict(&section.rows[1]),
                Some((2.0, met)),
                "{wall} {cpu} {both}"
            );
        }
    }
}
