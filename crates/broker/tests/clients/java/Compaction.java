// Tests the compaction of a broker with the Java client: java -cp JARS:. Compaction ADDRESS
//
// Writes the same keys again and again, some in aborted transactions, and some without a value. The timestamps decide
// where segments end, so every broker has the same segments. Waits until a reader sees what compaction leaves: of each
// key the last record before the open segment, at its own offset, and everything in the open segment. Then deletes a key
// and waits until nothing of it is left.
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Compaction {
    static final TopicPartition PLACE = new TopicPartition("java-compaction", 0);
    static final Duration PATIENCE = Duration.ofSeconds(60);
    static final long SEGMENT_MS = 1000;

    /** Key and value of each record that was written and not aborted, by offset. */
    final TreeMap<Long, String[]> written = new TreeMap<>();
    final String address;
    /** Ahead of the clock, by which brokers date the markers of transactions: no marker begins a segment. */
    long time = System.currentTimeMillis() + 100_000;
    /** Where the open segment begins. */
    long open;

    Compaction(String address) {
        this.address = address;
    }

    public static void main(String[] arguments) throws Exception {
        new Compaction(arguments[0]).run();
    }

    void run() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            Map<String, String> settings = Map.of("cleanup.policy", "compact", "segment.ms", String.valueOf(SEGMENT_MS),
                    "min.cleanable.dirty.ratio", "0", "delete.retention.ms", "600000");
            admin.createTopics(List.of(new NewTopic(PLACE.topic(), 1, (short) 1).configs(settings))).all().get();
            refuseNullKey();
            for (int round = 0; round < 5; round++) {
                write(round);
            }
            compare();
            System.out.println("compaction ok: " + expected().size() + " of " + written.size() + " records stay, at their offsets");
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, PLACE.topic());
            var change = new AlterConfigOp(new ConfigEntry("delete.retention.ms", "1"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
            deleteKey("every-0");
            System.out.println("tombstones ok: a key without a value goes, and nothing of it comes back");
        }
    }

    /** A record without a key cannot be compacted. */
    void refuseNullKey() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            producer.send(new ProducerRecord<>(PLACE.topic(), 0, null, "no key")).get();
            fail("a record without a key is taken");
        } catch (java.util.concurrent.ExecutionException refused) {
            String kind = refused.getCause().getClass().getSimpleName();
            require(kind.equals("InvalidRecordException"), "a record without a key is refused as " + kind);
        }
    }

    /** One segment: a batch with every kind of record, and an aborted transaction. */
    void write(int round) throws Exception {
        time += 10 * SEGMENT_MS;
        Map<String, Object> settings = Map.of("transactional.id", "java-compaction", "compression.type",
                List.of("none", "gzip", "snappy", "lz4", "zstd").get(round % 5), "linger.ms", "50");
        try (KafkaProducer<String, String> producer = producer(settings)) {
            producer.initTransactions();
            for (String outcome : List.of("committed", "aborted")) {
                producer.beginTransaction();
                List<java.util.concurrent.Future<org.apache.kafka.clients.producer.RecordMetadata>> sent = new ArrayList<>();
                List<String[]> records = new ArrayList<>();
                for (int key = 0; key < 6; key++) {
                    // Keys 0 to 2 in every round, the others in one each. The first round has a key without a value.
                    String name = key < 3 ? "every-" + key : "round-" + round + "-" + key;
                    String value = round == 1 && key == 3 ? null : outcome + " in " + round;
                    records.add(new String[] {name, value});
                    sent.add(producer.send(new ProducerRecord<>(PLACE.topic(), 0, time, name, value)));
                }
                producer.flush();
                long first = sent.get(0).get().offset();
                if (outcome.equals("committed")) {
                    producer.commitTransaction();
                    open = first;
                    for (int index = 0; index < records.size(); index++) {
                        written.put(sent.get(index).get().offset(), records.get(index));
                    }
                } else {
                    producer.abortTransaction();
                }
            }
        }
    }

    /** Deletes a key by a record without a value. Each later segment gives the broker a reason for another pass. */
    void deleteKey(String name) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            time += 10 * SEGMENT_MS;
            producer.send(new ProducerRecord<>(PLACE.topic(), 0, time, name, (String) null)).get();
            List<String> left;
            do {
                require(System.nanoTime() < deadline, name + " is not gone");
                time += 10 * SEGMENT_MS;
                producer.send(new ProducerRecord<>(PLACE.topic(), 0, time, "filler", "filler")).get();
                Thread.sleep(500);
                left = read().stream().filter(record -> record.contains(name)).toList();
                require(left.isEmpty() || left.get(left.size() - 1).endsWith("null"), "only " + left + " is left");
            } while (!left.isEmpty());
        }
    }

    /** What stays: offset, key and value. */
    List<String> expected() {
        Map<String, Long> last = new HashMap<>();
        written.headMap(open).forEach((offset, record) -> last.put(record[0], offset));
        List<String> expected = new ArrayList<>();
        written.forEach((offset, record) -> {
            if (offset >= open || last.get(record[0]).equals(offset)) {
                expected.add(offset + " " + record[0] + " " + record[1]);
            }
        });
        return expected;
    }

    void compare() throws Exception {
        List<String> expected = expected();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        List<String> seen = read();
        while (!seen.equals(expected) && System.nanoTime() < deadline) {
            Thread.sleep(500);
            seen = read();
        }
        require(seen.equals(expected), "expected " + expected + "\n and read " + seen);
    }

    List<String> read() {
        List<String> seen = new ArrayList<>();
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "isolation.level", "read_committed",
                "enable.auto.commit", "false");
        var text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, text, text)) {
            consumer.assign(List.of(PLACE));
            consumer.seekToBeginning(List.of(PLACE));
            long end = consumer.endOffsets(List.of(PLACE)).get(PLACE);
            while (consumer.position(PLACE) < end) {
                consumer.poll(Duration.ofSeconds(1))
                        .forEach(record -> seen.add(record.offset() + " " + record.key() + " " + record.value()));
            }
        }
        return seen;
    }

    KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(more);
        settings.put("bootstrap.servers", address);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static void require(boolean holds, String why) {
        if (!holds) {
            fail(why);
        }
    }

    static void fail(String why) {
        System.err.println("compaction: " + why);
        System.exit(1);
    }
}
