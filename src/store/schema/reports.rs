//! Frozen months and monthly files.

diesel::table! {
    use diesel::sql_types::*;

    frozen_reports (id) {
        id -> Uuid,
        kind -> Text,
        area_code -> Text,
        level -> Text,
        first_day -> Date,
        last_day -> Date,
        as_of -> Timestamptz,
        frozen_by -> Nullable<Uuid>,
        frozen_at -> Timestamptz,
        generation -> Int8,
        figures -> Jsonb,
        file -> Binary,
        sha256 -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    monthly_reports (area_code, first_day) {
        area_code -> Text,
        first_day -> Date,
        frozen_id -> Uuid,
        sent_at -> Timestamptz,
    }
}
