"""A local session of real Spark, and the names of its errors."""

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

FAILURES = (PySparkException, Py4JJavaError)
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1500m",
    "spark.sql.shuffle.partitions": "1",
}


def session(settings=None):
    """One thread, in UTC; `settings` are added."""
    builder = SparkSession.builder.master("local[1]").appName("goldens")
    for key, value in {**SETTINGS, **(settings or {})}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def condition(error):
    """The error's condition, or its class where it has none."""
    found = error.getCondition() if hasattr(error, "getCondition") else None
    return found or type(error).__name__
