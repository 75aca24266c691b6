use super::*;
use crate::atlas::category::Category;
use crate::tiles::cases::{CaseFigures, CaseNature, CaseSource, CaseStatus, Choice};
use proptest::prelude::*;

pub(crate) fn record(n: u64, lon: f64, lat: f64) -> CaseRecord {
    let district = ["350302", "350303", "350305"][(n % 3) as usize];
    CaseRecord {
        id: Uuid::from_u128(u128::from(n)),
        number: format!("{district}-2026-{n:06}").into(),
        lon,
        lat,
        reported_at: 1_704_038_400 + (n as i64 % 1000) * 43_200,
        status: CaseStatus::ALL[(n % 9) as usize],
        nature: CaseNature::ALL[(n % 3) as usize],
        source: Some(CaseSource::ALL[(n % 4) as usize]),
        category: (!n.is_multiple_of(7)).then(|| Category::ALL[(n % 5) as usize]),
        area_m2: (!n.is_multiple_of(4)).then_some(n as f64),
        assignee: (!n.is_multiple_of(5)).then(|| Uuid::from_u128(u128::from(n % 11))),
        place: CasePlace {
            city: Some("350300".into()),
            district: Some(district.into()),
            functional_area: (n % 6 == 2).then(|| "350391".into()),
            ..CasePlace::default()
        }
        .into(),
        figures: CaseFigures::default(),
        version: 1,
    }
}

fn admitted(record: &CaseRecord, filter: &CaseFilter) -> bool {
    filter.from.is_none_or(|t| record.reported_at >= t)
        && filter.until.is_none_or(|t| record.reported_at < t)
        && filter.status.admits(record.status.bit())
        && filter.nature.admits(record.nature.bit())
        && filter.source.admits(record.source.map_or(0, CaseSource::bit))
        && filter.category.admits(record.category.map_or(0, category_bit))
        && filter.assignee.is_none_or(|a| record.assignee == Some(a))
        && filter.area.as_deref().is_none_or(|a| record.place.is_within(a))
        && filter.scope.as_deref().is_none_or(|a| record.place.is_within(a))
}

fn ids(index: &CaseIndex, tile: TileAddress, filter: &CaseFilter) -> Vec<Uuid> {
    let mut ids = Vec::new();
    index.snapshot().visit(tile, filter, |hit| ids.push(hit.record().id));
    ids.sort();
    ids
}

fn positions() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((118.4..119.7f64, 24.9..25.8f64), 1..200)
}

fn filters() -> impl Strategy<Value = CaseFilter> {
    let time = prop::option::of(1_704_000_000..1_748_000_000i64);
    let area = prop::option::of(prop::sample::select(vec![
        "350300", "350302", "350305", "350391", "350304",
    ]));
    (
        time.clone(),
        time,
        0..512u16,
        0..8u16,
        0..32u16,
        (0..16u16, prop::option::of(0..12u128)),
        area.clone(),
        area,
    )
        .prop_map(
            |(from, until, status, nature, category, (source, assignee), area, scope)| {
                let choice = |bits: u16| {
                    let mut c = Choice::ANY;
                    c.insert(bits);
                    c
                };
                CaseFilter {
                    from,
                    until,
                    status: choice(status),
                    nature: choice(nature),
                    category: choice(category),
                    source: choice(source),
                    area: area.map(Into::into),
                    assignee: assignee.map(Uuid::from_u128),
                    scope: scope.map(Into::into),
                    ..CaseFilter::default()
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_query_finds_what_a_plain_scan_finds(
        positions in positions(),
        moves in prop::collection::vec((0..250u64, 118.4..119.7f64, 24.9..25.8f64), 0..50),
        filter in filters(),
        z in 0..=18u8,
    ) {
        let records: Vec<CaseRecord> = positions.iter().zip(0..).map(|(p, n)| record(n, p.0, p.1)).collect();
        let index = CaseIndex::new(records.clone());
        let mut plain: HashMap<Uuid, CaseRecord> = records.into_iter().map(|r| (r.id, r)).collect();
        for (version, (n, lon, lat)) in (2..).zip(moves) {
            let moved = CaseRecord { version, ..record(n, lon, lat) };
            plain.insert(moved.id, moved.clone());
            index.apply([moved]);
        }
        prop_assert_eq!(index.snapshot().len(), plain.len());
        for record in plain.values().take(20) {
            let tile = TileAddress::at(z, address::project(Coord { x: record.lon, y: record.lat }));
            let mut expected: Vec<Uuid> = plain
                .values()
                .filter(|r| TileAddress::at(z, address::project(Coord { x: r.lon, y: r.lat })) == tile)
                .filter(|r| admitted(r, &filter))
                .map(|r| r.id)
                .collect();
            expected.sort();
            prop_assert_eq!(ids(&index, tile, &filter), expected);
        }
        let bounds = Rect::new(Coord { x: 118.9, y: 25.2 }, Coord { x: 119.2, y: 25.5 });
        let mut found = 0;
        index.snapshot().visit_box(bounds, &filter, |_| found += 1);
        let expected = plain.values().filter(|r| {
            (118.9..=119.2).contains(&r.lon) && (25.2..=25.5).contains(&r.lat) && admitted(r, &filter)
        });
        prop_assert_eq!(found, expected.count());
    }
}

#[test]
fn a_change_touches_only_its_own_tiles() {
    let index = CaseIndex::new((0..100).map(|n| record(n, 119.0, 25.4)));
    let tile = |z, lon, lat| TileAddress::at(z, address::project(Coord { x: lon, y: lat }));
    let watched =
        [tile(0, 119.0, 25.4), tile(14, 119.0, 25.4), tile(14, 119.5, 25.1), tile(18, 118.5, 25.5)];
    let revisions = || watched.map(|t| index.revision(t));
    let before = revisions();
    index.apply([record(500, 119.5, 25.1)]);
    let after = revisions();
    assert_eq!([true, false, true, false], std::array::from_fn(|i| before[i] != after[i]));
    // The same state again changes nothing, an older one neither.
    index.apply([record(500, 119.5, 25.1), CaseRecord { version: 0, ..record(500, 118.5, 25.5) }]);
    assert_eq!(after, revisions());
    // A case that moves touches where it was and where it is.
    index.apply([CaseRecord { version: 2, ..record(500, 118.5, 25.5) }]);
    assert_eq!([true, false, true, true], std::array::from_fn(|i| after[i] != revisions()[i]));
    assert!(ids(&index, watched[2], &CaseFilter::default()).is_empty());
    assert_eq!(ids(&index, watched[3], &CaseFilter::default()), [Uuid::from_u128(500)]);
}

#[test]
fn merging_keeps_every_case_once() {
    let index = CaseIndex::default();
    for batch in 0..10u64 {
        let records = (0..700)
            .map(|i| CaseRecord { version: batch as u32, ..record(batch * 350 + i, 119.0, 25.4) });
        index.apply(records);
    }
    let snapshot = index.snapshot();
    assert_eq!(snapshot.len(), 9 * 350 + 700);
    assert_eq!(
        ids(&index, TileAddress::new(0, 0, 0).unwrap(), &CaseFilter::default()).len(),
        snapshot.len()
    );
}

#[test]
fn nonsense_positions_do_no_harm() {
    let index = CaseIndex::new([
        record(1, f64::NAN, 25.0),
        record(2, 1e300, -1e300),
        record(3, 180.0, 90.0),
    ]);
    assert_eq!(ids(&index, TileAddress::new(0, 0, 0).unwrap(), &CaseFilter::default()).len(), 3);
}

#[test]
fn nobody_is_not_a_person() {
    let index = CaseIndex::new([CaseRecord { assignee: None, ..record(230, 119.0, 25.4) }]);
    let nil = CaseFilter { assignee: Some(Uuid::nil()), ..Default::default() };
    assert!(ids(&index, TileAddress::new(0, 0, 0).unwrap(), &nil).is_empty());
}
