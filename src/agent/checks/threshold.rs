//! How many results in a row it takes to change a state.

use super::Report;
use crate::model::{CheckDefinition, Health};

/// The counters of one check.
#[derive(Debug)]
pub(super) struct Thresholds {
    success_before_passing: u64,
    failures_before_warning: u64,
    failures_before_critical: u64,
    successes: u64,
    failures: u64,
}

impl Thresholds {
    pub(super) fn of(definition: &CheckDefinition) -> Thresholds {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let failures_before_critical = count(definition.failures_before_critical);
        Thresholds {
            success_before_passing: count(definition.success_before_passing),
            failures_before_warning: match definition.failures_before_warning {
                0 => failures_before_critical,
                given => count(given),
            },
            failures_before_critical,
            successes: 0,
            failures: 0,
        }
    }

    /// The report that counts, if the state may change by now.
    pub(super) fn judge(&mut self, report: Report) -> Option<Report> {
        match report.health {
            Health::Passing | Health::Warning => {
                self.successes += 1;
                self.failures = 0;
                (self.successes >= self.success_before_passing).then_some(report)
            }
            Health::Critical => {
                self.failures += 1;
                self.successes = 0;
                if self.failures >= self.failures_before_critical {
                    Some(report)
                } else {
                    (self.failures >= self.failures_before_warning)
                        .then_some(Report { health: Health::Warning, ..report })
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states after each of these results; `-` where nothing is reported.
    fn states(success: i64, warning: i64, critical: i64, results: &str) -> String {
        let mut thresholds = Thresholds::of(&CheckDefinition {
            success_before_passing: success,
            failures_before_warning: warning,
            failures_before_critical: critical,
            ..CheckDefinition::default()
        });
        let judge = |result| match thresholds.judge(match result {
            'p' => Report::passing(""),
            _ => Report::critical(""),
        }) {
            None => '-',
            Some(Report { health: Health::Passing, .. }) => 'p',
            Some(Report { health: Health::Warning, .. }) => 'w',
            Some(Report { health: Health::Critical, .. }) => 'c',
        };
        results.chars().map(judge).collect()
    }

    #[test]
    fn results_count_in_a_row() {
        assert_eq!(states(0, 0, 0, "pcpc"), "pcpc");
        assert_eq!(states(2, 0, 0, "ppcpp"), "-pc-p");
        assert_eq!(states(0, 0, 3, "ccpccc"), "--p--c");
        assert_eq!(states(0, 1, 3, "cccpc"), "wwcpw");
    }
}
