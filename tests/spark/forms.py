"""Asks real Spark which forms of a query it takes on a stream, in which output modes: the golden file behind the table "Forms
that are refused" of docs/sql.md.

Each line of crates/sql/tests/forms.golden is `query => modes`: the output modes in which Spark starts the query and ends it
without an error, or `none`. A line with the query alone asks for its result. The tables: `t` and `u` are streams with a
watermark on `ts`, `d` is a table.

    VENV/bin/python tests/spark/forms.py
"""
import pathlib
import tempfile

from common.session import FAILURES, session

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "crates/sql/tests/forms.golden"
SCHEMA = "k STRING, v INT, ts TIMESTAMP, a ARRAY<INT>, st STRUCT<p: INT, q: INT>"
ROWS = """{"k":"a","v":1,"ts":"2024-02-29T00:00:00Z","a":[1,2],"st":{"p":1,"q":2}}
{"k":"b","v":2,"ts":"2024-02-29T00:01:00Z","a":[3],"st":{"p":3,"q":4}}
"""


def is_taken(spark, query, mode):
    try:
        writer = spark.sql(query).writeStream.format("noop").outputMode(mode).trigger(availableNow=True)
        with tempfile.TemporaryDirectory() as checkpoint:
            writer.option("checkpointLocation", checkpoint).start().awaitTermination()
        return True
    except FAILURES:
        return False


def main():
    spark = session()
    lines = []
    with tempfile.TemporaryDirectory() as home:
        (pathlib.Path(home) / "rows.json").write_text(ROWS)
        spark.read.schema(SCHEMA).json(home).createOrReplaceTempView("d")
        for name in "tu":
            stream = spark.readStream.schema(SCHEMA).json(home).withWatermark("ts", "1 minute")
            stream.createOrReplaceTempView(name)
        for line in GOLDEN.read_text().split("\n"):
            query = line.split(" => ")[0].rstrip()
            if query.startswith("# Spark ") or not query:
                continue
            if query.startswith("#"):
                lines.append(query)
                continue
            taken = [mode for mode in ("append", "update", "complete") if is_taken(spark, query, mode)]
            lines.append(f"{query} => {' '.join(taken) or 'none'}")
    GOLDEN.write_text("\n".join([f"# Spark {spark.version}", *lines]) + "\n")


main()
