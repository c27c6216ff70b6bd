// What kafkajs says of the embedded broker: node main.js ADDRESS
//
// Writes records with an idempotent producer and reads them back as a group. Then starts a transaction, which the broker
// refuses: the error must name the reason and come at once.
"use strict";

const { Kafka, logLevel } = require("kafkajs");

const TOPIC = "kafkajs";
const RECORDS = 1000;
const QUICK_MS = 2000;

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

async function refusedTransaction(kafka) {
  const producer = kafka.producer({ transactionalId: "t", idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const begin = Date.now();
  const error = await producer.transaction().then(() => null, (error) => error);
  const took = Date.now() - begin;
  await producer.disconnect();
  if (error === null) throw new Error("a transaction was accepted");
  console.log(`kafkajs: a transaction is refused after ${took} ms: ${error.type}: ${error.message}`);
  if (!/transaction/i.test(error.type + error.message) || took > QUICK_MS) {
    throw new Error("the refusal must be quick and name transactions");
  }
}

async function main() {
  const kafka = new Kafka({ clientId: "tidemill", brokers: [process.argv[2]], logLevel: logLevel.NOTHING });
  await roundTrip(kafka);
  await refusedTransaction(kafka);
}

main().catch((error) => {
  console.error("kafkajs:", error.message);
  process.exitCode = 1;
});
