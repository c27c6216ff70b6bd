"""Sends the same requests to two brokers and compares the answers: compare.py EMBEDDED APACHE [FILTER]

Each probe sends hand-made frames and summarises the answer in a few words. The table shows both answers. A difference
that DIFFERENCES does not explain ends the run with exit code 1. Called by `cargo xtask kafka compare`.
"""

import gzip
import struct
import sys
import time
import uuid

import kafka.errors
import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer

from compare_admin import probes as admin_probes
from compare_transactions import probes as transaction_probes
from versions import Connection

# Why an answer differs from Apache Kafka's on purpose. docs/broker.md explains the same list.
UNKNOWN = "Apache Kafka fails internally and answers UNKNOWN_SERVER_ERROR, which says nothing"
STRICTER = "this broker refuses batches that readers cannot process"
NOT_OFFERED = "this broker does not have the feature that the setting controls"
DIFFERENCES = (
    {f"produce: garbage under {codec}": UNKNOWN for codec in ("gzip", "snappy", "lz4", "zstd")}
    | {f"produce: nothing under {codec}": UNKNOWN for codec in ("gzip", "snappy", "lz4")}
    | {f"produce: codec {codec}": UNKNOWN for codec in (5, 6, 7)}
    | {
        "produce: gzip, cut off": UNKNOWN,
        "produce: null": "Apache Kafka fails internally and never answers",
        "produce: offset deltas with a gap": STRICTER,
        "produce: offset deltas from 1": STRICTER,
        "produce: a key of length -2": STRICTER,
        "produce: gzip, bytes behind the stream": STRICTER,
        "produce: bytes behind the batch": STRICTER,
        "produce: a producer without an epoch": STRICTER,
        "produce: stamped with the time of appending": STRICTER,
        "alter: twice in one request": "Apache Kafka never answers",
        "change: an unknown operation": UNKNOWN,
        "change: twice in one request": "each resource is answered once",
        "create with min.insync.replicas=3": "Apache Kafka refuses every record afterwards",
        "create with message.timestamp.type=LogAppendTime": NOT_OFFERED,
        "create with flush.messages=1": NOT_OFFERED,
        "create with flush.ms=1000": NOT_OFFERED,
        "create with message.timestamp.before.max.ms=1000": NOT_OFFERED,
        "create with message.timestamp.after.max.ms=1000": NOT_OFFERED,
    }
)

HOUR_MS = 3_600_000
NO_SEQUENCE = (-1, -1, -1)


def main():
    addresses, wanted = sys.argv[1:3], sys.argv[3] if len(sys.argv) > 3 else ""
    unexplained = 0
    for address in addresses:
        warm_up(Broker(address))
    print(f"{'probe':<58} {'embedded':<38} Apache Kafka")
    for name, probe in PROBES.items():
        if wanted not in name:
            continue
        embedded, apache = (attempt(probe, address) for address in addresses)
        same = embedded == apache
        unexplained += not same and name not in DIFFERENCES
        note = "" if same else "  = differs: " + DIFFERENCES.get(name, "UNEXPLAINED")
        print(f"{name:<58} {embedded:<38} {apache}{note}", flush=True)
    print(f"{unexplained} unexplained differences")
    sys.exit(1 if unexplained else 0)


def warm_up(broker):
    """Waits for the coordinators: Apache Kafka creates their topics on first use."""
    for kind in (0, 1):
        assert coordinated(broker, kind) == "ok"
    broker.create()
    while broker.commit(f"g-{broker.topic}") != "ok":
        time.sleep(0.1)


def attempt(probe, address):
    try:
        return str(probe(Broker(address)))
    except TimeoutError:
        return "no answer"
    except ConnectionError:
        return "connection closed"
    except IndexError:
        return "an answer without elements"
    except AssertionError as error:
        return "connection closed" if "closed" in str(error) else f"!{error}"


def name_of(code):
    if code == 0:
        return "ok"
    return kafka.errors.for_code(code).__name__.removesuffix("Error")


class Broker:
    """One connection, and the requests that the probes use."""

    def __init__(self, address):
        self.connection = Connection(address)
        self.connection.socket.settimeout(5)
        self.ask = self.connection.ask
        self.topic = f"compare-{uuid.uuid4().hex[:12]}"

    def create(self, name=None, partitions=1, replicas=1, configs=None, assignments=(), validate_only=False, twice=False):
        configs = [{"name": key, "value": value} for key, value in (configs or {}).items()]
        assignments = [{"partition_index": index, "broker_ids": brokers} for index, brokers in assignments]
        topic = {"name": name if name is not None else self.topic, "num_partitions": partitions, "replication_factor": replicas}
        topic |= {"assignments": assignments, "configs": configs}
        topics = [topic] * (2 if twice else 1)
        # A topic with the same name may still be in deletion: try for ten seconds.
        answer = self.ask(admin.CreateTopicsRequest, 7, topics=topics, timeout_ms=10_000, validate_only=validate_only)
        return ", ".join(name_of(topic.error_code) for topic in answer.topics)

    def produce(self, records, partition=0, acks=-1, transactional_id=None, topic=None, version=9):
        data = [{"index": partition, "records": records}]
        topics = [{"name": topic or self.topic, "partition_data": data}]
        fields = {"transactional_id": transactional_id, "acks": acks, "timeout_ms": 10_000, "topic_data": topics}
        for _ in range(20):
            answer = self.ask(producer.ProduceRequest, version, **fields)
            [stored] = answer.responses[0].partition_responses
            # A new topic may not have a leader yet. A topic with another name never gets one.
            if stored.error_code not in (3, 6) or partition != 0 or topic:
                break
            time.sleep(0.1)
        return stored

    def stored(self, records, **fields):
        self.create()
        return name_of(self.produce(records, **fields).error_code)

    def offsets(self, timestamp, version=7, partition=0):
        asked = [{"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": -1}]
        topics = [{"name": self.topic, "partitions": asked}]
        for _ in range(20):
            answer = self.ask(consumer.ListOffsetsRequest, version, replica_id=-1, isolation_level=0, topics=topics)
            [found] = answer.topics[0].partitions
            # As in produce: a new topic may not have a leader yet.
            if found.error_code not in (3, 6) or partition != 0:
                break
            time.sleep(0.1)
        return f"{name_of(found.error_code)} {found.offset} {found.timestamp}"

    def commit(self, group, offset=5, member="", generation=-1, metadata="m", topic=None, partition=0):
        position = {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata}
        topics = [{"name": topic or self.topic, "partitions": [position]}]
        fields = {"group_id": group, "generation_id_or_member_epoch": generation, "member_id": member, "topics": topics}
        return self.settled(lambda: self.ask(consumer.OffsetCommitRequest, 8, **fields).topics[0].partitions[0].error_code)

    def settled(self, ask):
        """A coordinator may need a moment for its first group."""
        for _ in range(100):
            code = ask()
            if code not in (14, 15, 16):
                break
            time.sleep(0.1)
        return name_of(code)

    def join(self, group, member="", session_ms=10_000, strategies=("range",), kind="consumer", version=3):
        protocols = [{"name": name, "metadata": b"m"} for name in strategies]
        fields = {"group_id": group, "member_id": member, "session_timeout_ms": session_ms, "rebalance_timeout_ms": 10_000}
        answers = []
        def ask():
            answers.append(self.ask(consumer.JoinGroupRequest, version, protocol_type=kind, protocols=protocols, **fields))
            return answers[-1].error_code
        return self.settled(ask), answers[-1]

    def describe(self, group):
        groups = []
        def ask():
            groups.extend(self.ask(admin.DescribeGroupsRequest, 5, groups=[group], include_authorized_operations=False).groups)
            return groups[-1].error_code
        code = self.settled(ask)
        found = groups[-1]
        return f"{code} {found.group_state} type={found.protocol_type!r} {len(found.members)} members"

    def listed(self, group):
        found = [g for g in self.ask(admin.ListGroupsRequest, 4, states_filter=[]).groups if g.group_id == group]
        return [(g.protocol_type, g.group_state) for g in found]


# Hand-made batches.


def varint(value):
    value, out = (value << 1) ^ (value >> 63), bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def record(delta, time_delta=0, value=b"value", key=None):
    key = varint(-1) if key is None else varint(len(key)) + key
    fields = b"\0" + varint(time_delta) + varint(delta) + key + varint(len(value)) + value + varint(0)
    return varint(len(fields)) + fields


def batch(records=None, count=2, last_delta=None, attributes=0, producer=NO_SEQUENCE, magic=2, crc=None, time_ms=None, length=None):
    """A batch, by default of two records."""
    records = b"".join(record(delta) for delta in range(2)) if records is None else records
    time_ms = int(time.time() * 1000) if time_ms is None else time_ms
    last_delta = count - 1 if last_delta is None else last_delta
    body = struct.pack(">hiqqqhii", attributes, last_delta, time_ms, time_ms, *producer, count) + records
    crc = crc32c(body) if crc is None else crc
    length = 9 + len(body) if length is None else length
    return struct.pack(">qiibI", 0, length, -1, magic, crc) + body


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


GARBAGE = bytes(range(7, 207))
TWO = b"".join(record(delta) for delta in range(2))


def now_ms():
    return int(time.time() * 1000)


def batches():
    """The names of probes, each with a batch or with what is sent in its place."""
    yield "sound", batch()
    for codec, name in enumerate(["gzip", "snappy", "lz4", "zstd"], 1):
        yield f"garbage under {name}", batch(GARBAGE, attributes=codec)
        yield f"nothing under {name}", batch(b"", attributes=codec)
    yield "gzip, sound", batch(gzip.compress(TWO), attributes=1)
    yield "gzip, a record less than it says", batch(gzip.compress(TWO), count=3, attributes=1)
    yield "gzip, a record more than it says", batch(gzip.compress(TWO + record(2)), attributes=1)
    yield "gzip, cut off", batch(gzip.compress(TWO)[:-12], attributes=1)
    yield "gzip, bytes behind the records", batch(gzip.compress(TWO + b"\x01\x02"), attributes=1)
    yield "gzip, bytes behind the stream", batch(gzip.compress(TWO) + b"\x01\x02", attributes=1)
    for codec in (5, 6, 7):
        yield f"codec {codec}", batch(GARBAGE, attributes=codec)
    yield "a record less than it says", batch(count=3)
    yield "a record more than it says", batch(TWO + record(2))
    yield "last offset delta too large", batch(last_delta=5)
    yield "last offset delta too small", batch(last_delta=0)
    yield "no records", batch(b"", count=0, last_delta=0)
    yield "no records, last offset delta -1", batch(b"", count=0, last_delta=-1)
    yield "a negative number of records", batch(count=-1, last_delta=1)
    yield "garbage records", batch(GARBAGE)
    yield "a record cut off", batch(TWO[:-3])
    yield "bytes behind the records", batch(TWO + b"\x01\x02")
    yield "offset deltas with a gap", batch(record(0) + record(2))
    yield "offset deltas from 1", batch(record(1) + record(2))
    yield "a record of a negative length", batch(varint(-5) + record(1))
    yield "a key of length -2", batch(record(0)[:4] + varint(-2) + record(0)[5:] + record(1))
    yield "two hours ahead", batch(time_ms=now_ms() + 2 * HOUR_MS)
    yield "half an hour ahead", batch(time_ms=now_ms() + HOUR_MS // 2)
    yield "a record two hours ahead of its batch", batch(record(0, 2 * HOUR_MS) + record(1))
    yield "a year ago", batch(time_ms=now_ms() - 365 * 24 * HOUR_MS)
    yield "timestamp -1", batch(time_ms=-1)
    yield "timestamp -5", batch(time_ms=-5)
    yield "two batches", batch() + batch()
    yield "a wrong checksum", batch(crc=7)
    yield "magic 0", batch(magic=0)
    yield "magic 1", batch(magic=1)
    yield "magic 3", batch(magic=3)
    yield "null", None
    yield "empty", b""
    yield "five bytes", b"12345"
    yield "cut off in the header", batch()[:40]
    yield "cut off in the records", batch()[:-5]
    yield "a length beyond the bytes", batch(length=5000)
    yield "a length of 10", batch(length=10)
    yield "bytes behind the batch", batch() + b"123"
    yield "a control batch", batch(record(0, key=b"\0\0\0\0", value=b"\0\0\0\0\0\0"), count=1, attributes=0x20, producer=(7, 0, -1))
    yield "transactional, without a transaction", batch(attributes=0x10, producer=(7, 0, 0))
    yield "a producer without a sequence", batch(producer=(7, 0, -1))
    yield "a producer without an epoch", batch(producer=(7, -1, 0))
    yield "an unknown producer's first", batch(producer=(123_456_789, 0, 0))
    yield "an unknown producer, from the middle", batch(producer=(123_456_789, 0, 9))
    yield "stamped with the time of appending", batch(attributes=0x08)
    yield "with a delete horizon", batch(attributes=0x40)
    yield "an unused attribute", batch(attributes=0x200)
    yield "too large", batch(record(0, value=b"x" * 1_100_000), count=1, crc=7)


def sequences(broker):
    """The answers to an idempotent producer: in order, repeated, with a gap, from another epoch."""
    broker.create()
    fields = {"transactional_id": None, "transaction_timeout_ms": 1000, "producer_id": -1, "producer_epoch": -1}
    for _ in range(50):
        identity = broker.ask(producer.InitProducerIdRequest, 4, **fields)
        if identity.error_code == 0:
            break
        time.sleep(0.1)
    sent = [(0, 0), (0, 2), (0, 2), (0, 9), (1, 0), (0, 4), (1, 5), (1, 2)]
    answers = []
    for epoch, sequence in sent:
        stored = broker.produce(batch(producer=(identity.producer_id, epoch, sequence)))
        answers.append(f"{name_of(stored.error_code)}@{stored.base_offset}")
    return " ".join(answers)


def topic_configs():
    for key, value in [
        ("retention.ms", "x"), ("retention.ms", "-2"), ("retention.ms", "1000"), ("retention.bytes", "-1"), ("segment.bytes", "1"),
        ("segment.ms", "0"), ("segment.ms", "600000"), ("cleanup.policy", "compact"), ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", "delete,compact"), ("cleanup.policy", "shred"), ("compression.type", "producer"), ("compression.type", "uncompressed"),
        ("compression.type", "gzip"), ("compression.type", "rar"), ("min.insync.replicas", "1"), ("min.insync.replicas", "0"),
        ("min.insync.replicas", "3"), ("message.timestamp.type", "CreateTime"), ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "100000"), ("max.message.bytes", "-1"), ("flush.messages", "1"), ("flush.ms", "1000"),
        ("delete.retention.ms", "100"), ("min.cleanable.dirty.ratio", "0.01"), ("min.cleanable.dirty.ratio", "2"),
        ("min.compaction.lag.ms", "0"), ("max.compaction.lag.ms", "1000"), ("segment.index.bytes", "1000"), ("segment.jitter.ms", "0"),
        ("preallocate", "false"), ("preallocate", "true"), ("preallocate", "maybe"), ("unclean.leader.election.enable", "false"),
        ("index.interval.bytes", "4096"), ("file.delete.delay.ms", "1000"), ("message.format.version", "3.0"),
        ("message.downconversion.enable", "false"), ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "1000"), ("message.timestamp.difference.max.ms", "1000"),
        ("follower.replication.throttled.replicas", "*"), ("remote.storage.enable", "false"), ("remote.storage.enable", "true"),
        ("local.retention.ms", "-2"), ("compression.gzip.level", "1"), ("no.such.setting", "1"), ("", "1"), ("retention.ms", None),
    ]:
        yield f"create with {key}={value}", lambda broker, key=key, value=value: broker.create(configs={key: value})


def existing(broker, **fields):
    broker.create()
    return broker.create(**fields)


def dotted(broker):
    name = broker.topic.replace("-", ".")
    return broker.create(name=name) + " " + broker.create(name=name.replace(".", "_"))


def grown(broker, count, assignments=None, name=None, validate_only=False):
    broker.create(partitions=3)
    assignments = [{"broker_ids": brokers} for brokers in assignments] if assignments is not None else None
    topics = [{"name": name or broker.topic, "count": count, "assignments": assignments}]
    answer = broker.ask(admin.CreatePartitionsRequest, 3, topics=topics, timeout_ms=10_000, validate_only=validate_only)
    return name_of(answer.results[0].error_code)


def deleted(broker, version, **topic):
    topics = [{"name": None, "topic_id": uuid.UUID(int=0)} | topic]
    answer = broker.ask(admin.DeleteTopicsRequest, version, topic_names=[topic.get("name") or ""], topics=topics, timeout_ms=10_000)
    return name_of(answer.responses[0].error_code)


def described(broker, kind, name):
    asked = [{"resource_type": kind, "resource_name": name, "configuration_keys": None}]
    [result] = broker.ask(admin.DescribeConfigsRequest, 4, resources=asked).results
    return name_of(result.error_code)


def config_names(broker):
    broker.create()
    asked = [{"resource_type": 2, "resource_name": broker.topic, "configuration_keys": None}]
    [result] = broker.ask(admin.DescribeConfigsRequest, 4, resources=asked).results
    return ",".join(sorted(config.name for config in result.configs))


def group_of_commits(broker):
    broker.create()
    group = f"g-{broker.topic}"
    return f"{broker.commit(group)} {broker.describe(group)} {broker.listed(group)}"


def group_that_was_left(broker):
    broker.create()
    group = f"g-{broker.topic}"
    code, joined = broker.join(group)
    left = broker.ask(consumer.LeaveGroupRequest, 3, group_id=group, members=[{"member_id": joined.member_id}])
    return f"{code} {name_of(left.members[0].error_code)} {broker.describe(group)} {broker.listed(group)}"


def deleted_group(broker, name):
    if not name:
        committed(broker, group=name)
    return name_of(broker.ask(admin.DeleteGroupsRequest, 2, groups_names=[name]).results[0].error_code)


def joined(broker, **fields):
    return broker.join(fields.pop("group", f"g-{broker.topic}"), **fields)[0]


def joined_twice(broker, **other):
    group = f"g-{broker.topic}"
    broker.join(group)
    return broker.join(group, **other)[0]


def synced(broker):
    fields = {"group_id": f"g-{broker.topic}", "generation_id": 1, "member_id": "m", "assignments": []}
    return name_of(broker.ask(consumer.SyncGroupRequest, 3, **fields).error_code)


def beaten(broker):
    fields = {"group_id": f"g-{broker.topic}", "generation_id": 1, "member_id": "m"}
    return name_of(broker.ask(consumer.HeartbeatRequest, 3, **fields).error_code)


def left(broker):
    answer = broker.ask(consumer.LeaveGroupRequest, 3, group_id=f"g-{broker.topic}", members=[{"member_id": "m"}])
    return f"{name_of(answer.error_code)} {[name_of(member.error_code) for member in answer.members]}"


def committed(broker, **fields):
    broker.create()
    return broker.commit(fields.pop("group", f"g-{broker.topic}"), **fields)


def fetched(broker, offset, partition=0, version=12, topic=None):
    broker.create()
    broker.produce(batch())
    asked = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20, "current_leader_epoch": -1}
    asked |= {"log_start_offset": -1, "last_fetched_epoch": -1}
    topics = [{"topic": topic or broker.topic, "partitions": [asked]}]
    limits = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 20, "replica_id": -1, "isolation_level": 0}
    answer = broker.ask(consumer.FetchRequest, version, session_id=0, session_epoch=-1, topics=topics, **limits)
    found = answer.responses[0].partitions[0]
    return f"{name_of(found.error_code)} hw={found.high_watermark} lso={found.last_stable_offset} {len(found.records or b'')} bytes"


def coordinated(broker, kind, key="k"):
    codes = []
    def ask():
        codes.append(broker.ask(metadata.FindCoordinatorRequest, 4, key_type=kind, coordinator_keys=[key]).coordinators[0].error_code)
        return codes[-1]
    return broker.settled(ask)


def listed_offsets(broker, timestamp, version=7):
    broker.create()
    if timestamp is not None:
        for time_ms in (1000, 3000, 2000):
            broker.produce(batch(record(0) + record(1, 5), time_ms=time_ms))
    return broker.offsets(timestamp, version)


def topics_named(broker, name):
    topics = [{"name": name, "topic_id": uuid.UUID(int=0)}]
    answer = broker.ask(metadata.MetadataRequest, 12, topics=topics, allow_auto_topic_creation=True)
    return name_of(answer.topics[0].error_code)


def initialised(broker, transactional_id, timeout_ms=10_000, producer_id=-1, epoch=-1):
    codes = []
    def ask():
        fields = {"transactional_id": transactional_id, "transaction_timeout_ms": timeout_ms}
        answer = broker.ask(producer.InitProducerIdRequest, 4, producer_id=producer_id, producer_epoch=epoch, **fields)
        codes.append(answer.error_code)
        return answer.error_code
    return broker.settled(ask)


PROBES = (
    {f"produce: {name}": lambda broker, records=records: broker.stored(records) for name, records in batches()}
    | {
        "produce: acks 2": lambda broker: broker.stored(batch(), acks=2),
        "produce: no such topic": lambda broker: broker.stored(batch(), topic="absent"),
        "produce: no such partition": lambda broker: broker.stored(batch(), partition=9),
        "produce: a sequence of sequences": sequences,
        "create: a topic": lambda broker: broker.create(),
        "create: again": lambda broker: existing(broker),
        "create: again, with a bad setting": lambda broker: existing(broker, configs={"retention.ms": "x"}),
        "create: again, with an unknown setting": lambda broker: existing(broker, configs={"no.such": "x"}),
        "create: again, with 0 partitions": lambda broker: existing(broker, partitions=0),
        "create: again, validate only": lambda broker: existing(broker, validate_only=True),
        "create: twice in one request": lambda broker: broker.create(twice=True),
        "create: on an unknown broker": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [7])]),
        "create: on two brokers of which one is known": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [1, 7])]),
        "create: twice on one broker": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [1, 1])]),
        "create: on no broker": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [])]),
        "create: assigned, with a gap": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [1]), (2, [1])]),
        "create: assigned, one twice": lambda broker: broker.create(partitions=-1, replicas=-1, assignments=[(0, [1]), (0, [1])]),
        "create: assigned, and counted": lambda broker: broker.create(partitions=1, replicas=1, assignments=[(0, [1])]),
        "create: `.` and `_`": dotted,
        "create: __consumer_offsets": lambda broker: broker.create(name="__consumer_offsets"),
        "create: __transaction_state": lambda broker: broker.create(name="__transaction_state"),
        "create: __cluster_metadata": lambda broker: broker.create(name="__cluster_metadata"),
        "create: 2 replicas": lambda broker: broker.create(replicas=2),
        "create: 0 replicas": lambda broker: broker.create(replicas=0),
        "create: -1 replicas": lambda broker: broker.create(replicas=-1),
        "create: 0 partitions": lambda broker: broker.create(partitions=0),
        "create: -1 partitions": lambda broker: broker.create(partitions=-1),
        "create: -2 partitions": lambda broker: broker.create(partitions=-2),
        "create: an illegal name": lambda broker: broker.create(name="a/b"),
        "create: an empty name": lambda broker: broker.create(name=""),
        "create: a name of dots": lambda broker: broker.create(name=".."),
        "create: a name of 250 letters": lambda broker: broker.create(name="t" * 250),
        "create: validate only": lambda broker: broker.create(validate_only=True) + " " + broker.create(),
    }
    | dict(topic_configs())
    | {
        "grow: to more": lambda broker: grown(broker, 5),
        "grow: to as many": lambda broker: grown(broker, 3),
        "grow: to fewer": lambda broker: grown(broker, 2),
        "grow: to -1": lambda broker: grown(broker, -1),
        "grow: no such topic": lambda broker: grown(broker, 5, name="absent"),
        "grow: assigned": lambda broker: grown(broker, 4, [[1]]),
        "grow: assigned to an unknown broker": lambda broker: grown(broker, 4, [[7]]),
        "grow: too few assigned": lambda broker: grown(broker, 5, [[1]]),
        "grow: too many assigned": lambda broker: grown(broker, 4, [[1], [1]]),
        "grow: validate only": lambda broker: grown(broker, 5, validate_only=True),
        "delete: no such topic": lambda broker: deleted(broker, 6, name="absent"),
        "delete: no such topic, by list": lambda broker: deleted(broker, 5, name="absent"),
        "delete: no such id": lambda broker: deleted(broker, 6, topic_id=uuid.UUID(int=77)),
        "delete: neither name nor id": lambda broker: deleted(broker, 6),
        "describe: no such topic": lambda broker: described(broker, 2, "absent"),
        "describe: an illegal topic": lambda broker: described(broker, 2, "a/b"),
        "describe: the broker": lambda broker: described(broker, 4, "1"),
        "describe: any broker": lambda broker: described(broker, 4, ""),
        "describe: another broker": lambda broker: described(broker, 4, "7"),
        "describe: a broker of letters": lambda broker: described(broker, 4, "x"),
        "describe: an unknown kind": lambda broker: described(broker, 77, "x"),
        "group: commits without members": group_of_commits,
        "group: left by its only member": group_that_was_left,
        "group: unknown": lambda broker: broker.describe(f"g-{broker.topic}"),
        "group: without a name": lambda broker: (committed(broker, group=""), broker.describe(""))[1],
        "group: delete an unknown one": lambda broker: deleted_group(broker, broker.topic),
        "group: delete one without a name": lambda broker: deleted_group(broker, ""),
        "join: without a group": lambda broker: joined(broker, group=""),
        "join: a session too short": lambda broker: joined(broker, session_ms=10),
        "join: a session too long": lambda broker: joined(broker, session_ms=3_600_000),
        "join: without strategies": lambda broker: joined(broker, strategies=()),
        "join: without a kind": lambda broker: joined(broker, kind=""),
        "join: an unknown member": lambda broker: joined(broker, member="who"),
        "join: with no strategy in common": lambda broker: joined_twice(broker, strategies=("other",)),
        "join: of another kind": lambda broker: joined_twice(broker, kind="connect"),
        "sync: an unknown group": synced,
        "heartbeat: an unknown group": beaten,
        "leave: an unknown group": left,
        "commit: alone": lambda broker: committed(broker),
        "commit: without a group": lambda broker: committed(broker, group=""),
        "commit: an unknown member": lambda broker: committed(broker, member="m", generation=1),
        "commit: a member without a generation": lambda broker: committed(broker, member="m"),
        "commit: a negative offset": lambda broker: committed(broker, offset=-5),
        "commit: metadata of 5000 letters": lambda broker: committed(broker, metadata="m" * 5000),
        "commit: no such topic": lambda broker: committed(broker, topic="absent"),
        "commit: no such partition": lambda broker: committed(broker, partition=9),
        "fetch: from the start": lambda broker: fetched(broker, 0),
        "fetch: from inside a batch": lambda broker: fetched(broker, 1),
        "fetch: at the end": lambda broker: fetched(broker, 2),
        "fetch: beyond the end": lambda broker: fetched(broker, 3),
        "fetch: offset -1": lambda broker: fetched(broker, -1),
        "fetch: no such topic": lambda broker: fetched(broker, 0, topic="absent"),
        "fetch: no such partition": lambda broker: fetched(broker, 0, partition=9),
        "coordinator: of a group": lambda broker: coordinated(broker, 0),
        "coordinator: of a group without a name": lambda broker: coordinated(broker, 0, ""),
        "coordinator: of a transactional id": lambda broker: coordinated(broker, 1),
        "coordinator: of an unknown kind": lambda broker: coordinated(broker, 9),
    }
    | {f"offsets: at {time_ms}": lambda broker, time_ms=time_ms: listed_offsets(broker, time_ms) for time_ms in (0, 1000, 1001, 2500, 3000, 3006, -1, -2, -3)}
    | {
        "offsets: of nothing, at 0": lambda broker: (broker.create(), broker.offsets(0))[1],
        "offsets: of nothing, of the greatest timestamp": lambda broker: (broker.create(), broker.offsets(-3))[1],
        "offsets: -7": lambda broker: listed_offsets(broker, -7),
        "offsets: no such partition": lambda broker: (broker.create(), broker.offsets(0, partition=9))[1],
        "metadata: an illegal name": lambda broker: topics_named(broker, "a/b"),
        "metadata: an empty name": lambda broker: topics_named(broker, ""),
        "producer: idempotent": lambda broker: initialised(broker, None),
        "producer: transactional": lambda broker: initialised(broker, broker.topic),
        "producer: transactional, without a name": lambda broker: initialised(broker, ""),
        "producer: transactional, a timeout of a day": lambda broker: initialised(broker, broker.topic, timeout_ms=24 * HOUR_MS),
        "producer: transactional, a timeout of 0": lambda broker: initialised(broker, broker.topic, timeout_ms=0),
        "producer: an id without an epoch": lambda broker: initialised(broker, broker.topic, producer_id=5),
        "producer: an epoch without an id": lambda broker: initialised(broker, broker.topic, epoch=5),
        "producer: an id of somebody else": lambda broker: initialised(broker, broker.topic, producer_id=5, epoch=5),
    }
    | transaction_probes(batch, name_of)
    | admin_probes(batch, name_of, committed)
)


if __name__ == "__main__":
    main()
