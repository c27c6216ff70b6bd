// What sarama says of the embedded broker: go run . ADDRESS
//
// Writes records with an idempotent producer and reads them back. Then asks for a transactional producer, which the
// broker refuses: the error must name the reason and come at once.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const (
	topic   = "sarama"
	records = 1000
	// A refusal that is retried takes sarama five seconds.
	quick = 2 * time.Second
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . ADDRESS")
	}
	address := []string{os.Args[1]}
	roundTrip(address)
	refusedTransaction(address)
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

func refusedTransaction(address []string) {
	config := config()
	config.Producer.Transaction.ID = "t"
	begin := time.Now()
	_, err := sarama.NewSyncProducer(address, config)
	took := time.Since(begin)
	if err == nil {
		fail("a transactional producer was accepted")
	}
	fmt.Printf("sarama: a transactional producer is refused after %d ms: %v\n", took.Milliseconds(), err)
	if !strings.Contains(err.Error(), "ransaction") || took > quick {
		fail("the refusal must be quick and name transactions")
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
