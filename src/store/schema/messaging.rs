//! Messages and their deliveries, tasks, reports of the public. `messages.written_xid` is left
//! out: only the feed reads it, in SQL.

use super::{cases, people};

diesel::table! {
    use diesel::sql_types::*;

    messages (id) {
        id -> Uuid,
        key -> Uuid,
        recipient_id -> Uuid,
        kind -> Text,
        case_id -> Nullable<Uuid>,
        task_id -> Nullable<Uuid>,
        public_report_id -> Nullable<Uuid>,
        actor_id -> Nullable<Uuid>,
        text -> Text,
        in_reply_to -> Nullable<Uuid>,
        created_at -> Timestamptz,
        read_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    push_subscriptions (id) {
        id -> Uuid,
        person_id -> Uuid,
        endpoint -> Text,
        p256dh -> Text,
        auth -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    push_keys (singleton) {
        singleton -> Bool,
        private_key -> Bytea,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    deliveries (id) {
        id -> Int8,
        message_id -> Uuid,
        channel -> Text,
        subscription_id -> Nullable<Uuid>,
        state -> Text,
        attempts -> Int4,
        next_at -> Timestamptz,
        leased_until -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    tasks (id) {
        id -> Uuid,
        giver_id -> Uuid,
        person_id -> Nullable<Uuid>,
        department -> Nullable<Text>,
        area_code -> Text,
        case_id -> Nullable<Uuid>,
        title -> Text,
        text -> Nullable<Text>,
        from_day -> Nullable<Date>,
        to_day -> Nullable<Date>,
        due_at -> Timestamptz,
        status -> Text,
        version -> Int4,
        accepted_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    task_events (task_id, seq) {
        task_id -> Uuid,
        seq -> Int4,
        id -> Uuid,
        action -> Text,
        actor_id -> Uuid,
        at -> Timestamptz,
        text -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    public_reports (id) {
        id -> Uuid,
        secret_hash -> Bytea,
        request -> Bytea,
        received_at -> Timestamptz,
        lon -> Float8,
        lat -> Float8,
        input_x -> Float8,
        input_y -> Float8,
        input_crs -> Text,
        accuracy_m -> Nullable<Float8>,
        text -> Text,
        phone -> Nullable<Text>,
        photos -> Jsonb,
        place -> Jsonb,
        city_code -> Nullable<Text>,
        district_code -> Nullable<Text>,
        functional_area_code -> Nullable<Text>,
        town_code -> Nullable<Text>,
        village_code -> Nullable<Text>,
        state -> Text,
        case_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        decided_by -> Nullable<Uuid>,
        decided_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(messages -> cases (case_id));
diesel::joinable!(deliveries -> messages (message_id));
diesel::joinable!(deliveries -> push_subscriptions (subscription_id));
diesel::joinable!(task_events -> tasks (task_id));

diesel::allow_tables_to_appear_in_same_query!(messages, deliveries, push_subscriptions, people);
diesel::allow_tables_to_appear_in_same_query!(tasks, task_events);
