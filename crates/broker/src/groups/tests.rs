//! Scenarios of one group: each line is an action at a second, and its result. Also tests the expiry of offsets.

use super::Groups;
use super::member::{Join, Joined};
use super::offsets::Committed;
use super::state::Group;
use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use std::time::{Duration, Instant};

const SESSION_SECONDS: u64 = 10;
const REBALANCE_SECONDS: u64 = 30;

struct Scenario {
    group: Group,
    start: Instant,
    fresh: usize,
}

impl Scenario {
    fn new() -> Scenario {
        Scenario { group: Group::new(), start: Instant::now(), fresh: 0 }
    }

    /// Runs `SECOND VERB ARGUMENTS…` and compares its result and the group's state.
    fn check(&mut self, line: &str, expected: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = self.start + Duration::from_secs(words[0].parse().unwrap());
        let argument = |index: usize| words.get(index).copied().unwrap_or_default();
        let generation = || argument(3).parse().unwrap();
        let outcome = match argument(1) {
            "join" => self.join(argument(2), argument(3), now),
            "joined" => shown(self.group.join_is_done(argument(2)).map(|done| done.to_string())),
            "sync" => shown(self.sync(argument(2), generation(), &words[4..], now)),
            "assigned" => shown(self.group.assignment(argument(2), generation(), now).map(|found| match found {
                Some(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                None => "not yet".to_owned(),
            })),
            "beat" => shown(self.group.heartbeat(argument(2), generation(), now).map(|()| "ok".to_owned())),
            "leave" => shown(self.group.leave(argument(2), None, now).map(|()| "ok".to_owned())),
            "commit" => shown(self.group.check_commit(argument(2), generation(), now).map(|()| "ok".to_owned())),
            "tick" => {
                self.group.tick(now);
                "ok".to_owned()
            }
            verb => panic!("{verb}?"),
        };
        let members: Vec<&str> = self.group.members.keys().map(String::as_str).collect();
        let found = format!("{outcome} | {} {} {}", self.group.phase.name(), self.group.generation, members.join(","));
        assert_eq!(found.trim_end(), expected, "after `{line}`");
    }

    /// `new`, `again` and `static` have no member id. An `again` must join again with its new id, a `new` need not. A
    /// `static` has an instance name.
    fn join(&mut self, who: &str, strategies: &str, now: Instant) -> String {
        let known = !matches!(who, "new" | "again" | "static");
        self.fresh += 1;
        let join = Join {
            member_id: if known { who.to_owned() } else { String::new() },
            instance: (who == "static").then(|| "i".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            session_timeout: Duration::from_secs(SESSION_SECONDS),
            rebalance_timeout: Duration::from_secs(REBALANCE_SECONDS),
            protocol_type: "consumer".to_owned(),
            protocols: strategies.split(',').map(|name| (name.to_owned(), Bytes::new())).collect(),
            fresh_id: format!("m{}", self.fresh),
            id_required: who == "again",
        };
        match self.group.join(join, now) {
            Ok(Joined::IdRequired(id)) => format!("come back as {id}"),
            Ok(Joined::Wait(id)) => format!("{id} waits"),
            Err(code) => shown(Err(code)),
        }
    }

    fn sync(&mut self, who: &str, generation: i32, assignments: &[&str], now: Instant) -> Result<String, Code> {
        let pair = |word: &&str| word.split_once('=').map(|(id, what)| (id.to_owned(), Bytes::from(what.to_owned())));
        let assignments = assignments.iter().filter_map(pair).collect();
        self.group.sync(who, generation, assignments, now).map(|()| "ok".to_owned())
    }
}

fn shown(outcome: Result<String, Code>) -> String {
    outcome.unwrap_or_else(|code| format!("{code:?}"))
}

/// A group of m1 (leader) and m2, stable in generation 2.
fn two_members() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.check("0 join new range", "m1 waits | CompletingRebalance 1 m1");
    scenario.check("0 join new range", "m2 waits | PreparingRebalance 1 m1,m2");
    scenario.check("1 join m1 range", "m1 waits | CompletingRebalance 2 m1,m2");
    scenario.check("1 sync m2 2", "ok | CompletingRebalance 2 m1,m2");
    scenario.check("1 assigned m2 2", "not yet | CompletingRebalance 2 m1,m2");
    scenario.check("1 sync m1 2 m1=a m2=b", "ok | Stable 2 m1,m2");
    scenario.check("1 assigned m2 2", "b | Stable 2 m1,m2");
    scenario.check("1 assigned m1 2", "a | Stable 2 m1,m2");
    scenario
}

#[test]
fn members_come_and_go() {
    let mut scenario = two_members();
    scenario.check("2 beat m1 2", "ok | Stable 2 m1,m2");
    scenario.check("2 beat m1 1", "IllegalGeneration | Stable 2 m1,m2");
    scenario.check("2 beat m9 2", "UnknownMemberId | Stable 2 m1,m2");
    scenario.check("2 commit m1 2", "ok | Stable 2 m1,m2");
    scenario.check("2 commit - -1", "UnknownMemberId | Stable 2 m1,m2");
    scenario.check("3 join m2 range", "m2 waits | Stable 2 m1,m2");
    scenario.check("3 leave m2", "ok | PreparingRebalance 2 m1");
    scenario.check("3 beat m1 2", "RebalanceInProgress | PreparingRebalance 2 m1");
    scenario.check("4 join m1 range", "m1 waits | CompletingRebalance 3 m1");
    scenario.check("4 commit m1 3", "RebalanceInProgress | CompletingRebalance 3 m1");
    scenario.check("4 leave m1", "ok | Empty 4");
    scenario.check("4 commit - -1", "ok | Empty 4");
}

#[test]
fn a_silent_member_is_given_up() {
    let mut scenario = two_members();
    scenario.check("9 beat m1 2", "ok | Stable 2 m1,m2");
    scenario.check("11 beat m1 2", "RebalanceInProgress | PreparingRebalance 2 m1");
    scenario.check("22 tick", "ok | Empty 3");
}

#[test]
fn a_rebalance_does_not_wait_for_ever() {
    let mut scenario = two_members();
    scenario.check("2 join new range", "m4 waits | PreparingRebalance 2 m1,m2,m4");
    scenario.check("3 join m1 range", "m1 waits | PreparingRebalance 2 m1,m2,m4");
    for second in [10, 18, 26, 31] {
        scenario.check(&format!("{second} beat m2 2"), "RebalanceInProgress | PreparingRebalance 2 m1,m2,m4");
    }
    scenario.check("31 joined m1", "false | PreparingRebalance 2 m1,m2,m4");
    scenario.check("32 tick", "ok | CompletingRebalance 3 m1,m4");
    scenario.check("32 joined m1", "true | CompletingRebalance 3 m1,m4");
    scenario.check("32 joined m2", "UnknownMemberId | CompletingRebalance 3 m1,m4");
    // m4 waits for a leader that sends heartbeats but no assignment.
    scenario.check("32 sync m4 3", "ok | CompletingRebalance 3 m1,m4");
    for second in [40, 48, 56, 61] {
        scenario.check(&format!("{second} beat m1 3"), "ok | CompletingRebalance 3 m1,m4");
    }
    scenario.check("62 tick", "ok | PreparingRebalance 3 m4");
    scenario.check("62 assigned m4 3", "RebalanceInProgress | PreparingRebalance 3 m4");
    scenario.check("63 join m4 range", "m4 waits | CompletingRebalance 4 m4");
}

#[test]
fn a_new_member_comes_back_with_its_id() {
    let mut scenario = Scenario::new();
    scenario.check("0 join again range", "come back as m1 | Empty 0");
    scenario.check("0 join m7 range", "UnknownMemberId | Empty 0");
    scenario.check("1 join again range", "come back as m3 | Empty 0");
    scenario.check("1 join m1 range", "m1 waits | PreparingRebalance 0 m1");
    scenario.check("11 tick", "ok | CompletingRebalance 1 m1");
    scenario.check("11 join m3 range", "UnknownMemberId | CompletingRebalance 1 m1");
}

#[test]
fn a_static_member_takes_its_place_again_without_a_rebalance() {
    let mut scenario = Scenario::new();
    scenario.check("0 join static range", "m1 waits | CompletingRebalance 1 m1");
    scenario.check("0 sync m1 1 m1=a", "ok | Stable 1 m1");
    scenario.check("1 join static range", "m2 waits | Stable 1 m2");
    scenario.check("1 joined m2", "true | Stable 1 m2");
    scenario.check("1 sync m2 1", "ok | Stable 1 m2");
    scenario.check("1 assigned m2 1", "a | Stable 1 m2");
    scenario.check("1 beat m1 1", "UnknownMemberId | Stable 1 m2");
    assert_eq!(scenario.group.check_instance("m1", Some("i")), Err(Code::FencedInstanceId));
    assert_eq!(scenario.group.check_instance("m2", Some("i")), Ok(()));
    scenario.check("2 join static roundrobin", "m3 waits | CompletingRebalance 2 m3");
}

#[test]
fn members_agree_on_a_strategy() {
    let mut scenario = Scenario::new();
    scenario.check("0 join new range,sticky", "m1 waits | CompletingRebalance 1 m1");
    scenario.check("0 join new roundrobin", "InconsistentGroupProtocol | CompletingRebalance 1 m1");
    scenario.check("0 join new roundrobin,sticky", "m3 waits | PreparingRebalance 1 m1,m3");
    scenario.check("0 join m1 range,sticky", "m1 waits | CompletingRebalance 2 m1,m3");
    assert_eq!(scenario.group.protocol.as_deref(), Some("sticky"));
    assert_eq!(scenario.group.leader.as_deref(), Some("m1"));
}

/// A plain dynamic member.
fn plain_member() -> Join {
    Join {
        member_id: String::new(),
        instance: None,
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        session_timeout: Duration::from_secs(3600),
        rebalance_timeout: Duration::from_secs(3600),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        fresh_id: "m".to_owned(),
        id_required: false,
    }
}

#[test]
fn offsets_are_kept_for_the_retention_after_the_last_member_has_left() {
    const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
    const RETENTION_MS: i64 = RETENTION.as_millis() as i64;
    let dir = tempfile::tempdir().unwrap();
    let groups = Groups::open(dir.path().join("offsets"), false).unwrap();
    let start_ms = tidemill_os::clock::wall_ms();
    let member = groups.join("members", plain_member()).unwrap().member_id;
    for (group, protocol_type) in [("members", "consumer"), ("without", "")] {
        let committed = Committed { offset: 1, leader_epoch: 0, metadata: String::new(), time_ms: start_ms };
        groups.offsets().commit(group, protocol_type, vec![(("t".to_owned(), 0), committed)]).unwrap();
    }
    let check = |now_ms: i64, expected: &[&str]| {
        groups.expire(now_ms, RETENTION);
        assert_eq!(groups.names(), expected, "{} ms after the start", now_ms - start_ms);
    };
    check(start_ms + RETENTION_MS, &["members", "without"]);
    check(start_ms + RETENTION_MS + 1, &["members"]);
    let left_ms = start_ms + 5 * RETENTION_MS;
    check(left_ms, &["members"]);
    groups.with("members", |group, now| group.leave(&member, None, now)).unwrap();
    check(left_ms + RETENTION_MS, &["members"]);
    assert!(groups.offsets().get("members", "t", 0).is_some());
    check(left_ms + RETENTION_MS + 1, &[]);
    assert!(!groups.exists("members"));
}
