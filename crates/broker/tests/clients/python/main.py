"""Tests a broker with a client for Python: main.py CLIENT ADDRESS. CLIENT is librdkafka, kafka-python or aiokafka.

Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and ends with exit code 1 at the first that does not. The
broker's topics must be new.
"""

import asyncio
import sys
import threading
import time

RECORDS = 1000
PARTITIONS = 4
PATIENCE_S = 60
# An hour ago: older records are soon beyond the retention.
START_MS = int(time.time() * 1000) - 3_600_000
TRANSACTIONS = 10


def main():
    client, address = sys.argv[1:]
    topic = client
    if client == "aiokafka":
        asyncio.run(check_aiokafka(address, topic))
    else:
        {"librdkafka": check_librdkafka, "kafka-python": check_kafka_python}[client](address, topic)


def say(capability, detail):
    print(f"{capability} ok: {detail}", flush=True)


def check_values(found):
    """`found` has the offset and value of each record of a partition."""
    expected = [(number, b"%d" % number) for number in range(RECORDS)]
    assert found == expected, f"{len(found)} records, the first {found[:3]}"


def wait_for(condition, what):
    """Apache Kafka's brokers learn of a change a little later, and groups take their time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def share(member):
    """Lets two members of a group share a topic's partitions, and one of them leave. `member(stop, share)` is a thread's
    body that reports the size of its share by `share(count)`, until `stop` is set."""
    shares, stops = [None, None], [threading.Event(), threading.Event()]

    def body(index):
        member(stops[index], lambda count: shares.__setitem__(index, count))
        shares[index] = None

    threads = [threading.Thread(target=body, args=[index], daemon=True) for index in range(2)]
    threads[0].start()
    wait_for(lambda: shares[0] == PARTITIONS, lambda: f"one member has not all: {shares}")
    threads[1].start()
    wait_for(lambda: shares == [2, 2], lambda: f"two members do not share: {shares}")
    stops[0].set()
    wait_for(lambda: shares == [None, PARTITIONS], lambda: f"the member that is left has not all: {shares}")
    stops[1].set()
    [thread.join(30) for thread in threads]
    say("groups", "1, 2, 1 members share 4 partitions")


def say_transactions(seen, committed):
    assert seen == committed, f"{committed} is committed, {seen} is read"
    say("transactions", f"{len(seen)} of {TRANSACTIONS} are committed and read, and the first of two producers is fenced")


def check_librdkafka(address, topic):
    import confluent_kafka
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

    base = {"bootstrap.servers": address}
    reader = base | {"group.id": f"{topic}-reader", "enable.auto.commit": False, "isolation.level": "read_committed"}
    admin = AdminClient(base)

    def done(futures):
        return [future.result(PATIENCE_S) for future in futures.values()]

    done(admin.create_topics([NewTopic(topic, 1, config={"cleanup.policy": "compact,delete"}), NewTopic(f"{topic}-gone", 1)]))
    try:
        done(admin.create_topics([NewTopic(topic, 1)]))
        raise AssertionError("a topic can be created twice")
    except confluent_kafka.KafkaException as refused:
        assert refused.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
    done(admin.create_partitions([NewPartitions(topic, PARTITIONS)]))
    [configs] = done(admin.describe_configs([ConfigResource("topic", topic)]))
    assert configs["cleanup.policy"].value == "compact,delete"
    done(admin.delete_topics([f"{topic}-gone"]))

    def as_made():
        topics = admin.list_topics(timeout=PATIENCE_S).topics
        return len(topics[topic].partitions) == PARTITIONS and f"{topic}-gone" not in topics

    wait_for(as_made, lambda: "the topics are not as they were made")
    say("admin", "topics are created, grown, described, deleted")

    producer = Producer(base | {"enable.idempotence": True})
    offsets = []
    for number in range(RECORDS):
        time_ms = START_MS + number
        note = lambda error, message: offsets.append(error or message.offset())
        producer.produce(topic, b"%d" % number, key=b"k", partition=0, timestamp=time_ms, on_delivery=note)
    producer.flush(PATIENCE_S)
    assert offsets == list(range(RECORDS)), offsets[:3]
    say("produce", f"{RECORDS} records")
    consumer = Consumer(reader)
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = [consumer.poll(PATIENCE_S) for _ in range(RECORDS)]
    check_values([(message.offset(), message.value()) for message in found])
    say("consume", f"{RECORDS} records")

    def member(stop, shared):
        consumer = Consumer(base | {"group.id": f"{topic}-group", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300})
        consumer.subscribe([topic], on_assign=lambda _, partitions: shared(len(partitions)))
        while not stop.is_set():
            consumer.poll(0.2)
        consumer.close()

    share(member)
    consumer.commit(offsets=[TopicPartition(topic, 1, 8)], asynchronous=False)
    assert consumer.committed([TopicPartition(topic, 1)], timeout=PATIENCE_S)[0].offset == 8
    [by_time] = consumer.offsets_for_times([TopicPartition(topic, 0, START_MS + 500)], timeout=PATIENCE_S)
    assert by_time.offset == 500
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_S) == (0, RECORDS)
    say("offsets", "committed, by time, first and last")

    # The group protocol of KIP-848: a broker offers it, or the client says with a sentence that it does not.
    member = Consumer(base | {"group.id": f"{topic}-new-group", "group.protocol": "consumer", "auto.offset.reset": "earliest"})
    member.subscribe([topic])
    message = member.poll(PATIENCE_S)
    assert message is not None, "a group of the new protocol neither reads nor fails"
    if message.error() is None:
        print("new-groups ok: a member reads")
    else:
        print(f"new-groups none: {message.error().str()}")
    member.close()

    def transactional():
        producer = Producer(base | {"transactional.id": topic})
        producer.init_transactions(PATIENCE_S)
        return producer

    first, committed = transactional(), []
    for number in range(TRANSACTIONS):
        first.begin_transaction()
        first.produce(topic, b"%d" % number, key=b"k", partition=2)
        position = [TopicPartition(topic, 2, number)]
        first.send_offsets_to_transaction(position, consumer.consumer_group_metadata(), PATIENCE_S)
        if number % 3 == 0:
            first.abort_transaction(PATIENCE_S)
        else:
            first.commit_transaction(PATIENCE_S)
            committed.append(b"%d" % number)
    consumer.assign([TopicPartition(topic, 2, 0)])
    seen = [consumer.poll(PATIENCE_S).value() for _ in committed]
    assert consumer.committed([TopicPartition(topic, 2)], timeout=PATIENCE_S)[0].offset == 8
    first.begin_transaction()
    first.produce(topic, b"lost", key=b"k", partition=2)
    first.flush(PATIENCE_S)
    transactional()
    try:
        first.commit_transaction(PATIENCE_S)
        raise AssertionError("the first producer is not fenced")
    except confluent_kafka.KafkaException as fenced:
        assert fenced.args[0].fatal(), fenced
    say_transactions(seen, committed)
    consumer.close()


def check_kafka_python(address, topic):
    import kafka
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic

    base = {"bootstrap_servers": address}
    admin = KafkaAdminClient(**base)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}-gone", 1, 1)])
    try:
        admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        raise AssertionError("a topic can be created twice")
    except kafka.errors.TopicAlreadyExistsError:
        pass
    admin.delete_topics([f"{topic}-gone"])
    as_made = lambda: topic in admin.list_topics() and f"{topic}-gone" not in admin.list_topics()
    wait_for(as_made, lambda: "the topics are not as they were made")
    admin.close()
    say("admin", "topics are created, listed, deleted")

    producer = KafkaProducer(**base, enable_idempotence=True, linger_ms=5)
    sent = [
        producer.send(topic, b"%d" % number, key=b"k", partition=0, timestamp_ms=START_MS + number) for number in range(RECORDS)
    ]
    assert [future.get(PATIENCE_S).offset for future in sent] == list(range(RECORDS))
    producer.close()
    say("produce", f"{RECORDS} records")

    def read(partition, count, **more):
        consumer = KafkaConsumer(**base, consumer_timeout_ms=PATIENCE_S * 1000, **more)
        consumer.assign([TopicPartition(topic, partition)])
        consumer.seek_to_beginning()
        found = [next(consumer) for _ in range(count)]
        consumer.close()
        return [(message.offset, message.value) for message in found]

    check_values(read(0, RECORDS))
    say("consume", f"{RECORDS} records")

    def member(stop, shared):
        class Listener(kafka.ConsumerRebalanceListener):
            def on_partitions_revoked(self, revoked):
                pass

            def on_partitions_assigned(self, assigned):
                shared(len(assigned))

        settings = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 300}
        consumer = KafkaConsumer(**base, group_id=f"{topic}-group", **settings)
        consumer.subscribe([topic], listener=Listener())
        while not stop.is_set():
            # Short polls of kafka-python 3.0.12 may lose an assignment, on Apache Kafka too.
            consumer.poll(timeout_ms=3000)
        consumer.close()

    share(member)
    consumer = KafkaConsumer(**base, group_id=f"{topic}-reader")
    place = TopicPartition(topic, 1)
    consumer.assign([place])
    consumer.commit({place: kafka.OffsetAndMetadata(8, "", -1)})
    assert consumer.committed(place) == 8
    zero = TopicPartition(topic, 0)
    assert consumer.offsets_for_times({zero: START_MS + 500})[zero].offset == 500
    assert consumer.beginning_offsets([zero]) == {zero: 0} and consumer.end_offsets([zero]) == {zero: RECORDS}
    consumer.close()
    say("offsets", "committed, by time, first and last")

    def transactional():
        producer = KafkaProducer(**base, transactional_id=topic)
        producer.init_transactions()
        return producer

    first, committed = transactional(), []
    for number in range(TRANSACTIONS):
        first.begin_transaction()
        first.send(topic, b"%d" % number, key=b"k", partition=2)
        if number % 3 == 0:
            first.abort_transaction()
        else:
            first.commit_transaction()
            committed.append(b"%d" % number)
    seen = [value for _, value in read(2, len(committed), isolation_level="read_committed")]
    first.begin_transaction()
    first.send(topic, b"lost", key=b"k", partition=2).get(PATIENCE_S)
    second = transactional()
    try:
        first.commit_transaction()
        raise AssertionError("the first producer is not fenced")
    except kafka.errors.KafkaError:
        pass
    second.close()
    say_transactions(seen, committed)


async def check_aiokafka(address, topic):
    import aiokafka
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    base = {"bootstrap_servers": address}
    admin = AIOKafkaAdminClient(**base)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}-gone", 1, 1)])
    answer = await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    assert answer.topic_errors[0][1] == aiokafka.errors.TopicAlreadyExistsError.errno, "a topic can be created twice"
    await admin.delete_topics([f"{topic}-gone"])
    deadline = time.monotonic() + PATIENCE_S
    while topic not in (topics := await admin.list_topics()) or f"{topic}-gone" in topics:
        assert time.monotonic() < deadline, "the topics are not as they were made"
        await asyncio.sleep(0.05)
    await admin.close()
    say("admin", "topics are created, listed, deleted")

    producer = AIOKafkaProducer(**base, enable_idempotence=True, linger_ms=5)
    await producer.start()
    sent = [
        await producer.send(topic, b"%d" % number, key=b"k", partition=0, timestamp_ms=START_MS + number)
        for number in range(RECORDS)
    ]
    assert [(await future).offset for future in sent] == list(range(RECORDS))
    await producer.stop()
    say("produce", f"{RECORDS} records")

    async def read(partition, count, **more):
        consumer = AIOKafkaConsumer(**base, **more)
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found = [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
        await consumer.stop()
        return [(message.offset, message.value) for message in found]

    check_values(await read(0, RECORDS))
    say("consume", f"{RECORDS} records")

    def member(stop, shared):
        class Listener(aiokafka.ConsumerRebalanceListener):
            def on_partitions_revoked(self, revoked):
                pass

            def on_partitions_assigned(self, assigned):
                shared(len(assigned))

        async def run():
            settings = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 300}
            consumer = AIOKafkaConsumer(**base, group_id=f"{topic}-group", **settings)
            await consumer.start()
            consumer.subscribe([topic], listener=Listener())
            while not stop.is_set():
                await consumer.getmany(timeout_ms=200)
            await consumer.stop()

        asyncio.run(run())

    await asyncio.get_running_loop().run_in_executor(None, share, member)
    consumer = AIOKafkaConsumer(**base, group_id=f"{topic}-reader", enable_auto_commit=False)
    await consumer.start()
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer.assign([zero, one])
    await consumer.commit({one: 8})
    assert await consumer.committed(one) == 8
    assert (await consumer.offsets_for_times({zero: START_MS + 500}))[zero].offset == 500
    assert await consumer.beginning_offsets([zero]) == {zero: 0} and await consumer.end_offsets([zero]) == {zero: RECORDS}
    await consumer.stop()
    say("offsets", "committed, by time, first and last")

    async def transactional():
        producer = AIOKafkaProducer(**base, transactional_id=topic)
        await producer.start()
        return producer

    first, committed = await transactional(), []
    for number in range(TRANSACTIONS):
        await first.begin_transaction()
        await first.send_and_wait(topic, b"%d" % number, key=b"k", partition=2)
        await first.send_offsets_to_transaction({TopicPartition(topic, 2): number}, f"{topic}-reader")
        if number % 3 == 0:
            await first.abort_transaction()
        else:
            await first.commit_transaction()
            committed.append(b"%d" % number)
    seen = [value for _, value in await read(2, len(committed), isolation_level="read_committed")]
    await first.begin_transaction()
    await first.send_and_wait(topic, b"lost", key=b"k", partition=2)
    second = await transactional()
    try:
        await first.commit_transaction()
        raise AssertionError("the first producer is not fenced")
    except aiokafka.errors.KafkaError:
        pass
    await second.stop()
    say_transactions(seen, committed)


if __name__ == "__main__":
    main()
