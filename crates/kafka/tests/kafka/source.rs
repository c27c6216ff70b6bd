//! What a source reads and from where: several topics, patterns, assigned partitions, positions by offset and time, records
//! that are gone, and the offsets of a group.

use crate::support::{Cluster, clusters, flush, range, read, topic};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::BaseRecord;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Extents, Read, Watch};
use tidemill_kafka::{Group, KafkaReader, KafkaWatch, admin};
use tidemill_model::diagnostic::Located;
use tidemill_model::kafka_source::{EARLIEST, LATEST, PerPartition};
use tidemill_model::pipeline::{Ending, KafkaConnection, KafkaSource, Position, Topics, ValueFormat};
use tidemill_model::{Domain, Offsets};

const PATIENCE: Duration = Duration::from_secs(60);

fn source(cluster: &Cluster, topics: Topics) -> KafkaSource {
    KafkaSource {
        format: ValueFormat::Json,
        connection: KafkaConnection {
            bootstrap_servers: cluster.options.bootstrap_servers.clone(),
            client: cluster.options.client,
            client_options: Vec::new(),
        },
        topics,
        starting: Position::Latest,
        starts_at_end_without_match: false,
        ending: None,
        max_offsets_per_trigger: None,
        min_offsets: None,
        fail_on_data_loss: true,
        group_id: None,
        metadata_column: None,
        include_headers: false,
    }
}

fn named(topics: &[&str]) -> Topics {
    Topics::Named(topics.iter().map(|topic| (*topic).into()).collect())
}

/// The offsets of partitions, as `t-0=5`.
fn shown<'a>(offsets: impl IntoIterator<Item = (&'a tidemill_model::PartitionId, i64)>) -> Vec<String> {
    offsets.into_iter().map(|(id, offset)| format!("{id}={offset}")).collect()
}

fn await_ends(watch: &mut KafkaWatch, known: &mut Extents, expected: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    let ends = |extents: &Extents| shown(extents.iter().map(|(id, extent)| (id, extent.end)));
    while ends(known) != expected {
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", ends(known));
        *known = watch.watch(known, Duration::from_secs(1)).expect("watched");
    }
}

#[test]
fn several_topics_patterns_and_assigned_partitions() {
    for cluster in clusters() {
        let base = topic("several");
        let [a, b, other] = ["a", "b", "x"].map(|end| format!("{base}-{end}"));
        let one = || vec![vec![Some(b"x".to_vec())]];
        let assigned = Topics::Assigned([(a.clone(), [1].into()), (b.clone(), [0].into())].into());
        let pattern = Topics::Matching(Located { text: format!("{base}-[ab]"), ..Located::default() });
        let [mut list, mut assigned, mut pattern] = [named(&[&b, &a]), assigned, pattern]
            .map(|topics| (KafkaWatch::of(&cluster.options, &source(&cluster, topics)).unwrap(), Extents::new()));
        for topic in [&a, &other] {
            admin::ensure_topic(&cluster.options, topic, Some(2)).unwrap();
            cluster.append(topic, 1, &one());
        }
        // The list and the assignment wait for `b`, the pattern does not. `other` is nobody's.
        await_ends(&mut pattern.0, &mut pattern.1, &[format!("{a}-0=0"), format!("{a}-1=1")]);
        for (watch, known) in [&mut list, &mut assigned] {
            *known = watch.watch(known, PATIENCE).unwrap();
            assert!(known.is_empty());
        }
        admin::ensure_topic(&cluster.options, &b, Some(1)).unwrap();
        cluster.append(&b, 0, &one());
        let all = [format!("{a}-0=0"), format!("{a}-1=1"), format!("{b}-0=1")];
        await_ends(&mut pattern.0, &mut pattern.1, &all);
        await_ends(&mut list.0, &mut list.1, &all);
        await_ends(&mut assigned.0, &mut assigned.1, &all[1..]);
        // An append to any of them is seen.
        cluster.append(&a, 0, &one());
        let all = [format!("{a}-0=1"), format!("{a}-1=1"), format!("{b}-0=1")];
        await_ends(&mut pattern.0, &mut pattern.1, &all);
        await_ends(&mut list.0, &mut list.1, &all);
        cluster.append(&b, 0, &one());
        await_ends(&mut assigned.0, &mut assigned.1, &[format!("{a}-1=1"), format!("{b}-0=2")]);
        // Partitions of several topics are read by one reader.
        let mut reader = KafkaReader::new(&cluster.options).unwrap();
        let ranges = [range(&a, 0, 0, 1), range(&b, 0, 0, 2), range(&a, 1, 0, 1)];
        reader.expect(&ranges);
        assert_eq!(ranges.map(|range| read(&mut reader, &range, 10).len()), [1, 2, 1], "{}", cluster.name);
    }
}

#[test]
fn positions_by_offset_and_by_time() {
    for cluster in clusters() {
        let topic = topic("positions");
        admin::ensure_topic(&cluster.options, &topic, Some(2)).unwrap();
        let producer = cluster.producer(&[]);
        for (partition, timestamp) in [(0, 1_000), (0, 2_000), (0, 3_000), (1, 1_500)] {
            let record = BaseRecord::<(), [u8]>::to(&topic).partition(partition).payload(b"x").timestamp(timestamp);
            producer.send(record).expect("queued");
        }
        flush(&producer);
        let each = |numbers: &[i64]| -> PerPartition {
            [(topic.clone(), (0..).zip(numbers.iter().copied()).collect())].into()
        };
        let offsets = |numbers: &[i64]| Position::Offsets(each(numbers));
        let times = |numbers: &[i64]| Position::Timestamps(each(numbers));
        let mut watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
        let extents = watch.watch(&Extents::new(), PATIENCE).unwrap();
        let find = |position: &Position, change: fn(&mut KafkaSource), is_end: bool| -> Result<Vec<String>, String> {
            let mut source = source(&cluster, named(&[&topic]));
            change(&mut source);
            match is_end {
                true => source.ending = Some(Ending { position: position.clone(), key: "ending", span: 0..0 }),
                false => source.starting = position.clone(),
            }
            let watch = KafkaWatch::of(&cluster.options, &source).unwrap();
            let mut find = if is_end { watch.ending() } else { watch.starting() }.expect("a position");
            let found: Offsets = find(&extents).map_err(|error| {
                assert_eq!(error.domain, Domain::User, "{error}");
                error.to_string()
            })?;
            Ok(shown(found.0.iter().map(|(id, offset)| (id, *offset))))
        };
        let same: fn(&mut KafkaSource) = |_| ();
        let lenient: fn(&mut KafkaSource) = |source| {
            (source.fail_on_data_loss, source.starts_at_end_without_match) = (false, true);
        };
        for (position, change, is_end, expected) in [
            (offsets(&[2, 0]), same, false, [2, 0]),
            (offsets(&[EARLIEST, LATEST]), same, false, [0, 1]),
            (offsets(&[9, 1]), lenient, false, [3, 1]),
            (Position::Timestamp(1_200), same, false, [1, 0]),
            (times(&[3_000, 0]), same, false, [2, 0]),
            (Position::Timestamp(2_500), lenient, false, [2, 1]),
            (offsets(&[1, LATEST]), same, true, [1, 1]),
            (Position::Timestamp(2_500), same, true, [2, 1]),
            (Position::Latest, same, true, [3, 1]),
        ] {
            let expected = [0, 1].map(|number| format!("{topic}-{number}={}", expected[number]));
            assert_eq!(find(&position, change, is_end).unwrap(), expected, "{position:?} on {}", cluster.name);
        }
        for (position, is_end, words) in [
            (offsets(&[4, 0]), false, "names offset 4 of "),
            (offsets(&[0]), false, "`starting_offsets` lacks "),
            (offsets(&[0, 0, 0]), true, "which does not exist or is not read"),
            (Position::Timestamp(2_500), false, "has the timestamp 2500 or a later one"),
            (times(&[0]), false, "`starting_offsets_by_timestamp` lacks "),
        ] {
            let error = find(&position, same, is_end).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}

#[test]
fn lost_records_are_passed_over_on_request() {
    for cluster in clusters() {
        let topic = topic("lost");
        admin::ensure_topic(&cluster.options, &topic, Some(3)).unwrap();
        for partition in [0, 1, 2] {
            cluster.append(&topic, partition, &[vec![Some(b"x".to_vec()); 100]]);
        }
        let admin: AdminClient<_> = cluster.options.config(&[], &[]).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(40)).unwrap();
        admin::wait(admin.delete_records(&list, &AdminOptions::new())).unwrap();
        let mut reader = KafkaReader::new(&cluster.options).unwrap().passing_over_lost(true);
        // Alone: part of the range is gone, all of it, and a range beyond the end.
        for (start, end, expected) in [(10, 60, 20), (10, 30, 0), (150, 160, 0), (90, 100, 10)] {
            let found = read(&mut reader, &range(&topic, 0, start, end), 7);
            assert_eq!(found.len(), expected, "{start} to {end} on {}", cluster.name);
        }
        // Together with others, before and after them.
        let ranges = [range(&topic, 1, 0, 50), range(&topic, 0, 10, 60), range(&topic, 2, 50, 100)];
        reader.expect(&ranges);
        let found = ranges.map(|range| read(&mut reader, &range, 7).len());
        assert_eq!(found, [50, 20, 50], "{}", cluster.name);
        let mut strict = KafkaReader::new(&cluster.options).unwrap();
        strict.open(&range(&topic, 0, 10, 60)).unwrap();
        let error = strict.next(&mut Chunk::default(), 100).unwrap_err();
        assert!(error.message().contains("fail_on_data_loss = false"), "{error}");
    }
}

#[test]
fn a_groups_offsets_are_set_and_others_see_them() {
    for cluster in clusters() {
        let (topic, name) = (topic("group"), topic("group-of"));
        admin::ensure_topic(&cluster.options, &topic, Some(3)).unwrap();
        let mut group = Group::new(&cluster.options, &name).unwrap();
        for offsets in [[0, 7, 1 << 40], [1, 8, 3]] {
            let wanted = (0..).zip(offsets).collect();
            group.commit(&[(topic.clone(), wanted)].into()).unwrap();
            let consumer: BaseConsumer =
                cluster.options.config(&[], &[("group.id", &name)]).create().expect("a consumer");
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, 2);
            let found = consumer.committed_offsets(list, PATIENCE).expect("offsets");
            let found: Vec<_> = found.elements().iter().map(|element| element.offset()).collect();
            assert_eq!(found, offsets.map(rdkafka::Offset::Offset), "{}", cluster.name);
        }
    }
}
