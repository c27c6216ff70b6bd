// Tests a broker with sarama: go run . ADDRESS
//
// Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and ends with exit code 1 at the first that does not.
// The broker's topics must be new.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

const (
	topic   = "sarama"
	records = 1000
	// The topic of the transactions.
	inTransactions = "sarama-transactions"
	partitions     = 4
	patience       = 60 * time.Second
)

// An hour ago: older records are soon beyond the retention.
var startMs = time.Now().UnixMilli() - 3_600_000

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . ADDRESS")
	}
	address := []string{os.Args[1]}
	admin, err := sarama.NewClusterAdmin(address, config())
	check(err)
	administer(admin)
	roundTrip(address)
	group(address)
	offsets(address)
	transactions(address)
	check(admin.Close())
}

func administer(admin sarama.ClusterAdmin) {
	policy := "compact,delete"
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: map[string]*string{"cleanup.policy": &policy}}
	check(admin.CreateTopic(topic, detail, false))
	check(admin.CreateTopic(topic+"-gone", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	if err := admin.CreateTopic(topic, detail, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		fail(fmt.Sprint("a topic can be created twice: ", err))
	}
	check(admin.CreatePartitions(topic, partitions, nil, false))
	configs, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	check(err)
	shown := slices.ContainsFunc(configs, func(c sarama.ConfigEntry) bool { return c.Name == "cleanup.policy" && c.Value == policy })
	check(admin.DeleteTopic(topic + "-gone"))
	if !shown {
		fail("the topic's policy is not shown")
	}
	// Apache Kafka's brokers learn of a change a little later.
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		topics, err := admin.ListTopics()
		check(err)
		if _, there := topics[topic+"-gone"]; !there && topics[topic].NumPartitions == partitions {
			break
		}
		if time.Now().After(end) {
			fail("the topics are not as they were made")
		}
	}
	fmt.Println("admin ok: topics are created, grown, described, deleted")
}

// A member of a group that says how many partitions it has.
type member struct {
	share atomic.Int32
	stop  context.CancelFunc
	ended chan struct{}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.share.Store(int32(len(session.Claims()[topic])))
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.share.Store(0)
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case _, open := <-claim.Messages():
			if !open {
				return nil
			}
		}
	}
}

func join(address []string) *member {
	config := config()
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	group, err := sarama.NewConsumerGroup(address, topic+"-group", config)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	m := &member{stop: stop, ended: make(chan struct{})}
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, m); err != nil && ctx.Err() == nil {
				fail(err.Error())
			}
		}
		check(group.Close())
		close(m.ended)
	}()
	return m
}

// Two members share the partitions, and one of them leaves.
func group(address []string) {
	wait := func(m *member, share int32) {
		for end := time.Now().Add(patience); m.share.Load() != share; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				fail(fmt.Sprint("a member has ", m.share.Load(), " partitions, not ", share))
			}
		}
	}
	first := join(address)
	wait(first, partitions)
	second := join(address)
	wait(second, partitions/2)
	wait(first, partitions/2)
	first.stop()
	<-first.ended
	wait(second, partitions)
	second.stop()
	<-second.ended
	fmt.Println("groups ok: 1, 2, 1 members share 4 partitions")
}

func offsets(address []string) {
	client, err := sarama.NewClient(address, config())
	check(err)
	manager, err := sarama.NewOffsetManagerFromClient(topic+"-reader", client)
	check(err)
	position, err := manager.ManagePartition(topic, 1)
	check(err)
	position.MarkOffset(8, "")
	manager.Commit()
	check(position.Close())
	check(manager.Close())
	admin, err := sarama.NewClusterAdminFromClient(client)
	check(err)
	found, err := admin.ListConsumerGroupOffsets(topic+"-reader", map[string][]int32{topic: {1}})
	check(err)
	byTime, err := client.GetOffset(topic, 0, startMs+500)
	check(err)
	if committed := found.GetBlock(topic, 1).Offset; committed != 8 || byTime != 500 {
		fail(fmt.Sprint("committed is ", committed, ", by time is ", byTime))
	}
	check(admin.Close())
	fmt.Println("offsets ok: committed, by time, last")
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
	config := config()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(address, config)
	check(err)
	var batch []*sarama.ProducerMessage
	for number := 0; number < records; number++ {
		value, at := sarama.StringEncoder(fmt.Sprint(number)), time.UnixMilli(startMs+int64(number))
		batch = append(batch, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Value: value, Timestamp: at})
	}
	check(producer.SendMessages(batch))
	check(producer.Close())
	fmt.Println("produce ok:", records, "records")
	consumer, err := sarama.NewConsumer(address, config)
	check(err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	check(err)
	for offset := int64(0); offset < records; offset++ {
		message := <-reader.Messages()
		if message.Offset != offset || string(message.Value) != fmt.Sprint(offset) {
			fail(fmt.Sprintf("record %d is %q at offset %d", offset, message.Value, message.Offset))
		}
	}
	check(reader.Close())
	fmt.Println("consume ok:", records, "records")
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
	fmt.Printf("transactions ok: %d of 10 are committed and read, and the first of two producers is fenced\n", len(committed))
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
