"""Runs scenarios on real Spark: a streaming query, its input file by file, and what comes out of every batch.

A scenario is a JSON file. Its first half is the case: `schema` (DDL), `event_time` (`column`, `expression`; null: none),
`watermark` (a delay; null: none), `sql` over the table `events`, `mode`, `run` (`drained`: each file is processed
before the next one is put there; `backlog`: all files lie there and one available-now run reads them, a file a batch;
`table`: no stream, the query reads all files as a table and gives one batch of rows),
`batches` (a list of lines for each file), and where needed `restarts` (`before`: number of a file; `lost_commits`: how
many commit records vanish meanwhile), `no_data_batches` (false: switched off) and `zone` (the session's, else UTC). A
case without `schema` has Kafka's own columns; each of its lines is an object of a record's `key`, `value`, `headers`
(pairs) and `timestamp` (ms), and is read here as the row that Spark's Kafka source makes of it. A
query over several tables has `sources` instead of `schema`, `event_time` and `watermark`: a list of those three with a
`name`; each of its batches is an object of lines by name, and a source that is not named there gets no file. The
second half, `spark`, is written here: version, columns, and each batch with its rows; `refused` where the query did
not start, `error` where it ended in one.

A row is a list of values: null, or the value's text (timestamps as microseconds, dates as days, binaries in
hexadecimal), or a list for a struct, an array, or a map of pairs.

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1        # Java 17 on the path
    VENV/bin/python tests/spark/scenarios.py [--cache DIR] [--threads N] [FILE | DIRECTORY …]

Without files: those of tests/scenarios. With `--cache`, a case that was run before is not run again.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import time

from common.shown import shown
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, functions
from pyspark.sql.classic.dataframe import DataFrame

# Rows of Spark's Kafka source, with its headers.
KAFKA_SCHEMA = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, timestampType INT, "
    "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)
SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "scenarios"
FAILURES = (PySparkException, Py4JError)
# Files are read in the order of their modification times, which are a second apart.
FIRST_FILE_TIME = 1_700_000_000
# With several sources, batches begin so often, and files are put well before: one that looks just then takes half of them.
TRIGGER_SECONDS = 2
TRIES_MAX = 5
PLAIN_FILES = """
package scenarios;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
public class PlainFiles extends LocalFileSystem {
    public PlainFiles() { super(new Raw()); }
    public static class Raw extends RawLocalFileSystem {
        public void setPermission(Path path, FsPermission permission) {}
    }
}
"""
FILE_MANAGER = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
OUTER_CONDITIONS = ("STREAM_FAILED", "TASK_FAILED", "FOREACH_BATCH_USER_FUNCTION_ERROR")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cache", type=pathlib.Path)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("paths", nargs="*", type=pathlib.Path, default=[SCENARIOS])
    options = options.parse_args()
    files = [file for path in options.paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)
    runner = Runner(options.cache, options.threads)
    started, done = time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        for _ in pool.map(runner.scenario, files):
            done += 1
            if done % 20 == 0 or done == len(files):
                seconds = time.monotonic() - started
                print(f"spark: {done} of {len(files)} scenarios, {seconds:.0f} s, {runner.ran} run now", flush=True)


class Runner:
    """Tells scenarios, one session for all of a thread; starts Spark when the first one is not in the cache."""

    def __init__(self, cache, threads):
        self.cache, self.threads, self.ran = cache, threads, 0
        self.first, self.own, self.lock = None, threading.local(), threading.Lock()

    def scenario(self, file):
        scenario = json.loads(file.read_text())
        scenario.pop("spark", None)
        key = hashlib.sha256(json.dumps(scenario, sort_keys=True).encode()).hexdigest()[:24]
        cached = self.cache / f"{key}.json" if self.cache else None
        if cached and cached.exists():
            scenario["spark"] = json.loads(cached.read_text())
        else:
            scenario["spark"] = self.told(scenario)
            self.check_alive()
            if cached:
                whole(cached, json.dumps(scenario["spark"]))
            self.ran += 1
        whole(file, text(scenario))

    def told(self, scenario):
        """The Java machine itself fails now and then, while it compiles; the case is asked again."""
        for _ in range(3):
            answer = told(self.session(), scenario)
            if not answer.get("error", "").startswith("InternalError"):
                break
        return answer

    def check_alive(self):
        """A session that dies ends the cases of all threads in errors that are none of theirs."""
        try:
            stopped = self.first.sparkContext._jsc.sc().isStopped()
        except Exception:
            stopped = True
        if stopped:
            raise SystemExit("Spark itself has died; run this again, what is in the cache is not asked again")

    def session(self):
        with self.lock:
            self.first = self.first or session(self.threads)
            if not hasattr(self.own, "session"):
                self.own.session = self.first.newSession()
                active = self.first._jvm.org.apache.spark.sql.classic.SparkSession
                active.setActiveSession(self.own.session._jsparkSession)
            return self.own.session


def session(threads):
    scratch = scratch_directory()
    builder = SparkSession.builder.master(f"local[{threads}]").appName("scenarios")
    for key, value in {
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": "-Xss4m -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        # What occurs twice would be computed ahead, and fail where nothing asks for it.
        "spark.sql.subexpressionElimination.enabled": "false",
        "spark.sql.ui.retainedExecutions": "10",
        "spark.sql.streaming.pollingDelay": "1ms",
        "spark.sql.streaming.checkpointFileManagerClass": FILE_MANAGER,
        "spark.sql.streaming.numRecentProgressUpdates": "1000",
        "spark.sql.streaming.forceDeleteTempCheckpointLocation": "true",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": scratch,
    }.items():
        builder = builder.config(key, value)
    logging.disable(logging.CRITICAL)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    spare_processes(spark)
    return spark


def spare_processes(spark):
    """Without its native library Hadoop starts a `chmod` for every file of a checkpoint: two thirds of a batch's time."""
    compiler, hadoop = spark._jvm.org.codehaus.janino.SimpleCompiler(), spark._jsc.hadoopConfiguration()
    compiler.setParentClassLoader(hadoop.getClassLoader())
    compiler.cook(PLAIN_FILES)
    hadoop.setClassLoader(compiler.getClassLoader())
    hadoop.set("fs.file.impl", "scenarios.PlainFiles")
    # The one that was made before is kept in a cache.
    spark._jvm.org.apache.hadoop.fs.FileSystem.closeAll()


def scratch_directory():
    """Memory where the system has it: a batch writes and renames a dozen files."""
    return tempfile.mkdtemp(prefix="scenarios-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def told(spark, case):
    """What Spark gives; again where it took the files of one batch in two."""
    for _ in range(TRIES_MAX):
        scenario = Scenario(spark, case)
        result = scenario.told()
        if scenario.took_whole_batches():
            return result
    raise SystemExit(f"{case['about']} Spark took the files of one batch in two, {TRIES_MAX} times; try again")


class Scenario:
    """One case's run."""

    def __init__(self, spark, case):
        self.spark, self.case, self.batches, self.result = spark, case, [], {"version": spark.version}
        self.offset = 0
        single = {"name": "events", **{name: case.get(name) for name in ("schema", "event_time", "watermark")}}
        self.sources = case.get("sources", [single])
        self.home = pathlib.Path(scratch_directory())
        for name in ("waiting", "checkpoint", *self.names()):
            (self.home / name).mkdir()

    def names(self):
        return [source["name"] for source in self.sources]

    def took_whole_batches(self):
        """Whether every batch with data has the lines of a batch of the scenario, if it has several sources."""
        if "sources" not in self.case or "refused" in self.result or "error" in self.result or self.case["run"] != "drained":
            return True
        sizes = [sum(len(lines) for lines in batch.values()) for batch in self.case["batches"]]
        taken = [batch["input_rows"] for batch in self.batches if batch["input_rows"]]
        return [size for size in sizes if size] == taken or bool(self.case.get("restarts")) and set(taken) <= set(sizes)

    def told(self):
        quiet = "spark.sql.streaming.noDataMicroBatches.enabled"
        self.spark.conf.set(quiet, str(self.case.get("no_data_batches", True)).lower())
        self.spark.conf.set("spark.sql.session.timeZone", self.case.get("zone", "UTC"))
        try:
            rows = self.query()
            self.result["columns"] = [[field.name, field.dataType.simpleString()] for field in rows.schema.fields]
            if self.case["run"] == "table":
                self.run_over_tables(rows)
            else:
                self.run(rows)
        except FAILURES as error:
            self.result["refused"] = condition(error)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)
        return {**self.result, "batches": self.batches}

    def run_over_tables(self, rows):
        """The rows, computed before they are made visible: else Spark would not compute what is not looked at."""
        try:
            computed = rows._jdf.queryExecution().toRdd()
            frame = self.spark._jsparkSession.internalCreateDataFrame(computed, rows._jdf.schema(), False)
            self.batches.append({"id": 0, "rows": self.visible(DataFrame(frame, self.spark), rows.schema)})
        except FAILURES as error:
            self.result["error"] = condition(error)

    def query(self):
        if self.case["run"] == "table":
            for number, batch in enumerate(self.case["batches"]):
                self.put(number, batch)
        for source in self.sources:
            self.table(source)
        return self.spark.sql(self.case["sql"])

    def table(self, source):
        stream = self.case["run"] != "table"
        reader = self.spark.readStream.option("maxFilesPerTrigger", 1) if stream else self.spark.read
        lines = reader.format("text").load(str(self.home / source["name"]))
        row = functions.from_json(functions.col("value"), source["schema"] or KAFKA_SCHEMA, {"mode": "PERMISSIVE"})
        events = lines.select(row.alias("row")).select("row.*")
        if source["event_time"]:
            column = source["event_time"]["column"]
            events = events.withColumn(column, functions.expr(source["event_time"]["expression"]))
            if source["watermark"]:
                events = events.withWatermark(column, source["watermark"])
        events.createOrReplaceTempView(source["name"])

    def run(self, rows):
        """One run of the query from each restart to the next."""
        files = list(enumerate(self.case["batches"]))
        cuts = [(restart["before"], restart.get("lost_commits", 0)) for restart in self.case.get("restarts", [])]
        starts = [(0, 0), *cuts]
        for (begin, lost), (end, _) in zip(starts, [*cuts, (len(files), 0)]):
            self.lose_commits(lost)
            if self.case["run"] == "backlog":
                for file in files[begin:end]:
                    self.put(*file)
                query = self.start(rows, {"availableNow": True})
                self.until(query, query.awaitTermination)
            else:
                pace = TRIGGER_SECONDS if len(self.sources) > 1 else 0
                query = self.start(rows, {"processingTime": f"{pace} seconds"})
                self.until(query, query.processAllAvailable)
                for file in files[begin:end]:
                    if pace:
                        time.sleep((1.4 - time.time() / pace % 1) % 1 * pace)
                    self.put(*file)
                    self.until(query, query.processAllAvailable)
                query.stop()
            if "error" in self.result:
                return

    def start(self, rows, trigger):
        schema = rows.schema

        def take(batch, batch_id):
            self.batches.append({"id": batch_id, "rows": self.visible(batch, schema)})

        self.taken = len(self.batches)
        writer = rows.writeStream.foreachBatch(take).outputMode(self.case["mode"]).trigger(**trigger)
        return writer.option("checkpointLocation", str(self.home / "checkpoint")).start()

    def visible(self, batch, schema):
        """A batch's rows as lists of texts, in one order."""
        columns = [f"c{number}" for number in range(len(schema.fields))]
        texts = [functions.expr(shown(name, f.dataType)).alias(name) for name, f in zip(columns, schema.fields)]
        return sorted((plain(row) for row in batch.toDF(*columns).select(*texts).collect()), key=json.dumps)

    def until(self, query, finish):
        """Waits, and adds what the progress records say of the batches."""
        try:
            finish()
        except FAILURES as error:
            self.result["error"] = condition(error)
        executed = [record for record in query.recentProgress if "addBatch" in record["durationMs"]]
        figures = {record["batchId"]: record for record in executed}
        for batch in self.batches[self.taken :]:
            if batch["id"] in figures and "input_rows" not in batch:
                batch.update(self.figures(figures[batch["id"]]))

    def figures(self, record):
        rows = [source["numInputRows"] for source in record["sources"]]
        found = {"input_rows": sum(rows)}
        if len(rows) > 1:
            found["source_rows"] = rows
        if "watermark" in record["eventTime"]:
            found["watermark"] = record["eventTime"]["watermark"]
        if "min" in record["eventTime"]:
            found["event_times"] = [record["eventTime"][name] for name in ("min", "max")]
        for operator in record["stateOperators"]:
            found["state_rows"] = operator["numRowsTotal"]
            found["dropped"] = operator["numRowsDroppedByWatermark"]
        return found

    def put(self, number, batch):
        for name, lines in (batch if isinstance(batch, dict) else {"events": batch}).items():
            waiting = self.home / "waiting" / f"{number:06}.txt"
            lines = lines if self.sources[0]["schema"] else self.kafka_rows(lines)
            waiting.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
            os.utime(waiting, (FIRST_FILE_TIME + number, FIRST_FILE_TIME + number))
            waiting.rename(self.home / name / waiting.name)

    def kafka_rows(self, lines):
        """Rows of Spark's Kafka source, as JSON. An empty batch also takes an offset."""
        rows = [kafka_row(json.loads(line), self.offset + at) for at, line in enumerate(lines)]
        self.offset += max(1, len(lines))
        return rows

    def lose_commits(self, count):
        commits = self.home / "checkpoint/commits"
        known = sorted((path for path in commits.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
        for path in known[len(known) - count :] if count else []:
            path.unlink()
            (commits / f".{path.name}.crc").unlink(missing_ok=True)


def kafka_row(record, offset):
    """A row of the only partition of a topic. JSON has BINARY as base64."""
    binary = lambda text: None if text is None else base64.b64encode(text.encode()).decode()
    headers = [{"key": name, "value": binary(value)} for name, value in record.get("headers", [])]
    time = datetime.datetime.fromtimestamp(record["timestamp"] / 1000, datetime.timezone.utc)
    return json.dumps({
        "key": binary(record["key"]), "value": binary(record["value"]), "topic": "topic", "partition": 0,
        "offset": offset, "timestamp": time.isoformat(timespec="milliseconds"), "timestampType": 0,
        "headers": headers or None,
    })


def condition(error):
    """The innermost condition's name, or where it has none its class and what it says: the outer ones only say that a
    stream failed."""
    found = re.findall(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]", str(error))
    inner = [name for name in found if name not in OUTER_CONDITIONS]
    if inner:
        return inner[0]
    named = error.getCondition() if hasattr(error, "getCondition") else None
    if named and named not in OUTER_CONDITIONS:
        return named
    said = re.findall(r"^(?:: )?[\w.]*?(\w+(?:Exception|Error)): (.*?)\.?$", str(error), re.MULTILINE)
    message = ": ".join(said[0]) if said else str(error).splitlines()[0]
    return re.sub(r"#\d+", "", message)  # Spark numbers attributes anew in every run.


def plain(value):
    """Rows as lists, for JSON."""
    return [plain(part) for part in value] if isinstance(value, (tuple, list)) else value


def text(scenario):
    """A scenario's file: a line for each member, for each batch and for each row of lines."""
    members = []
    for name, value in scenario.items():
        if name == "batches":
            members.append(f'  "batches": {lines_of(value, 4)}')
        elif name == "spark":
            inner = [f'    {json.dumps(key)}: {json.dumps(part)}' for key, part in value.items() if key != "batches"]
            inner.append(f'    "batches": {lines_of(value["batches"], 6)}')
            members.append('  "spark": {\n' + ",\n".join(inner) + "\n  }")
        else:
            members.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def lines_of(values, indent):
    if not values:
        return "[]"
    pad = " " * indent
    return "[\n" + ",\n".join(pad + json.dumps(value) for value in values) + "\n" + " " * (indent - 2) + "]"


def whole(path, content):
    """Writes a file so that it is there whole or not at all."""
    fresh = path.with_suffix(f".{threading.get_ident()}.new")
    fresh.write_text(content)
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
