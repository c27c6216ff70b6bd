// Tests a broker with the Java client: javac -cp JARS Check.java, java -cp JARS:. Check ADDRESS
//
// Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and ends with exit code 1 at the first that does not.
// The broker's topics must be new.
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Check {
    static final TopicPartition PLACE = new TopicPartition("java-transactions", 0);
    static final TopicPartition RECORDS_PLACE = new TopicPartition("java", 0);
    static final String GROUP = "java-group";
    static final int PARTITIONS = 4;
    static final int RECORDS = 1000;
    /** An hour ago: older records are soon beyond the retention. */
    static final long START_MS = System.currentTimeMillis() - 3_600_000;
    static final Duration PATIENCE = Duration.ofSeconds(60);

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            administer(admin);
            produce(address);
            consume(address);
            group(address);
            offsets(address, admin);
            refuseNewGroups(address);
            admin.createTopics(List.of(new NewTopic(PLACE.topic(), 1, (short) 1))).all().get();
            KafkaProducer<String, String> first = producer(address);
            List<String> committed = write(first);
            List<String> seen = readCommitted(address, committed.size());
            require(seen.equals(committed), committed + " is committed and " + seen + " is read");
            // Asks for stable offsets, so the client waits until an ending transaction has settled its offsets.
            long position;
            try (KafkaConsumer<String, String> consumer = consumer(address)) {
                position = consumer.committed(java.util.Set.of(PLACE)).get(PLACE).offset();
            }
            require(position == 8, "the group is at " + position);
            fence(address, first);
            var state = admin.describeTransactions(List.of("java")).description("java").get();
            var listed = admin.listTransactions().all().get().stream().anyMatch(t -> t.transactionalId().equals("java"));
            require(listed, "the transactional id is not listed");
            System.out.println("transactions ok: " + seen.size() + " of 10 are committed and read, the first of two"
                    + " producers is fenced, the transactional id is described as " + state.state());
        }
    }

    static void administer(Admin admin) throws Exception {
        String topic = RECORDS_PLACE.topic();
        NewTopic made = new NewTopic(topic, 1, (short) 1).configs(Map.of("cleanup.policy", "compact,delete"));
        admin.createTopics(List.of(made, new NewTopic("java-gone", 1, (short) 1))).all().get();
        try {
            admin.createTopics(List.of(made)).all().get();
            require(false, "a topic can be created twice");
        } catch (ExecutionException refused) {
            require(refused.getCause() instanceof TopicExistsException, "creating a topic twice: " + refused.getCause());
        }
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(PARTITIONS))).all().get();
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
        admin.deleteTopics(List.of("java-gone")).all().get();
        require(policy.equals("compact,delete"), "the topic's policy is " + policy);
        // Apache Kafka's brokers learn of a change a little later.
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() != PARTITIONS
                || admin.listTopics().names().get().contains("java-gone")) {
            require(System.nanoTime() < deadline, "the topics are not as they were made");
            Thread.sleep(20);
        }
        System.out.println("admin ok: topics are created, grown, described, deleted");
    }

    static void produce(String address) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "linger.ms", "5");
        try (var producer = new KafkaProducer<String, String>(settings, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = 0; number < RECORDS; number++) {
                String value = String.valueOf(number);
                sent.add(producer.send(new ProducerRecord<>(RECORDS_PLACE.topic(), 0, START_MS + number, "k", value)));
            }
            for (int number = 0; number < RECORDS; number++) {
                require(sent.get(number).get().offset() == number, "record " + number + " is elsewhere");
            }
        }
        System.out.println("produce ok: " + RECORDS + " records");
    }

    static void consume(String address) {
        int next = 0;
        try (KafkaConsumer<String, String> consumer = consumer(address)) {
            consumer.assign(List.of(RECORDS_PLACE));
            consumer.seekToBeginning(List.of(RECORDS_PLACE));
            while (next < RECORDS) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    boolean right = record.offset() == next && record.value().equals(String.valueOf(next));
                    require(right, "record " + next + " is " + record.value() + " at " + record.offset());
                    next++;
                }
            }
        }
        System.out.println("consume ok: " + RECORDS + " records");
    }

    /** A member of a group that says how many partitions it has. */
    static class Member extends Thread {
        final KafkaConsumer<String, String> consumer;
        volatile boolean stops;
        volatile int share;

        Member(String address) {
            Map<String, Object> settings = Map.of("bootstrap.servers", address, "group.id", "java-members",
                    "session.timeout.ms", "6000", "heartbeat.interval.ms", "300");
            consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
            start();
        }

        @Override
        public void run() {
            consumer.subscribe(List.of(RECORDS_PLACE.topic()));
            while (!stops) {
                consumer.poll(Duration.ofMillis(100));
                share = consumer.assignment().size();
            }
            consumer.close();
            share = 0;
        }

        void await(int expected) throws Exception {
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (share != expected) {
                require(System.nanoTime() < deadline, "a member has " + share + " partitions, not " + expected);
                Thread.sleep(20);
            }
        }
    }

    static void group(String address) throws Exception {
        Member first = new Member(address);
        first.await(PARTITIONS);
        Member second = new Member(address);
        second.await(PARTITIONS / 2);
        first.await(PARTITIONS / 2);
        first.stops = true;
        second.await(PARTITIONS);
        second.stops = true;
        first.join();
        second.join();
        System.out.println("groups ok: 1, 2, 1 members share 4 partitions");
    }

    static void offsets(String address, Admin admin) throws Exception {
        TopicPartition one = new TopicPartition(RECORDS_PLACE.topic(), 1);
        admin.alterConsumerGroupOffsets("java-reader", Map.of(one, new OffsetAndMetadata(8))).all().get();
        var committed = admin.listConsumerGroupOffsets("java-reader").partitionsToOffsetAndMetadata().get();
        require(committed.get(one).offset() == 8, "the group is at " + committed);
        List<OffsetSpec> specs = List.of(OffsetSpec.earliest(), OffsetSpec.forTimestamp(START_MS + 500),
                OffsetSpec.maxTimestamp(), OffsetSpec.latest());
        List<Long> found = new ArrayList<>();
        for (OffsetSpec spec : specs) {
            found.add(admin.listOffsets(Map.of(RECORDS_PLACE, spec)).partitionResult(RECORDS_PLACE).get().offset());
        }
        require(found.equals(List.of(0L, 500L, RECORDS - 1L, (long) RECORDS)), "first, by time, latest, end: " + found);
        System.out.println("offsets ok: committed, by time, first and last");
    }

    /** The group protocol of KIP-848: a broker offers it, or the client says with a sentence that it does not. */
    static void refuseNewGroups(String address) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "group.id", "java-new-group",
                "group.protocol", "consumer", "auto.offset.reset", "earliest");
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(RECORDS_PLACE.topic()));
            while (consumer.poll(Duration.ofMillis(200)).isEmpty()) {
                require(System.nanoTime() < deadline, "a group of the new protocol neither reads nor fails");
            }
            System.out.println("new-groups ok: a member reads");
        } catch (UnsupportedVersionException refused) {
            System.out.println("new-groups none: " + refused.getMessage());
        }
    }

    static List<String> write(KafkaProducer<String, String> producer) {
        producer.initTransactions();
        List<String> committed = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(PLACE.topic(), 0, null, String.valueOf(number)));
            var position = Map.of(PLACE, new OffsetAndMetadata(number));
            producer.sendOffsetsToTransaction(position, new ConsumerGroupMetadata(GROUP));
            if (number % 3 == 0) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
                committed.add(String.valueOf(number));
            }
        }
        return committed;
    }

    static void fence(String address, KafkaProducer<String, String> first) throws Exception {
        first.beginTransaction();
        first.send(new ProducerRecord<>(PLACE.topic(), 0, null, "lost")).get();
        try (KafkaProducer<String, String> second = producer(address)) {
            second.initTransactions();
            try {
                first.commitTransaction();
            } catch (KafkaException fenced) {
                first.close(Duration.ZERO);
                return;
            }
        }
        require(false, "the first producer is not fenced");
    }

    static KafkaProducer<String, String> producer(String address) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "transactional.id", "java");
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String address) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "group.id", GROUP,
                "isolation.level", "read_committed", "enable.auto.commit", "false");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<String> readCommitted(String address, int count) {
        List<String> seen = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(address)) {
            consumer.assign(List.of(PLACE));
            consumer.seekToBeginning(List.of(PLACE));
            while (seen.size() < count) {
                consumer.poll(Duration.ofSeconds(1)).forEach(record -> seen.add(record.value()));
            }
        }
        return seen;
    }

    static void require(boolean holds, String why) {
        if (!holds) {
            System.err.println("Java: " + why);
            System.exit(1);
        }
    }
}
