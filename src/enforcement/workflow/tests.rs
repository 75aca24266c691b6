use super::case::Outcome;
use super::rules::is_ended;
use super::*;
use crate::enforcement::deadlines::Step;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::messages::Kind;
use crate::enforcement::nature::Nature;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::Scope;
use crate::enforcement::settings::Settings;
use crate::error::Fault;
use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use uuid::Uuid;

const RESPONSIBLE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn start() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-23T09:00:00+08:00").unwrap().with_timezone(&Utc)
}

fn place() -> PlaceCodes {
    PlaceCodes {
        city: Some("350300".into()),
        district: Some("350302".into()),
        functional_areas: vec![],
        town: Some("350302001".into()),
        village: Some("350302001001".into()),
        cell: Some("350302001001001".into()),
    }
}

fn actor(id: Uuid, role: Role, area: &str) -> Actor {
    Actor { id, role, scope: Scope::of_area(area, |_| false) }
}

fn person(n: u128, role: Role) -> Actor {
    actor(Uuid::from_u128(n), role, "350302")
}

/// A new case, with its first deadlines.
fn new_case() -> CaseState {
    let mut case = CaseState {
        id: Uuid::from_u128(100),
        status: Status::Dispatched,
        version: 1,
        nature: Nature::IllegalLandUse,
        place: place(),
        reporter: Some(Uuid::from_u128(9)),
        assignee: Some(RESPONSIBLE),
        imported: false,
        reported_at: start(),
        due_at: None,
        due_step: None,
        stop_due_at: None,
        close_due_at: None,
        visited_at: None,
        stopped_at: None,
        applied_at: None,
        applicant: None,
        outcome: None,
        demolished_m2: None,
        demolished_at: None,
        closed_at: None,
        closed_by: None,
        times_returned: 0,
        times_extended: 0,
        duplicate_of: None,
    };
    step::first_deadlines(&mut case, &Settings::default());
    case
}

/// A case in a state, as far as rules ask for it.
fn case_in(status: Status) -> CaseState {
    let applied = status == Status::CloseApplied;
    CaseState {
        status,
        outcome: applied.then_some(Outcome::Stopped),
        applicant: applied.then_some(RESPONSIBLE),
        ..new_case()
    }
}

/// A request that has everything any action may need.
fn full(action: Action) -> Request {
    Request {
        text: Some("说明".into()),
        reason: Some("原因".into()),
        attachments: vec![(Uuid::new_v4(), true)],
        demolished_m2: Some(120.0),
        outcome: Some(Outcome::Demolished),
        to_user: Some((OTHER, "李四".into())),
        duplicate_of: Some((Uuid::from_u128(101), false)),
        deadline: Some(start() + Duration::days(60)),
        authority: None,
        ..Request::bare(Uuid::new_v4(), action)
    }
}

fn take_plain(case: &CaseState, request: &Request, actor: &Actor) -> Result<Taken, Fault> {
    let now = start() + Duration::hours(1);
    take(case, &Past::default(), request, actor, now, &Settings::default())
}

/// Somebody who may take the action in this place, and is neither reporter nor applicant.
fn anyone_who_may(action: Action) -> Actor {
    let role = Role::ALL
        .into_iter()
        .find(|role| action.rule().who.iter().any(|who| who.is_role(*role)))
        .expect("somebody");
    person(50, role)
}

/// Written by hand from the description of the domain: `=` stays, `-` is refused, a letter is the
/// new state: Visited, Stopped, deMolishing, Applied, Closed, Rejected, dUplicate, Transferred,
/// Dispatched.
const EXPECTED: [(Action, &str); 20] = [
    //                         dispatched on_site stopped demolishing close_applied, then the ended
    (Action::Confirm, "===== ----"),
    (Action::ReturnReport, "===== ----"),
    (Action::PatrolRecord, "V===- ----"),
    (Action::StopOrder, "V=--- ----"),
    (Action::ConfirmStopped, "-S--- ----"),
    (Action::DemolishOrder, "-MM-- ----"),
    (Action::RecordDemolition, "---=- ----"),
    (Action::Recheck, "-==== ----"),
    (Action::ApplyClose, "--AA- ----"),
    (Action::ApproveClose, "----C ----"),
    (Action::ReturnClose, "----S ----"),
    (Action::Reassign, "===== ----"),
    (Action::Transfer, "TTTTT ----"),
    (Action::Urge, "===== ----"),
    (Action::Supervise, "===== ----"),
    (Action::Extend, "===== ----"),
    (Action::MarkDuplicate, "UUUUU ----"),
    (Action::Reject, "RRRRR ----"),
    (Action::Reopen, "----- DDDD"),
    (Action::Comment, "===== ===="),
];

#[test]
fn every_action_in_every_state_leads_where_the_domain_says() {
    for (action, expected) in EXPECTED {
        let letters: Vec<char> = expected.chars().filter(|c| *c != ' ').collect();
        assert_eq!(letters.len(), Status::ALL.len());
        for (status, letter) in Status::ALL.iter().zip(letters) {
            let case = case_in(*status);
            let taken = take_plain(&case, &full(action), &anyone_who_may(action));
            let wanted = match letter {
                '-' => {
                    let fault = taken.expect_err("a refusal");
                    assert_eq!(fault.code, "wrong_state", "{action:?} in {status:?}: {fault}");
                    continue;
                }
                '=' => *status,
                'V' => Status::OnSite,
                'S' => Status::Stopped,
                'M' => Status::Demolishing,
                'A' => Status::CloseApplied,
                'C' => Status::Closed,
                'R' => Status::Rejected,
                'U' => Status::Duplicate,
                'T' => Status::Transferred,
                'D' => Status::Dispatched,
                other => panic!("{other}"),
            };
            let taken = taken.unwrap_or_else(|fault| panic!("{action:?} in {status:?}: {fault}"));
            assert_eq!(taken.case.status, wanted, "{action:?} in {status:?}");
            assert_eq!(taken.case.version, case.version + 1);
            assert_eq!(taken.case.due_at.is_none(), is_ended(wanted), "{action:?} in {status:?}");
        }
    }
    assert_eq!(EXPECTED.len(), Action::ALL.len());
    for action in Action::ALL {
        assert_eq!(action.rule().action, *action, "each has its row");
    }
}

#[test]
fn only_those_may_whom_the_domain_names() {
    use Role::*;
    let roles = |action: Action| -> Vec<Role> {
        let case = case_in(action.rule().from[0]);
        Role::ALL
            .into_iter()
            .filter(|role| match take_plain(&case, &full(action), &person(50, *role)) {
                Ok(_) => true,
                Err(fault) => {
                    assert_eq!(fault.code, "role_forbidden", "{action:?} {role:?}: {fault}");
                    false
                }
            })
            .collect()
    };
    let leaders = [VillageLeader, TownLeader, DistrictLeader, CityLeader];
    let with = |more: &[Role]| [more, &leaders[..]].concat();
    let sorted = |mut roles: Vec<Role>| {
        roles.sort();
        roles
    };
    for (action, expected) in [
        (Action::PatrolRecord, vec![Patroller, SquadLeader]),
        (Action::Recheck, vec![Patroller, SquadLeader]),
        (Action::ApplyClose, vec![Patroller, SquadLeader]),
        (Action::Confirm, vec![Reviewer]),
        (Action::ApproveClose, vec![Reviewer]),
        (Action::ReturnClose, vec![Reviewer]),
        (Action::Urge, leaders.to_vec()),
        (Action::Supervise, leaders.to_vec()),
        (Action::Reassign, with(&[SquadLeader, Dispatcher])),
        (Action::Reject, vec![Reviewer, Dispatcher]),
        (Action::Reopen, with(&[Reviewer])),
        (Action::Comment, Role::ALL.to_vec()),
    ] {
        assert_eq!(roles(action), sorted(expected), "{action:?}");
    }
}

#[test]
fn the_own_area_counts_except_for_the_responsible_person() {
    let case = case_in(Status::Dispatched);
    let elsewhere = |id, role| actor(id, role, "350303");
    let record = full(Action::PatrolRecord);
    let refused = take_plain(&case, &record, &elsewhere(OTHER, Role::Patroller)).unwrap_err();
    assert_eq!(refused.code, "area_forbidden");
    take_plain(&case, &record, &elsewhere(RESPONSIBLE, Role::TownLeader)).unwrap();
    let urge = full(Action::Urge);
    let refused = take_plain(&case, &urge, &elsewhere(OTHER, Role::DistrictLeader)).unwrap_err();
    assert_eq!(refused.code, "area_forbidden");
}

#[test]
fn a_refusal_says_what_is_missing_in_both_languages() {
    for (action, fields) in [
        (Action::ReturnReport, vec!["reason"]),
        (Action::Reassign, vec!["to_user", "reason"]),
        (Action::Recheck, vec!["attachments"]),
        (Action::RecordDemolition, vec!["demolished_m2"]),
        (Action::ApplyClose, vec!["outcome"]),
        (Action::MarkDuplicate, vec!["duplicate_of", "reason"]),
        (Action::Extend, vec!["deadline", "reason"]),
        (Action::Comment, vec!["text"]),
    ] {
        let status = match action {
            Action::Recheck | Action::RecordDemolition => Status::Demolishing,
            _ => action.rule().from[0],
        };
        let bare = Request::bare(Uuid::new_v4(), action);
        let fault = take_plain(&case_in(status), &bare, &anyone_who_may(action)).unwrap_err();
        assert_eq!(fault.code, "missing_evidence");
        let named: Vec<&str> = fault.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(named, fields, "{action:?}");
        assert!(fault.zh.contains("还缺") && fault.en.contains("without"), "{fault}");
    }
    let demolished = Request {
        outcome: Some(Outcome::Demolished),
        ..Request::bare(Uuid::new_v4(), Action::ApplyClose)
    };
    let who = anyone_who_may(Action::ApplyClose);
    let fault = take_plain(&case_in(Status::Demolishing), &demolished, &who).unwrap_err();
    assert_eq!(fault.fields[0].field, "demolished_m2");
    let stopped = Request { outcome: Some(Outcome::Stopped), ..demolished };
    let fault = take_plain(&case_in(Status::Demolishing), &stopped, &who).unwrap_err();
    assert_eq!(fault.code, "wrong_state", "a demolish order is not met by a stop");
}

#[test]
fn duplicates_name_another_case_that_is_none_itself() {
    let case = case_in(Status::OnSite);
    let who = anyone_who_may(Action::MarkDuplicate);
    for named in [(case.id, false), (Uuid::from_u128(101), true)] {
        let request = Request { duplicate_of: Some(named), ..full(Action::MarkDuplicate) };
        let fault = take_plain(&case, &request, &who).unwrap_err();
        assert_eq!(fault.fields[0].field, "duplicate_of");
    }
    let taken = take_plain(&case, &full(Action::MarkDuplicate), &who).unwrap();
    assert_eq!(taken.case.duplicate_of, Some(Uuid::from_u128(101)));
}

/// A case with its history, on which people act one after the other.
struct Story {
    case: CaseState,
    events: Vec<PastEvent>,
    now: DateTime<Utc>,
}

impl Story {
    fn new() -> Self {
        Self { case: new_case(), events: Vec::new(), now: start() }
    }

    fn act(&mut self, actor: &Actor, request: &Request) -> Result<Taken, Fault> {
        self.now += Duration::hours(1);
        let past = Past::of(&self.events);
        let settings = Settings::default();
        let taken = take(&self.case, &past, request, actor, self.now, &settings)?;
        self.case = taken.case.clone();
        self.events.push(PastEvent {
            action: request.action.as_str().into(),
            actor: Some(actor.id),
            at: self.now,
            attachments: request.attachments.iter().map(|(id, _)| *id).collect(),
        });
        Ok(taken)
    }

    fn offers(&self, actor: &Actor) -> Vec<Offer> {
        offers(&self.case, &Past::of(&self.events), actor, self.now + Duration::hours(1))
    }
}

#[test]
fn closing_as_demolished_needs_a_recheck_by_somebody_else_and_a_review_by_somebody_else() {
    let responsible = actor(RESPONSIBLE, Role::Patroller, "350302001001");
    let colleague = actor(OTHER, Role::Patroller, "350302001001");
    let reviewer = person(3, Role::Reviewer);
    let mut story = Story::new();
    story.act(&responsible, &full(Action::PatrolRecord)).unwrap();
    story.act(&responsible, &full(Action::DemolishOrder)).unwrap();
    // Photos before the demolition prove nothing about it.
    story.act(&colleague, &full(Action::Recheck)).unwrap();
    story.act(&responsible, &full(Action::RecordDemolition)).unwrap();
    story.act(&responsible, &full(Action::ApplyClose)).unwrap();
    let approve = full(Action::ApproveClose);
    let refused = story.act(&reviewer, &approve).unwrap_err();
    assert_eq!((refused.code, refused.fields[0].field.as_str()), ("missing_evidence", "case"));
    let offer = story.offers(&reviewer).into_iter().find(|o| o.action == Action::ApproveClose);
    assert_eq!(offer.unwrap().lacks, [Need::RecheckIfDemolished]);
    // The handler's own photos do not count.
    story.act(&responsible, &full(Action::Recheck)).unwrap();
    assert!(story.act(&reviewer, &approve).is_err());
    // Nor do photos that were shown before.
    let shown = story.events[0].attachments.clone();
    let old = Request { attachments: vec![(shown[0], true)], ..full(Action::Recheck) };
    assert_eq!(story.act(&colleague, &old).unwrap_err().fields[0].field, "attachments");
    // Nor a paper.
    let paper = Request { attachments: vec![(Uuid::new_v4(), false)], ..full(Action::Recheck) };
    assert!(story.act(&colleague, &paper).is_err());
    story.act(&colleague, &full(Action::Recheck)).unwrap();
    let closed = story.act(&reviewer, &approve).unwrap();
    assert_eq!(closed.case.status, Status::Closed);
    assert_eq!(closed.case.demolished_m2, Some(120.0));
    assert_eq!(closed.notices[0].kind, Kind::Closed);
}

#[test]
fn nobody_reviews_what_they_handed_in() {
    // A reviewer who answers for the case: everything but the review of it.
    let both = actor(RESPONSIBLE, Role::Reviewer, "350302");
    let mut story = Story::new();
    story.act(&both, &full(Action::PatrolRecord)).unwrap();
    story.act(&both, &full(Action::ConfirmStopped)).unwrap();
    let stopped = Request { outcome: Some(Outcome::Stopped), ..full(Action::ApplyClose) };
    story.act(&both, &stopped).unwrap();
    for action in [Action::ApproveClose, Action::ReturnClose] {
        assert_eq!(story.act(&both, &full(action)).unwrap_err().code, "own_review");
        assert!(story.offers(&both).iter().all(|offer| offer.action != action));
    }
    story.act(&person(3, Role::Reviewer), &full(Action::ApproveClose)).unwrap();
    let reporter = actor(Uuid::from_u128(9), Role::Reviewer, "350302");
    let own = Story::new().act(&reporter, &full(Action::Confirm)).unwrap_err();
    assert_eq!(own.code, "own_review");
}

#[test]
fn deadlines_follow_the_steps() {
    let responsible = actor(RESPONSIBLE, Role::Patroller, "350302001001");
    let reviewer = person(3, Role::Reviewer);
    let leader = person(4, Role::TownLeader);
    let mut story = Story::new();
    let due = |story: &Story| {
        let case = &story.case;
        (case.due_step.unwrap(), (case.due_at.unwrap() - start()).num_hours())
    };
    assert_eq!(due(&story), (Step::FirstVisit, 24));
    story.act(&responsible, &full(Action::PatrolRecord)).unwrap();
    assert_eq!(due(&story), (Step::Stop, 72));
    story.act(&responsible, &full(Action::PatrolRecord)).unwrap();
    assert_eq!(due(&story), (Step::Stop, 72), "another record gains no time");
    let to = start() + Duration::hours(100);
    let extend = Request { deadline: Some(to), ..full(Action::Extend) };
    story.act(&leader, &extend).unwrap();
    assert_eq!((due(&story), story.case.times_extended), ((Step::Stop, 100), 1));
    assert_eq!(story.case.stop_due_at, Some(to));
    assert_eq!(story.act(&leader, &extend).unwrap_err().fields[0].field, "deadline", "not later");
    story.act(&responsible, &full(Action::ConfirmStopped)).unwrap();
    assert_eq!(due(&story), (Step::Application, 30 * 24));
    let stopped = Request { outcome: Some(Outcome::Stopped), ..full(Action::ApplyClose) };
    story.act(&responsible, &stopped).unwrap();
    // Five working days after Monday: to the end of the next Monday, Shanghai.
    assert_eq!(due(&story), (Step::Review, 7 * 24 + 15));
    story.act(&reviewer, &full(Action::ReturnClose)).unwrap();
    assert_eq!(story.case.status, Status::Stopped);
    assert_eq!(due(&story).0, Step::Rework);
    story.act(&responsible, &full(Action::PatrolRecord)).unwrap();
    assert_eq!(due(&story).0, Step::Rework);
    story.act(&responsible, &stopped).unwrap();
    story.act(&reviewer, &full(Action::ApproveClose)).unwrap();
    assert_eq!((story.case.due_at, story.case.due_step), (None, None));
    story.act(&leader, &full(Action::Reopen)).unwrap();
    let again = (story.case.due_at.unwrap() - story.now).num_hours();
    assert_eq!((story.case.due_step, again), (Some(Step::FirstVisit), 24));
    assert_eq!(story.case.close_due_at.unwrap() - story.now, Duration::days(30));
}

#[test]
fn a_past_case_is_not_overdue_by_years_when_somebody_takes_it_up() {
    let mut story = Story::new();
    story.case.imported = true;
    story.case.reported_at = start() - Duration::days(900);
    (story.case.due_at, story.case.due_step) = (None, None);
    (story.case.stop_due_at, story.case.close_due_at) = (None, None);
    let responsible = actor(RESPONSIBLE, Role::Patroller, "350302001001");
    story.act(&responsible, &full(Action::PatrolRecord)).unwrap();
    assert_eq!(story.case.due_at, Some(story.now + Duration::days(3)));
}

#[test]
fn the_table_in_the_documentation_is_the_one_in_force() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/workflow.md");
    if std::env::var_os("XUNCHA_WRITE_DOCS").is_some() {
        std::fs::write(path, table::markdown()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, table::markdown(), "XUNCHA_WRITE_DOCS=1 cargo test --lib workflow");
}

#[derive(Debug, Clone)]
struct Move {
    actor: usize,
    action: usize,
    photo: bool,
    m2: Option<f64>,
    stopped: bool,
    to: u128,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one =
        (0..8usize, 0..Action::ALL.len(), any::<bool>(), any::<bool>(), any::<bool>(), 1..4u128)
            .prop_map(|(actor, action, photo, m2, stopped, to)| Move {
                actor,
                action,
                photo,
                m2: m2.then_some(50.0),
                stopped,
                to,
            });
    // Steps on the way come more often than those that end it, or nothing would ever be closed.
    let forward = (0..8usize, 2..11usize, any::<bool>(), 1..4u128).prop_map(
        |(actor, action, stopped, to)| Move {
            actor,
            action,
            photo: true,
            m2: Some(70.0),
            stopped,
            to,
        },
    );
    proptest::collection::vec(prop_oneof![1 => one, 4 => forward], 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_people_try_the_rules_hold(moves in moves()) {
        let actors = [
            actor(RESPONSIBLE, Role::Patroller, "350302001001"),
            actor(OTHER, Role::Patroller, "350302001001"),
            person(3, Role::Reviewer),
            // Answers for the case now and then, too.
            actor(OTHER, Role::Reviewer, "350302"),
            person(4, Role::SquadLeader),
            person(5, Role::DistrictLeader),
            person(6, Role::Dispatcher),
            actor(Uuid::from_u128(7), Role::Reviewer, "350303"),
        ];
        let mut story = Story::new();
        let mut accepted = 0;
        for one in moves {
            let action = Action::ALL[one.action];
            let who = &actors[one.actor];
            let mut request = full(action);
            request.deadline = Some(story.now + Duration::days(100));
            request.to_user = Some((Uuid::from_u128(one.to), "某".into()));
            request.demolished_m2 = one.m2;
            if !one.photo {
                request.attachments.clear();
            }
            if one.stopped {
                request.outcome = Some(Outcome::Stopped);
            }
            let offered = story.offers(who).into_iter().find(|offer| offer.action == action);
            let before = story.case.clone();
            let applied_by = before.applicant;
            match story.act(who, &request) {
                Err(_) => {
                    prop_assert_eq!(&story.case, &before);
                    continue;
                }
                Ok(taken) => {
                    let offered = offered.expect("what is taken was offered");
                    prop_assert!(offered.lacks.is_empty());
                    prop_assert_eq!(&taken.data["version"], taken.case.version);
                    for notice in &taken.notices {
                        prop_assert!(!notice.to.is_empty());
                    }
                }
            }
            accepted += 1;
            let case = &story.case;
            prop_assert_eq!(case.version, 1 + accepted);
            prop_assert_eq!(case.due_at.is_none(), is_ended(case.status));
            prop_assert_eq!(case.due_at.is_none(), case.due_step.is_none());
            prop_assert_eq!(case.closed_at.is_some(), case.status == Status::Closed);
            prop_assert_eq!(case.duplicate_of.is_some(), case.status == Status::Duplicate);
            prop_assert_ne!(case.duplicate_of, Some(case.id));
            prop_assert!(who.scope.holds(&case.place) || before.assignee == Some(who.id) || action == Action::Comment);
            if action == Action::ApproveClose {
                prop_assert_eq!(who.role, Role::Reviewer);
                prop_assert!(applied_by.is_some() && applied_by != Some(who.id));
                prop_assert!(case.outcome.is_some());
                if case.outcome == Some(Outcome::Demolished) {
                    prop_assert!(case.demolished_m2.is_some_and(|m2| m2 > 0.0));
                    let of = |wanted: Action| {
                        let events = story.events.iter().enumerate();
                        events.filter(move |(_, e)| e.action == wanted.as_str())
                    };
                    let reopened = of(Action::Reopen).map(|(n, _)| n).next_back();
                    let recorded = of(Action::RecordDemolition).map(|(n, _)| n).next_back().max(reopened);
                    let by_another = of(Action::Recheck).any(|(n, e)| {
                        Some(n) > recorded
                            && e.actor != before.assignee
                            && e.actor != before.applicant
                            && !e.attachments.is_empty()
                            && of(Action::RecordDemolition)
                                .filter(|(n, _)| Some(*n) > reopened)
                                .all(|(_, r)| r.actor != e.actor)
                    });
                    prop_assert!(by_another);
                }
            }
        }
    }
}
