"""Runs the case files of the files source and sink through real Spark and writes what it made of them as golden files.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1        # Java 17 on the path
    VENV/bin/python tests/spark/files.py [--mutate] [NAME…]        # of case files; without any, all of them

For each `*.txt` in crates/files/tests/goldens a `.jsonl` beside it: Spark's version, then a line per case.
- `lines*.txt`: a case is a file's content; the golden has the lines that spark.read.text cuts it into, in hexadecimal.
- `csv*.txt`: a case is a file's content; the golden has the rows that spark.read.csv reads by the schema after the last
  `@`, every scalar as text (timestamps as microseconds, dates as days). `@ schema | sep=; | header` sets options;
  `zone=Europe/Paris`, here and in `write*.txt`, the session's time zone.
- `corrupt.txt`: a case is a file's content; the golden has the rows of the columns named last, which Spark reads by the schema.
  `@ schema | json column=bad | columns`: `column` sets columnNameOfCorruptRecord, the others are options of the format.
- `write*.txt`: a case is a JSON record; from_json by the schema makes the row, and the golden has to_json's text and the
  content of the file that df.write.csv makes of that row alone (`null` where it refuses the schema).
- `parquet.txt`: a case is a JSON record; `parquet.parquet` is the file that the tests found ours to write of them all, and the
  golden has to_json's text of the rows that Spark reads from it, and the schema that it finds.
`%0A` stands for the byte, as in the cases of from_json. `--mutate` first makes `csv-mutated.txt` anew from its seed.
"""

import json
import pathlib
import random
import re
import shutil
import sys
import tempfile

GOLDENS = pathlib.Path(__file__).parents[2] / "crates/files/tests/goldens"
SEED = 20260101


def main():
    if "--mutate" in sys.argv:
        (GOLDENS / "csv-mutated.txt").write_text(mutated())
    from common.session import session

    spark = session()
    java = spark._jvm.System.getProperty("java.version")
    asks = {"parquet": ask_parquet, "lines": ask_lines, "csv": ask_csv, "corrupt": ask_corrupt, "write": ask_write}
    only = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
    for path in sorted(GOLDENS.glob("*.txt")):
        if only and path.stem not in only:
            continue
        ask = asks[path.stem.split("-")[0]]
        lines = [json.dumps({"spark": spark.version, "java": java})]
        for group, cases in groups(path.read_text()):
            zone = re.search(r"\| *zone=(\S+)", group)
            spark.conf.set("spark.sql.session.timeZone", zone[1] if zone else "UTC")
            folder = pathlib.Path(tempfile.mkdtemp(prefix="spark-files-"))
            lines += [json.dumps(line) for line in ask(spark, folder, group, cases)]
            shutil.rmtree(folder)
        path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
        print(f"{path.name}: {len(lines) - 1} cases")


def groups(text):
    """The cases of a file, by runs of one `@` line."""
    found = []
    for line in text.split("\n"):
        if line.startswith("@"):
            found.append((line[1:].strip(), []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    return found


def content(case):
    if case == "<empty>":
        return b""
    return re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), case.encode())


def put(folder, cases):
    """A file per case; returns their folder."""
    for number, case in enumerate(cases):
        (folder / f"{number:06}").write_bytes(content(case))
    return f"file://{folder}"


def by_case(rows, count):
    """Rows with their file's name first, as lists by case."""
    found = [[] for _ in range(count)]
    for name, *row in rows:
        found[int(name.rsplit("/", 1)[1])].append(row)
    return found


def ask_lines(spark, folder, _group, cases):
    rows = spark.read.text(put(folder, cases)).selectExpr("_metadata.file_path", "hex(value)").collect()
    for case, lines in zip(cases, by_case(rows, len(cases))):
        yield {"case": case, "lines": [line for [line] in lines]}


def ask_csv(spark, folder, group, cases):
    from common.shown import scalar
    from pyspark.sql.types import _parse_datatype_string

    schema, *options = [part.strip(" ") for part in group.split("|")]
    reader = spark.read.schema(schema)
    for option in options:
        name, _, value = option.partition("=")
        reader = reader if name == "zone" else reader.option(name, content(value).decode() if value else "true")
    fields = _parse_datatype_string(schema).fields
    row = [scalar(f"`{field.name}`", field.dataType) for field in fields]
    rows = reader.csv(put(folder, cases)).selectExpr("_metadata.file_path", *row).collect()
    for case, lines in zip(cases, by_case(rows, len(cases))):
        yield {"case": case, "group": group, "rows": lines}


def ask_corrupt(spark, folder, group, cases):
    from common.shown import scalar
    from pyspark.sql.types import _parse_datatype_string

    schema, form, columns = [part.strip(" ") for part in group.split("|")]
    form, *options = form.split()
    reader = spark.read.schema(schema)
    for option in options:
        name, _, value = option.partition("=")
        reader = reader.option("columnNameOfCorruptRecord" if name == "column" else name, value or "true")
    types = {field.name: field.dataType for field in _parse_datatype_string(schema).fields}
    row = [scalar(f"`{name}`", types[name]) for name in columns.split(", ")]
    rows = reader.format(form).load(put(folder, cases)).selectExpr("_metadata.file_path", *row).collect()
    for case, lines in zip(cases, by_case(rows, len(cases))):
        yield {"case": case, "group": group, "rows": lines}


def ask_write(spark, folder, group, cases):
    from pyspark.errors import AnalysisException

    schema = group.split("|")[0].strip()
    rows = [(number, content(case)) for number, case in enumerate(cases)]
    parsed = spark.createDataFrame(rows, "number INT, value BINARY").selectExpr(
        "number", f"from_json(cast(value as string), '{schema}') r"
    )
    texts = dict(parsed.selectExpr("number", "to_json(r)").collect())
    try:
        parsed.selectExpr("number", "r.*").repartition(1).write.partitionBy("number").csv(f"file://{folder}/out")
    except AnalysisException as refused:
        assert "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE" in str(refused), refused
        yield from ({"case": case, "schema": group, "json": texts[n], "csv": None} for n, case in enumerate(cases))
        return
    for number, case in enumerate(cases):
        written = b"".join(part.read_bytes() for part in sorted((folder / f"out/number={number}").glob("*.csv")))
        yield {"case": case, "schema": group, "json": texts[number], "csv": written.decode()}


def ask_parquet(spark, _folder, _schema, cases):
    rows = spark.read.parquet(f"file://{GOLDENS}/parquet.parquet")
    texts = [text for [text] in rows.selectExpr("to_json(struct(*))").collect()]
    schema = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in rows.schema.fields)
    for case, text in zip(cases, texts, strict=True):
        yield {"case": case, "json": text, "schema": schema}


def mutated():
    """Random lines over the characters that matter to CSV."""
    source = random.Random(SEED)
    lines = [f"# Random lines, seed {SEED}: made by tests/spark/files.py --mutate.", "@ a STRING, b STRING, c STRING"]
    for _ in range(1500):
        length = source.randrange(1, 14)
        line = "".join(source.choice('""""\\\\,,,,ab \t') for _ in range(length))
        lines.append(line.replace("\t", "%09").replace(" ", "%20"))
    return "\n".join(lines) + "\n"


main()
