use super::*;
use crate::atlas::cell_index::{Exact, NOBODY};
use crate::geometry::containment;
use geo::{Coord, LineString, Polygon};
use proptest::prelude::*;

struct Plain<'a>(&'a [MultiPolygon]);

impl Exact for Plain<'_> {
    fn holds(&self, index: u32, position: Coord) -> bool {
        containment::contains(&self.0[index as usize], position)
    }

    fn hits(&self, position: Coord, hits: &mut Vec<u32>) {
        hits.clear();
        hits.extend((0..self.0.len() as u32).filter(|&index| self.holds(index, position)));
    }
}

/// Holds nothing, whatever it is asked for.
struct Nobody;

impl Exact for Nobody {
    fn holds(&self, _: u32, _: Coord) -> bool {
        false
    }

    fn hits(&self, _: Coord, hits: &mut Vec<u32>) {
        hits.clear();
    }
}

/// Triangles around the corners of a small grid, some over each other.
fn shapes(seed: u32) -> Vec<MultiPolygon> {
    let at =
        |x: u32, y: u32| Coord { x: 119.0 + f64::from(x) * 1e-4, y: 25.0 + f64::from(y) * 1e-4 };
    (0..60)
        .map(|n| {
            let (x, y) = (n % 8 * 10, n / 8 * 10);
            let bent = (n * 7 + seed) % 5;
            let ring = vec![at(x, y), at(x + 12, y + bent), at(x + bent, y + 11), at(x, y)];
            Polygon::new(LineString(ring), vec![]).into()
        })
        .collect()
}

fn points() -> Vec<Coord> {
    (0..2000)
        .map(|n| Coord {
            x: 118.9995 + f64::from(n % 50) * 2e-4,
            y: 24.9995 + f64::from(n / 50) * 2.3e-4,
        })
        .collect()
}

fn build(shapes: &[MultiPolygon]) -> CellIndex {
    CellIndex::build(shapes.len(), |i| &shapes[i], &Fineness::default()).unwrap()
}

fn key(shapes: &[MultiPolygon]) -> Key {
    Key::of(shapes.iter(), &Fineness::default())
}

#[test]
fn a_mapped_index_answers_like_the_built_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.cells");
    let shapes = shapes(1);
    let built = build(&shapes);
    assert!(matches!(CellIndex::open(&path, &key(&shapes), 60), Err(Unusable::Missing)));
    built.save(&path, &key(&shapes)).unwrap();
    let mapped = CellIndex::open(&path, &key(&shapes), 60).unwrap();
    assert_eq!(built.words(), mapped.words());
    let (mut one, mut two) = (vec![0; 2000], vec![0; 2000]);
    built.owners(&points(), &Plain(&shapes), &mut one);
    mapped.owners(&points(), &Plain(&shapes), &mut two);
    assert_eq!(one, two);
    assert!(one.iter().filter(|&&owner| owner != NOBODY).count() > 200);
}

#[test]
fn a_shelf_builds_what_it_lacks_and_what_is_damaged_or_of_another_day() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(folder.path().join("cells"));
    let (first, second) = (shapes(1), shapes(2));
    let get = |layer: &str, shapes: &[MultiPolygon]| {
        let found = shelf.index(layer, shapes.len(), |i| &shapes[i], &Fineness::default());
        assert!(found.not_kept.is_none());
        assert_eq!(found.index.unwrap().words(), build(shapes).words());
        found.built_because
    };
    assert!(matches!(get("../parcel", &first), Some(Unusable::Missing)));
    assert!(get("../parcel", &first).is_none());
    assert!(matches!(get("cell", &first), Some(Unusable::Missing)));
    assert!(matches!(get("../parcel", &second), Some(Unusable::Outdated)));
    assert!(get("../parcel", &second).is_none());
    let path = folder.path().join("cells").join(format!("{}.cells", hex::encode("../parcel")));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(get("../parcel", &second), Some(Unusable::Damaged(_))));
    assert!(get("../parcel", &second).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_file_is_refused(at in any::<prop::sample::Index>(), flip in 1..=255u8, cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cells");
        let shapes = shapes(3);
        build(&shapes).save(&path, &key(&shapes)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else if (CHECKED + 32..HEADER).contains(&at) {
            // Nothing is read there.
            return Ok(());
        } else {
            bytes[at] ^= flip;
        }
        std::fs::write(&path, bytes).unwrap();
        let opened = CellIndex::open(&path, &key(&shapes), 60);
        prop_assert!(matches!(opened, Err(Unusable::Damaged(_) | Unusable::Outdated)));
    }

    /// With a checksum that fits: whoever writes such a file gets no wrong index, no endless
    /// search and no panic out of it.
    #[test]
    fn a_forged_file_does_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), any::<bool>()), 1..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cells");
        let shapes = shapes(4);
        let mut index = build(&shapes);
        let mut words = index.words().to_vec();
        for (at, value, small) in changes {
            let at = at.index(words.len());
            words[at] = if small { (value % words.len() as u32) | (value & 0xc000_0000) } else { value };
        }
        index.words = Words::Owned(words);
        let mut answers = vec![0; 2000];
        // Even unseen by the validation.
        index.owners(&points(), &Nobody, &mut answers);
        index.save(&path, &key(&shapes)).unwrap();
        if let Ok(opened) = CellIndex::open(&path, &key(&shapes), 60) {
            opened.owners(&points(), &Plain(&shapes), &mut answers);
            prop_assert!(answers.iter().all(|&owner| owner == NOBODY || owner < 60));
        }
    }
}
