//! The tables as Diesel sees them; `migrations/` is what makes them.
//!
//! `cases.changed_xid` is left out: only the feed reads it, in SQL.

mod desks;
mod evidence;
mod messaging;
mod reports;
mod workflow;

pub use desks::*;
pub use evidence::*;
pub use messaging::*;
pub use reports::*;
pub use workflow::*;
mod trail;
pub use trail::*;

diesel::table! {
    use diesel::sql_types::*;

    layers (name) {
        name -> Text,
        kind -> Text,
        title_zh -> Text,
        title_en -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    imports (id) {
        id -> Uuid,
        layer -> Text,
        file_name -> Text,
        options -> Jsonb,
        state -> Text,
        progress -> Float4,
        report -> Nullable<Jsonb>,
        base_generation -> Nullable<Int8>,
        area_code -> Nullable<Text>,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    generations (generation) {
        generation -> Int8,
        layer -> Text,
        import_id -> Uuid,
        published_at -> Timestamptz,
        published_by -> Nullable<Uuid>,
        added -> Int4,
        removed -> Int4,
        moved -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use postgis_diesel::sql_types::Geometry;

    features (id) {
        id -> Int8,
        layer -> Text,
        import_id -> Uuid,
        record -> Int4,
        code -> Text,
        name -> Nullable<Text>,
        class_code -> Nullable<Text>,
        class_name -> Nullable<Text>,
        parent_code -> Nullable<Text>,
        area_m2 -> Float8,
        surveyed_area_m2 -> Nullable<Float8>,
        attributes -> Jsonb,
        content_hash -> Int8,
        geom -> Geometry,
        valid_from -> Nullable<Int8>,
        valid_to -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    people (id) {
        id -> Uuid,
        phone -> Text,
        name -> Text,
        role -> Text,
        area_code -> Text,
        department -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        must_change_password -> Bool,
        active -> Bool,
        failed_logins -> Int4,
        locked_until -> Nullable<Timestamptz>,
        language -> Text,
        created_at -> Timestamptz,
        left_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    sessions (token_hash) {
        token_hash -> Bytea,
        person_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        id -> Uuid,
        user_agent -> Nullable<Text>,
        address -> Nullable<Text>,
        last_seen_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    api_tokens (id) {
        id -> Uuid,
        token_hash -> Bytea,
        person_id -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        scope -> Text,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    duties (id) {
        id -> Int8,
        code -> Text,
        person_id -> Uuid,
        nature -> Text,
        rank -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    settings (key) {
        key -> Text,
        value -> Jsonb,
        changed_at -> Timestamptz,
        revision -> Int4,
        changed_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    case_numbers (district_code, year) {
        district_code -> Text,
        year -> Int4,
        last -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use postgis_diesel::sql_types::Geometry;

    cases (id) {
        id -> Uuid,
        number -> Text,
        version -> Int4,
        status -> Text,
        source -> Text,
        patrol_kind -> Nullable<Text>,
        nature -> Text,
        #[sql_name = "use"]
        use_ -> Nullable<Text>,
        party_name -> Nullable<Text>,
        party_id_number -> Nullable<Text>,
        party_is_cadre -> Bool,
        area_m2 -> Nullable<Float8>,
        storeys -> Nullable<Int4>,
        new_build -> Nullable<Bool>,
        description -> Nullable<Text>,
        input_x -> Float8,
        input_y -> Float8,
        input_crs -> Text,
        lon -> Float8,
        lat -> Float8,
        accuracy_m -> Nullable<Float8>,
        mocked -> Bool,
        footprint -> Nullable<Geometry>,
        observed_at -> Timestamptz,
        reported_at -> Timestamptz,
        reporter_id -> Nullable<Uuid>,
        city_code -> Nullable<Text>,
        district_code -> Nullable<Text>,
        functional_area_code -> Nullable<Text>,
        town_code -> Nullable<Text>,
        village_code -> Nullable<Text>,
        cell_code -> Nullable<Text>,
        placed -> Text,
        nearest_m -> Nullable<Float8>,
        category -> Nullable<Text>,
        basic_farmland_m2 -> Float8,
        farmland_m2 -> Float8,
        non_farmland_m2 -> Float8,
        homestead_m2 -> Float8,
        mine_m2 -> Float8,
        generation -> Int8,
        place -> Jsonb,
        responsible -> Nullable<Jsonb>,
        assignee_id -> Nullable<Uuid>,
        found_by -> Nullable<Text>,
        candidates -> Jsonb,
        alarms -> Jsonb,
        outcome -> Nullable<Text>,
        demolished_m2 -> Nullable<Float8>,
        demolished_at -> Nullable<Timestamptz>,
        closed_at -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        imported -> Bool,
        due_step -> Nullable<Text>,
        stop_due_at -> Nullable<Timestamptz>,
        close_due_at -> Nullable<Timestamptz>,
        visited_at -> Nullable<Timestamptz>,
        stopped_at -> Nullable<Timestamptz>,
        applied_at -> Nullable<Timestamptz>,
        applicant_id -> Nullable<Uuid>,
        closed_by -> Nullable<Uuid>,
        times_returned -> Int4,
        times_extended -> Int4,
        duplicate_of -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    case_events (case_id, seq) {
        case_id -> Uuid,
        seq -> Int4,
        id -> Uuid,
        action -> Text,
        actor_id -> Nullable<Uuid>,
        at -> Timestamptz,
        observed_at -> Nullable<Timestamptz>,
        lon -> Nullable<Float8>,
        lat -> Nullable<Float8>,
        accuracy_m -> Nullable<Float8>,
        mocked -> Nullable<Bool>,
        text -> Nullable<Text>,
        attachments -> Array<Uuid>,
        data -> Jsonb,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    attachments (id) {
        id -> Uuid,
        case_id -> Uuid,
        sha256 -> Bytea,
        media_type -> Text,
        bytes -> Int8,
        file_name -> Text,
        uploaded_by -> Nullable<Uuid>,
        uploaded_at -> Timestamptz,
        observed_at -> Nullable<Timestamptz>,
        input_x -> Nullable<Float8>,
        input_y -> Nullable<Float8>,
        input_crs -> Nullable<Text>,
        lon -> Nullable<Float8>,
        lat -> Nullable<Float8>,
        accuracy_m -> Nullable<Float8>,
        bearing -> Nullable<Float8>,
        mocked -> Nullable<Bool>,
        exif -> Nullable<Jsonb>,
        flags -> Array<Text>,
        width_px -> Nullable<Int4>,
        height_px -> Nullable<Int4>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    first_answers (person_id, key) {
        person_id -> Uuid,
        key -> Text,
        request -> Bytea,
        status -> Int2,
        body -> Jsonb,
        at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    revisions (subject) {
        subject -> Text,
        revision -> Int8,
    }
}

diesel::joinable!(duties -> people (person_id));
diesel::joinable!(sessions -> people (person_id));
diesel::joinable!(api_tokens -> people (person_id));
diesel::joinable!(case_events -> cases (case_id));
diesel::joinable!(attachments -> cases (case_id));
diesel::joinable!(imports -> layers (layer));
diesel::joinable!(features -> layers (layer));
diesel::joinable!(features -> imports (import_id));

diesel::allow_tables_to_appear_in_same_query!(
    layers,
    imports,
    generations,
    features,
    people,
    sessions,
    api_tokens,
    duties,
    settings,
    case_numbers,
    cases,
    case_events,
    attachments,
    first_answers,
    revisions,
);
