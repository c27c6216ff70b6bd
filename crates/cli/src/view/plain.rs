//! Lines for logs and scripts: changes when they happen, and a status line every few seconds.
//!
//! Each line begins with the run's age in seconds, in brackets, then the kind of line: `status`, `executors`,
//! `decision`, `phase` or `note`. Numbers have no separators.

use super::text::clean;
use tidemill_model::status::{DecisionLine, Status};

/// Interval of status lines while nothing changes.
const STATUS_EVERY_MS: u64 = 5_000;

/// What was already printed.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    uptime_ms: u64,
    status_at_ms: Option<u64>,
    ready: usize,
    last_decision: Option<DecisionLine>,
    phase: String,
    untold: Option<Status>,
}

impl Plain {
    /// Nothing is printed yet.
    pub(crate) fn new() -> Plain {
        Plain::default()
    }

    /// The new lines for a snapshot. The first line of `extra` is the phase, printed when it changes; the others are
    /// for the live page only.
    pub(super) fn update(&mut self, status: &Status, extra: &[String]) -> Vec<String> {
        self.uptime_ms = status.uptime_ms;
        let mut lines = Vec::new();
        if let Some(phase) = extra.first().filter(|phase| **phase != self.phase) {
            self.phase = phase.clone();
            lines.push(self.line(status.uptime_ms, "phase", phase));
        }
        let known = self.last_decision.as_ref().and_then(|last| status.decisions.iter().rposition(|line| line == last));
        for decision in &status.decisions[known.map_or(0, |position| position + 1)..] {
            let at_ms = status.uptime_ms.saturating_sub(u64::try_from(status.now_ms - decision.at_ms).unwrap_or(0));
            lines.push(self.line(
                at_ms,
                "decision",
                &format!("{} -> {}: {}", decision.from, decision.to, decision.reason),
            ));
        }
        self.last_decision = status.decisions.last().cloned().or(self.last_decision.take());
        let ready = status.executors.iter().filter(|executor| executor.state == "ready").count();
        if ready != self.ready {
            lines.push(self.line(status.uptime_ms, "executors", &format!("{} -> {ready} ready", self.ready)));
            self.ready = ready;
        }
        if self.status_at_ms.is_none_or(|at_ms| status.uptime_ms >= at_ms + STATUS_EVERY_MS) {
            lines.push(self.status_line(status));
            self.status_at_ms = Some(status.uptime_ms);
            self.untold = None;
        } else {
            self.untold = Some(status.clone());
        }
        lines
    }

    /// The line for a message.
    pub(super) fn note(&self, text: &str) -> String {
        self.line(self.uptime_ms, "note", text)
    }

    /// The last status, if it was not printed.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.untold.take().map(|status| self.status_line(&status)).into_iter().collect()
    }

    fn status_line(&self, status: &Status) -> String {
        let batch = status.batch_id.map_or("none".to_string(), |id| id.to_string());
        let figures = format!(
            "in={:.0}/s done={:.0}/s backlog={} age_p50={}ms age_p99={}ms executors={}/{} batch={batch} records={}",
            status.rate_in,
            status.rate_done,
            status.backlog,
            status.age_p50_ms,
            status.age_p99_ms,
            status.executors.len(),
            status.executors_target,
            status.records
        );
        self.line(status.uptime_ms, "status", &figures)
    }

    fn line(&self, uptime_ms: u64, word: &str, text: &str) -> String {
        format!("[{:8.3}] {word:<9} {}", uptime_ms as f64 / 1000.0, clean(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::status::ExecutorStatus;

    fn status(uptime_ms: u64, ready: usize, decisions: &[DecisionLine]) -> Status {
        let executor = ExecutorStatus { state: "ready".into(), ..ExecutorStatus::default() };
        Status {
            uptime_ms,
            now_ms: 1_000_000 + uptime_ms as i64,
            rate_in: 1234.4,
            backlog: 12_345,
            executors: vec![executor; ready],
            executors_target: 2,
            decisions: decisions.to_vec(),
            ..Status::default()
        }
    }

    #[test]
    fn a_line_for_each_change_and_a_status_now_and_then() {
        let decision = DecisionLine { at_ms: 1_000_400, from: 0, to: 2, reason: "12345 wait".into() };
        let phase = ["1 of 2: a spike".to_string(), "second 7".to_string()];
        let mut plain = Plain::new();
        let mut told = plain.update(&status(0, 0, &[]), &[]);
        told.extend(plain.update(&status(500, 0, std::slice::from_ref(&decision)), &phase));
        told.extend(plain.update(&status(750, 2, std::slice::from_ref(&decision)), &phase));
        told.push(plain.note("a note\u{7}"));
        told.extend(plain.update(&status(4_999, 2, std::slice::from_ref(&decision)), &phase));
        told.extend(plain.update(&status(5_000, 2, &[decision]), &phase));
        told.extend(plain.finish());
        told.extend(plain.update(&status(5_250, 2, &[]), &[]));
        told.extend(plain.finish());
        let figures = "backlog=12345 age_p50=0ms age_p99=0ms";
        let expected = [
            &format!("[   0.000] status    in=1234/s done=0/s {figures} executors=0/2 batch=none records=0"),
            "[   0.500] phase     1 of 2: a spike",
            "[   0.400] decision  0 -> 2: 12345 wait",
            "[   0.750] executors 0 -> 2 ready",
            "[   0.750] note      a note·",
            &format!("[   5.000] status    in=1234/s done=0/s {figures} executors=2/2 batch=none records=0"),
            &format!("[   5.250] status    in=1234/s done=0/s {figures} executors=2/2 batch=none records=0"),
        ];
        assert_eq!(told, expected);
    }
}
