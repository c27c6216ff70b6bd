//! Bad pipeline files: one mistake of each kind through the program, with its exact message and exit code 2. The tests
//! of `config` and `sql` have the complete tables.

use crate::support::Testbed;

/// Replaces `from` by `to` in the pipeline file and expects these messages from `check` and `run`.
fn check(from: &str, to: &str, expected: &[&str]) {
    let testbed = Testbed::without_broker();
    let text = std::fs::read_to_string(testbed.path("p.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(testbed.path("p.toml"), text.replacen(from, to, 1)).unwrap();
    for verb in ["check", "run"] {
        refused(&testbed, &[verb, "p.toml"], expected);
    }
    assert!(!testbed.path("checkpoint").exists(), "a file with mistakes leaves nothing behind");
}

fn refused(testbed: &Testbed, args: &[&str], expected: &[&str]) {
    let ended = testbed.tidemill(args);
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), expected, "{args:?}");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}");
}

#[test]
fn each_kind_of_mistake_is_told_at_its_place() {
    check(
        "topic =",
        "topik =",
        &[
            "p.toml:3:10: `topic` is missing in [sources.logs]; add topic = \"my_topic\"",
            "p.toml:6:1: unknown key `sources.logs.topik`; did you mean `topic`?",
        ],
    );
    check(
        "max_executors = 2",
        "max_executors = \"two\"",
        &["p.toml:35:17: `max_executors` must be an integer, not a string; change the value"],
    );
    check(
        "type = \"kafka\"",
        "type = kafka",
        &["p.toml:4:8: string values must be quoted, expected literal string; correct the TOML"],
    );
    check("INT", "INTEGR", &["p.toml:8:58: unknown type `INTEGR`; did you mean INTEGER?"]);
    check("  FROM logs", "", &["p.toml:19:3: `WHERE` is unexpected; FROM is expected here"]);
    check(
        "sum(lines_of_code)",
        "sum(line_of_code)",
        &["p.toml:17:56: unknown column `line_of_code`; did you mean `lines_of_code`?"],
    );
    check("sum(lines_of_code)", "summ(lines_of_code)", &["p.toml:17:52: unknown function `summ`; did you mean `sum`?"]);
    check(
        "sum(lines_of_code)",
        "sum(course)",
        &["p.toml:17:56: `sum` takes a number, not STRING; convert it: CAST(… AS DOUBLE)"],
    );
    check(
        "topic = \"logs\"",
        "topic = \"${ENV:TIDEMILL_NO_SUCH_NAME}\"",
        &["p.toml:6:10: the environment variable `TIDEMILL_NO_SUCH_NAME` is not set; set it, or write the value here"],
    );
}

/// Keys are reported as written and at their position. Values are not shown: they may be passwords.
#[test]
fn properties_of_the_client_are_checked_with_the_file() {
    let options = |options: &str| format!("topic = \"logs\"\noptions = {{ {options} }}");
    check(
        "topic = \"logs\"",
        &options("fetch.wait.ms = 5, \"group.id\" = \"g\", client.id = \"me\""),
        &[
            "p.toml:7:13: `options.fetch.wait.ms` is not a property of the client; did you mean `fetch.max.wait.ms`?",
            "p.toml:7:32: `options.group.id` is set by Tidemill itself; leave it out: the query decides what is read; the key `group_id` of a source names the group whose offsets are set",
        ],
    );
    check(
        "topic = \"logs\"",
        &options("socket.timeout.ms = \"${ENV:HOME}\", sasl.mechanism = \"GSSAPI\""),
        &[
            "p.toml:7:33: `options.socket.timeout.ms` does not accept this value (Invalid value for configuration property \"socket.timeout.ms\"); correct the value",
            "p.toml:7:65: `options.sasl.mechanism` needs Kerberos, and this binary's librdkafka is built without it; build with --features kerberos (docs/kafka.md), or use another mechanism such as SCRAM-SHA-512",
        ],
    );
    check(
        "topic = \"logs\"",
        &("client = \"librdkafka\"\n".to_owned() + &options("security.protocol = \"SSL\"")),
        &[
            "p.toml:8:33: `options.security.protocol` needs TLS, and this binary's librdkafka is built without it; write client = \"native\" or \"auto\"",
        ],
    );
    check(
        "topic = \"logs\"",
        &options("security.protocol = \"SASL_SSL\", client.rack = \"a\""),
        &[
            "p.toml:7:45: `options.client.rack` is not a property of the native client, which is used here; leave it out, or write client = \"librdkafka\"",
        ],
    );
    check(
        "topic = \"logs\"",
        &options("security.protocol = \"SASL_SSL\""),
        &["p.toml:7:13: `sasl.mechanism` is missing; give PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"],
    );
    check(
        "topic = \"logs\"",
        &options("ssl.key.password = \"${FILE:/no/such}\""),
        &[
            "p.toml:7:33: the file `/no/such` cannot be read: No such file or directory (os error 2); give the path of a text file",
        ],
    );
}

#[test]
fn a_missing_file_and_a_bad_set_are_told() {
    let testbed = Testbed::without_broker();
    for verb in ["check", "run"] {
        refused(
            &testbed,
            &[verb, "q.toml"],
            &["q.toml: No such file or directory (os error 2); give the path of a pipeline file"],
        );
        refused(
            &testbed,
            &[verb, "p.toml", "--set", "query.output_mode=updated"],
            &[
                "--set query.output_mode:1:1: `output_mode` is \"updated\"; choose \"append\" or \"update\" or \"complete\"",
            ],
        );
        refused(
            &testbed,
            &[verb, "p.toml", "--set", "query.sql=SELECT curse FROM logs"],
            &["--set query.sql:1:8: unknown column `curse`; did you mean `course`?"],
        );
    }
}

#[test]
fn a_good_file_is_told_as_the_plan_that_it_means() {
    let ended = Testbed::without_broker().tidemill(&["check", "p.toml", "--set", "query.output_mode=append"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    // The tests of `sql` check the whole output.
    for line in ["source       logs", "window       event_time, 10 s wide, every 5 s, from 0 µs", "mode         append"]
    {
        assert!(ended.stdout.lines().any(|told| told == line), "{line} in\n{}", ended.stdout);
    }
}
