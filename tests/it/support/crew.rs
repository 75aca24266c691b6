//! People of the demo city who carry a case from report to close, and the steps they take.

use super::caller::{Answer, Caller};
use super::demo_city::City;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Double, Integer, Text};
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

/// A picture of one pixel.
pub const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, 0x49, 0x44, 0x41, 0x54,
    0x78, 0x9c, 0x63, 0x60, 0x60, 0x60, 0x60, 0, 0, 0, 5, 0, 1, 0xa5, 0xf6, 0x45, 0x40, 0, 0, 0, 0,
    0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// Who works around one grid cell.
#[derive(Debug, Clone, QueryableByName)]
pub struct Crew {
    #[diesel(sql_type = Text)]
    pub cell: String,
    #[diesel(sql_type = Double)]
    pub lon: f64,
    #[diesel(sql_type = Double)]
    pub lat: f64,
    /// The patroller who answers for the cell.
    #[diesel(sql_type = Text)]
    pub responsible: String,
    /// Stands in for the responsible person.
    #[diesel(sql_type = Text)]
    pub backup: String,
    /// Another patroller of the village.
    #[diesel(sql_type = Text)]
    pub colleague: String,
    /// Of the town.
    #[diesel(sql_type = Text)]
    pub squad_leader: String,
    #[diesel(sql_type = Text)]
    pub town_leader: String,
    /// Of the district.
    #[diesel(sql_type = Text)]
    pub reviewer: String,
    #[diesel(sql_type = Text)]
    pub district_leader: String,
}

const CREWS: &str = "
    SELECT f.code AS cell, ST_X(ST_PointOnSurface(f.geom)) AS lon, ST_Y(ST_PointOnSurface(f.geom)) AS lat,
           p.phone AS responsible, b.phone AS backup, q.phone AS colleague,
           s.phone AS squad_leader, t.phone AS town_leader, r.phone AS reviewer, l.phone AS district_leader
    FROM features_in_force_view f
    JOIN duties d ON d.code = f.code AND d.rank = 'primary' AND d.nature = '*'
    JOIN people p ON p.id = d.person_id AND p.area_code = left(f.code, 12)
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people JOIN duties ON person_id = people.id
         WHERE duties.code = f.code AND rank = 'backup' AND nature = '*' AND people.id <> p.id
         HAVING count(*) = 1) b
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people
         WHERE role = 'patroller' AND area_code = p.area_code AND id <> p.id) q
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people
         WHERE role = 'squad_leader' AND area_code = left(f.code, 9)) s
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people
         WHERE role = 'town_leader' AND area_code = left(f.code, 9)) t
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people
         WHERE role = 'reviewer' AND area_code = left(f.code, 6)) r
    CROSS JOIN LATERAL (SELECT min(phone) AS phone FROM people
         WHERE role = 'district_leader' AND area_code = left(f.code, 6)) l
    WHERE f.layer = 'cell' AND left(f.code, 6) = $1
      AND NOT EXISTS (SELECT 1 FROM duties e WHERE e.code = f.code AND e.nature <> '*')
      AND q.phone IS NOT NULL AND s.phone IS NOT NULL AND t.phone IS NOT NULL
      AND r.phone IS NOT NULL AND l.phone IS NOT NULL
    ORDER BY f.code LIMIT $2";

impl Crew {
    /// Crews of a district, one per cell.
    pub fn of(city: &City, district: &str, limit: i32) -> Vec<Self> {
        Self::in_store(&mut city.conn(), district, limit)
    }

    /// The same from any store with the demo city.
    pub fn in_store(conn: &mut PgConnection, district: &str, limit: i32) -> Vec<Self> {
        sql_query(CREWS)
            .bind::<Text, _>(district)
            .bind::<Integer, _>(limit)
            .load(conn)
            .expect("crews")
    }

    /// The n-th of a district; tests that change something take one of their own.
    pub fn nth(city: &City, district: &str, n: usize) -> Self {
        let crews = Self::of(city, district, n as i32 + 1);
        crews.into_iter().nth(n).unwrap_or_else(|| panic!("no crew {n} in {district}"))
    }

    /// A report of a find in the cell.
    pub fn find(&self) -> Value {
        json!({"id": Uuid::new_v4(), "lon": self.lon, "lat": self.lat, "accuracy_m": 5.0,
            "nature": "illegal_land_use", "area_m2": 300.0, "party": {"name": "王五"}})
    }
}

/// Uploads a photo to a case; gives its id.
pub fn photo(caller: &Caller, case: &str) -> Uuid {
    let id = Uuid::new_v4();
    let file = Part::bytes(PNG).file_name("photo.png");
    let form = Form::new().text("id", id.to_string()).part("file", file);
    caller.upload(&format!("/cases/{case}/attachments"), form).with(201);
    id
}

/// An action with its particulars.
pub fn action(name: &str, more: Value) -> Value {
    let mut body = json!({"id": Uuid::new_v4(), "action": name});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    body
}

/// Takes a step with a request made before.
pub fn send(caller: &Caller, case: &str, body: &Value) -> Answer {
    caller.post(&format!("/cases/{case}/actions"), body)
}

/// Takes a step.
pub fn act(caller: &Caller, case: &str, name: &str, more: Value) -> Answer {
    send(caller, case, &action(name, more))
}
