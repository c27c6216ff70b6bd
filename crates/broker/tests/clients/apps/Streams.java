// Runs a Kafka Streams application on a broker: java -cp JARS:. Streams ADDRESS
//
// It counts records by key and window, exactly once (exactly_once_v2), with its state in RocksDB and in a changelog
// topic. A repartition topic lies between the input and the state. The application is stopped in the middle, loses its
// local state, and must restore it from the changelog. In the end, each count that a reader of committed records sees
// last is exact.
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

public class Streams {
    static final String IN = "streams-in";
    static final String OUT = "streams-out";
    static final String APPLICATION = "streams-counts";
    static final int PARTITIONS = 4;
    static final int KEYS = 20;
    static final int RECORDS = 4000;
    static final long WINDOW_MS = 10_000;
    /** An hour ago: older records are soon beyond the retention. */
    static final long BEGIN_MS = (System.currentTimeMillis() / WINDOW_MS - 360) * WINDOW_MS;
    static final Duration PATIENCE = Duration.ofSeconds(50);

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        Path state = Files.createTempDirectory("streams");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(IN, PARTITIONS, (short) 1), new NewTopic(OUT, PARTITIONS, (short) 1)))
                    .all().get();
            Map<String, Long> expected = new HashMap<>();
            KafkaStreams first = application(address, state);
            write(address, 0, RECORDS, expected);
            compare(address, expected, first);
            first.close(new KafkaStreams.CloseOptions().leaveGroup(true).timeout(PATIENCE));
            remove(state);
            KafkaStreams second = application(address, state);
            write(address, RECORDS, 2 * RECORDS, expected);
            compare(address, expected, second);
            second.close(new KafkaStreams.CloseOptions().leaveGroup(true).timeout(PATIENCE));
            String changelog = admin.listTopics().names().get().stream().filter(name -> name.endsWith("-changelog"))
                    .findFirst().orElseThrow();
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, changelog);
            String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
            System.out.println("streams ok: " + 2 * RECORDS + " records in " + expected.size()
                    + " windows are counted exactly once, over a restart without state; the changelog's policy is " + policy);
        } finally {
            remove(state);
        }
        System.exit(0);
    }

    static KafkaStreams application(String address, Path state) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, address);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put("auto.offset.reset", "earliest");
        // An application that ends does not leave its group: the next one waits until the session is over.
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "500");
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(IN, Consumed.with(Serdes.String(), Serdes.String()))
                .groupBy((key, value) -> value.split(" ")[0], Grouped.with(Serdes.String(), Serdes.String()))
                .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMillis(WINDOW_MS), Duration.ofDays(1)))
                .count()
                .toStream((window, count) -> window.key() + "@" + window.window().start())
                .to(OUT, Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            fail("the application ended: " + error);
            return null;
        });
        streams.start();
        return streams;
    }

    static void write(String address, int from, int to, Map<String, Long> expected) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "linger.ms", "5");
        try (var producer = new KafkaProducer<String, String>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = from; number < to; number++) {
                String key = "key-" + number % KEYS;
                long time = BEGIN_MS + 20L * number;
                producer.send(new ProducerRecord<>(IN, number % PARTITIONS, time, "k" + number, key + " " + number));
                expected.merge(key + "@" + time / WINDOW_MS * WINDOW_MS, 1L, Long::sum);
            }
        }
    }

    /** Reads the output until the last count of every window is the expected one. */
    static void compare(String address, Map<String, Long> expected, KafkaStreams streams) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "isolation.level", "read_committed",
                "enable.auto.commit", "false");
        Map<String, Long> seen = new HashMap<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> places = new ArrayList<>();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                places.add(new TopicPartition(OUT, partition));
            }
            consumer.assign(places);
            consumer.seekToBeginning(places);
            while (!seen.equals(expected)) {
                if (System.nanoTime() > deadline) {
                    expected.forEach((window, count) -> {
                        if (!count.equals(seen.get(window))) {
                            System.err.println(window + " has " + count + " records, and counted are " + seen.get(window));
                        }
                    });
                    fail("the application is " + streams.state() + ", and its counts differ");
                }
                consumer.poll(Duration.ofMillis(200)).forEach(record -> seen.put(record.key(), record.value()));
            }
        }
    }

    static void remove(Path path) throws Exception {
        if (!Files.exists(path)) {
            return;
        }
        try (var paths = Files.walk(path)) {
            for (Path each : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(each);
            }
        }
    }

    static void fail(String why) {
        System.err.println("streams: " + why);
        System.exit(1);
    }
}
