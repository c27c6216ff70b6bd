"""Runs the case files of decode through real Spark's from_json and writes what it answered as golden files.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1        # Java 17 on the path
    VENV/bin/python tests/spark/from_json.py [--mutate]

For each `*.txt` in crates/decode/tests/goldens/from_json a `.jsonl` beside it: Spark's version, then a line per case with
the case's text, whether Spark called it corrupt, and the row, every scalar as text (timestamps as microseconds, dates
as days, binaries in hexadecimal). A zone in brackets before a schema is the session's. `--mutate` first makes `mutated.txt` anew from its seed.
"""

import json
import pathlib
import random
import re
import sys

GOLDENS = pathlib.Path(__file__).parents[2] / "crates/decode/tests/goldens/from_json"
SEED = 20240209
LONG = 1200  # characters beyond which only a string's length is kept


def main():
    if "--mutate" in sys.argv:
        (GOLDENS / "mutated.txt").write_text(mutated())
    from common.session import session

    # Columns are not pruned out of from_json's schema: each case is parsed once, with all of them.
    pruning = "spark.sql.optimizer.enableJsonExpressionOptimization"
    spark = session({"spark.driver.memory": "3g", pruning: "false"})
    java = spark._jvm.System.getProperty("java.version")
    for path in sorted(GOLDENS.glob("*.txt")):
        lines = [json.dumps({"spark": spark.version, "java": java})]
        for schema, cases in groups(path.read_text()):
            zone, schema = re.fullmatch(r"(?:\[(.+)\] )?(.*)", schema).groups()
            spark.conf.set("spark.sql.session.timeZone", zone or "UTC")
            lines += [json.dumps(line) for line in ask(spark, schema, cases)]
        path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
        print(f"{path.name}: {len(lines) - 1} cases")


def groups(text):
    """The cases of a file, by runs of one schema."""
    found = []
    for line in text.split("\n"):
        if line.startswith("@"):
            found.append((line[1:].strip(), []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    return found


def value(case):
    """A case's bytes; None for a NULL."""
    if case == "<absent>":
        return None
    if case == "<empty>":
        return b""
    text = re.sub(r"%\{(.+?)\*(\d+)\}", lambda m: m[1] * int(m[2]), case).encode()
    return re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), text)


def ask(spark, schema, cases):
    from common.shown import shown
    from pyspark.sql.types import _parse_datatype_string

    rows = [(number, value(case)) for number, case in enumerate(cases)]
    records = spark.createDataFrame(rows, "number INT, value BINARY")
    fields = _parse_datatype_string(schema).fields
    row = ", ".join(shown(f"r.`{field.name}`", field.dataType, shortened) for field in fields)
    answers = records.selectExpr(
        "number",
        f"from_json(cast(value as string), '{schema}, _corrupt_record STRING', map('mode', 'PERMISSIVE')) r",
    ).selectExpr("number", "r._corrupt_record is not null bad", f"struct({row}) row")
    for answer in sorted(answers.collect(), key=lambda answer: answer.number):
        yield {"case": cases[answer.number], "bad": answer.bad, "row": plain(answer.row)}


def shortened(value, data_type):
    """As `scalar`, but of a long string only the length."""
    from common.shown import scalar

    if data_type.typeName() == "string":
        return f"if(length({value}) > {LONG}, concat('<length ', length({value}), '>'), {value})"
    return scalar(value, data_type)


def plain(value):
    """Rows as lists, for JSON."""
    return [plain(part) for part in value] if isinstance(value, (tuple, list)) else value


REFERENCE = (
    "timestamp DOUBLE, course STRING, activity STRING, lines_of_code INT, cpu_usage_pct DOUBLE",
    b'{"timestamp": 1700000000.123, "student_id": "CS-2023689", "student_name": "Zoha \xc3\x91", "course": "Web Engineering", '
    b'"activity": "coding", "tool_used": "Vim", "lines_of_code": 87, "last_error": "None", "cpu_usage_pct": 73.80612345}',
)
NESTED = (
    "s STRUCT<x: INT, y: STRING>, l ARRAY<INT>, m MAP<STRING, DOUBLE>, t TIMESTAMP, x DECIMAL(6,2), b BOOLEAN",
    b'{"s":{"x":1,"y":"p\\u00e9"},"l":[1,2,3],"m":{"k":1.5,"q":"NaN"},"t":"2024-02-09T01:02:03Z","x":"12.345","b":true,"z":[{"a":null}]}',
)
FLAT = ("a STRING, b STRING, c STRING, d BIGINT", b'{"a":1.50,"b":true,"c":-7e5,"d":12,"z":[1,{"y":"\\n"}],"y":\'q\'}')


def mutated():
    """Records with one to three small wounds each."""
    source = random.Random(SEED)
    lines = [f"# Records with random wounds, seed {SEED}: made by tests/spark/from_json.py --mutate."]
    for (schema, record), count in ((REFERENCE, 700), (NESTED, 400), (FLAT, 300)):
        lines.append(f"@ {schema}")
        for _ in range(count):
            wounded = record
            for _ in range(source.choice((1, 1, 1, 2, 3))):
                wounded = wound(source, wounded)
            lines.append(coded(wounded))
    return "\n".join(lines) + "\n"


def wound(source, record):
    at = source.randrange(len(record))
    end = min(len(record), at + source.randrange(1, 12))
    byte = bytes([source.choice(b'"\'\\{}[]:,.-+eE0123456789 ntfNIu/\t\n\x00\x7f\xc3\xa9\xffax')])
    match source.randrange(6):
        case 0:
            return record[:at] + byte + record[at + 1 :]
        case 1:
            return record[:at] + record[at + 1 :]
        case 2:
            return record[:at] + byte + record[at:]
        case 3:
            return record[:at] + record[end:]
        case 4:
            return record[:end] + record[at:]
        case _:
            return record[:at] + record[at:end][::-1] + record[end:]


def coded(record):
    text = "".join(chr(byte) if 0x20 < byte < 0x7F and byte != 0x25 else f"%{byte:02X}" for byte in record)
    return text.replace("%20", " ").strip(" ") or "<empty>"


main()
