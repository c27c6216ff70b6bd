// Tests a broker with kafkajs: node main.js ADDRESS
//
// Writes records with an idempotent producer and reads them back as a group. Then writes in transactions, aborts
// some of them, and reads what is committed.
"use strict";

const { Kafka, logLevel } = require("kafkajs");

const TOPIC = "kafkajs";
const RECORDS = 1000;
const IN_TRANSACTIONS = "kafkajs-transactions";

async function roundTrip(kafka) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = Array.from({ length: RECORDS }, (_, number) => ({ key: "k", value: String(number) }));
  await producer.send({ topic: TOPIC, acks: -1, messages });
  await producer.disconnect();
  const consumer = kafka.consumer({ groupId: "kafkajs" });
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
  console.log(`kafkajs: ${seen} records written and read`);
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
  console.log(`kafkajs: ${seen.length} committed transactions of 10 are read, and the group's position`);
  const open = await first.transaction();
  await open.send({ topic, messages: [{ value: "lost", partition: 0 }] });
  const second = await start();
  await (await second.transaction()).commit();
  const error = await open.commit().then(() => null, (error) => error);
  if (error === null) throw new Error("the first producer is not fenced");
  console.log(`kafkajs: the first of two producers is fenced: ${error.type}`);
  await first.disconnect();
  await second.disconnect();
}

async function readCommitted(kafka, count) {
  const consumer = kafka.consumer({ groupId: "kafkajs-reader", readUncommitted: false });
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
  await roundTrip(kafka);
  await transactions(kafka);
}

main().catch((error) => {
  console.error("kafkajs:", error.message);
  process.exitCode = 1;
});
