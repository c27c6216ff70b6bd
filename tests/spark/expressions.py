"""Runs every expression of crates/sql/tests/goldens/*.golden on real Spark and writes the results beside them.

A golden file is a list of lines `expression => type | value | value …`, one value for each row of the fixture table
(fixture.sql); in names.golden it is `expression => default name`. A line with the expression alone asks for its result.
A line `@ ZONE` sets the session's time zone, UTC at first, for the expressions below it. Values are JSON strings of the value's text, null, or the
condition of the error that the row raises; an expression that Spark refuses as a whole has `REFUSED condition`.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1
    VENV/bin/python tests/spark/expressions.py [NAME …]
"""
import json
import pathlib
import re
import sys

from common.session import FAILURES, condition, session

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "crates/sql/tests/goldens"


def values(spark, expression, rows):
    """The type, and the text of the value of each row: all at once, or one by one where a row fails."""
    schema = spark.sql(f"SELECT {expression} AS x FROM fixture").schema
    kind = schema[0].dataType.simpleString()
    text = "hex(x)" if kind == "binary" else "CAST(x AS STRING)"
    words = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", expression)))
    if not words & set(spark.table("fixture").columns):
        # Of a constant one row is enough, and a table of literals needs no job.
        try:
            return kind, [spark.sql(f"SELECT {text} AS x FROM (SELECT {expression} AS x FROM VALUES (0) AS t(row))").collect()[0].x]
        except FAILURES as error:
            return kind, [{"error": condition(error)}]
    query = f"SELECT row, {text} AS x FROM (SELECT row, {expression} AS x FROM fixture WHERE "
    try:
        return kind, [row.x for row in sorted(spark.sql(query + "row >= 0)").collect(), key=lambda row: row.row)]
    except FAILURES:
        pass
    found = []
    for row in range(rows):
        try:
            found.append(spark.sql(f"{query}row = {row})").collect()[0].x)
        except FAILURES as error:
            found.append({"error": condition(error)})
    return kind, found


def name(spark, expression):
    try:
        return json.dumps(spark.sql(f"SELECT {expression} FROM fixture").columns, ensure_ascii=False)
    except FAILURES as error:
        return f"REFUSED {condition(error)}"


def result(spark, expression, rows):
    try:
        kind, found = values(spark, expression, rows)
    except FAILURES as error:
        return f"REFUSED {condition(error)}"
    if all(value == found[0] for value in found):
        found = found[:1]
    shown = [value["error"] if isinstance(value, dict) else json.dumps(value, ensure_ascii=False) for value in found]
    return " | ".join([kind, *shown])


def main():
    # Constant folding would raise an error of one branch for the whole query.
    folding = "org.apache.spark.sql.catalyst.optimizer.ConstantFolding"
    spark = session({"spark.sql.optimizer.excludedRules": folding})
    spark.sql((GOLDENS / "fixture.sql").read_text()).createOrReplaceTempView("fixture")
    rows = spark.table("fixture").count()
    spark.sql("CACHE TABLE fixture")
    wanted = sys.argv[1:]
    for path in sorted(GOLDENS.glob("*.golden")):
        if wanted and path.stem not in wanted:
            continue
        lines = []
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        for line in path.read_text().split("\n"):
            expression = line.split(" => ")[0].rstrip()
            if expression.startswith("# Spark ") or not expression:
                continue
            if expression.startswith(("#", "@ ")):
                lines.append(expression)
                if expression.startswith("@ "):
                    spark.conf.set("spark.sql.session.timeZone", expression.removeprefix("@ "))
            else:
                found = name(spark, expression) if path.stem == "names" else result(spark, expression, rows)
                lines.append(f"{expression} => {found}")
        path.write_text("\n".join([f"# Spark {spark.version}", *lines]) + "\n")


main()
