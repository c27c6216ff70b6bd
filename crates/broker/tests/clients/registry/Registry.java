// Runs Apicurio Registry, which keeps schemas in topics, on a broker: java Registry.java ADDRESS
//
// Two versions of a schema are registered by the API that Confluent's clients use. The registry is killed and started again:
// it has nothing but its topics, and must know both.
import java.io.File;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

public class Registry {
    static final Duration PATIENCE = Duration.ofSeconds(80);
    static final List<String> FIELDS = List.of("id", "id,amount");

    public static void main(String[] arguments) throws Exception {
        String subject = "orders-" + System.nanoTime();
        Path log = Files.createTempFile("registry", ".log");
        Process[] registry = {null};
        Runtime.getRuntime().addShutdownHook(new Thread(() -> registry[0].destroyForcibly()));
        int port = freePort();
        registry[0] = start(arguments[0], port, log);
        waitFor(registry[0], port, log);
        for (String fields : FIELDS) {
            HttpRequest request = at(port, "/subjects/" + subject + "/versions")
                    .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                    .POST(HttpRequest.BodyPublishers.ofString("{\"schema\":" + quoted(schema(fields)) + "}")).build();
            expect("a registration", send(request), "\"id\":");
        }
        read(port, subject);
        registry[0].destroyForcibly().waitFor();
        port = freePort();
        registry[0] = start(arguments[0], port, log);
        waitFor(registry[0], port, log);
        read(port, subject);
        System.out.println("registry ok: two versions of a schema by Confluent's API, known again after a kill");
        Files.delete(log);
        System.exit(0);
    }

    static String schema(String fields) {
        StringBuilder list = new StringBuilder();
        for (String field : fields.split(",")) {
            list.append(list.isEmpty() ? "" : ",").append("{\"name\":\"").append(field)
                    .append("\",\"type\":\"long\",\"default\":0}");
        }
        return "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[" + list + "]}";
    }

    static String quoted(String text) {
        return "\"" + text.replace("\"", "\\\"") + "\"";
    }

    static void read(int port, String subject) throws Exception {
        expect("the versions", send(at(port, "/subjects/" + subject + "/versions").build()), "[1,2]");
        for (int version = 1; version <= FIELDS.size(); version++) {
            String answer = send(at(port, "/subjects/" + subject + "/versions/" + version).build());
            expect("version " + version, answer, "\"schema\":" + quoted(schema(FIELDS.get(version - 1))));
        }
    }

    static Process start(String address, int port, Path log) throws IOException {
        File[] jars = new File("registry").listFiles((dir, name) -> name.endsWith("-runner.jar"));
        ProcessBuilder builder = new ProcessBuilder("java", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar",
                jars[0].getPath());
        builder.environment().put("APICURIO_STORAGE_KIND", "kafkasql");
        builder.environment().put("APICURIO_KAFKASQL_BOOTSTRAP_SERVERS", address);
        builder.environment().put("QUARKUS_HTTP_HOST", "127.0.0.1");
        builder.environment().put("QUARKUS_HTTP_PORT", Integer.toString(port));
        return builder.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    }

    /** Waits until it answers. */
    static void waitFor(Process registry, int port, Path log) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                if (send(at(port, "/subjects").build()).startsWith("[")) {
                    return;
                }
            } catch (IOException notYet) {
                // It starts.
            }
            if (!registry.isAlive() || System.nanoTime() > deadline) {
                List<String> lines = Files.readAllLines(log);
                fail("the registry does not answer: " + String.join("\n", lines.subList(Math.max(0, lines.size() - 15), lines.size())));
            }
            Thread.sleep(200);
        }
    }

    static HttpRequest.Builder at(int port, String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/apis/ccompat/v7" + path))
                .timeout(Duration.ofSeconds(20));
    }

    static String send(HttpRequest request) throws Exception {
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
    }

    static void expect(String what, String answer, String wanted) {
        if (!answer.contains(wanted)) {
            fail(what + ": " + answer + " and not " + wanted);
        }
    }

    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    static void fail(String why) {
        System.err.println("registry: " + why);
        System.exit(1);
    }
}
