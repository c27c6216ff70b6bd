"""Tests a running broker with librdkafka (confluent-kafka) and kafka-python: conformance.py ADDRESS [--records N]

Needs the packages in requirements.txt. Prints a line per check and ends with exit code 1 at the first that fails. The
broker must create topics on first use, with 4 partitions. Every check writes to its own topics.
"""

import argparse
import json
import threading
import time
import uuid

import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin
import kafka.errors

from versions import check_versions

PARTITIONS = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--records", type=int, default=1_000_000, help="number of records that the long check writes")
    options = parser.parse_args()
    checks = [
        ("every request in every version", lambda: check_versions(options.address)),
        ("librdkafka: many records, exact", lambda: check_many(options.address, options.records)),
        ("kafka-python: many records, exact", lambda: check_many_python(options.address, options.records // 10)),
        ("kafka-python: one JSON record at a time", lambda: check_one_at_a_time(options.address)),
        ("kafka-python: a group that grows and shrinks", lambda: check_group(options.address)),
        ("every codec, each client", lambda: check_codecs(options.address)),
        ("offsets by timestamp, both clients", lambda: check_times(options.address)),
        ("topics and groups, administered", lambda: check_admin(options.address)),
        ("transactions, both clients", lambda: check_transactions(options.address)),
        ("a fetch wakes on append", lambda: check_wake(options.address)),
    ]
    for name, check in checks:
        begin = time.monotonic()
        print(f"{name} … ", end="", flush=True)
        print(f"{check()} ({time.monotonic() - begin:.1f} s)", flush=True)


def fresh(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def check_many(address, count):
    """Writes with an idempotent producer. Then reads each partition and compares every number and offset."""
    topic = fresh("many")
    settings = {"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5}
    producer = confluent_kafka.Producer(settings | {"queue.buffering.max.messages": 500_000})
    begin = time.monotonic()
    for number in range(count):
        payload = b"%0250d" % number
        while True:
            try:
                producer.produce(topic, payload, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0
    middle = time.monotonic()
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": fresh("g"), "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    next_offsets, seen = [0] * PARTITIONS, 0
    while seen < count:
        messages = consumer.consume(10_000, timeout=30)
        assert messages, f"{seen} of {count} records came back"
        for message in messages:
            assert message.error() is None, message.error()
            partition, offset = message.partition(), message.offset()
            assert offset == next_offsets[partition], f"{partition}: {offset} after {next_offsets[partition]}"
            assert int(message.value()) == offset * PARTITIONS + partition
            next_offsets[partition] += 1
        seen += len(messages)
    for partition in range(PARTITIONS):
        ends = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, partition), timeout=30)
        assert ends == (0, next_offsets[partition])
    consumer.close()
    written, read = count / (middle - begin), count / (time.monotonic() - middle)
    return f"{count} records, {written:,.0f}/s in, {read:,.0f}/s out as fast as Python goes"


def check_many_python(address, count):
    topic = fresh("many-python")
    producer = kafka.KafkaProducer(bootstrap_servers=address, linger_ms=5)
    sent = [producer.send(topic, b"%0250d" % number, partition=number % PARTITIONS) for number in range(count)]
    producer.flush()
    for number, future in enumerate(sent):
        assert future.get(30).offset == number // PARTITIONS
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=10_000)
    partitions = [kafka.TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    next_offsets = [0] * PARTITIONS
    for message in consumer:
        assert message.offset == next_offsets[message.partition]
        assert int(message.value) == message.offset * PARTITIONS + message.partition
        next_offsets[message.partition] += 1
        if sum(next_offsets) == count:
            break
    assert sum(next_offsets) == count
    assert consumer.beginning_offsets(partitions) == dict.fromkeys(partitions, 0)
    assert list(consumer.end_offsets(partitions).values()) == next_offsets
    consumer.close()
    return f"{count} records"


def check_one_at_a_time(address):
    """The first script that most users write."""
    topic = fresh("one")
    producer = kafka.KafkaProducer(bootstrap_servers=address, value_serializer=lambda value: json.dumps(value).encode())
    for number in range(300):
        producer.send(topic, {"number": number, "course": "ünïcode"}, key=b"k").get(timeout=30)
    producer.close()
    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=5000, value_deserializer=json.loads
    )
    found = []
    for message in consumer:
        found.append(message.value["number"])
        if len(found) == 300:
            break
    consumer.close()
    assert found == list(range(300)), "one key, one partition, one order"
    return "300 records"


def check_group(address):
    topic, group = fresh("group"), fresh("g")
    producer = kafka.KafkaProducer(bootstrap_servers=address)
    seen, lock, stops = {}, threading.Lock(), [threading.Event(), threading.Event()]
    shares = [None, None]

    class Listener(kafka.ConsumerRebalanceListener):
        def __init__(self, index):
            self.index = index

        def on_partitions_revoked(self, revoked):
            pass

        def on_partitions_assigned(self, assigned):
            shares[self.index] = len(assigned)

    def member(index):
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", session_timeout_ms=6000,
            heartbeat_interval_ms=300, auto_commit_interval_ms=200,
        )
        consumer.subscribe([topic], listener=Listener(index))
        while not stops[index].is_set():
            # kafka-python 3.0.12 loses an assignment that arrives at the moment when a poll ends without records. This
            # happens with Apache Kafka 4.1 too: about every twentieth time with polls of 100 ms. Long polls make it rare.
            for messages in consumer.poll(timeout_ms=3000).values():
                with lock:
                    for message in messages:
                        seen[(message.partition, message.offset)] = message.value
        consumer.close()
        shares[index] = None

    def send(numbers):
        for number in numbers:
            producer.send(topic, b"%d" % number, partition=number % PARTITIONS)
        producer.flush()

    def wait_for(condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {shares}, {len(seen)} records"
            time.sleep(0.02)

    send(range(400))
    threads = [threading.Thread(target=member, args=[index], daemon=True) for index in range(2)]
    threads[0].start()
    wait_for(lambda: shares[0] == PARTITIONS and len(seen) == 400, "one member has all partitions")
    threads[1].start()
    wait_for(lambda: shares == [2, 2], "two members share")
    send(range(400, 800))
    wait_for(lambda: len(seen) == 800, "both read")
    stops[0].set()
    wait_for(lambda: shares == [None, PARTITIONS], "the one that is left has all partitions")
    send(range(800, 1000))
    wait_for(lambda: len(seen) == 1000, "the one that is left reads")
    stops[1].set()
    for thread in threads:
        thread.join(30)
    assert sorted(int(value) for value in seen.values()) == list(range(1000))
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, group_id=group)
    committed = [consumer.committed(kafka.TopicPartition(topic, partition)) for partition in range(PARTITIONS)]
    consumer.close()
    assert committed == [250] * PARTITIONS, committed
    return "1000 records, 1 → 2 → 1 members, offsets kept"


def check_codecs(address):
    values = [b"%d " % number * 50 for number in range(2000)]
    done = []
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = fresh(codec)
        producer = confluent_kafka.Producer({"bootstrap.servers": address, "compression.type": codec, "linger.ms": 50})
        for value in values:
            producer.produce(topic, value, partition=0)
        assert producer.flush(30) == 0
        assert read_confluent(address, topic, len(values)) == values
        done.append(codec)
    topic = fresh("gzip-python")
    producer = kafka.KafkaProducer(bootstrap_servers=address, compression_type="gzip", linger_ms=50)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.close()
    assert read_confluent(address, topic, len(values)) == values
    return ", ".join(done)


def read_confluent(address, topic, count):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    found = []
    while len(found) < count:
        messages = consumer.consume(count - len(found), timeout=30)
        assert messages, f"{len(found)} of {count} records came back"
        found.extend(message.value() for message in messages)
    consumer.close()
    return found


def check_times(address):
    topic, base = fresh("times"), 1_700_000_000_000
    producer = kafka.KafkaProducer(bootstrap_servers=address, linger_ms=20)
    for number in range(1000):
        producer.send(topic, b"x", partition=number % 2, timestamp_ms=base + 10 * number)
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=address)
    librdkafka = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "none"})
    for at, expected in [(0, (0, 0)), (10, (1, 0)), (5001, (251, 250)), (9990, (None, 499)), (9991, (None, None))]:
        partitions = [kafka.TopicPartition(topic, partition) for partition in range(2)]
        found = consumer.offsets_for_times(dict.fromkeys(partitions, base + at))
        assert tuple(found[p].offset if found[p] else None for p in partitions) == expected, (at, found)
        asked = [confluent_kafka.TopicPartition(topic, partition, base + at) for partition in range(2)]
        found = librdkafka.offsets_for_times(asked, timeout=30)
        assert tuple(p.offset if p.offset >= 0 else None for p in found) == expected, (at, found)
    consumer.close()
    librdkafka.close()
    return "5 times"


def check_transactions(address):
    """Each client writes in transactions and aborts every third. Each reads what both have committed."""
    topic, expected = fresh("transactions"), []
    ours = confluent_kafka.Producer({"bootstrap.servers": address, "transactional.id": f"{topic}-librdkafka"})
    ours.init_transactions(60)
    theirs = kafka.KafkaProducer(bootstrap_servers=address, transactional_id=f"{topic}-kafka-python")
    theirs.init_transactions()
    for number in range(60):
        writer, value = (ours, theirs)[number % 2], b"%d" % number
        writer.begin_transaction()
        if writer is ours:
            ours.produce(topic, value, partition=0)
        else:
            theirs.send(topic, value, partition=0)
        if number % 3 == 0:
            writer.abort_transaction()
        else:
            writer.commit_transaction()
            expected.append(value)
    theirs.close()
    reader = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": topic, "isolation.level": "read_committed"})
    reader.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    seen = [reader.poll(60).value() for _ in expected]
    reader.close()
    assert seen == expected, f"librdkafka reads {seen}"
    reader = kafka.KafkaConsumer(bootstrap_servers=address, isolation_level="read_committed", consumer_timeout_ms=60_000)
    reader.assign([kafka.TopicPartition(topic, 0)])
    reader.seek_to_beginning()
    seen = [next(reader).value for _ in expected]
    reader.close()
    assert seen == expected, f"kafka-python reads {seen}"
    return f"{len(expected)} of 60"


def check_admin(address):
    topic, group = fresh("admin"), fresh("g")
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=address)
    librdkafka = confluent_kafka.admin.AdminClient({"bootstrap.servers": address})
    admin.create_topics([kafka.admin.NewTopic(topic, num_partitions=3, replication_factor=1)])
    try:
        admin.create_topics([kafka.admin.NewTopic(topic, num_partitions=3, replication_factor=1)])
        raise AssertionError("a topic can be created twice")
    except kafka.errors.TopicAlreadyExistsError:
        pass
    assert topic in admin.list_topics()
    assert len(librdkafka.list_topics(topic, timeout=30).topics[topic].partitions) == 3
    [grown] = librdkafka.create_partitions([confluent_kafka.admin.NewPartitions(topic, 6)]).values()
    assert grown.result(30) is None
    resource = confluent_kafka.admin.ConfigResource("topic", topic)
    [configs] = librdkafka.describe_configs([resource]).values()
    assert configs.result(30)["cleanup.policy"].value == "delete"
    assert librdkafka.describe_cluster().result(30).controller.id == 1

    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": group})
    consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 0, 7)], asynchronous=False)
    listed = librdkafka.list_consumer_groups().result(30)
    assert group in [found.group_id for found in listed.valid] and not listed.errors
    [described] = librdkafka.describe_consumer_groups([group]).values()
    assert described.result(30).state == confluent_kafka.ConsumerGroupState.EMPTY
    asked = [confluent_kafka.ConsumerGroupTopicPartitions(group)]
    [positions] = librdkafka.list_consumer_group_offsets(asked).values()
    assert [(p.topic, p.offset) for p in positions.result(30).topic_partitions] == [(topic, 7)]
    consumer.close()
    [deleted] = librdkafka.delete_consumer_groups([group]).values()
    assert deleted.result(30) is None
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    admin.close()
    return "made, grown, described, listed, deleted"


def check_wake(address):
    """A consumer that may wait 30 s for data gets a single record at once."""
    topic, waits = fresh("wake"), []
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "linger.ms": 0})
    producer.produce(topic, b"first", partition=0)
    assert producer.flush(30) == 0
    settings = {"bootstrap.servers": address, "group.id": "none", "fetch.wait.max.ms": 30_000, "socket.timeout.ms": 60_000}
    consumer = confluent_kafka.Consumer(settings | {"enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    assert consumer.poll(30).value() == b"first"
    for number in range(20):
        time.sleep(0.05)
        begin = time.monotonic()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.poll(0)
        message = consumer.poll(20)
        assert message is not None and message.value() == b"%d" % number
        waits.append(time.monotonic() - begin)
    consumer.close()
    producer.flush(30)
    return f"median {sorted(waits)[10] * 1000:.1f} ms from send to receive"


if __name__ == "__main__":
    main()
