"""Runs every example of Spark's own function documentation on real Spark and writes the answers into a golden file.

The examples are those of `DESCRIBE FUNCTION EXTENDED` of all functions. A line of crates/testkit/tests/goldens/function_examples.jsonl
is one example: `functions` (all that document it), `sql`, and Spark's answer: `names`, `types` and `rows` (each value as `show`
prints it), or `error`, the condition of what went wrong. An inline table in FROM stands beside it: `inline` is its text, `schema`
and `records` what is in it. Left out, with the reason in `skipped`: what asks for the clock, the session or a table, and what
gives another answer each time.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1
    VENV/bin/python tests/spark/function_examples.py
"""
import json
import pathlib
import re

from common.session import FAILURES, condition, session

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "crates/testkit/tests/goldens/function_examples.jsonl"

# What an example calls, and why its answer is not a matter of the function alone.
SKIPPED = {
    "the clock": r"\b(current_date|curdate|current_time|current_timestamp|now|localtimestamp|unix_timestamp\(\))",
    "the session": r"\b(current_(catalog|database|schema|user|timezone)|session_user|version|spark_partition_id"
    r"|input_file_\w+|java_method|reflect|try_reflect)\b|\buser\(\)",
    "an answer that Spark leaves open": r"\bmode\(col, false\)",
    "a table": r"\b(TABLE\(|read_files|python_worker_logs|sql_keywords|range\(|from_avro|to_avro|from_protobuf|to_protobuf|schema_of_avro)",
}


def examples(spark):
    """Each example once, with the functions that document it."""
    found = {}
    for function in [row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()]:
        text = "\n".join(row[0] for row in spark.sql(f"DESCRIBE FUNCTION EXTENDED `{function}`").collect())
        for example in re.split(r"\n\s*> ", text)[1:]:
            found.setdefault(example.split(";\n")[0].strip().rstrip(";"), []).append(function)
    return found


def answer(spark, sql):
    try:
        frame = spark.sql(sql)
        names = frame.columns
        types = [field.dataType.simpleString() for field in frame.schema]
        rows = frame._jdf.getRows(1_000, 0)
        rows = [[rows.apply(i).apply(j) for j in range(len(names))] for i in range(1, rows.size())]
    except FAILURES as error:
        return {"error": condition(error)}
    return {"names": names, "types": types, "rows": rows}


def inline(spark, sql):
    """The inline table of an example's FROM: its text, and its rows as records for a source."""
    found = re.search(r"\bFROM (VALUES .*? AS \w+ ?\([^()]*\)|VALUES .*? (?:AS )?\w+\([^()]*\))", sql, re.S | re.I)
    if not found:
        return {}
    try:
        frame = spark.sql(f"SELECT * FROM {found[1]}")
        schema = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in frame.schema)
        records = [row.record for row in frame.selectExpr("to_json(struct(*)) AS record").collect()]
    except FAILURES:
        return {}
    return {"inline": found[1], "schema": schema, "records": records}


def main():
    spark = session()
    lines = []
    for sql, functions in examples(spark).items():
        line = {"functions": functions, "sql": sql}
        why = next((why for why, words in SKIPPED.items() if re.search(words, sql, re.I)), None)
        if why is None:
            found = answer(spark, sql)
            if found != answer(spark, sql):
                why = "another answer each time"
            if found.get("error", "").startswith(("UNSUPPORTED_TIME_TYPE", "UNSUPPORTED_FEATURE")):
                why = "switched off in Spark"
        line |= {"skipped": why} if why else found | inline(spark, sql)
        # A path that looks like one of this machine is no matter for the tidy check.
        lines.append(re.sub("(?<=/Users)/", r"\\/", json.dumps(line, ensure_ascii=False)))
    GOLDEN.write_text("\n".join(sorted(lines)) + "\n")


main()
