//! Tables of migration 0003: settings' history, absences, reminders.

use super::{cases, people};

diesel::table! {
    use diesel::sql_types::*;

    settings_history (key, revision) {
        key -> Text,
        revision -> Int4,
        value -> Jsonb,
        changed_by -> Nullable<Uuid>,
        changed_at -> Timestamptz,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    absences (id) {
        id -> Uuid,
        person_id -> Uuid,
        first_day -> Date,
        last_day -> Date,
        reason -> Nullable<Text>,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        cancelled_by -> Nullable<Uuid>,
        cancelled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    case_reminders (case_id, step, due_at, stage) {
        case_id -> Uuid,
        step -> Text,
        due_at -> Timestamptz,
        stage -> Text,
        sent_at -> Timestamptz,
    }
}

diesel::joinable!(case_reminders -> cases (case_id));
diesel::allow_tables_to_appear_in_same_query!(absences, people);
diesel::allow_tables_to_appear_in_same_query!(settings_history, people);
diesel::allow_tables_to_appear_in_same_query!(case_reminders, cases);
