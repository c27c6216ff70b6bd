// Tests a broker with franz-go: go run . ADDRESS
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
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic        = "franz-go"
	partitions   = 4
	records      = 1000
	transactions = 10
	patience     = 60 * time.Second
)

var (
	// An hour ago: older records are soon beyond the retention.
	startMs = time.Now().UnixMilli() - 3_600_000
	address string
	ctx     context.Context
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . ADDRESS")
	}
	address = os.Args[1]
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	admin := kadm.NewClient(client())
	defer admin.Close()
	administer(admin)
	produce()
	consume()
	group()
	offsets(admin)
	transact(admin)
}

func client(more ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic)}
	client, err := kgo.NewClient(append(base, more...)...)
	check(err)
	return client
}

func administer(admin *kadm.Client) {
	policy := "compact,delete"
	configs := map[string]*string{"cleanup.policy": &policy}
	_, err := admin.CreateTopic(ctx, 1, 1, configs, topic)
	check(err)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, topic+"-gone")
	check(err)
	if _, err = admin.CreateTopic(ctx, 1, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		fail(fmt.Sprint("a topic can be created twice: ", err))
	}
	grown, err := admin.UpdatePartitions(ctx, partitions, topic)
	check(err)
	check(grown.Error())
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	check(err)
	configured, err := described.On(topic, nil)
	check(err)
	shown := false
	for _, config := range configured.Configs {
		shown = shown || config.Key == "cleanup.policy" && *config.Value == policy
	}
	require(shown, "the topic's policy is not shown")
	_, err = admin.DeleteTopic(ctx, topic+"-gone")
	check(err)
	// Apache Kafka's brokers learn of a change a little later.
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		topics, err := admin.ListTopics(ctx)
		check(err)
		if len(topics[topic].Partitions) == partitions && !topics.Has(topic+"-gone") {
			break
		}
		require(time.Now().Before(end), "the topics are not as they were made")
	}
	say("admin", "topics are created, grown, described, deleted")
}

// An idempotent producer, which is franz-go's default.
func produce() {
	producer := client()
	defer producer.Close()
	var batch []*kgo.Record
	for number := 0; number < records; number++ {
		value := []byte(strconv.Itoa(number))
		at := time.UnixMilli(startMs + int64(number))
		batch = append(batch, &kgo.Record{Partition: 0, Key: []byte("k"), Value: value, Timestamp: at})
	}
	results := producer.ProduceSync(ctx, batch...)
	check(results.FirstErr())
	for number, result := range results {
		require(result.Record.Offset == int64(number), fmt.Sprint("record ", number, " is at ", result.Record.Offset))
	}
	say("produce", fmt.Sprint(records, " records"))
}

// Reads records of a partition from its beginning.
func read(partition int32, count int, more ...kgo.Opt) []string {
	from := map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}
	consumer := client(append(more, kgo.ConsumePartitions(from))...)
	defer consumer.Close()
	var values []string
	for len(values) < count {
		fetched := consumer.PollFetches(ctx)
		check(fetched.Err())
		fetched.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values
}

func consume() {
	for number, value := range read(0, records) {
		require(value == strconv.Itoa(number), fmt.Sprint("record ", number, " is ", value))
	}
	say("consume", fmt.Sprint(records, " records"))
}

// Two members share the partitions, and one of them leaves.
func group() {
	var shares [2]atomic.Int32
	member := func(index int) *kgo.Client {
		return client(
			kgo.ConsumerGroup(topic+"-group"), kgo.ConsumeTopics(topic), kgo.SessionTimeout(6*time.Second),
			kgo.HeartbeatInterval(300*time.Millisecond),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
				shares[index].Add(int32(len(assigned[topic])))
			}),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
				shares[index].Add(-int32(len(revoked[topic])))
			}),
		)
	}
	wait := func(first, second int32) {
		for end := time.Now().Add(patience); shares[0].Load() != first || shares[1].Load() != second; {
			require(time.Now().Before(end), fmt.Sprint("the members have ", shares[0].Load(), " and ", shares[1].Load()))
			time.Sleep(20 * time.Millisecond)
		}
	}
	poll := func(member *kgo.Client) {
		for !member.PollFetches(ctx).IsClientClosed() {
		}
	}
	first := member(0)
	go poll(first)
	wait(partitions, 0)
	second := member(1)
	go poll(second)
	wait(partitions/2, partitions/2)
	first.Close()
	wait(0, partitions)
	second.Close()
	say("groups", "1, 2, 1 members share 4 partitions")
}

func offsets(admin *kadm.Client) {
	var positions kadm.Offsets
	positions.Add(kadm.Offset{Topic: topic, Partition: 1, At: 8, LeaderEpoch: -1})
	check(admin.CommitAllOffsets(ctx, topic+"-reader", positions))
	require(committed(admin, 1) == 8, "the committed position is not 8")
	byTime, err := admin.ListOffsetsAfterMilli(ctx, startMs+500, topic)
	check(err)
	last, err := admin.ListEndOffsets(ctx, topic)
	check(err)
	found, _ := byTime.Lookup(topic, 0)
	end, _ := last.Lookup(topic, 0)
	require(found.Offset == 500 && end.Offset == records, fmt.Sprint("by time ", found.Offset, ", end ", end.Offset))
	say("offsets", "committed, by time, last")
}

func committed(admin *kadm.Client, partition int32) int64 {
	fetched, err := admin.FetchOffsets(ctx, topic+"-reader")
	check(err)
	found, _ := fetched.Lookup(topic, partition)
	return found.At
}

func transact(admin *kadm.Client) {
	producer := func() *kgo.Client { return client(kgo.TransactionalID(topic)) }
	first := producer()
	defer first.Close()
	send := func(value string) error {
		return first.ProduceSync(ctx, &kgo.Record{Partition: 2, Key: []byte("k"), Value: []byte(value)}).FirstErr()
	}
	var expected []string
	for number := 0; number < transactions; number++ {
		check(first.BeginTransaction())
		value := strconv.Itoa(number)
		check(send(value))
		end := kgo.TryAbort
		if number%3 != 0 {
			end = kgo.TryCommit
			expected = append(expected, value)
		}
		check(first.EndTransaction(ctx, end))
	}
	seen := read(2, len(expected), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require(slices.Equal(seen, expected), fmt.Sprint(expected, " is committed and ", seen, " is read"))
	check(first.BeginTransaction())
	check(send("lost"))
	second := producer()
	defer second.Close()
	check(second.BeginTransaction())
	check(second.ProduceSync(ctx, &kgo.Record{Partition: 2, Key: []byte("k"), Value: []byte("kept")}).FirstErr())
	check(second.EndTransaction(ctx, kgo.TryCommit))
	require(first.EndTransaction(ctx, kgo.TryCommit) != nil, "the first of two producers is not fenced")
	say("transactions", fmt.Sprint(len(seen), " of ", transactions, " are committed and read, and the first of two producers is fenced"))
}

func say(capability, detail string) {
	fmt.Printf("%s ok: %s\n", capability, detail)
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func require(holds bool, why string) {
	if !holds {
		fail(why)
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "franz-go:", why)
	os.Exit(1)
}
