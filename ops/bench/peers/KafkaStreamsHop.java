import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** The hop as Kafka Streams runs it: one thread, exactly once, Avro by its own library. */
public final class KafkaStreamsHop {
    private static final int WIRE_BYTES = 5;

    private final Schema target;
    private final GenericDatumReader<GenericRecord> reader;
    private final GenericDatumWriter<GenericRecord> writer;
    private final byte[] prefix;
    private BinaryDecoder decoder;
    private BinaryEncoder encoder;

    private KafkaStreamsHop(File schemas, int schemaId) throws IOException {
        Schema source = new Schema.Parser().parse(new File(schemas, "hop.event.reading.avsc"));
        target = new Schema.Parser().parse(new File(schemas, "hop.feature.reading.avsc"));
        reader = new GenericDatumReader<>(source);
        writer = new GenericDatumWriter<>(target);
        prefix = ByteBuffer.allocate(WIRE_BYTES).put((byte) 0).putInt(schemaId).array();
    }

    private byte[] hop(byte[] value) {
        try {
            decoder = DecoderFactory.get()
                .binaryDecoder(value, WIRE_BYTES, value.length - WIRE_BYTES, decoder);
            GenericRecord r = reader.read(null, decoder);
            double a = (double) r.get("temperature");
            double b = (double) r.get("humidity");
            double c = (double) r.get("pressure");
            double d = (double) r.get("wind");
            double e = (double) r.get("light");
            double f = (double) r.get("noise");
            double mean = (a + b + c + d + e + f) / 6;
            double most = Math.max(Math.max(Math.max(a, b), Math.max(c, d)), Math.max(e, f));
            double least = Math.min(Math.min(Math.min(a, b), Math.min(c, d)), Math.min(e, f));
            double spread = most - least;
            GenericRecord feature = new GenericData.Record(target);
            feature.put("sensor", r.get("sensor"));
            feature.put("site", r.get("site"));
            feature.put("measured_ms", r.get("measured_ms"));
            feature.put("number", r.get("number"));
            feature.put("mean", mean);
            feature.put("spread", spread);
            feature.put("magnitude", Math.sqrt(a * a + b * b + c * c + d * d + e * e + f * f));
            feature.put("surprise", (f - mean) / (1 + spread));
            ByteArrayOutputStream out = new ByteArrayOutputStream(128);
            out.write(prefix);
            encoder = EncoderFactory.get().binaryEncoder(out, encoder);
            writer.write(feature, encoder);
            encoder.flush();
            return out.toByteArray();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Runs until killed. */
    public static void main(String[] none) throws IOException {
        var environment = System.getenv();
        int schemaId = Integer.parseInt(environment.get("HOP_SCHEMA_ID"));
        var hop = new KafkaStreamsHop(new File(environment.get("HOP_SCHEMAS")), schemaId);
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.get("HOP_GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("HOP_BOOTSTRAP"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, environment.get("HOP_STATE"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("producer.compression.type", "lz4");
        var bytes = Serdes.ByteArray();
        var builder = new StreamsBuilder();
        builder.stream(environment.get("HOP_IN"), Consumed.with(bytes, bytes))
            .mapValues(hop::hop)
            .to(environment.get("HOP_OUT"), Produced.with(bytes, bytes));
        var streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
