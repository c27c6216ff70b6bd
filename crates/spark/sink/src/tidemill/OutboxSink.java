package tidemill;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.execution.streaming.Sink;
import org.apache.spark.sql.types.StructType;

/**
 * <pre>
 *   PATH/batch-7/          rows of batch 7, as Parquet; a replay overwrites them
 *   PATH/acknowledged/     a text file with the number of the last batch that the client has written to its sinks
 * </pre>
 * Batches up to the acknowledged one are deleted before the next batch is written.
 */
final class OutboxSink implements Sink {
    private static final String BATCH = "batch-";

    private final String path;

    OutboxSink(String path) {
        this.path = path;
    }

    @Override
    public void addBatch(long batchId, Dataset<Row> data) {
        SparkSession session = (SparkSession) data.sparkSession();
        try {
            deleteAcknowledged(session.sessionState().newHadoopConf());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        // The executed plan is kept: planning it again would lose the state's version.
        Dataset<Row> rows =
            session.internalCreateDataFrame(data.queryExecution().toRdd(), data.schema(), false);
        rows.write().mode(SaveMode.Overwrite).parquet(path + "/" + BATCH + batchId);
    }

    private void deleteAcknowledged(Configuration hadoop) throws IOException {
        Path outbox = new Path(path);
        FileSystem files = outbox.getFileSystem(hadoop);
        Path directory = new Path(outbox, "acknowledged");
        if (!files.exists(directory)) {
            return;
        }
        long acknowledged = -1;
        for (FileStatus file : files.listStatus(directory)) {
            if (!file.getPath().getName().startsWith("_") && !file.getPath().getName().startsWith(".")) {
                acknowledged = Math.max(acknowledged, number(files, file.getPath()));
            }
        }
        for (FileStatus batch : files.listStatus(outbox)) {
            String name = batch.getPath().getName();
            if (name.startsWith(BATCH) && Long.parseLong(name.substring(BATCH.length())) <= acknowledged) {
                files.delete(batch.getPath(), true);
            }
        }
    }

    private static long number(FileSystem files, Path file) throws IOException {
        try (BufferedReader lines =
                new BufferedReader(new InputStreamReader(files.open(file), StandardCharsets.UTF_8))) {
            String line = lines.readLine();
            return line == null ? -1 : Long.parseLong(line.trim());
        }
    }

    @Override
    public String name() {
        return "tidemill.Outbox";
    }

    @Override
    public StructType schema() {
        return new StructType();
    }

    @Override
    public Set<TableCapability> capabilities() {
        return Collections.emptySet();
    }

    @Override
    public String toString() {
        return "Outbox[" + path + "]";
    }
}
