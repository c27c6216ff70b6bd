//! What a checkpoint is bound to, as data: the sources whose offsets it holds and the operators whose state it holds.
//!
//! A query goes on from a checkpoint only with the fingerprint that the checkpoint has. Filters, the watermark's delay,
//! HAVING and the output columns are not part of it: they may change, as in Spark.

use crate::WindowSpec;
use crate::time::length;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A query's sources and stateful operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What each source reads, in the plan's order.
    pub sources: Vec<String>,
    /// The operators that keep state, from the sources up.
    pub operators: Vec<StatefulOperator>,
}

/// An operator that keeps state between batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatefulOperator {
    /// GROUP BY.
    Aggregate {
        /// The word of the output mode: it decides which groups stay.
        output_mode: String,
        /// How the rows of each source become groups. Without UNION ALL there is one.
        branches: Vec<Grouping>,
    },
    /// LIMIT over all batches: the number of rows that have gone out.
    Limit,
}

/// How rows become groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouping {
    /// Windows that rows are repeated for before they are grouped.
    pub repeated: Vec<WindowShape>,
    /// The window that the state keeps by slices.
    pub window: Option<WindowShape>,
    /// The sessions that the state keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionShape>,
    /// The plain keys, in the order of the state's columns.
    pub keys: Vec<KeyShape>,
    /// The aggregate calls, in the order of the state's columns.
    pub aggregates: Vec<CallShape>,
}

/// `window(time, width, slide, start)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowShape {
    /// The time, in SQL.
    pub time: String,
    /// Widths in microseconds.
    #[serde(flatten)]
    pub spec: WindowSpec,
}

/// `session_window(time, gap)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionShape {
    /// The time, in SQL.
    pub time: String,
    /// The gap, in SQL.
    pub gap: String,
    /// As in [`KeyShape::zone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A plain key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShape {
    /// Its column's name.
    pub name: String,
    /// Its type, in SQL.
    pub data_type: String,
    /// Its value, in SQL.
    pub value: String,
    /// The session's time zone, if the value depends on it and it is not UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A call of an aggregate function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallShape {
    /// The function's name.
    pub function: String,
    /// What the call sets beside its arguments, such as `IGNORE NULLS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The arguments, in SQL; none for `count(*)`.
    pub arguments: Vec<String>,
    /// The type of the values that the state compares or hashes, where the result does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_as: Option<String>,
    /// The result's type, in SQL.
    pub data_type: String,
    /// As in [`KeyShape::zone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Fingerprint {
    /// How rows become groups in each aggregation, from the sources up; the windows are the same in all branches.
    pub fn groupings(&self) -> impl Iterator<Item = &Grouping> {
        self.operators.iter().filter_map(|operator| match operator {
            StatefulOperator::Aggregate { branches, .. } => branches.first(),
            StatefulOperator::Limit => None,
        })
    }

    /// One line for each part: two fingerprints are equal exactly if their lines are.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.sources.iter().map(|source| labelled("input", source)).collect();
        for operator in &self.operators {
            let StatefulOperator::Aggregate { output_mode, branches } = operator else {
                lines.push(labelled("let out", "some rows of all batches"));
                continue;
            };
            for branch in branches {
                lines.extend(branch.repeated.iter().map(|window| labelled("windows", window)));
                lines.extend(branch.parts().map(|(label, text)| labelled(label, text)));
            }
            lines.push(labelled("mode", output_mode));
        }
        lines
    }
}

impl Grouping {
    /// The window or session, each key and each call, with its label.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let window = self.window.iter().map(|window| ("window", window.to_string()));
        let session = self.session.iter().map(|session| ("session", session.to_string()));
        let keys = self.keys.iter().map(|key| ("key", key.to_string()));
        window.chain(session).chain(keys).chain(self.aggregates.iter().map(|call| ("aggregate", call.to_string())))
    }
}

impl CallShape {
    /// The call, without its type.
    pub fn call(&self) -> String {
        let arguments = if self.arguments.is_empty() { "*".into() } else { self.arguments.join(", ") };
        let setting = self.setting.as_ref().map_or(String::new(), |setting| format!(" {setting}"));
        format!("{}({arguments}){setting}", self.function)
    }
}

impl fmt::Display for WindowShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WindowSpec { width, slide, start_time } = self.spec;
        let [width, slide, start] = [width, slide, start_time].map(length);
        write!(f, "{}, {width} wide, every {slide}, from {start}", self.time)
    }
}

impl fmt::Display for SessionShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, until {} without a row{}", self.time, self.gap, by_clock(self.zone.as_ref()))
    }
}

impl fmt::Display for KeyShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} = {}{}", self.name, self.data_type, self.value, by_clock(self.zone.as_ref()))
    }
}

impl fmt::Display for CallShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.compared_as.as_ref().map_or(String::new(), |data_type| format!(" of {data_type}"));
        write!(f, "{}: {}{of}{}", self.call(), self.data_type, by_clock(self.zone.as_ref()))
    }
}

fn by_clock(zone: Option<&String>) -> String {
    zone.map_or(String::new(), |zone| format!(" by the clock of {zone}"))
}

/// A line of a plan's text.
pub fn labelled(label: &str, text: impl fmt::Display) -> String {
    format!("{label:<12} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every part is in a line: no two fingerprints that differ look the same.
    #[test]
    fn every_part_shows() {
        let text = |text: &str| text.to_owned();
        let window = WindowShape { time: text("ts"), spec: WindowSpec { width: 10, slide: 5, start_time: 0 } };
        let key = KeyShape { name: text("k"), data_type: text("STRING"), value: text("course"), zone: None };
        let call = CallShape {
            function: text("sum"),
            setting: None,
            arguments: vec![text("x")],
            compared_as: None,
            data_type: text("BIGINT"),
            zone: None,
        };
        let grouping = Grouping {
            repeated: vec![],
            window: Some(window.clone()),
            session: None,
            keys: vec![key],
            aggregates: vec![call],
        };
        let session = SessionShape { time: text("ts"), gap: text("'5 minutes'"), zone: None };
        let first = Fingerprint {
            sources: vec![text("topic")],
            operators: vec![StatefulOperator::Aggregate { output_mode: text("update"), branches: vec![grouping] }],
        };
        let changed = |change: &dyn Fn(&mut Grouping)| {
            let mut other = first.clone();
            let StatefulOperator::Aggregate { branches, .. } = &mut other.operators[0] else { panic!("it is one") };
            change(&mut branches[0]);
            other
        };
        let mut all = vec![
            first.clone(),
            changed(&|grouping| grouping.repeated.push(window.clone())),
            changed(&|grouping| grouping.window = None),
            changed(&|grouping| grouping.window.as_mut().unwrap().time = text("ts2")),
            changed(&|grouping| grouping.window.as_mut().unwrap().spec.start_time = 1),
            changed(&|grouping| grouping.session = Some(session.clone())),
            changed(&|grouping| grouping.session = Some(SessionShape { time: text("ts2"), ..session.clone() })),
            changed(&|grouping| grouping.session = Some(SessionShape { gap: text("gap"), ..session.clone() })),
            changed(&|grouping| grouping.session = Some(SessionShape { zone: Some(text("CET")), ..session.clone() })),
            changed(&|grouping| grouping.keys[0].name = text("l")),
            changed(&|grouping| grouping.keys[0].data_type = text("INT")),
            changed(&|grouping| grouping.keys[0].value = text("upper(course)")),
            changed(&|grouping| grouping.keys[0].zone = Some(text("Europe/Paris"))),
            changed(&|grouping| grouping.aggregates[0].function = text("avg")),
            changed(&|grouping| grouping.aggregates[0].setting = Some(text("IGNORE NULLS"))),
            changed(&|grouping| grouping.aggregates[0].arguments.clear()),
            changed(&|grouping| grouping.aggregates[0].compared_as = Some(text("INT"))),
            changed(&|grouping| grouping.aggregates[0].data_type = text("DOUBLE")),
            changed(&|grouping| grouping.aggregates[0].zone = Some(text("Europe/Paris"))),
        ];
        let mut other = first.clone();
        other.sources.push(text("more"));
        all.push(other);
        let mut other = first.clone();
        other.operators.push(StatefulOperator::Limit);
        all.push(other);
        for (at, one) in all.iter().enumerate() {
            let json = serde_json::to_string(one).unwrap();
            assert_eq!(&serde_json::from_str::<Fingerprint>(&json).unwrap(), one);
            for other in &all[..at] {
                assert_ne!(one.lines(), other.lines());
            }
        }
        assert_eq!(
            first.lines(),
            [
                "input        topic",
                "window       ts, 10 µs wide, every 5 µs, from 0 µs",
                "key          k STRING = course",
                "aggregate    sum(x): BIGINT",
                "mode         update",
            ]
        );
    }
}
