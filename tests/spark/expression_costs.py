"""What one expression costs real Spark, in nanoseconds of one core per row: the expressions and columns of
`cargo xtask bench sql`, one task on one core, the noop sink, CPU time of the task.

    VENV/bin/python tests/spark/expression_costs.py [--rows N] [--only TEXT]

The columns lie in memory. From each time that of a query without the expression is taken, which reads the same columns.
"""

import argparse
import pathlib
import time

from pyspark.sql import SparkSession

EXPRESSIONS = pathlib.Path(__file__).resolve().parents[2] / "crates/sql/examples/expressions.txt"
COLUMNS = ["timestamp", "course", "lines_of_code", "cpu_usage_pct", "text_time", "json"]
ROWS = """
SELECT 1.7e9D + id * 0.001D AS timestamp, course, CAST(pmod(id * 40503, 151) AS INT) AS lines_of_code,
    pmod(id * 40503, 151) * 0.6D AS cpu_usage_pct,
    format_string('2024-02-09 %02d:%02d:%02d', id % 24, id % 60, id % 59) AS text_time,
    concat('{"a":', pmod(id * 40503, 151), ',"b":"', course, '","c":[1,2,3]}') AS json
FROM (SELECT id, element_at(array('Operating Systems', 'Data Structures', 'Web Engineering', 'Artificial Intelligence',
    'Linear Algebra'), CAST(pmod(id * 2654435761, 5) AS INT) + 1) AS course FROM range(0, {rows}, 1, 1))
"""


def cpu_seconds(spark, frame):
    context = spark.sparkContext
    group = str(time.monotonic())
    context.setJobGroup(group, group)
    frame.write.format("noop").mode("overwrite").save()
    # The figures come with the events, which are behind.
    context._jsc.sc().listenerBus().waitUntilEmpty()
    tracker, store = context.statusTracker(), context._jsc.sc().statusStore()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    return sum(store.lastStageAttempt(stage).executorCpuTime() for job in jobs for stage in job.stageIds) / 1e9


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", default="")
    options = options.parse_args()
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    spark.sql(ROWS.replace("{rows}", str(options.rows))).cache().createOrReplaceTempView("t")
    spark.sql("SELECT count(*) FROM t").collect()

    def seconds(expression):
        frame = spark.sql(f"SELECT {expression} FROM t")
        return min(cpu_seconds(spark, frame) for _ in range(5))

    # The first queries run code that is not compiled yet.
    for _ in range(20):
        cpu_seconds(spark, spark.sql(f"SELECT {', '.join(COLUMNS)} FROM t"))
    texts = ", ".join(f"'course {n}'" for n in range(2000))
    numbers = ", ".join(str(n * 7) for n in range(2000))
    plain = {}
    for expression in EXPRESSIONS.read_text().splitlines():
        if options.only not in expression:
            continue
        read = ", ".join(column for column in COLUMNS if column in expression)
        if read not in plain:
            plain[read] = seconds(read)
        cost = seconds(expression.replace("2,000 texts", texts).replace("2,000 numbers", numbers)) - plain[read]
        print(f"spark {expression.replace(' ', '_')} {cost * 1e9 / options.rows:.2f} ns/row", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
