// Runs Kafka Connect, distributed, on a broker: java -cp JARS:. Connect ADDRESS
//
// A file connector reads lines into a topic, another one writes that topic to a file. The worker keeps connectors,
// offsets and states in compacted topics. It is stopped and started again: it must know the connectors, and go on where
// it was, with each line once.
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.cli.ConnectDistributed;

public class Connect {
    static final int LINES = 200;
    static final Duration PATIENCE = Duration.ofSeconds(50);

    public static void main(String[] arguments) throws Exception {
        Path dir = Files.createTempDirectory("connect");
        Path in = dir.resolve("in.txt");
        Path out = dir.resolve("out.txt");
        List<String> expected = new ArrayList<>();
        int port = freePort();
        var first = new ConnectDistributed().startConnect(worker(arguments[0], port));
        append(in, 0, expected);
        String source = "{\"name\": \"source\", \"config\": {\"connector.class\": \"FileStreamSource\", \"file\": \"" + in
                + "\", \"topic\": \"connect-lines\"}}";
        String sink = "{\"name\": \"sink\", \"config\": {\"connector.class\": \"FileStreamSink\", \"file\": \"" + out
                + "\", \"topics\": \"connect-lines\"}}";
        post(port, source);
        post(port, sink);
        compare(out, expected);
        first.stop();
        first.awaitStop();
        append(in, LINES, expected);
        var second = new ConnectDistributed().startConnect(worker(arguments[0], freePort()));
        compare(out, expected);
        second.stop();
        second.awaitStop();
        System.out.println("connect ok: " + expected.size() + " lines from file to topic to file, over a restart of the worker");
        for (Path path : List.of(in, out, dir)) {
            Files.delete(path);
        }
        System.exit(0);
    }

    static Map<String, String> worker(String address, int port) {
        Map<String, String> settings = new HashMap<>();
        settings.put("bootstrap.servers", address);
        settings.put("group.id", "connect");
        for (String topic : List.of("config", "offset", "status")) {
            settings.put(topic + ".storage.topic", "connect-" + topic);
            settings.put(topic + ".storage.replication.factor", "1");
        }
        settings.put("key.converter", "org.apache.kafka.connect.storage.StringConverter");
        settings.put("value.converter", "org.apache.kafka.connect.storage.StringConverter");
        settings.put("listeners", "http://127.0.0.1:" + port);
        settings.put("offset.flush.interval.ms", "1000");
        // The class path is not searched: the file connectors name themselves.
        settings.put("plugin.discovery", "service_load");
        settings.put("scheduled.rebalance.max.delay.ms", "0");
        settings.put("consumer.metadata.max.age.ms", "1000");
        return settings;
    }

    static void append(Path file, int from, List<String> expected) throws IOException {
        List<String> lines = new ArrayList<>();
        for (int number = from; number < from + LINES; number++) {
            lines.add("line " + number);
        }
        Files.write(file, lines, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        expected.addAll(lines);
    }

    /** Makes a connector. The worker refuses while its group settles. */
    static void post(int port, String connector) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/connectors"))
                .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(connector)).build();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            var response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            if (response.statusCode() == 201) {
                return;
            }
            boolean settles = response.statusCode() == 409 || response.statusCode() == 503 || response.statusCode() == 500;
            if (!settles || System.nanoTime() > deadline) {
                fail("a connector is refused: " + response.statusCode() + " " + response.body());
            }
            Thread.sleep(200);
        }
    }

    static void compare(Path out, List<String> expected) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        List<String> seen = List.of();
        while (!seen.equals(expected)) {
            if (System.nanoTime() > deadline) {
                fail(seen.size() + " lines are written, not the " + expected.size() + " lines of the input");
            }
            Thread.sleep(100);
            seen = Files.exists(out) ? Files.readAllLines(out) : List.of();
        }
    }

    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    static void fail(String why) {
        System.err.println("connect: " + why);
        System.exit(1);
    }
}
