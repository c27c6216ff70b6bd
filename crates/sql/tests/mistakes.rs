//! Bad pipeline files: each kind of mistake in schema, event time and query, with its exact message.

use arrow_array::RecordBatch;
use proptest::prelude::*;
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::plan::{QueryPlan, Step};

const REFERENCE: &str = include_str!("../../config/tests/reference.toml");

/// Replaces the first text by the second in the reference pipeline and expects these messages.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(REFERENCE.contains(from), "{from}");
    let pipeline = tidemill_config::parse("p.toml", &REFERENCE.replacen(from, to, 1), &[]).unwrap();
    let faults = tidemill_sql::plan(&pipeline).expect_err(to).to_string();
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "{to}");
}

#[test]
fn schema() {
    check("lines_of_code INT", "lines_of_code INTEGR", &["p.toml:10:45: unknown type `INTEGR`; did you mean INTEGER?"]);
    check(
        "tool_used STRING,",
        "tool_used STRING",
        &["p.toml:10:30: `lines_of_code` is unexpected; the end of the text is expected here"],
    );
    check(
        "timestamp DOUBLE",
        "course DOUBLE",
        &["p.toml:9:68: the column `course` is there twice; give it another name (names are case-insensitive)"],
    );
}

#[test]
fn event_time() {
    check(
        "CAST(timestamp AS TIMESTAMP)",
        "CAST(timestmp AS TIMESTAMP)",
        &["p.toml:14:20: unknown column `timestmp`; did you mean `timestamp`?"],
    );
    check(
        "CAST(timestamp AS TIMESTAMP)",
        "timestamp",
        &["p.toml:14:15: the event time is a TIMESTAMP, not DOUBLE; convert it: CAST(… AS TIMESTAMP)"],
    );
    check(
        "CAST(timestamp AS TIMESTAMP)",
        "CAST(timestamp AS BIGINT)",
        &[
            "p.toml:14:15: the event time is a TIMESTAMP, not BIGINT; convert it: timestamp_millis(…) of milliseconds, timestamp_seconds(…) of seconds",
        ],
    );
    check(
        "CAST(timestamp AS TIMESTAMP)",
        "max(timestamp)",
        &["p.toml:14:15: the aggregate function `max` is not allowed in the event time; use it in SELECT or HAVING"],
    );
}

#[test]
fn query_text() {
    check(
        "SELECT window.start",
        "SELEC window.start",
        &[
            "p.toml:19:3: the query does not begin with SELECT; a pipeline's query is SELECT … FROM source [WHERE …] [GROUP BY …] [HAVING …]",
        ],
    );
    check("avg(cpu_usage_pct) AS", "avg(cpu_usage_pct AS", &["p.toml:20:61: `AS` is unexpected; `)` is expected here"]);
    check(
        "IS NOT NULL",
        "IS NOT NUL",
        &["p.toml:22:23: `NUL` is unexpected; NULL, TRUE, FALSE or DISTINCT FROM is expected here"],
    );
    check(
        "'10 seconds', '5 seconds'",
        "'10 seconds, 5 seconds",
        &["p.toml:23:31: a string is not closed; close it with '"],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_log",
        &["p.toml:21:8: unknown table `cs_student_log`; did you mean `cs_student_logs`?"],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs JOIN other ON 1 = 1",
        &[
            "p.toml:21:24: JOIN is not supported; a stream is joined with VALUES (…) AS t(a, b) only: read one source, or several with UNION ALL",
        ],
    );
    check(
        "course, activity\n\"",
        "course, activity ORDER BY course\n\"",
        &[
            "p.toml:23:76: ORDER BY needs groups and the complete mode, which gives all of them in every batch; take output_mode = \"complete\", or leave it out: sinks get each batch's rows sorted by group key",
        ],
    );
    check(
        "FROM cs_student_logs",
        "FROM VALUES (1), (2) AS cs_student_logs",
        &[
            "p.toml:21:8: VALUES is a table, and this query reads streams; Spark refuses a UNION of a stream with a table, too; join it: FROM a JOIN VALUES (1, 'x') AS t(n, name) ON a.n = t.n",
        ],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs CROSS JOIN VALUES (1, 2), (3) AS t(a, b)",
        &["p.toml:21:51: a row of VALUES has 1 values, and the first has 2; give each row as many"],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs RIGHT OUTER JOIN VALUES (1) AS t(a) ON a = 1",
        &[
            "p.toml:21:24: the rows of a table that nothing of the stream has met would come out only when the stream ends; Spark refuses it, too: write LEFT JOIN, which keeps the rows of the stream",
        ],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs LEFT JOIN VALUES (1) AS t(a) USING (course)",
        &["p.toml:21:60: USING names `course`, which `t` does not have; its columns are `a`"],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs |> SET course = 1",
        &[
            "p.toml:21:27: this step of a pipe is not supported; the steps are WHERE, SELECT, EXTEND, DROP, AS, AGGREGATE … GROUP BY, and at the end ORDER BY and LIMIT",
        ],
    );
    check(
        "FROM cs_student_logs",
        "FROM cs_student_logs WATERMARK event_time DELAY OF INTERVAL 1 MINUTE",
        &[
            "p.toml:21:24: WATERMARK is not supported; declare it in [sources.NAME.event_time]: watermark = \"1 minute\"",
        ],
    );
    check(
        "WHERE course IS NOT NULL",
        "WHERE course IN (SELECT 1)",
        &["p.toml:22:20: IN (SELECT …) is a join, and only VALUES can be joined; list the values: x IN (1, 2)"],
    );
}

#[test]
fn forms_that_are_not_there() {
    let clause = |text: &str, expected: &str| {
        check("FROM cs_student_logs", &format!("FROM cs_student_logs {text}"), &[&format!("p.toml:21:24: {expected}")]);
    };
    clause(
        "LATERAL explode(a) AS x",
        "LATERAL without VIEW is not supported; write LATERAL VIEW explode(array) t AS x",
    );
    clause(
        "QUALIFY true",
        "QUALIFY is not supported; functions with OVER are not supported on streams; filter groups with HAVING",
    );
    clause(
        "PIVOT (sum(x) FOR y IN (1))",
        "PIVOT is not supported; write one aggregate for each column: sum(x) FILTER (WHERE k = 'a') AS a",
    );
    clause(
        "UNPIVOT (v FOR name IN (a, b))",
        "UNPIVOT is not supported; stack(2, 'a', a, 'b', b) makes a row of each column",
    );
    let condition = |text: &str, expected: &str| {
        check("course IS NOT NULL", text, &[&format!("p.toml:22:{expected}")]);
    };
    condition("EXISTS (SELECT 1 FROM cs_student_logs)", "17: subqueries are not supported; use plain expressions");
    condition("course = ANY (SELECT 'x')", "23: subqueries are not supported; use plain expressions");
    condition(
        "course RLIKE '\\\\\\\\p{Nope}+'",
        "9: the regular expression '\\p{Nope}+' is wrong at character 8: Java 17 knows no property `Nope`; change it",
    );
    condition(
        "event_time + INTERVAL '1 month -1 day' > now()",
        "22: one INTERVAL cannot have years or months and days or smaller units; add two, one after the other: time + INTERVAL '1 month' + INTERVAL '2 days'",
    );
    condition(
        "to_date(course, 'E yyyy-MM-dd') > current_date()",
        "9: the pattern 'E yyyy-MM-dd' is not for reading: `E` is only written; leave it out",
    );
    condition("coalesce(c.*) = 1", "20: `.*` is no value; it stands alone in SELECT, behind a table's name");
}

#[test]
fn an_item_that_group_by_names_by_its_number_is_wrong_once() {
    check(
        "SELECT window.start, window.end, course, activity,\n         sum(lines_of_code) AS total_loc, avg(cpu_usage_pct) AS avg_cpu\n  FROM cs_student_logs\n  WHERE course IS NOT NULL\n  GROUP BY window(event_time, '10 seconds', '5 seconds'), course, activity",
        "SELECT current_user(), count(*) FROM cs_student_logs GROUP BY 1",
        &[
            "p.toml:19:10: Spark's function `current_user` is not supported: it describes a Spark session, and there is none; write the value as a constant",
        ],
    );
}

#[test]
fn names() {
    check(
        "sum(lines_of_code)",
        "sum(line_of_code)",
        &["p.toml:20:14: unknown column `line_of_code`; did you mean `lines_of_code`?"],
    );
    check("sum(lines_of_code)", "summ(lines_of_code)", &["p.toml:20:10: unknown function `summ`; did you mean `sum`?"]);
    check(
        "sum(lines_of_code)",
        "frobnicate(1)",
        &["p.toml:20:10: unknown function `frobnicate`; `tidemill functions` lists the functions that there are"],
    );
    check("window.start", "window.begin", &["p.toml:19:17: there is no field `begin`; the fields are `start`, `end`"]);
    check(
        "window.start",
        "student_name.first",
        &[
            "p.toml:19:23: `first` is applied to a value of type STRING; only a STRUCT, an ARRAY of them or a MAP has fields",
        ],
    );
    check(
        "SELECT window.start, window.end, course",
        "SELECT course, tool_used",
        &[
            "p.toml:19:18: the column `tool_used` is neither in GROUP BY nor inside an aggregate function; add it to GROUP BY, or write for instance max(tool_used)",
        ],
    );
}

#[test]
fn several_mistakes_are_told_at_once() {
    check(
        "window.start, window.end, course, activity,\n         sum(lines_of_code)",
        "window.strt, cours,\n         sum(course)",
        &[
            "p.toml:19:17: there is no field `strt`; the fields are `start`, `end`",
            "p.toml:19:23: unknown column `cours`; did you mean `course`?",
            "p.toml:20:14: `sum` takes a number, not STRING; convert it: CAST(… AS DOUBLE)",
        ],
    );
}

#[test]
fn types() {
    check(
        "sum(lines_of_code)",
        "sum(course)",
        &["p.toml:20:14: `sum` takes a number, not STRING; convert it: CAST(… AS DOUBLE)"],
    );
    check(
        "sum(lines_of_code)",
        "count_if(course)",
        &["p.toml:20:19: `count_if` takes a BOOLEAN, not STRING; give it another argument"],
    );
    check(
        "sum(lines_of_code)",
        "sum(abs(course))",
        &["p.toml:20:18: `abs` takes a number as argument 1, not STRING; convert it: CAST(… AS DOUBLE)"],
    );
    check(
        "sum(lines_of_code)",
        "sum(substring(course, TRUE))",
        &["p.toml:20:32: `substring` takes an integral number as argument 2, not BOOLEAN; convert it: CAST(… AS INT)"],
    );
    check("sum(lines_of_code)", "sum(abs())", &["p.toml:20:14: `abs` takes 1 argument, not 0; change the arguments"]);
    check(
        "course IS NOT NULL",
        "course",
        &["p.toml:22:9: WHERE takes a condition, not a value of type STRING; compare it with something"],
    );
    check(
        "course IS NOT NULL",
        "course > 5",
        &["p.toml:22:18: `>` cannot compare STRING and INT; make them one type with CAST"],
    );
    check(
        "course IS NOT NULL",
        "event_time > 'yesterday'",
        &["p.toml:22:22: 'yesterday' is no TIMESTAMP; correct the constant"],
    );
    check(
        "course IS NOT NULL",
        "course + 1 > 2",
        &["p.toml:22:9: `+` takes numbers, not STRING; convert it with CAST(… AS DOUBLE) or another number type"],
    );
    check(
        "course IS NOT NULL",
        "CAST(event_time AS BOOLEAN)",
        &["p.toml:22:14: TIMESTAMP cannot be cast to BOOLEAN; cast to a type that holds such values"],
    );
    check(
        "course IS NOT NULL",
        "course RLIKE '('",
        &[
            "p.toml:22:9: the regular expression '(' is wrong at character 1: a group that does not end; close it with `)`",
        ],
    );
    check(
        "course IS NOT NULL",
        "sum(lines_of_code) > 1",
        &["p.toml:22:9: the aggregate function `sum` is not allowed in WHERE; filter groups in HAVING"],
    );
    check(
        "sum(lines_of_code)",
        "sum(max(lines_of_code))",
        &["p.toml:20:14: the aggregate function `max` stands inside another one; aggregate plain columns"],
    );
    check(
        "sum(lines_of_code)",
        "count(DISTINCT course)",
        &[
            "p.toml:20:10: count(DISTINCT …) is not supported; Spark refuses it on streams too; take approx_count_distinct(x), or group by the column",
        ],
    );
}

#[test]
fn aggregate_functions() {
    let refuses = |call: &str, expected: &str| check("sum(lines_of_code)", call, &[&format!("p.toml:20:{expected}")]);
    refuses(
        "count_min_sketch(course, 0.5, 0.5, 1)",
        "10: Spark's function `count_min_sketch` is not supported: only Spark's libraries read the bytes of its sketches; count(*) by key is exact",
    );
    refuses("stdev(lines_of_code)", "10: unknown function `stdev`; did you mean `stddev`?");
    refuses("stddev(course)", "17: `stddev` takes a number, not STRING; convert it: CAST(… AS DOUBLE)");
    refuses("bool_and(lines_of_code)", "19: `bool_and` takes a BOOLEAN, not INT; give it another argument");
    refuses(
        "max(map('a', 1))",
        "14: `max` takes a value of a type that has an order, not MAP<STRING, INT>; a MAP has no order; ask one of its values: m['key']",
    );
    refuses("max_by(course)", "10: `max_by` takes 2 arguments, not 1; change the arguments");
    refuses(
        "max_by(course, map('a', 1))",
        "25: `max_by` takes a value of a type that has an order as argument 2, not MAP<STRING, INT>; a MAP has no order; ask one of its values: m['key']",
    );
    refuses(
        "first(course, 1)",
        "24: argument 2 of `first` says whether NULLs are ignored: true or false; write a constant, or IGNORE NULLS",
    );
    refuses("first(course, true) IGNORE NULLS", "30: `first` says twice what to do with NULLs; remove one of the two");
    refuses(
        "sum(lines_of_code) IGNORE NULLS",
        "29: `sum` takes no IGNORE NULLS or RESPECT NULLS; leave it out: only first and last have this option",
    );
    refuses(
        "upper(course) IGNORE NULLS",
        "10: IGNORE NULLS is only for aggregate functions, and `upper` is not one; leave IGNORE NULLS out",
    );
    refuses(
        "approx_count_distinct(course, 0.5)",
        "40: `approx_count_distinct` takes a relative standard deviation of 0.0022 to 0.39, not 0.5; the default is 0.05",
    );
    refuses(
        "approx_count_distinct(course, lines_of_code)",
        "40: the relative standard deviation is a constant DOUBLE or DECIMAL; write for instance approx_count_distinct(x, 0.01)",
    );
    refuses(
        "sum(lines_of_code) FILTER (WHERE course)",
        "43: FILTER takes a condition, not a value of type STRING; compare it with something",
    );
}

#[test]
fn what_makes_rows_is_refused_by_name() {
    let refuses = |call: &str, expected: &str| check("sum(lines_of_code)", call, &[&format!("p.toml:20:{expected}")]);
    let rows = "makes rows and is not allowed here; make it an item of SELECT, or write FROM … LATERAL VIEW explode(array) t AS x";
    refuses("max(explode(split(course, ',')))", &format!("14: `explode` {rows}"));
    refuses("upper(posexplode_outer(course))", &format!("16: `posexplode_outer` {rows}"));
    check(
        "course, activity\n\"",
        "CUBE(course, activity, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)\n\"",
        &["p.toml:23:63: GROUP BY has more than 4096 sets of keys; each row is repeated for each set: name fewer keys"],
    );
}

#[test]
fn w2_w5_w6_windows() {
    check(
        "'10 seconds', '5 seconds'",
        "'10 seconds', '20 seconds'",
        &["p.toml:23:12: the slide duration must not exceed the window duration; change the durations"],
    );
    check(
        "'10 seconds', '5 seconds'",
        "'10 sec'",
        &[
            "p.toml:23:31: `10 sec` is not an interval: `sec` is not a unit; the units are year, month, week, day, hour, minute, second, millisecond, microsecond",
        ],
    );
    check(
        "'10 seconds', '5 seconds'",
        "'1 month'",
        &["p.toml:23:31: months and years have no fixed length and are not allowed here; use days or weeks"],
    );
    check(
        "window(event_time",
        "window(course",
        &["p.toml:23:19: `window` takes a TIMESTAMP as argument 1, not STRING; convert it: CAST(… AS TIMESTAMP)"],
    );
    check(
        "window(event_time",
        "window(lines_of_code",
        &[
            "p.toml:23:19: `window` takes a TIMESTAMP as argument 1, not INT; convert it: timestamp_millis(…) of milliseconds, timestamp_seconds(…) of seconds",
        ],
    );
    check(
        "course, activity\n\"",
        "window(event_time, '1 hour')\n\"",
        &[
            "p.toml:23:59: the query has another window(…) already; group by one window; run a second pipeline for the other",
        ],
    );
    check(
        "GROUP BY window(event_time, '10 seconds', '5 seconds'), course",
        "GROUP BY course",
        &[
            "p.toml:19:10: there is no window in GROUP BY; group by window(time, '10 seconds') to have one",
            "p.toml:19:24: there is no window in GROUP BY; group by window(time, '10 seconds') to have one",
        ],
    );
}

#[test]
fn o1_o6_output_modes() {
    let unwatermarked = "p.toml:25:15: append mode cannot tell when a group is final: the source has no watermark; declare a watermark in [sources.NAME.event_time], or take output_mode = \"update\"";
    let set = |text: &str| {
        REFERENCE
            .replace("output_mode = \"update\"", "output_mode = \"append\"")
            .replace("watermark = \"1 minute\"", text)
    };
    let plan = |text: &str| {
        let pipeline = tidemill_config::parse("p.toml", text, &[]).unwrap();
        tidemill_sql::plan(&pipeline).map(|_| ()).map_err(|faults| faults.to_string())
    };
    assert_eq!(plan(&set("")), Err(unwatermarked.to_string()));
    assert_eq!(plan(&set("watermark = \"1 minute\"")), Ok(()));
    let by_course = set("watermark = \"1 minute\"")
        .replace("window(event_time, '10 seconds', '5 seconds'), ", "")
        .replace("window.start, window.end, ", "");
    let expected = "p.toml:25:15: append mode cannot tell when a group is final: neither the event time nor a window over it is a key; group by window(event time, …) or by the event time itself, or take output_mode = \"update\"";
    assert_eq!(plan(&by_course), Err(expected.to_string()));
    let stateless = by_course
        .replace("sum(lines_of_code) AS total_loc, avg(cpu_usage_pct) AS avg_cpu", "student_id")
        .replace("GROUP BY course, activity", "");
    assert_eq!(plan(&stateless), Ok(()));
    let expected = "p.toml:25:15: complete mode is for aggregations, and this query has none; take output_mode = \"append\" or \"update\"";
    assert_eq!(plan(&stateless.replace("\"append\"", "\"complete\"")), Err(expected.to_string()));
}

/// A change of a query's pieces.
#[derive(Clone, Debug)]
enum Edit {
    Remove,
    Insert(&'static str),
    SwapWithNext,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the file contains, the result is a plan or mistakes with a place in it, and never a panic.
    #[test]
    fn damaged_queries_are_answered(edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..5)) {
        let start = REFERENCE.find("SELECT").unwrap();
        let end = REFERENCE.find("\"\"\"\noutput_mode").unwrap();
        let mut pieces: Vec<&str> = REFERENCE[start..end].split_inclusive([' ', '(', ')', ',', '.']).collect();
        for (at, edit) in edits {
            let at = at.index(pieces.len());
            match edit {
                Edit::Remove => drop(pieces.remove(at)),
                Edit::Insert(piece) => pieces.insert(at, piece),
                Edit::SwapWithNext => {
                    let next = (at + 1).min(pieces.len() - 1);
                    pieces.swap(at, next);
                }
            }
        }
        let text = format!("{}{}{}", &REFERENCE[..start], pieces.concat(), &REFERENCE[end..]);
        let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
        if let Err(faults) = tidemill_sql::plan(&pipeline) {
            let lines = text.lines().count();
            prop_assert!(
                faults.0.iter().all(|fault| (1..=lines).contains(&fault.line) && !fault.help.is_empty()),
                "{faults}"
            );
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let pieces = &[
        "(", ")", ",", "'", "NULL", "window", "count(*)", "1e3", "-", "CASE", "END", "course", "AND", "::", "[", "]",
        "X'1'", "`", ".", "NOT",
    ];
    prop_oneof![Just(Edit::Remove), prop::sample::select(&pieces[..]).prop_map(Edit::Insert), Just(Edit::SwapWithNext),]
}

#[test]
fn deep_and_long_expressions_are_bounded() {
    // A debug build's frames do not fit into a test thread's 2 MB; a program plans on its main thread, which has 8.
    let planning = std::thread::Builder::new().stack_size(8 << 20).spawn(bounded_expressions).unwrap();
    planning.join().unwrap();
}

/// What is done with a plan: it is sent, its text is written, its filters are computed.
fn computed(plan: &QueryPlan) {
    let sent: QueryPlan = postcard::from_bytes(&postcard::to_stdvec(plan).unwrap()).unwrap();
    assert_eq!(sent.describe(), plan.describe());
    let branch = &plan.branches[0];
    let columns = branch.row_schema.fields().iter().map(|field| arrow_array::new_null_array(field.data_type(), 1));
    let rows = RecordBatch::try_new(branch.row_schema.clone(), columns.collect()).unwrap();
    let filters = branch.steps.iter().filter_map(|step| match step {
        Step::Filter(filter) => Some(filter),
        Step::Window(_) | Step::Generate(_) => None,
    });
    for filter in branch.pushed_filters.iter().chain(filters) {
        evaluate(filter, &rows, &plan.context(Millis(0)), &mut RowErrors::default());
    }
}

fn bounded_expressions() {
    let plan = |condition: String| {
        let text = REFERENCE.replacen("course IS NOT NULL", &condition, 1);
        tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap())
            .map(|plan| computed(&plan))
            .map_err(|faults| faults.to_string())
    };
    assert_eq!(plan(format!("{}true{}", "(".repeat(90), ")".repeat(90))), Ok(()));
    let faults = plan(format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000))).unwrap_err();
    assert_eq!(faults, "p.toml:22:109: the expression is nested too deeply; split it");
    assert!(plan(format!("{}true", "NOT ".repeat(5_000))).is_err());
    assert!(plan(format!("{}1 = 1", "- ".repeat(5_000))).is_err());
    assert_eq!(plan(format!("true{}", " OR course = 'x'".repeat(400))), Ok(()));
    assert!(plan(format!("true{}", " OR course = 'x'".repeat(50_000))).is_err());
    assert!(plan(format!("1{} = 1", " + 1".repeat(50_000))).is_err());
    assert!(plan(format!("1{} = 1", "::INT::BIGINT".repeat(20_000))).is_err());
    assert_eq!(plan(format!("lines_of_code{} = 1", " + 1".repeat(500))), Ok(()));
    // As long chains as there may be, one inside of the other.
    let longest = |depth: usize| (500 / depth.pow(2)).max(10);
    let opened: String = (1..98).map(|_| "lines_of_code + (").collect();
    let closed: String =
        (2..99).rev().map(|depth| format!("{})", " + lines_of_code".repeat(longest(depth) - 1))).collect();
    assert_eq!(plan(format!("{opened}1{closed} = 1")), Ok(()));
}

#[test]
fn t3_constants_that_fail() {
    let select = "avg(cpu_usage_pct) AS avg_cpu";
    let fails = |expression: &str, expected: &str| check(select, &format!("max({expression}) AS x"), &[expected]);
    let zero = "a constant fails: [DIVIDE_BY_ZERO] division by zero; use nullif(divisor, 0) to get NULL instead; \
                constants are computed before the first row, as in Spark";
    fails("1 / 0", &format!("p.toml:20:47: {zero}"));
    fails("lines_of_code + 1 / 0", &format!("p.toml:20:63: {zero}"));
    // A constant is computed as a whole, so a NULL that is computed comes too late.
    let no_number = "a constant fails: [CAST_INVALID_INPUT] 'x' is no DOUBLE; use TRY_CAST to get NULL instead; \
                     constants are computed before the first row, as in Spark";
    fails("double('x') + TRY_CAST('y' AS DOUBLE)", &format!("p.toml:20:47: {no_number}"));
    fails("double('x') = nullif(1D, 1D)", &format!("p.toml:20:47: {no_number}"));
    for lazily in [
        "TRY_CAST('y' AS DOUBLE) + double('x')",
        "double('x') + CAST(NULL AS DOUBLE)",
        "double(course) + TRY_CAST('y' AS DOUBLE)",
        "CASE WHEN lines_of_code > 0 THEN 1 / 0 END",
        "if(lines_of_code > 0, 1 / 0, 2)",
        "coalesce(lines_of_code, 1 / 0)",
        "nanvl(cpu_usage_pct, 1 / 0)",
        "try_divide(1, 0)",
        "if(true, 1, 1 / 0)",
    ] {
        let text = REFERENCE.replacen(select, &format!("max({lazily}) AS x"), 1);
        let planned = tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap());
        assert!(planned.is_ok(), "{lazily}: {}", planned.unwrap_err());
    }
}

#[test]
fn time_zones() {
    check(
        "name = \"cs-student-activity\"",
        "session_time_zone = \"Europe/Pari\"",
        &[
            "p.toml:1:21: `Europe/Pari` is no time zone; did you mean \"Europe/Paris\" or \"Europe/Madrid\" or \"Europe/Berlin\"?",
        ],
    );
    let select = "avg(cpu_usage_pct) AS avg_cpu";
    let check = |expression: &str, expected: &str| check(select, &format!("max({expression}) AS x"), &[expected]);
    check(
        "to_utc_timestamp(event_time, 'europe/Paris')",
        "p.toml:20:47: 'europe/Paris' is no time zone; did you mean 'Europe/Paris'?",
    );
    check("TIMESTAMP '12:00'", "p.toml:20:47: '12:00' is no TIMESTAMP; correct the constant");
    let zoned = REFERENCE.replacen(select, "max(date_format(event_time, 'HH z')) AS x", 1);
    let plan = |zone: &str| {
        tidemill_sql::plan(
            &tidemill_config::parse("p.toml", &zoned, &[("session_time_zone".into(), zone.into())]).unwrap(),
        )
    };
    assert!(plan("GMT+2").is_ok());
    assert_eq!(
        plan("Asia/Kolkata").unwrap_err().to_string(),
        "p.toml:20:47: the pattern 'HH z' is not supported: what `z` calls Asia/Kolkata is not known; use XXX for the offset or VV for the zone's id"
    );
}
