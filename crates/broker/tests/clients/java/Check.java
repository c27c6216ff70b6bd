// Tests a broker with the Java client: java -cp JARS Check.java ADDRESS
//
// Writes in transactions and aborts some of them. Each transaction also commits an offset of a group. Reads what is
// committed. Then a second producer with the same transactional id fences the first.
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Check {
    static final TopicPartition PLACE = new TopicPartition("java-transactions", 0);
    static final String GROUP = "java-group";

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
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
            System.out.println("Java: " + seen.size() + " committed transactions of 10 are read, and the group's position");
            fence(address, first);
            var state = admin.describeTransactions(List.of("java")).description("java").get();
            var listed = admin.listTransactions().all().get().stream().anyMatch(t -> t.transactionalId().equals("java"));
            require(listed, "the transactional id is not listed");
            System.out.println("Java: the transactional id is described: " + state.state());
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
                System.out.println("Java: the first of two producers is fenced: " + fenced.getClass().getSimpleName());
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
