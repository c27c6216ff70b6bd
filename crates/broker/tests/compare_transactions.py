"""The transaction probes of compare.py: the answers to a producer at each step, and what readers see afterwards."""

import time

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.producer as producer

CONCURRENT_TRANSACTIONS = 51
# The errors while a coordinator starts or a transaction ends.
RETRIED = (14, 15, 16, CONCURRENT_TRANSACTIONS)
TRANSACTIONAL = 0x10


class Producer:
    """A transactional producer that sends one request at a time. Each step adds the answer to the transcript."""

    def __init__(self, broker, batch, name_of, partitions=2):
        self.broker, self.batch, self.name_of = broker, batch, name_of
        self.told = []
        self.id, self.producer_id, self.epoch, self.sequence = broker.topic, -1, -1, {}
        broker.create(partitions=partitions)
        for partition in range(partitions):
            # A new topic may not have all its leaders yet.
            while broker.offsets(-1, partition=partition).startswith(("UnknownTopicOrPartition", "NotLeader")):
                time.sleep(0.05)

    def ask(self, code_of, request_class, version, **fields):
        for _ in range(300):
            answer = self.broker.ask(request_class, version, **fields)
            if code_of(answer) not in RETRIED:
                break
            time.sleep(0.05)
        return answer

    def say(self, *words):
        self.told.append(" ".join(str(word) for word in words))
        return self

    def init(self, claimed=(-1, -1), timeout_ms=60_000, keep=True):
        fields = {"transactional_id": self.id, "transaction_timeout_ms": timeout_ms}
        fields |= {"producer_id": claimed[0], "producer_epoch": claimed[1]}
        answer = self.ask(lambda a: a.error_code, producer.InitProducerIdRequest, 4, **fields)
        if answer.error_code == 0 and keep:
            self.producer_id, self.epoch, self.sequence = answer.producer_id, answer.producer_epoch, {}
        return self.say(self.name_of(answer.error_code), answer.producer_epoch)

    def me(self, epoch=0, producer_id=None):
        return {"producer_id": self.producer_id if producer_id is None else producer_id, "producer_epoch": self.epoch + epoch}

    def add(self, *partitions, topics=(), id=None, version=3, **other):
        names = topics or (self.broker.topic,)
        topics = [{"name": name, "partitions": list(partitions)} for name in names]
        me = {f"v3_and_below_{key}": value for key, value in self.me(**other).items()}
        fields = {"v3_and_below_transactional_id": self.id if id is None else id, "v3_and_below_topics": topics} | me
        codes = lambda a: [p.partition_error_code for t in a.results_by_topic_v3_and_below for p in t.results_by_partition]
        answer = self.ask(lambda a: codes(a)[0], producer.AddPartitionsToTxnRequest, version, **fields)
        topics = {t.name: {p.partition_index: p.partition_error_code for p in t.results_by_partition} for t in answer.results_by_topic_v3_and_below}
        return self.say(*(self.name_of(topics[name][index]) for name in names for index in partitions))

    def write(self, partition=0, version=9, attributes=TRANSACTIONAL, id=True, epoch=0):
        sequence = self.sequence.get(partition, 0)
        batch = self.batch(attributes=attributes, producer=(self.producer_id, self.epoch + epoch, sequence))
        stored = self.broker.produce(batch, partition, transactional_id=self.id if id else None, version=version)
        if stored.error_code == 0:
            self.sequence[partition] = sequence + 2
        return self.say(f"{self.name_of(stored.error_code)}@{stored.base_offset}")

    def end(self, commit, id=None, version=3, **other):
        fields = {"transactional_id": self.id if id is None else id, "committed": commit} | self.me(**other)
        answer = self.ask(lambda a: a.error_code, producer.EndTxnRequest, version, **fields)
        return self.say(self.name_of(answer.error_code))

    def add_offsets(self, group="g", version=3, **other):
        fields = {"transactional_id": self.id, "group_id": f"{group}-{self.id}" if group else ""} | self.me(**other)
        answer = self.ask(lambda a: a.error_code, producer.AddOffsetsToTxnRequest, version, **fields)
        return self.say(self.name_of(answer.error_code))

    def commit_offset(self, offset, group="g", topic=None, partition=0, generation=-1, member="", version=3, **other):
        position = {"partition_index": partition, "committed_offset": offset, "committed_metadata": "m"}
        topics = [{"name": topic or self.broker.topic, "partitions": [position]}]
        about = {"transactional_id": self.id, "group_id": f"{group}-{self.id}" if group else "", "generation_id": generation, "member_id": member}
        fields = about | {"topics": topics} | self.me(**other)
        code = lambda a: a.topics[0].partitions[0].error_code
        answer = self.ask(code, producer.TxnOffsetCommitRequest, version, **fields)
        return self.say(self.name_of(code(answer)))

    def offset(self, group="g", stable=False):
        topics = [{"name": self.broker.topic, "partition_indexes": [0]}]
        groups = [{"group_id": f"{group}-{self.id}", "topics": topics}]
        for _ in range(40):
            answer = self.broker.ask(consumer.OffsetFetchRequest, 8, groups=groups, require_stable=stable)
            [found] = answer.groups[0].topics[0].partitions
            # The marker comes after the answer to EndTxn.
            if found.committed_offset != -1 or stable:
                break
            time.sleep(0.01)
        return self.say(self.name_of(found.error_code), found.committed_offset)

    def read(self, partition=0, isolation=1, offset=0, version=12, closed=True, end=0):
        asked = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20, "current_leader_epoch": -1}
        asked |= {"log_start_offset": -1, "last_fetched_epoch": -1}
        fields = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 20, "replica_id": -1, "isolation_level": isolation}
        topics = [{"topic": self.broker.topic, "partitions": [asked]}]
        for _ in range(300):
            answer = self.broker.ask(consumer.FetchRequest, version, session_id=0, session_epoch=-1, topics=topics, **fields)
            found = answer.responses[0].partitions[0]
            is_closed = found.high_watermark == found.last_stable_offset and found.high_watermark >= end
            if not closed or (found.error_code == 0 and is_closed):
                break
            time.sleep(0.05)
        aborted = None if found.aborted_transactions is None else [a.first_offset for a in found.aborted_transactions]
        size = len(found.records or b"")
        return self.say(f"{self.name_of(found.error_code)} hw={found.high_watermark} lso={found.last_stable_offset} {aborted} {size}")

    def offsets(self, timestamp, isolation=1):
        asked = [{"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1}]
        topics = [{"name": self.broker.topic, "partitions": asked}]
        answer = self.broker.ask(consumer.ListOffsetsRequest, 7, replica_id=-1, isolation_level=isolation, topics=topics)
        [found] = answer.topics[0].partitions
        return self.say(self.name_of(found.error_code), found.offset)

    def describe(self, id=None):
        [found] = self.broker.ask(admin.DescribeTransactionsRequest, 0, transactional_ids=[self.id if id is None else id]).transaction_states
        partitions = [sorted(topic.partitions) for topic in found.topics if topic.topic == self.broker.topic]
        begun = found.transaction_start_time_ms > 0
        return self.say(self.name_of(found.error_code), found.transaction_state, found.transaction_timeout_ms, begun, partitions)

    def listed(self, states=(), duration=-1, producers=True):
        fields = {"state_filters": list(states), "producer_id_filters": [self.producer_id] if producers else [], "duration_filter": duration}
        answer = self.broker.ask(admin.ListTransactionsRequest, 1, **fields)
        found = [t.transaction_state for t in answer.transaction_states if t.transactional_id == self.id]
        return self.say(self.name_of(answer.error_code), found, list(answer.unknown_state_filters))

    def producers(self, partition=0):
        topics = [{"name": self.broker.topic, "partition_indexes": [partition]}]
        [found] = self.broker.ask(admin.DescribeProducersRequest, 0, topics=topics).topics[0].partitions
        shown = [(p.producer_id == self.producer_id, p.producer_epoch, p.last_sequence, p.current_txn_start_offset) for p in found.active_producers]
        return self.say(self.name_of(found.error_code), shown)

    def join(self):
        code, joined = self.broker.join(f"g-{self.id}")
        self.member, self.generation = joined.member_id, joined.generation_id
        return self.say(code)

    def wait_for_the_timeout(self):
        """Apache Kafka checks for timeouts every ten seconds."""
        for _ in range(250):
            if "hw=3 lso=3" in self.read(closed=False).told.pop():
                break
            time.sleep(0.1)
        return self


def probes(batch, name_of):
    scripts = {
        "commit": lambda p: p.init().add(0).write().write().end(True).read().read(isolation=0),
        "abort": lambda p: p.init().add(0).write().end(False).read().read(isolation=0),
        "open": lambda p: p.init().add(0).write().read(closed=False).read(isolation=0, closed=False),
        "two partitions, one is not written to": lambda p: p.init().add(0, 1).write().end(True).read().read(1),
        "several": lambda p: several(p),
        "read from inside": lambda p: p.init().add(0).write().end(False).read(offset=1).read(offset=2).read(offset=3),
        "in the old fetch format": lambda p: p.init().add(0).write().end(False).read(version=4).read(version=11),
        "plain records behind an open one": lambda p: p.init().add(0).write().write(attributes=0, id=False, partition=1).read(closed=False),
        "end without a begin": lambda p: p.init().end(True).end(False),
        "commit twice": lambda p: p.init().add(0).write().end(True).end(True).end(False).read(),
        "abort twice": lambda p: p.init().add(0).write().end(False).end(False).end(True).read(),
        "end with nothing written": lambda p: p.init().add(0).end(True).read(end=1),
        "end, an unknown id": lambda p: p.init().end(True, id="nobody"),
        "end, an empty id": lambda p: p.init().end(True, id=""),
        "end, another producer id": lambda p: p.init().add(0).end(True, producer_id=77),
        "end, an older epoch": lambda p: p.init().init().add(0).end(True, epoch=-1).end(True, epoch=-1, version=1),
        "end, a newer epoch": lambda p: p.init().add(0).end(True, epoch=1),
        "write without adding": lambda p: p.init().write().write(version=11).add(1).write().read(),
        "write after the end": lambda p: p.init().add(0).write().end(True).read().write().read(),
        "write without an id": lambda p: p.init().add(0).write(id=False).write().end(True).read(),
        "write plainly with an id": lambda p: p.init().add(0).write(attributes=0).end(True).read(end=3),
        "write, an older epoch": lambda p: p.init().init().add(0).write(epoch=-1).write().end(True).read(),
        "write, a newer epoch": lambda p: p.init().add(0).write(epoch=1),
        "add twice": lambda p: p.init().add(0).add(0, 1).write(1).end(True).read(1),
        "add before an init": lambda p: p.add(0),
        "add, an empty id": lambda p: p.init().add(0, id=""),
        "add, an unknown id": lambda p: p.init().add(0, id="nobody"),
        "add, another producer id": lambda p: p.init().add(0, producer_id=77),
        "add, an older epoch": lambda p: p.init().init().add(0, epoch=-1).add(0, epoch=-1, version=1),
        "add no such partition": lambda p: p.init().add(9).add(0, 9).end(True),
        "add no such topic": lambda p: p.init().add(0, topics=[f"no-{p.id}"]).add(0, topics=[f"no-{p.id}", p.broker.topic]),
        "init again and again": lambda p: p.init().init().init(),
        "init, and it continues": lambda p: p.init().init(claimed=(p.producer_id, 0)).init(claimed=(p.producer_id, 1)),
        "init, and it continues, repeated": lambda p: p.init().init(claimed=(p.producer_id, 0)).init(claimed=(p.producer_id, 0)),
        "init, and it was fenced": lambda p: p.init().init().init(claimed=(p.producer_id, 0)),
        "init, and it claims another id": lambda p: p.init().init(claimed=(77, 0)),
        "init while one is open": lambda p: p.init().add(0).write().init().read().add(0).write().end(True).read(),
        "init while one is open, it continues": lambda p: p.init().add(0).write().init(claimed=(p.producer_id, 0)).read(),
        "fenced in the middle": lambda p: p.init().add(0).write().init(keep=False).write().add(1).end(True).read(),
        "timed out": lambda p: p.init(timeout_ms=500).add(0).write().wait_for_the_timeout().end(True).add(0).write().init().read(),
        "timed out, and it continues": lambda p: p.init(timeout_ms=500).add(0).write().wait_for_the_timeout().init(claimed=(p.producer_id, 0)).add(0).write().end(True).read(),
        "offsets, committed": lambda p: p.init().add_offsets().commit_offset(5).offset(stable=True).end(True).offset(),
        "offsets, aborted": lambda p: p.init().add_offsets().commit_offset(5).end(False).offset(),
        "offsets, aborted, over others": lambda p: offset_before(p).init().add_offsets().commit_offset(5).offset().end(False).offset(),
        "offsets, not added": lambda p: p.init().commit_offset(5).commit_offset(5, version=4),
        "offsets, no such topic": lambda p: p.init().add_offsets().commit_offset(5, topic=f"no-{p.id}").commit_offset(5, partition=9),
        "offsets, an older epoch": lambda p: p.init().init().add_offsets(epoch=-1).add_offsets().commit_offset(5, epoch=-1),
        "offsets, another producer id": lambda p: p.init().add_offsets(producer_id=77).add_offsets().commit_offset(5, producer_id=77),
        "offsets, a group without a name": lambda p: p.init().add_offsets(group="").commit_offset(5, group=""),
        "offsets, no such member": lambda p: p.init().add_offsets().commit_offset(5, member="who", generation=1),
        "offsets, by a stranger": lambda p: p.join().init().add_offsets().commit_offset(5).commit_offset(5, member="who", generation=1),
        "offsets, by the member": lambda p: p.join().init().add_offsets().commit_offset(5, member=p.member, generation=p.generation),
        "offsets, by the member of before": lambda p: p.join().init().add_offsets().commit_offset(5, member=p.member, generation=9),
        "times": lambda p: p.init().add(0).write().offsets(-1).offsets(-1, isolation=0).offsets(0).offsets(0, isolation=0).offsets(-2),
        "described": lambda p: p.init().describe().add(0, 1).describe().write().end(True).read().describe(),
        "described, unknown": lambda p: p.describe().describe(id=""),
        "listed": lambda p: p.init().listed().add(0).listed(["Ongoing"]).listed(["Empty"]).listed(["Gone"]).listed(duration=3_600_000),
        "its producers": lambda p: p.init().add(0).write().producers().end(True).read().producers().producers(9),
    }
    probe = lambda script: lambda broker: " | ".join(script(Producer(broker, batch, name_of)).told)
    return {f"transaction: {name}": probe(script) for name, script in scripts.items()}


def several(p):
    """Alternates commits and aborts, then reads from the start and from the middle."""
    p.init()
    for number in range(6):
        p.add(0).write().end(number % 2 == 0)
    return p.read().read(offset=7)


def offset_before(p):
    p.broker.commit(f"g-{p.id}", offset=3)
    return p
