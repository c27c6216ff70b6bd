"""Sends every request in every version that the broker advertises, over a plain socket.

kafka-python's schemas encode the requests and decode the answers. Each decoded answer must encode to the same bytes
again, so no byte of it was ignored. Called by conformance.py.
"""

import io
import socket
import struct
import time
import uuid

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

UNKNOWN_TOPIC_OR_PARTITION, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID = 3, 22, 25
NON_EMPTY_GROUP, UNKNOWN_GROUP, MEMBER_ID_REQUIRED, UNKNOWN_TOPIC_ID, UNKNOWN_TRANSACTIONAL_ID = 68, 69, 79, 100, 105


class Connection:
    """Sends requests one after the other, each in a chosen version."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.asked = set()
        self.correlation_id = 0

    def ask(self, request_class, version, **fields):
        response_class = response_of(request_class)
        self.correlation_id += 1
        request = build(request_class, version, fields)
        request.with_header(correlation_id=self.correlation_id)
        self.socket.sendall(request.encode(version=version, header=True, framed=True))
        frame = self.receive(struct.unpack(">i", self.receive(4))[0])
        stream = io.BytesIO(frame)
        header = response_class.parse_header(stream, version=version)
        assert header.correlation_id == self.correlation_id
        body = frame[stream.tell() :]
        response = response_class.decode(body, version=version)
        response._header = None
        again = bytes(response.encode(version=version))
        assert again == body, f"{request_class.__name__} {version}: {body.hex()} reads as {again.hex()}"
        self.asked.add((request_class.API_KEY, version))
        return response

    def receive(self, count):
        received = b""
        while len(received) < count:
            piece = self.socket.recv(count - len(received))
            assert piece, "the broker has closed the connection"
            received += piece
        return received


def response_of(request_class):
    name = request_class.__name__.replace("Request", "Response")
    modules = (admin, consumer, metadata, producer)
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def build(container_class, version, fields):
    """Builds a message from dictionaries."""
    built = {}
    for name, value in fields.items():
        field = container_class._struct.fields[name]
        if not field.for_version_q(version):
            continue
        if field.is_struct_array() and value is not None:
            value = [build(field.data_class, version, item) for item in value]
        built[name] = value
    return container_class(version=version, **built)


def batch(values, timestamp):
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 20)
    for index, value in enumerate(values):
        builder.append(timestamp=timestamp + index, key=None, value=value, headers=[])
    builder.close()
    return bytes(builder.buffer())


def check_versions(address):
    """Returns the number of pairs of request and version that were answered correctly."""
    connection = Connection(address)
    offered = {}
    for version in range(4):
        answer = connection.ask(metadata.ApiVersionsRequest, version, client_software_name="x", client_software_version="1")
        assert answer.error_code == 0
        offered = {api.api_key: range(api.min_version, api.max_version + 1) for api in answer.api_keys}
    run = Run(connection, offered)
    run.topics()
    run.records()
    run.groups()
    run.transactions()
    run.cluster()
    run.alterations()
    run.removal()
    # Like Apache Kafka 4, the broker advertises Produce 0 to 2 only for old versions of librdkafka. kafka-python has no
    # ConsumerGroupHeartbeat (68); the programs in clients/ send it.
    unsent = {(0, 0), (0, 1), (0, 2), (68, 0), (68, 1)}
    expected = {(key, version) for key, versions in offered.items() for version in versions} - unsent
    assert connection.asked == expected, f"never asked: {sorted(expected - connection.asked)}"
    return len(expected)


class Run:
    """The requests in a sensible order."""

    def __init__(self, connection, offered):
        self.ask = connection.ask
        self.offered = offered
        self.topic = f"versions-{uuid.uuid4()}"
        self.no_topic = f"absent-{uuid.uuid4()}"
        self.topic_id = None

    def each(self, request_class, first=0):
        """The versions of a request, each with a function that sends it."""
        for version in self.offered[request_class.API_KEY]:
            if version >= first:
                yield version, lambda version=version, **fields: self.ask(request_class, version, **fields)

    def topics(self):
        for version, ask in self.each(admin.CreateTopicsRequest):
            name = self.topic if version == 7 else f"{self.topic}-{version}"
            wanted = {"name": name, "num_partitions": 2, "replication_factor": 1}
            wanted["configs"] = [{"name": "retention.ms", "value": "-1"}]
            [made] = ask(topics=[wanted], timeout_ms=1000).topics
            assert made.error_code == 0 and made.name == name
            if version >= 5:
                assert made.num_partitions == 2 and any(c.name == "retention.ms" and c.value == "-1" for c in made.configs)
        for version, ask in self.each(admin.CreatePartitionsRequest):
            [grown] = ask(topics=[{"name": self.topic, "count": 3 + version, "assignments": None}], timeout_ms=1000).results
            assert grown.error_code == 0
        for version, ask in self.each(metadata.MetadataRequest):
            answer = ask(topics=[{"name": self.topic, "topic_id": uuid.UUID(int=0)}], allow_auto_topic_creation=False)
            [topic] = answer.topics
            assert (topic.error_code, topic.name, len(topic.partitions)) == (0, self.topic, 6)
            assert [b.node_id for b in answer.brokers] == [p.leader_id for p in topic.partitions[:1]]
            if version >= 10:
                self.topic_id = topic.topic_id
            if version >= 12:
                [by_id] = ask(topics=[{"name": None, "topic_id": self.topic_id}]).topics
                assert (by_id.error_code, by_id.name) == (0, self.topic)
            if version >= 4:
                unknown = [{"name": self.no_topic, "topic_id": uuid.UUID(int=0)}]
                [absent] = ask(topics=unknown, allow_auto_topic_creation=False).topics
                assert absent.error_code == UNKNOWN_TOPIC_OR_PARTITION
            every = ask(topics=[] if version == 0 else None, allow_auto_topic_creation=False)
            assert self.topic in [topic.name for topic in every.topics]
        for version, ask in self.each(admin.DescribeConfigsRequest):
            asked = [{"resource_type": 2, "resource_name": self.topic, "configuration_keys": ["retention.ms"]}]
            [result] = ask(resources=asked).results
            assert result.error_code == 0 and [(c.name, c.value) for c in result.configs] == [("retention.ms", "-1")]
            [result] = ask(resources=[{"resource_type": 4, "resource_name": "1", "configuration_keys": None}]).results
            assert result.error_code == 0 and result.configs

    def records(self):
        end = 0
        for version, ask in self.each(producer.ProduceRequest, first=3):
            data = [{"index": 0, "records": batch([b"a", b"b"], 1000 * (version + 1))}]
            wanted = [{"name": self.topic, "partition_data": data}]
            answer = ask(transactional_id=None, acks=-1, timeout_ms=1000, topic_data=wanted)
            [stored] = answer.responses[0].partition_responses
            assert (stored.error_code, stored.base_offset) == (0, end)
            end += 2
            data[0]["index"] = 99
            [absent] = ask(transactional_id=None, acks=1, timeout_ms=1000, topic_data=wanted).responses[0].partition_responses
            assert absent.error_code == UNKNOWN_TOPIC_OR_PARTITION
        for version, ask in self.each(consumer.FetchRequest):
            self.fetch(version, ask, end)
        for version, ask in self.each(consumer.ListOffsetsRequest):
            for timestamp, expected in [(-2, 0), (-1, end), (0, 0), (4001, 1), (5000, 2), (10**9, -1)]:
                asked = [{"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1}]
                answer = ask(replica_id=-1, isolation_level=0, topics=[{"name": self.topic, "partitions": asked}])
                [found] = answer.topics[0].partitions
                assert (found.error_code, found.offset) == (0, expected), f"{timestamp} gives {found}"
        for version, ask in self.each(producer.InitProducerIdRequest):
            given = ask(transactional_id=None, transaction_timeout_ms=1000, producer_id=-1, producer_epoch=-1)
            assert given.error_code == 0 and given.producer_id >= 0 and given.producer_epoch == 0

    def fetch(self, version, ask, end):
        def fetch(offset, topic_id=self.topic_id, **limits):
            asked = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20, "current_leader_epoch": -1}
            asked |= {"log_start_offset": -1, "last_fetched_epoch": -1}
            topic = {"topic": self.topic, "topic_id": topic_id, "partitions": [asked]}
            limits = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 20} | limits
            answer = ask(replica_id=-1, isolation_level=1, session_id=0, session_epoch=-1, topics=[topic], **limits)
            return answer.responses[0].partitions[0]

        for offset in range(end):
            found = fetch(offset)
            assert (found.error_code, found.high_watermark) == (0, end)
            batches, first = MemoryRecords(bytes(found.records)), None
            while batches.has_next():
                next_batch = batches.next_batch()
                first = next_batch.base_offset if first is None else first
                assert next_batch.validate_crc()
            assert first == offset // 2 * 2, "the batch that holds the offset comes first"
        assert fetch(0, max_bytes=1).records, "one batch is sent however large it is"
        begin = time.monotonic()
        assert not fetch(end, max_wait_ms=100).records and time.monotonic() - begin >= 0.1
        assert fetch(end + 1).error_code == 1
        if version >= 13:
            assert fetch(0, topic_id=uuid.uuid4()).error_code == UNKNOWN_TOPIC_ID

    def groups(self):
        for version, ask in self.each(metadata.FindCoordinatorRequest):
            answer = ask(key="g", key_type=0, coordinator_keys=["g", "h"])
            found = answer.coordinators if version >= 4 else [answer]
            assert [(c.error_code, c.node_id) for c in found] == [(0, 1)] * (2 if version >= 4 else 1)
            if version >= 1:
                answer = ask(key="t", key_type=1, coordinator_keys=["t"])
                found = answer.coordinators if version >= 4 else [answer]
                assert (found[0].error_code, found[0].node_id) == (0, 1)
        for version, ask in self.each(consumer.JoinGroupRequest):
            self.membership(version, ask)
        for version, ask in self.each(consumer.OffsetCommitRequest):
            positions = [{"partition_index": 0, "committed_offset": version, "committed_metadata": "m"}]
            topics = [{"name": self.topic, "partitions": positions}, {"name": self.no_topic, "partitions": positions}]
            answer = ask(group_id=f"{self.topic}-o", generation_id_or_member_epoch=-1, member_id="", topics=topics)
            codes = [topic.partitions[0].error_code for topic in answer.topics]
            assert codes == [0, UNKNOWN_TOPIC_OR_PARTITION]
        newest = self.offered[consumer.OffsetCommitRequest.API_KEY][-1]
        for version, ask in self.each(consumer.OffsetFetchRequest):
            wanted = [{"name": self.topic, "partition_indexes": [0, 1]}]
            for topics in [wanted, None] if version >= 2 else [wanted]:
                answer = ask(group_id=f"{self.topic}-o", topics=topics, groups=[{"group_id": f"{self.topic}-o", "topics": topics}])
                [topic] = answer.groups[0].topics if version >= 8 else answer.topics
                found = [(p.committed_offset, p.metadata) for p in topic.partitions]
                assert found == ([(newest, "m"), (-1, "")] if topics else [(newest, "m")])

    def transactions(self):
        """Runs one transaction for each version of each request: begins, writes, describes and ends it."""
        version_of = lambda request, number: min(number, self.offered[request.API_KEY][-1])
        for number in range(6):
            pick = lambda request, **fields: self.ask(request, version_of(request, number), **fields)
            id = f"{self.topic}-{number}"
            given = pick(producer.InitProducerIdRequest, transactional_id=id, transaction_timeout_ms=60_000, producer_id=-1, producer_epoch=-1)
            assert (given.error_code, given.producer_epoch) == (0, 0)
            me = {"producer_id": given.producer_id, "producer_epoch": 0}
            topics = [{"name": self.topic, "partitions": [1, 2]}]
            old = {f"v3_and_below_{key}": value for key, value in (me | {"transactional_id": id, "topics": topics}).items()}
            [added] = pick(producer.AddPartitionsToTxnRequest, **old).results_by_topic_v3_and_below
            assert [(p.partition_index, p.partition_error_code) for p in added.results_by_partition] == [(1, 0), (2, 0)]
            assert pick(producer.AddOffsetsToTxnRequest, transactional_id=id, group_id=id, **me).error_code == 0
            position = {"partition_index": 0, "committed_offset": number, "committed_metadata": "m"}
            topics = [{"name": self.topic, "partitions": [position]}]
            about = {"transactional_id": id, "group_id": id, "generation_id": -1, "member_id": ""} | me
            [taken] = pick(producer.TxnOffsetCommitRequest, topics=topics, **about).topics[0].partitions
            assert taken.error_code == 0
            for _, ask in self.each(admin.DescribeTransactionsRequest):
                found, absent = ask(transactional_ids=[id, "no-such-id"]).transaction_states
                assert (found.transaction_state, [t.partitions for t in found.topics]) == ("Ongoing", [[1, 2]])
                assert absent.error_code == UNKNOWN_TRANSACTIONAL_ID
            for _, ask in self.each(admin.ListTransactionsRequest):
                about = {"state_filters": ["Ongoing"], "producer_id_filters": [given.producer_id]}
                listed = ask(duration_filter=-1, **about).transaction_states
                assert [t.transactional_id for t in listed] == [id]
            assert pick(producer.EndTxnRequest, transactional_id=id, committed=number % 2 == 0, **me).error_code == 0
            wanted = [{"name": self.topic, "partition_indexes": [0]}]
            answer = self.ask(consumer.OffsetFetchRequest, 8, groups=[{"group_id": id, "topics": wanted}], require_stable=True)
            assert answer.groups[0].topics[0].partitions[0].committed_offset == (number if number % 2 == 0 else -1)
        for _, ask in self.each(admin.DescribeProducersRequest):
            [known] = ask(topics=[{"name": self.topic, "partition_indexes": [1]}]).topics[0].partitions
            assert (known.error_code, len(known.active_producers)) == (0, 6)

    def membership(self, version, join):
        """A member joins, syncs, sends a heartbeat, is described, leaves. The other requests use matching versions."""
        group = f"{self.topic}-{version}"
        about = {"group_id": group, "session_timeout_ms": 10000, "rebalance_timeout_ms": 10000, "protocol_type": "consumer"}
        about["protocols"] = [{"name": "range", "metadata": b"m"}]
        joined = join(member_id="", **about)
        if version >= 4:
            assert joined.error_code == MEMBER_ID_REQUIRED
            joined = join(member_id=joined.member_id, **about)
        assert (joined.error_code, joined.protocol_name, joined.leader) == (0, "range", joined.member_id)
        assert [bytes(member.metadata) for member in joined.members] == [b"m"]
        member = {"group_id": group, "member_id": joined.member_id, "generation_id": joined.generation_id}
        assignments = [{"member_id": joined.member_id, "assignment": b"a"}]
        for _, sync in self.each(consumer.SyncGroupRequest):
            synced = sync(assignments=assignments, protocol_type="consumer", protocol_name="range", **member)
            assert (synced.error_code, bytes(synced.assignment)) == (0, b"a")
        for _, beat in self.each(consumer.HeartbeatRequest):
            assert beat(**member).error_code == 0
            assert beat(**member | {"generation_id": 99}).error_code == ILLEGAL_GENERATION
            assert beat(**member | {"member_id": "who"}).error_code == UNKNOWN_MEMBER_ID
        for listing, ask in self.each(admin.ListGroupsRequest):
            listed = {g.group_id: g for g in ask(states_filter=[]).groups}
            assert listed[group].protocol_type == "consumer"
            if listing >= 4:
                assert listed[group].group_state == "Stable"
                assert group not in [g.group_id for g in ask(states_filter=["Empty"]).groups]
        for _, ask in self.each(admin.DescribeGroupsRequest):
            described, absent = ask(groups=[group, "no-such-group"]).groups
            assert (described.group_state, described.protocol_data, absent.group_state) == ("Stable", "range", "Dead")
            assert [bytes(m.member_assignment) for m in described.members] == [b"a"]
        for _, ask in self.each(admin.DeleteGroupsRequest):
            assert ask(groups_names=[group]).results[0].error_code == NON_EMPTY_GROUP
        leavers = [leave for leaving, leave in self.each(consumer.LeaveGroupRequest) if leaving % 6 == version % 6]
        for leave in leavers:
            left = leave(group_id=group, member_id=joined.member_id, members=[{"member_id": joined.member_id}])
            assert left.error_code == 0 and all(m.error_code == 0 for m in left.members)
        assert leavers and self.ask(consumer.HeartbeatRequest, 0, **member).error_code == UNKNOWN_MEMBER_ID

    def cluster(self):
        for _, ask in self.each(admin.DescribeClusterRequest):
            answer = ask()
            assert (answer.error_code, answer.controller_id, len(answer.brokers)) == (0, 1, 1)

    def alterations(self):
        def shown(name):
            asked = [{"resource_type": 2, "resource_name": self.topic, "configuration_keys": [name]}]
            [config] = self.ask(admin.DescribeConfigsRequest, 4, resources=asked).results[0].configs
            return config.value

        for version, ask in self.each(admin.AlterConfigsRequest):
            configs = [{"name": "retention.ms", "value": str(10_000_000 + version)}]
            asked = {"resource_type": 2, "resource_name": self.topic, "configs": configs}
            assert ask(resources=[asked], validate_only=True).responses[0].error_code == 0 and shown("retention.ms") != configs[0]["value"]
            assert ask(resources=[asked], validate_only=False).responses[0].error_code == 0
            assert shown("retention.ms") == configs[0]["value"]
        for version, ask in self.each(admin.IncrementalAlterConfigsRequest):
            for operation, value, expected in [(0, "20000000", "20000000"), (1, None, "604800000")]:
                configs = [{"name": "retention.ms", "config_operation": operation, "value": value}]
                asked = {"resource_type": 2, "resource_name": self.topic, "configs": configs}
                assert ask(resources=[asked], validate_only=False).responses[0].error_code == 0
                assert shown("retention.ms") == expected
        for version, ask in self.each(admin.DescribeLogDirsRequest):
            [described] = ask(topics=[{"topic": self.topic, "partitions": [0, 99]}]).results
            assert [(t.name, [p.partition_index for p in t.partitions]) for t in described.topics] == [(self.topic, [0])]
            assert described.error_code == 0 and described.topics[0].partitions[0].partition_size > 0
        for version, ask in self.each(consumer.OffsetForLeaderEpochRequest):
            asked = {"partition": 0, "current_leader_epoch": 0, "leader_epoch": 0}
            [found] = ask(replica_id=-1, topics=[{"topic": self.topic, "partitions": [asked]}]).topics[0].partitions
            assert (found.error_code, found.leader_epoch) == (0, 0) and found.end_offset > 0
        for version, ask in self.each(admin.DeleteRecordsRequest):
            for offset, code, start in [(version + 1, 0, version + 1), (0, 0, version + 1), (9999, 1, -1)]:
                topics = [{"name": self.topic, "partitions": [{"partition_index": 0, "offset": offset}]}]
                [deleted] = ask(topics=topics, timeout_ms=1000).topics[0].partitions
                assert (deleted.error_code, deleted.low_watermark) == (code, start)
        for version, ask in self.each(consumer.OffsetDeleteRequest):
            group = f"{self.topic}-o"
            answer = ask(group_id=group, topics=[{"name": self.topic, "partitions": [{"partition_index": 0}]}])
            assert (answer.error_code, answer.topics[0].partitions[0].error_code) == (0, 0)
            assert ask(group_id="no-such-group", topics=[]).error_code == UNKNOWN_GROUP

    def removal(self):
        for version, ask in self.each(admin.DeleteGroupsRequest):
            group = f"{self.topic}-{version}"
            position = {"name": self.topic, "partitions": [{"partition_index": 0, "committed_offset": 1}]}
            commit = {"group_id": group, "generation_id_or_member_epoch": -1, "member_id": "", "topics": [position]}
            assert self.ask(consumer.OffsetCommitRequest, 8, **commit).topics[0].partitions[0].error_code == 0
            assert [result.error_code for result in ask(groups_names=[group, "no-such-group"]).results] == [0, UNKNOWN_GROUP]
        for version, ask in self.each(admin.DeleteTopicsRequest):
            # CreateTopics created one topic for each version from 2 on. The other requests used the topic of version 7.
            name = {1: f"{self.topic}-6", 6: self.topic}.get(version, f"{self.topic}-{version}")
            by_id = {"name": None, "topic_id": self.topic_id}
            answer = ask(topic_names=[name], topics=[by_id], timeout_ms=1000)
            assert [(t.error_code, t.name) for t in answer.responses] == [(0, name)]
