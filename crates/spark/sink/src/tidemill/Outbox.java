package tidemill;

import org.apache.spark.sql.SQLContext;
import org.apache.spark.sql.execution.streaming.Sink;
import org.apache.spark.sql.sources.StreamSinkProvider;
import org.apache.spark.sql.streaming.OutputMode;
import scala.collection.immutable.Map;
import scala.collection.immutable.Seq;

/**
 * The streaming sink of `tidemill run --engine spark`: writes each batch to a directory of its own, in any output mode.
 * Spark's file sink takes append mode only, and forgets which batch a row came from.
 */
public final class Outbox implements StreamSinkProvider {
    @Override
    public Sink createSink(SQLContext context, Map<String, String> options, Seq<String> partitions, OutputMode mode) {
        return new OutboxSink(options.apply("path"));
    }
}
