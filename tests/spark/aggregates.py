"""Runs every query of crates/flow/tests/goldens/aggregates/*.golden on real Spark and writes the results beside them.

A golden file holds blocks: a line `schema COLUMNS`, then the records of the table `t` in JSON, one a line (`repeat N
TEXT` is N records, with their numbers from 0 for `$`), then queries `SELECT … => RESULT`. A line with the query alone
asks for its result, a JSON object: `names`, `types` and `rows` (each value as text or null, in the order of the rows'
text), or the condition of what went wrong: `refused` by the analyzer, or an `error` of the run.

The records are read by from_json, once as one task and once as three: a result that depends on that is told on standard error.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1
    VENV/bin/python tests/spark/aggregates.py [NAME …]
"""
import json
import pathlib
import sys

from common.session import FAILURES, condition, session
from pyspark.errors import AnalysisException, ParseException

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "crates/flow/tests/goldens/aggregates"


def table(spark, schema, records, tasks):
    """The records as a table of so many tasks, in order."""
    per_task = max(1, -(-len(records) // tasks))
    frame = None
    for start in range(0, max(1, len(records)), per_task):
        part = [(record,) for record in records[start : start + per_task]]
        part = spark.createDataFrame(part, "value STRING").coalesce(1)
        frame = part if frame is None else frame.union(part)
    frame.createOrReplaceTempView("raw")
    columns = schema.replace("'", "\\'")
    return spark.sql(f"SELECT row.* FROM (SELECT from_json(value, '{columns}') AS row FROM raw)")


def result(spark, query):
    try:
        frame = spark.sql(query)
        names = frame.columns
        types = [field.dataType.simpleString() for field in frame.schema]
    except FAILURES as error:
        return {"refused": condition(error)}
    try:
        numbered = frame.toDF(*[f"c{i}" for i in range(len(names))])
        texts = [f"hex(c{i})" if kind == "binary" else f"CAST(c{i} AS STRING)" for i, kind in enumerate(types)]
        rows = sorted((list(row) for row in numbered.selectExpr(*texts).collect()), key=json.dumps)
    except (AnalysisException, ParseException) as error:
        return {"refused": condition(error)}
    except FAILURES as error:
        return {"error": condition(error)}
    return {"names": names, "types": types, "rows": rows}


def records_of(line):
    if not line.startswith("repeat "):
        return [line]
    _, count, text = line.split(" ", 2)
    return [text.replace("$", str(number)) for number in range(int(count))]


def main():
    spark = session()
    wanted = sys.argv[1:]
    for path in sorted(GOLDENS.glob("*.golden")):
        if wanted and path.stem not in wanted:
            continue
        lines, schema, records = [], None, []
        for line in path.read_text().split("\n"):
            if line.startswith("# Spark ") or not line:
                continue
            if line.startswith("SELECT "):
                query = line.split(" => ")[0].rstrip()
                found = []
                for tasks in (1, 3):
                    table(spark, schema, records, tasks).createOrReplaceTempView("t")
                    found.append(result(spark, query))
                if found[0] != found[1]:
                    print(f"{path.stem}: {query}\n  one task    {found[0]}\n  three tasks {found[1]}", file=sys.stderr)
                line = f"{query} => {json.dumps(found[0], ensure_ascii=False)}"
            elif line.startswith("schema "):
                schema, records = line.removeprefix("schema "), []
            elif not line.startswith("#"):
                records += records_of(line)
            lines.append(line)
        path.write_text("\n".join([f"# Spark {spark.version}", *lines]) + "\n")


main()
