//! Tables of migration 0008: saved filters, layer styles.

diesel::table! {
    use diesel::sql_types::*;

    saved_filters (id) {
        id -> Uuid,
        person_id -> Uuid,
        desk -> Text,
        name -> Text,
        query -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    layer_styles (layer) {
        layer -> Text,
        style -> Jsonb,
        changed_by -> Nullable<Uuid>,
        changed_at -> Timestamptz,
    }
}
