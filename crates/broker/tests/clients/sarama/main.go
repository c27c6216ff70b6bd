// Tests a broker with sarama: go run . ADDRESS
//
// Writes records with an idempotent producer and reads them back. Then writes in transactions, aborts some of them, and
// reads what is committed.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	topic   = "sarama"
	records = 1000
	// The topic of the transactions.
	inTransactions = "sarama-transactions"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . ADDRESS")
	}
	address := []string{os.Args[1]}
	roundTrip(address)
	transactions(address)
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_6_0_0
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	return config
}

func roundTrip(address []string) {
	producer, err := sarama.NewSyncProducer(address, config())
	check(err)
	for number := 0; number < records; number++ {
		value := sarama.StringEncoder(fmt.Sprint(number))
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Value: value})
		check(err)
	}
	check(producer.Close())
	consumer, err := sarama.NewConsumer(address, config())
	check(err)
	defer consumer.Close()
	partitions, err := consumer.Partitions(topic)
	check(err)
	seen := 0
	for _, partition := range partitions {
		client, err := sarama.NewClient(address, config())
		check(err)
		end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
		check(err)
		check(client.Close())
		reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		check(err)
		for offset := int64(0); offset < end; offset++ {
			message := <-reader.Messages()
			if message.Offset != offset || string(message.Value) != fmt.Sprint(seen) {
				fail(fmt.Sprintf("record %d is %q at offset %d", seen, message.Value, message.Offset))
			}
			seen++
		}
		check(reader.Close())
	}
	if seen != records {
		fail(fmt.Sprintf("%d of %d records were read", seen, records))
	}
	fmt.Printf("sarama: %d records written and read\n", seen)
}

// Alternates commits and aborts. Each transaction also commits an offset of a group. Reads what is committed. Then a
// second producer with the same transactional id fences the first.
func transactions(address []string) {
	config := config()
	config.Producer.Transaction.ID = "sarama"
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(address, config)
	check(err)
	var committed []string
	for number := 0; number < 10; number++ {
		value := fmt.Sprint(number)
		check(producer.BeginTxn())
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: inTransactions, Value: sarama.StringEncoder(value)})
		check(err)
		position := &sarama.PartitionOffsetMetadata{Partition: 0, Offset: int64(number)}
		check(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{inTransactions: {position}}, "sarama-group"))
		if number%3 == 0 {
			check(producer.AbortTxn())
		} else {
			check(producer.CommitTxn())
			committed = append(committed, value)
		}
	}
	if seen := readCommitted(address, len(committed)); !slices.Equal(seen, committed) {
		fail(fmt.Sprintf("%v is committed and %v is read", committed, seen))
	}
	if position := groupPosition(address); position != 8 {
		fail(fmt.Sprintf("the group is at %d", position))
	}
	fmt.Printf("sarama: %d committed transactions of 10 are read, and the group's position\n", len(committed))
	check(producer.BeginTxn())
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: inTransactions, Value: sarama.StringEncoder("lost")})
	check(err)
	second, err := sarama.NewSyncProducer(address, config)
	// Apache Kafka first aborts the open transaction, and sarama does not retry by itself.
	for try := 0; errors.Is(err, sarama.ErrConcurrentTransactions) && try < 100; try++ {
		time.Sleep(20 * time.Millisecond)
		second, err = sarama.NewSyncProducer(address, config)
	}
	check(err)
	if err = producer.CommitTxn(); err == nil {
		fail("the first producer is not fenced")
	}
	check(second.Close())
	fmt.Println("sarama: the first of two producers is fenced:", err)
}

func readCommitted(address []string, count int) []string {
	config := config()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer(address, config)
	check(err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(inTransactions, 0, sarama.OffsetOldest)
	check(err)
	var seen []string
	for len(seen) < count {
		seen = append(seen, string((<-reader.Messages()).Value))
	}
	return seen
}

// Waits for the offset of the last committed transaction. On Apache Kafka it appears after the answer to the commit.
func groupPosition(address []string) int64 {
	admin, err := sarama.NewClusterAdmin(address, config())
	check(err)
	defer admin.Close()
	for try := 0; ; try++ {
		found, err := admin.ListConsumerGroupOffsets("sarama-group", map[string][]int32{inTransactions: {0}})
		check(err)
		position := found.GetBlock(inTransactions, 0).Offset
		if position == 8 || try == 100 {
			return position
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "sarama:", why)
	os.Exit(1)
}
