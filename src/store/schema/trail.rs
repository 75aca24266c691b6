//! The audit trail and its hash chain.

diesel::table! {
    use diesel::sql_types::*;

    audit (id) {
        id -> Int8,
        at -> Timestamptz,
        actor_id -> Nullable<Uuid>,
        address -> Nullable<Text>,
        action -> Text,
        subject -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    audit_chain (seq) {
        seq -> Int8,
        audit_id -> Int8,
        hash -> Bytea,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    audit_unsealed (audit_id) {
        audit_id -> Int8,
    }
}

use super::people;

diesel::joinable!(audit -> people (actor_id));
diesel::joinable!(audit_chain -> audit (audit_id));
diesel::joinable!(audit_unsealed -> audit (audit_id));
diesel::allow_tables_to_appear_in_same_query!(audit, audit_chain, audit_unsealed, people);
