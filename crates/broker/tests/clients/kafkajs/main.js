// Tests a broker with kafkajs: node main.js ADDRESS
//
// Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and ends with exit code 1 at the first that does not.
// The broker's topics must be new.
"use strict";

const { ConfigResourceTypes, Kafka, logLevel } = require("kafkajs");

const TOPIC = "kafkajs";
const RECORDS = 1000;
const PARTITIONS = 4;
// An hour ago: older records are soon beyond the retention.
const START_MS = Date.now() - 3_600_000;
const PATIENCE_MS = 60_000;
// A consumer hears of a new member, or of its own end, only between two fetches.
const SOON = { maxWaitTimeInMs: 100 };
const IN_TRANSACTIONS = "kafkajs-transactions";

function expect(holds, why) {
  if (!holds) throw new Error(why);
}

// Apache Kafka's brokers learn of a change a little later.
async function until(why, isSo) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    expect(Date.now() < deadline, why);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function administer(admin) {
  const configEntries = [{ name: "cleanup.policy", value: "compact,delete" }];
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1, configEntries }, { topic: `${TOPIC}-gone` }] });
  expect(!(await admin.createTopics({ topics: [{ topic: TOPIC }] })), "a topic can be created twice");
  await admin.createPartitions({ topicPartitions: [{ topic: TOPIC, count: PARTITIONS }] });
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: TOPIC, configNames: ["cleanup.policy"] }];
  const { resources: [found] } = await admin.describeConfigs({ resources, includeSynonyms: false });
  expect(found.configEntries[0].configValue === "compact,delete", "the topic's policy is not shown");
  await admin.deleteTopics({ topics: [`${TOPIC}-gone`] });
  await until("the topics are not as they were made", async () => {
    const { topics: [topic] } = await admin.fetchTopicMetadata({ topics: [TOPIC] });
    const names = await admin.listTopics();
    return topic.partitions.length === PARTITIONS && !names.includes(`${TOPIC}-gone`);
  });
  console.log("admin ok: topics are created, grown, described, deleted");
}

// Two members share the partitions, and one of them leaves.
async function group(kafka) {
  const shares = [0, 0];
  const join = async (index) => {
    const times = { sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 3000, ...SOON };
    const member = kafka.consumer({ groupId: `${TOPIC}-group`, ...times });
    member.on(member.events.GROUP_JOIN, ({ payload }) => {
      shares[index] = (payload.memberAssignment[TOPIC] || []).length;
    });
    await member.connect();
    await member.subscribe({ topic: TOPIC });
    await member.run({ eachMessage: async () => {} });
    return member;
  };
  const wait = (...expected) => until(`the members do not have ${expected}`, async () => shares.join() === expected.join());
  const first = await join(0);
  await wait(PARTITIONS, 0);
  const second = await join(1);
  await wait(2, 2);
  await first.disconnect();
  shares[0] = 0;
  await wait(0, PARTITIONS);
  await second.disconnect();
  console.log("groups ok: 1, 2, 1 members share 4 partitions");
}

async function offsets(admin) {
  const groupId = `${TOPIC}-reader`;
  await admin.setOffsets({ groupId, topic: TOPIC, partitions: [{ partition: 1, offset: "8" }] });
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [TOPIC] });
  const committed = partitions.find(({ partition }) => partition === 1).offset;
  const byTime = (await admin.fetchTopicOffsetsByTimestamp(TOPIC, START_MS + 500)).find((p) => p.partition === 0).offset;
  const { low, high } = (await admin.fetchTopicOffsets(TOPIC)).find((p) => p.partition === 0);
  const seen = [committed, byTime, low, high].join();
  expect(seen === `8,500,0,${RECORDS}`, `committed, by time, first and last are ${seen}`);
  console.log("offsets ok: committed, by time, first and last");
}

async function roundTrip(kafka) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = Array.from({ length: RECORDS }, (_, number) => ({
    key: "k", value: String(number), partition: 0, timestamp: String(START_MS + number),
  }));
  await producer.send({ topic: TOPIC, acks: -1, messages });
  await producer.disconnect();
  console.log(`produce ok: ${RECORDS} records`);
  const consumer = kafka.consumer({ groupId: "kafkajs", ...SOON });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  let seen = 0;
  await new Promise((resolve, reject) => {
    const eachMessage = async ({ message }) => {
      if (message.value.toString() !== String(seen) || message.offset !== String(seen)) {
        reject(new Error(`record ${seen} is ${message.value} at offset ${message.offset}`));
      }
      seen += 1;
      if (seen === RECORDS) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  console.log(`consume ok: ${seen} records`);
}

// Alternates commits and aborts. Each transaction also commits an offset of a group. Reads what is committed. Then a
// second producer with the same transactional id fences the first.
async function transactions(kafka) {
  const start = async () => {
    const producer = kafka.producer({ transactionalId: "kafkajs", idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    return producer;
  };
  const first = await start();
  const topic = IN_TRANSACTIONS;
  const committed = [];
  for (let number = 0; number < 10; number += 1) {
    const transaction = await first.transaction();
    await transaction.send({ topic, messages: [{ value: String(number), partition: 0 }] });
    const topics = [{ topic, partitions: [{ partition: 0, offset: String(number) }] }];
    await transaction.sendOffsets({ consumerGroupId: "kafkajs-group", topics });
    if (number % 3 === 0) {
      await transaction.abort();
    } else {
      await transaction.commit();
      committed.push(String(number));
    }
  }
  const seen = await readCommitted(kafka, committed.length);
  if (seen.join() !== committed.join()) throw new Error(`${committed} is committed and ${seen} is read`);
  const position = await groupPosition(kafka);
  if (position !== "8") throw new Error(`the group is at ${position}`);
  const open = await first.transaction();
  await open.send({ topic, messages: [{ value: "lost", partition: 0 }] });
  const second = await start();
  await (await second.transaction()).commit();
  const error = await open.commit().then(() => null, (error) => error);
  if (error === null) throw new Error("the first producer is not fenced");
  console.log(`transactions ok: ${seen.length} of 10 are committed and read, and the first of two producers is fenced`);
  await first.disconnect();
  await second.disconnect();
}

async function readCommitted(kafka, count) {
  const consumer = kafka.consumer({ groupId: "kafkajs-reader", readUncommitted: false, ...SOON });
  await consumer.connect();
  await consumer.subscribe({ topic: IN_TRANSACTIONS, fromBeginning: true });
  const seen = [];
  await new Promise((resolve, reject) => {
    const eachMessage = async ({ message }) => {
      seen.push(message.value.toString());
      if (seen.length === count) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return seen;
}

// Waits for the offset of the last committed transaction. On Apache Kafka it appears after the answer to the commit.
async function groupPosition(kafka) {
  const admin = kafka.admin();
  await admin.connect();
  let position = null;
  for (let round = 0; round < 100 && position !== "8"; round += 1) {
    const [found] = await admin.fetchOffsets({ groupId: "kafkajs-group", topics: [IN_TRANSACTIONS] });
    position = found.partitions.find((partition) => partition.partition === 0).offset;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await admin.disconnect();
  return position;
}

async function main() {
  const kafka = new Kafka({ clientId: "tidemill", brokers: [process.argv[2]], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await administer(admin);
  await roundTrip(kafka);
  await group(kafka);
  await offsets(admin);
  await admin.disconnect();
  await transactions(kafka);
}

main().catch((error) => {
  console.error("kafkajs:", error.message);
  process.exitCode = 1;
});
