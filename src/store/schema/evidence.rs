//! Uploads, patrol and suspected plots (migration 0006).

use super::{cases, people};

diesel::table! {
    use diesel::sql_types::*;

    uploads (id) {
        id -> Uuid,
        person_id -> Uuid,
        case_id -> Uuid,
        length -> Int8,
        file_name -> Text,
        circumstances -> Jsonb,
        sha256 -> Nullable<Bytea>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    patrol_plans (id) {
        id -> Uuid,
        title -> Text,
        area_code -> Text,
        cells -> Nullable<Array<Text>>,
        department -> Nullable<Text>,
        per -> Text,
        every_days -> Nullable<Int4>,
        times -> Int4,
        season_months -> Array<Int2>,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    patrol_tracks (id) {
        id -> Uuid,
        person_id -> Uuid,
        received_at -> Timestamptz,
        request -> Bytea,
        points -> Int4,
        first_at -> Timestamptz,
        last_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    patrol_track_points (person_id, at) {
        person_id -> Uuid,
        at -> Timestamptz,
        track_id -> Uuid,
        lon -> Float8,
        lat -> Float8,
        accuracy_m -> Nullable<Float8>,
        mocked -> Bool,
        flag -> Nullable<Text>,
        cell_code -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    patrol_visits (cell_code, day, person_id, source) {
        person_id -> Uuid,
        cell_code -> Text,
        day -> Date,
        source -> Text,
        at -> Timestamptz,
        evidence_id -> Nullable<Uuid>,
        department -> Nullable<Text>,
        city_code -> Nullable<Text>,
        district_code -> Nullable<Text>,
        functional_area_code -> Nullable<Text>,
        town_code -> Nullable<Text>,
        village_code -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    suspect_imports (id) {
        id -> Uuid,
        file_name -> Text,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        report -> Jsonb,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    suspects (case_id) {
        case_id -> Uuid,
        import_id -> Uuid,
        plot_number -> Nullable<Text>,
        geometry_sha256 -> Bytea,
        attributes -> Jsonb,
    }
}

diesel::joinable!(uploads -> cases (case_id));
diesel::joinable!(patrol_track_points -> patrol_tracks (track_id));
diesel::joinable!(patrol_visits -> people (person_id));
diesel::joinable!(suspects -> cases (case_id));

diesel::allow_tables_to_appear_in_same_query!(patrol_track_points, patrol_tracks);
diesel::allow_tables_to_appear_in_same_query!(patrol_visits, people);
diesel::allow_tables_to_appear_in_same_query!(suspects, cases);
