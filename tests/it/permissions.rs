//! The whole matrix: every role, every action, in the own area and in another, against a table
//! written by hand; and the table that the documentation shows.

use std::path::Path;
use xuncha::enforcement::dispatch::PlaceCodes;
use xuncha::enforcement::people::Role;
use xuncha::enforcement::permissions::{Action, Scope, matrix, may_at};

/// Who may what, by initials: p patroller, s squad leader, r reviewer, v village, t town,
/// d district, c city leader, i dispatcher, l planner, a admin. And whether elsewhere, too.
const EXPECTED: &[(Action, &str, bool)] = &[
    (Action::LookUp, "psrvtdcila", true),
    (Action::SeeCases, "psrvtdcila", false),
    (Action::ReportCase, "psrvtdcila", true),
    (Action::AddEvidence, "psrvtdcila", false),
    (Action::RecordTrack, "psrvtdcila", true),
    (Action::SeeTracks, "svtdcia", false),
    (Action::ManagePatrolPlans, "svtdcia", false),
    (Action::ImportSuspects, "la", true),
    (Action::SeePeople, "srvtdcia", false),
    (Action::ManagePeople, "a", false),
    (Action::ManageBoundaries, "la", true),
    (Action::GiveTasks, "svtdci", false),
    (Action::HandlePublicReports, "svtdci", false),
    (Action::ManageSettings, "a", true),
    (Action::Redispatch, "ia", false),
    (Action::FreezeReports, "tdca", false),
    (Action::SeeAudit, "a", true),
];

const INITIALS: [(char, Role); 10] = [
    ('p', Role::Patroller),
    ('s', Role::SquadLeader),
    ('r', Role::Reviewer),
    ('v', Role::VillageLeader),
    ('t', Role::TownLeader),
    ('d', Role::DistrictLeader),
    ('c', Role::CityLeader),
    ('i', Role::Dispatcher),
    ('l', Role::Planner),
    ('a', Role::Admin),
];

fn place(district: &str, town: &str, village: &str, functional_area: Option<&str>) -> PlaceCodes {
    PlaceCodes {
        city: Some("350300".into()),
        district: Some(district.into()),
        functional_areas: functional_area.map(String::from).into_iter().collect(),
        town: Some(town.into()),
        village: Some(village.into()),
        cell: None,
    }
}

#[test]
fn every_role_may_exactly_what_the_table_says_here_and_elsewhere() {
    for (action, roles, elsewhere) in EXPECTED {
        for (initial, role) in INITIALS {
            let allowed = roles.contains(initial);
            let here = place("350302", "350302002", "350302002005", None);
            for area in ["350300", "350302", "350302002", "350302002005"] {
                let scope = Scope::of_area(area, |_| false);
                assert_eq!(
                    may_at(role, &scope, *action, &here),
                    allowed,
                    "{role:?} {action:?} {area}"
                );
            }
            for area in ["350303", "350302003", "350302002006", "350305901", ""] {
                let scope = Scope::of_area(area, |code| code == "350305901");
                let expected = allowed && *elsewhere;
                assert_eq!(
                    may_at(role, &scope, *action, &here),
                    expected,
                    "{role:?} {action:?} {area}"
                );
            }
            // A functional area and the district around it.
            let taken = place("350305", "350305102", "350305102001", Some("350305901"));
            for (area, inside) in [("350305901", true), ("350305", false), ("350305102", true)] {
                let scope = Scope::of_area(area, |code| code == "350305901");
                let expected = allowed && (inside || *elsewhere);
                assert_eq!(
                    may_at(role, &scope, *action, &taken),
                    expected,
                    "{role:?} {action:?} {area}"
                );
            }
        }
    }
    let listed: Vec<Action> = EXPECTED.iter().map(|(action, ..)| *action).collect();
    let unlisted: Vec<_> = Action::ALL.iter().filter(|action| !listed.contains(action)).collect();
    assert!(unlisted.is_empty(), "say here who may: {unlisted:?}");
    println!("{}", whole_matrix());
}

/// The rules of the platform and those of a case's steps.
fn whole_matrix() -> String {
    use std::fmt::Write;
    use xuncha::enforcement::workflow::RULES;
    let mut text = matrix();
    for rule in &RULES {
        let (zh, en) = (rule.zh, rule.en);
        let _ = write!(text, "| {zh} {en} (`{}`) |", rule.action.as_str());
        for role in Role::ALL {
            let may = rule.who.iter().any(|who| who.is_role(role));
            text.push_str(if may { " own |" } else { " · |" });
        }
        text.push('\n');
    }
    text
}

/// `XUNCHA_WRITE_DOCS=1` writes it anew.
#[test]
fn the_documentation_shows_the_matrix_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (begin, end) = ("<!-- matrix -->\n", "<!-- end -->");
    let (before, rest) = text.split_once(begin).expect("a mark");
    let (_, after) = rest.split_once(end).expect("an end");
    let expected = format!("{before}{begin}{}{end}{after}", whole_matrix());
    if std::env::var_os("XUNCHA_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    assert!(text == expected, "run this test with XUNCHA_WRITE_DOCS=1 and look at the change");
}
