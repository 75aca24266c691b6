//! Browsers that want to be woken (Web Push), and the key pair the service signs with.

use super::Store;
use super::schema::{push_keys, push_subscriptions};
use crate::error::{Fault, Result};
use diesel::prelude::*;
use rand::Rng;
use uuid::Uuid;

/// A person's devices beyond this are old ones.
const MOST_SUBSCRIPTIONS: i64 = 20;

/// The private key (P-256), made by whoever asks first and the same for all processes ever after.
pub fn private_key(conn: &mut PgConnection) -> Result<Vec<u8>> {
    let kept = |conn: &mut PgConnection| -> Result<Option<Vec<u8>>> {
        Ok(push_keys::table.select(push_keys::private_key).first(conn).optional()?)
    };
    if let Some(key) = kept(conn)? {
        return Ok(key);
    }
    let mut key = [0u8; 32];
    // Of random 256 bits all but 1 in 2^32 are a key of this curve.
    while !(1..0xff).contains(&key[0]) {
        rand::rng().fill_bytes(&mut key);
    }
    diesel::insert_into(push_keys::table)
        .values(push_keys::private_key.eq(key.as_slice()))
        .on_conflict_do_nothing()
        .execute(conn)?;
    kept(conn)?.ok_or_else(|| Fault::internal("the push key vanished"))
}

/// A browser's subscription, as it gives it.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: Uuid,
    pub endpoint: String,
    pub p256dh: String,
    pub auth: String,
}

/// Keeps a subscription; gives its id. One that is known already keeps its id and follows who is
/// logged in at that browser now.
pub fn subscribe(store: &Store, person: Uuid, new: &Subscription) -> Result<Uuid> {
    store.transaction(|conn| {
        let id = diesel::insert_into(push_subscriptions::table)
            .values((
                push_subscriptions::id.eq(new.id),
                push_subscriptions::person_id.eq(person),
                push_subscriptions::endpoint.eq(&new.endpoint),
                push_subscriptions::p256dh.eq(&new.p256dh),
                push_subscriptions::auth.eq(&new.auth),
            ))
            .on_conflict(push_subscriptions::endpoint)
            .do_update()
            .set((
                push_subscriptions::person_id.eq(person),
                push_subscriptions::p256dh.eq(&new.p256dh),
                push_subscriptions::auth.eq(&new.auth),
            ))
            .returning(push_subscriptions::id)
            .get_result::<Uuid>(conn)?;
        let old: Vec<Uuid> = push_subscriptions::table
            .filter(push_subscriptions::person_id.eq(person))
            .order(push_subscriptions::created_at.desc())
            .offset(MOST_SUBSCRIPTIONS)
            .select(push_subscriptions::id)
            .load(conn)?;
        diesel::delete(push_subscriptions::table.filter(push_subscriptions::id.eq_any(old)))
            .execute(conn)?;
        Ok(id)
    })
}

/// Forgets a subscription of a person; one that is gone already is fine.
pub fn unsubscribe(conn: &mut PgConnection, person: Uuid, id: Uuid) -> Result<()> {
    diesel::delete(push_subscriptions::table.find(id))
        .filter(push_subscriptions::person_id.eq(person))
        .execute(conn)?;
    Ok(())
}
