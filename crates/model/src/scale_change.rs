//! What a user changes of `[autoscale]` while a pipeline runs, and whether it may be so.

use crate::pipeline::ScaleMode;
use serde::{Deserialize, Serialize};

/// Executors at most: far more than helps on one machine.
pub const EXECUTORS_MAX: u32 = 256;

/// A change: what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaleChange {
    /// Who chooses the size.
    pub mode: Option<ScaleMode>,
    /// Executors at least.
    pub min_executors: Option<u32>,
    /// Executors at most.
    pub max_executors: Option<u32>,
    /// The greatest wanted age of a record when its result is out, ms.
    pub slo_ms: Option<u64>,
}

impl ScaleChange {
    /// Fails, with what to do, where the change asks for nothing or for what no pipeline file may say; `min` and `max` are
    /// the bounds that hold now.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn check(&self, min: u32, max: u32) -> Result<(), String> {
        if *self == ScaleChange::default() {
            return Err("nothing is to be changed; give mode, min_executors, max_executors or slo".into());
        }
        let (least, most) = (self.min_executors.unwrap_or(min), self.max_executors.unwrap_or(max));
        if most == 0 || most > EXECUTORS_MAX {
            return Err(format!("max_executors is {most}; give a number from 1 to {EXECUTORS_MAX}"));
        }
        if least > most {
            return Err(format!("min_executors {least} exceeds max_executors {most}; lower it or raise max_executors"));
        }
        if self.slo_ms == Some(0) {
            return Err("slo is 0; give a time above it, such as 10 seconds".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_checked_against_what_holds() {
        let cases = [
            (r#"{}"#, "nothing is to be changed"),
            (r#"{"max_executors":0}"#, "max_executors is 0"),
            (r#"{"max_executors":1000}"#, "max_executors is 1000"),
            (r#"{"max_executors":1}"#, "min_executors 2 exceeds max_executors 1"),
            (r#"{"min_executors":5}"#, "min_executors 5 exceeds max_executors 4"),
            (r#"{"min_executors":5,"max_executors":6}"#, ""),
            (r#"{"slo_ms":0}"#, "slo is 0"),
            (r#"{"mode":"advisory","slo_ms":5000}"#, ""),
        ];
        for (json, refused) in cases {
            let change: ScaleChange = serde_json::from_str(json).expect("a change");
            let answer = change.check(2, 4).err().unwrap_or_default();
            assert!(answer.starts_with(refused) && answer.is_empty() == refused.is_empty(), "{json}: {answer}");
        }
        assert!(serde_json::from_str::<ScaleChange>(r#"{"mode":"sometimes"}"#).is_err());
        assert!(serde_json::from_str::<ScaleChange>(r#"{"cores":3}"#).is_err());
    }
}
