package benchmarks;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The reference job (benchmarks/reference.py) in Kafka Streams, by the Processor API.
 *
 * <p>Orders come as JSON in BENCHMARK_ORDERS, as for every peer; the figures go to stdout as one JSON line, after the
 * last commit. Tuned as Kafka's documentation advises for throughput: one thread for the one core, a record cache that
 * holds all keys between two commits (so a key is written to the changelog once a commit), a store in memory, large
 * polls and batches, a streaming JSON parser that reads no field twice.
 */
public final class Reference {
    private static final int LEAST_READINGS = 5;
    private static final double SQUARED_SIGMAS = 9.0;

    private static final Map<String, String> ORDERS = orders();
    private static final long EVENTS = Long.parseLong(ORDERS.get("events"));
    private static final CountDownLatch DONE = new CountDownLatch(1);

    private static long seen;
    private static long beganNs;
    private static long tookNs;
    private static long cpuNs;
    private static long halfSeen;
    private static long halfNs;
    private static long halfCpuNs;

    public static void main(String[] arguments) throws InterruptedException {
        Topology topology = new Topology();
        topology.addSource("source", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(),
            ORDERS.get("source"));
        topology.addProcessor("judge", Judge::new, "source");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore("baselines"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled(),
            "judge");
        topology.addSink("alerts", ORDERS.get("alerts"), Serdes.String().serializer(),
            Serdes.ByteArray().serializer(), "judge");

        KafkaStreams streams = new KafkaStreams(topology, settings());
        streams.start();
        DONE.await();
        streams.close(Duration.ofSeconds(60)); // flushes and commits
        System.out.printf("{\"events\": %d, \"seconds\": %.6f, \"cpu_s\": %.6f, "
            + "\"warm_events\": %d, \"warm_seconds\": %.6f, \"warm_cpu_s\": %.6f}%n",
            seen, tookNs / 1e9, cpuNs / 1e9, seen - halfSeen, halfNs / 1e9, halfCpuNs / 1e9);
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, ORDERS.get("group"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, ORDERS.get("broker"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, ORDERS.get("folder"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 512L << 20);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG),
            Integer.getInteger("linger.ms", 5));
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        return settings;
    }

    private static Map<String, String> orders() {
        try (JsonParser parser = new JsonFactory().createParser(System.getenv("BENCHMARK_ORDERS"))) {
            Map<String, String> orders = new java.util.HashMap<>();
            parser.nextToken();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                parser.nextToken();
                orders.put(name, parser.getText());
            }
            return orders;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static long cpuNow() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }

    /** Judge, then learn, one event at a time. */
    private static final class Judge implements Processor<String, byte[], String, byte[]> {
        private final JsonFactory json = new JsonFactory();
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> baselines;

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            this.baselines = context.getStateStore("baselines");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            if (seen == 0) {
                beganNs = System.nanoTime();
                cpuNs = cpuNow();
            }
            String execution = null;
            String workflow = null;
            double value = 0;
            try (JsonParser parser = json.createParser(record.value())) {
                parser.nextToken();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String name = parser.currentName();
                    parser.nextToken();
                    switch (name) {
                        case "execution_id" -> execution = parser.getText();
                        case "workflow_id" -> workflow = parser.getText();
                        case "duration_s" -> value = parser.getDoubleValue();
                        default -> parser.skipChildren();
                    }
                }
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            int count = 0;
            double mean = 0;
            double squares = 0;
            byte[] stored = baselines.get(workflow);
            if (stored != null) {
                ByteBuffer buffer = ByteBuffer.wrap(stored);
                count = buffer.getInt();
                mean = buffer.getDouble();
                squares = buffer.getDouble();
            }
            double deviation = value - mean;
            if (count >= LEAST_READINGS && deviation * deviation * (count - 1) > SQUARED_SIGMAS * squares) {
                String alert = "{\"id\":\"" + execution + "\",\"workflow_id\":\"" + workflow + "\"}";
                context.forward(record.withKey(workflow).withValue(alert.getBytes(StandardCharsets.UTF_8)));
            }
            count++;
            mean += deviation / count;
            squares += deviation * (value - mean);
            baselines.put(workflow, ByteBuffer.allocate(20).putInt(count).putDouble(mean).putDouble(squares).array());
            if (++seen == EVENTS / 2) {
                halfSeen = seen;
                halfNs = System.nanoTime();
                halfCpuNs = cpuNow();
            } else if (seen == EVENTS) {
                long nowNs = System.nanoTime();
                long nowCpuNs = cpuNow();
                tookNs = nowNs - beganNs;
                cpuNs = nowCpuNs - cpuNs;
                halfNs = nowNs - halfNs;
                halfCpuNs = nowCpuNs - halfCpuNs;
                DONE.countDown();
            }
        }
    }

    private Reference() { }
}
