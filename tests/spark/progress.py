"""Runs a streaming aggregation of a Kafka topic on real Spark and keeps its progress records as a golden file.

`cargo xtask spark-goldens progress` starts a broker for it and fetches Spark's Kafka connector; by hand:

    python3 -m venv VENV && VENV/bin/pip install pyspark==4.1.1        # Java 17 on the path
    VENV/bin/python tests/spark/progress.py CONNECTOR_JARS_DIR HOST:PORT

tests/goldens/progress.json gets Spark's version and the records of two batches with data, and of a query without an
aggregate. Their figures are of no interest, but which fields there are, and what kind of value each has.
"""

import json
import pathlib
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).parents[2] / "tests/goldens/progress.json"
SCHEMA = "s BIGINT, k STRING"


def main(jars, servers):
    from pyspark.sql import SparkSession, functions

    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.jars", ",".join(str(jar) for jar in sorted(pathlib.Path(jars).glob("*.jar"))))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    kafka = {"kafka.bootstrap.servers": servers}
    records = spark.range(40).selectExpr("to_json(struct(id AS s, 'a' AS k)) AS value")
    records.write.format("kafka").options(**kafka, topic="progress").save()
    source = spark.readStream.format("kafka").options(
        **kafka, subscribe="progress", startingOffsets="earliest", maxOffsetsPerTrigger=20
    )
    rows = source.load().select(functions.from_json(functions.col("value").cast("string"), SCHEMA).alias("v")).select("v.*")
    timed = rows.withColumn("et", functions.col("s").cast("timestamp")).withWatermark("et", "10 seconds")
    counted = timed.groupBy(functions.window("et", "10 seconds"), "k").count()
    golden = {
        "version": spark.version,
        "aggregate": records_of(counted.writeStream.outputMode("update")),
        "stateless": records_of(rows.writeStream),
    }
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")
    print(f"{GOLDEN.name}: {len(golden['aggregate'])} and {len(golden['stateless'])} records")


def records_of(writer):
    """The records as the JVM writes them: Python's own copies round the figures."""
    with tempfile.TemporaryDirectory(prefix="spark-progress-") as checkpoint:
        query = writer.queryName("q").format("noop").option("checkpointLocation", checkpoint).start()
        query.processAllAvailable()
        query.stop()
        records = [json.loads(record.json()) for record in query._jsq.recentProgress()]
        return [record for record in records if record["numInputRows"] > 0]


if __name__ == "__main__":
    main(*sys.argv[1:])
