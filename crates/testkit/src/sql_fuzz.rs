//! The planner with any text: it gives a plan or mistakes, and never panics. `cargo xtask fuzz sql` runs [`check`] for a
//! given time. The property test below mutates valid queries token by token.
//!
//! The number of tokens is limited, and so is the depth of a query. `mistakes_of_sources.rs` tests deep nesting.

/// Plans a query and, if it has a plan, prints the plan. Returns whether it has one.
///
/// # Panics
/// If planning panics: that is what the fuzzer looks for.
pub fn check(sql: &str, mode: &str) -> bool {
    let table = |name: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"{name}\"\n\
             schema = \"t DOUBLE, k STRING, v BIGINT, a ARRAY<STRING>, m MAP<STRING, INT>, st STRUCT<x: INT, y: STRING>\"\n\
             [sources.{name}.event_time]\ncolumn = \"et\"\nexpression = \"CAST(t AS TIMESTAMP)\"\nwatermark = \"10 seconds\"\n"
        )
    };
    let text = format!(
        "{}{}[query]\nsql = \"SELECT 1\"\noutput_mode = \"{mode}\"\n[sinks.out]\ntype = \"console\"\n",
        table("events"),
        table("more")
    );
    let set = [("query.sql".to_owned(), sql.to_owned())];
    let Ok(pipeline) = tidemill_config::parse("p.toml", &text, &set) else { return false };
    match tidemill_sql::plan(&pipeline) {
        Ok(plan) => !plan.describe().is_empty(),
        // Many mutations have only the mistake that a source is not read.
        Err(faults) => faults.to_string().contains("does not read the source"),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    /// Most tokens in a query.
    const TOKENS_MAX: usize = 300;

    /// Valid queries over the pipeline of [`check`].
    const SEEDS: [&str; 18] = [
        "SELECT window . start , k , count ( * ) AS n FROM events GROUP BY window ( et , '10 seconds' , '5 seconds' ) , k",
        "SELECT window ( et , '5 seconds' ) . start AS s , sum ( v ) FROM events GROUP BY s HAVING sum ( v ) > 1",
        "SELECT k , max ( window . end ) FROM events GROUP BY window ( et , '5 seconds' ) , k",
        "SELECT count ( window ) FILTER ( WHERE window . start > et ) FROM events GROUP BY window ( et , '5 seconds' )",
        "SELECT DISTINCT window ( et , '5 seconds' ) AS w , k FROM events WHERE v BETWEEN 1 AND 3 OR k LIKE 'a%'",
        "SELECT w . start , n FROM ( SELECT window ( et , '5 seconds' ) AS w , count ( * ) AS n FROM events GROUP BY ALL ) WHERE n > 2",
        "WITH x AS ( SELECT et , upper ( k ) AS k , v FROM events ) SELECT k , avg ( v ) FROM x GROUP BY 1 , window ( et , '1 minute' )",
        "SELECT k FROM events UNION ALL SELECT cast ( v AS STRING ) FROM more UNION SELECT a [ 0 ] FROM more",
        "SELECT * EXCEPT ( k ) , CASE WHEN v > 1 THEN 'x' ELSE NULL END FROM events WHERE k IN ( 'a' , 'b' ) AND NOT v IS NULL",
        "SELECT st . x , m [ 'key' ] , a [ v ] , struct_ . y FROM ( SELECT st , m , a , st AS struct_ , v FROM more )",
        "SELECT date_format ( et , 'yyyy' ) , et + INTERVAL '1 hour' , DATE '2024-01-01' - 1 , X'1F' , 1.5BD , 1e3 FROM events",
        "SELECT first ( k ) IGNORE NULLS , approx_count_distinct ( k , 0.05 ) , min_by ( k , v ) FROM events GROUP BY et",
        "SELECT window_time ( w ) , count ( * ) FROM ( SELECT window ( et , '5 seconds' ) AS w FROM events ) GROUP BY window_time ( w )",
        "SELECT k FROM events WHERE window ( et , '10 seconds' , '3 seconds' ) . start > et - INTERVAL 1 DAY",
        "SELECT get_json_object ( k , '$.a' ) , regexp_replace ( k , '(a)' , '$1' ) , substring ( k , 2 , - 1 ) FROM events",
        "SELECT coalesce ( k , 'x' ) || 1 , greatest ( v , 2 ) , v DIV 2 % 3 , - v * + 1 / 0 FROM events",
        "SELECT round ( v / 3 , 2 ) , try_cast ( k AS INT ) , k :: BIGINT , nullif ( v , 0 ) FROM events",
        "SELECT extract ( HOUR FROM et ) , trim ( BOTH 'x' FROM k ) , date_trunc ( 'DAY' , et ) , year ( et ) FROM events",
    ];

    /// Tokens to insert.
    const WORDS: [&str; 58] = [
        "(",
        ")",
        ",",
        ".",
        "[",
        "]",
        "*",
        "+",
        "-",
        "/",
        "%",
        "=",
        "<",
        "<=>",
        "||",
        "::",
        ";",
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "BY",
        "HAVING",
        "UNION",
        "ALL",
        "DISTINCT",
        "AS",
        "AND",
        "OR",
        "NOT",
        "IS",
        "NULL",
        "IN",
        "BETWEEN",
        "LIKE",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "CAST",
        "INTERVAL",
        "WITH",
        "EXCEPT",
        "FILTER",
        "window",
        "window_time",
        "count",
        "max",
        "'5 seconds'",
        "'x'",
        "0",
        "1",
        "9223372036854775808",
        "1e400",
        "et",
        "st",
        "`",
    ];

    /// A change of a query's tokens from `at` on.
    #[derive(Clone, Debug)]
    enum Mutation {
        Remove,
        CopyTo(Index),
        Insert(&'static str),
        Replace(&'static str),
        Bracket,
        /// Puts a piece of another query there.
        Splice(&'static str, Index, usize),
    }

    fn mutations() -> impl Strategy<Value = (Index, usize, Mutation)> {
        let mutation = prop_oneof![
            1 => Just(Mutation::Remove),
            1 => any::<Index>().prop_map(Mutation::CopyTo),
            1 => select(WORDS.to_vec()).prop_map(Mutation::Insert),
            1 => select(WORDS.to_vec()).prop_map(Mutation::Replace),
            1 => Just(Mutation::Bracket),
            2 => (select(SEEDS.to_vec()), any::<Index>(), 1..=8_usize)
                .prop_map(|(other, from, count)| Mutation::Splice(other, from, count)),
        ];
        (any::<Index>(), 1..=6_usize, mutation)
    }

    /// A valid query with a few mutations.
    fn queries() -> impl Strategy<Value = String> {
        (select(SEEDS.to_vec()), vec(mutations(), 1..=4)).prop_map(|(seed, mutations)| {
            let mut tokens: Vec<&str> = seed.split(' ').collect();
            mutations.into_iter().for_each(|(at, count, mutation)| mutate(&mut tokens, at, count, mutation));
            tokens.truncate(TOKENS_MAX);
            tokens.join(" ")
        })
    }

    fn mutate(tokens: &mut Vec<&'static str>, at: Index, count: usize, mutation: Mutation) {
        let at = at.index(tokens.len() + 1);
        let to = (at + count).min(tokens.len());
        match mutation {
            Mutation::Remove => drop(tokens.drain(at..to)),
            Mutation::CopyTo(into) => {
                let into = into.index(tokens.len() + 1);
                let copied = tokens[at..to].to_vec();
                drop(tokens.splice(into..into, copied));
            }
            Mutation::Insert(word) => tokens.insert(at, word),
            Mutation::Replace(word) => tokens.iter_mut().skip(at).take(1).for_each(|token| *token = word),
            Mutation::Bracket => {
                tokens.insert(to, ")");
                tokens.insert(at, "(");
            }
            Mutation::Splice(other, from, count) => {
                let other: Vec<&str> = other.split(' ').collect();
                let from = from.index(other.len());
                let until = (from + count).min(other.len());
                drop(tokens.splice(at..to, other[from..until].iter().copied()));
            }
        }
    }

    #[test]
    fn the_queries_to_begin_with_are_right() {
        for sql in SEEDS {
            assert!(check(sql, "update"), "{sql}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_query_panics(sql in queries(), mode in select(vec!["append", "update", "complete"])) {
            check(&sql, mode);
        }
    }
}
