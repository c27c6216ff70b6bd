"""The administration probes of compare.py: changed settings, deleted records and offsets, log directories."""

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer

SET, DELETE, APPEND, SUBTRACT = range(4)


def probes(batch, name_of, committed):
    def setting(broker, name):
        asked = [{"resource_type": 2, "resource_name": broker.topic, "configuration_keys": [name]}]
        configs = broker.ask(admin.DescribeConfigsRequest, 4, resources=asked).results[0].configs
        return configs[0].value if configs else None

    def altered(broker, configs, shown="retention.ms", kind=2, name=None, twice=False, validate_only=False):
        broker.create(configs={"max.message.bytes": "100000"})
        broker.offsets(-1)
        configs = [{"name": key, "value": value} for key, value in configs]
        asked = [{"resource_type": kind, "resource_name": broker.topic if name is None else name, "configs": configs}] * (2 if twice else 1)
        answer = broker.ask(admin.AlterConfigsRequest, 2, resources=asked, validate_only=validate_only)
        codes = ", ".join(name_of(response.error_code) for response in answer.responses)
        return f"{codes} {setting(broker, shown)} {setting(broker, 'max.message.bytes')}"

    def changed(broker, *configs, shown="retention.ms", kind=2, name=None, twice=False, validate_only=False):
        broker.create(configs={"retention.ms": "1000000"})
        broker.offsets(-1)
        configs = [{"name": key, "config_operation": operation, "value": value} for key, operation, value in configs]
        asked = [{"resource_type": kind, "resource_name": broker.topic if name is None else name, "configs": configs}] * (2 if twice else 1)
        answer = broker.ask(admin.IncrementalAlterConfigsRequest, 1, resources=asked, validate_only=validate_only)
        codes = ", ".join(name_of(response.error_code) for response in answer.responses)
        return f"{codes} {setting(broker, shown)}"

    def deleted(broker, *offsets, partition=0, topic=None, batches=3):
        broker.create()
        for number in range(batches):
            broker.produce(batch(time_ms=1000 * (number + 1)))
        told = []
        for offset in offsets:
            topics = [{"name": topic or broker.topic, "partitions": [{"partition_index": partition, "offset": offset}]}]
            [found] = broker.ask(admin.DeleteRecordsRequest, 2, topics=topics, timeout_ms=10_000).topics[0].partitions
            told.append(f"{name_of(found.error_code)} {found.low_watermark}")
        return " | ".join(told + [broker.offsets(-2), broker.offsets(-1), broker.offsets(0)])

    def forgotten(broker, group=None, topic=None, partition=0, join=False):
        committed(broker)
        if join:
            broker.join(f"g-{broker.topic}")
        topics = [{"name": topic or broker.topic, "partitions": [{"partition_index": partition}]}]
        answer = broker.ask(consumer.OffsetDeleteRequest, 0, group_id=f"g-{broker.topic}" if group is None else group, topics=topics)
        codes = [name_of(p.error_code) for t in answer.topics for p in t.partitions]
        return f"{name_of(answer.error_code)} {codes}"

    def epoch(broker, wanted, current=-1, partition=0, topic=None):
        broker.create()
        broker.produce(batch())
        asked = {"partition": partition, "current_leader_epoch": current, "leader_epoch": wanted}
        topics = [{"topic": topic or broker.topic, "partitions": [asked]}]
        [found] = broker.ask(consumer.OffsetForLeaderEpochRequest, 4, replica_id=-1, topics=topics).topics[0].partitions
        return f"{name_of(found.error_code)} {found.leader_epoch} {found.end_offset}"

    def directories(broker, topic=None, partitions=(0,), version=4):
        broker.create()
        broker.produce(batch(time_ms=1000))
        asked = [{"topic": topic or broker.topic, "partitions": list(partitions)}]
        answer = broker.ask(admin.DescribeLogDirsRequest, version, topics=asked)
        found = [(p.partition_index, p.partition_size, p.offset_lag, p.is_future_key) for r in answer.results for t in r.topics for p in t.partitions]
        return f"{len(answer.results)} {found}"

    return {
        "alter: one setting": lambda b: altered(b, [("retention.ms", "5000000")]),
        "alter: none": lambda b: altered(b, []),
        "alter: validate only": lambda b: altered(b, [("retention.ms", "5000000")], validate_only=True),
        "alter: a bad value": lambda b: altered(b, [("retention.ms", "x")]),
        "alter: no value": lambda b: altered(b, [("retention.ms", None)]),
        "alter: an unknown setting": lambda b: altered(b, [("no.such", "1")]),
        "alter: twice in one request": lambda b: altered(b, [("retention.ms", "5000000")], twice=True),
        "alter: no such topic": lambda b: altered(b, [], name="absent"),
        "alter: an illegal topic": lambda b: altered(b, [], name="a/b"),
        "alter: an unknown kind": lambda b: altered(b, [], kind=77),
        "change: set": lambda b: changed(b, ("retention.ms", SET, "5000000")),
        "change: delete": lambda b: changed(b, ("retention.ms", DELETE, None)),
        "change: delete what is not set": lambda b: changed(b, ("segment.bytes", DELETE, None)),
        "change: delete an unknown setting": lambda b: changed(b, ("no.such", DELETE, None)),
        "change: set no value": lambda b: changed(b, ("retention.ms", SET, None)),
        "change: append to a number": lambda b: changed(b, ("retention.ms", APPEND, "5")),
        "change: append to a list": lambda b: changed(b, ("leader.replication.throttled.replicas", APPEND, "0:1"), shown="leader.replication.throttled.replicas"),
        "change: an unknown operation": lambda b: changed(b, ("retention.ms", 9, "5")),
        "change: one setting twice": lambda b: changed(b, ("retention.ms", SET, "5"), ("retention.ms", SET, "6")),
        "change: a bad value": lambda b: changed(b, ("retention.ms", SET, "x")),
        "change: validate only": lambda b: changed(b, ("retention.ms", SET, "5000000"), validate_only=True),
        "change: twice in one request": lambda b: changed(b, ("retention.ms", SET, "5000000"), twice=True),
        "change: no such topic": lambda b: changed(b, ("retention.ms", SET, "5000000"), name="absent"),
        "delete records: some": lambda b: deleted(b, 2),
        "delete records: inside a batch": lambda b: deleted(b, 3),
        "delete records: all": lambda b: deleted(b, -1),
        "delete records: up to the end": lambda b: deleted(b, 6),
        "delete records: beyond the end": lambda b: deleted(b, 7),
        "delete records: more and fewer": lambda b: deleted(b, 4, 2, 5),
        "delete records: a negative offset": lambda b: deleted(b, -2),
        "delete records: no such partition": lambda b: deleted(b, 1, partition=9),
        "delete records: of nothing": lambda b: deleted(b, -1, batches=0),
        "delete offsets: of a group": lambda b: forgotten(b),
        "delete offsets: of an unknown group": lambda b: forgotten(b, group="nobody"),
        "delete offsets: of a group without a name": lambda b: forgotten(b, group=""),
        "delete offsets: no such topic": lambda b: forgotten(b, topic="absent"),
        "delete offsets: no such partition": lambda b: forgotten(b, partition=9),
        "delete offsets: of a group with a member": lambda b: forgotten(b, join=True),
        "epoch: 0": lambda b: epoch(b, 0),
        "epoch: 0, which is the current one": lambda b: epoch(b, 0, current=0),
        "epoch: 1": lambda b: epoch(b, 1),
        "epoch: -1": lambda b: epoch(b, -1),
        "epoch: 0, the current one is 5": lambda b: epoch(b, 0, current=5),
        "epoch: no such partition": lambda b: epoch(b, 0, partition=9),
        "epoch: no such topic": lambda b: epoch(b, 0, topic="absent"),
        "directories: of a partition": lambda b: directories(b),
        "directories: of a partition, in the oldest version": lambda b: directories(b, version=1),
        "directories: no such partition": lambda b: directories(b, partitions=(9,)),
        "directories: no such topic": lambda b: directories(b, topic="absent"),
    }
