//! Carries messages out of the house: to browsers that are closed (Web Push), and to the gateway
//! for SMS and e-mail (signed webhook). Several processes share the work.

pub mod guard;
pub mod push;
pub mod webhook;

use super::state::{AppState, blocking};
use crate::enforcement::settings::Webhook;
use crate::error::{Fault, Result};
use crate::store::deliveries::{self, Delivery, Outcome, SAY_STREAMS_EVERY};
use crate::store::outbox;
use actix_web::web::Data;
use futures_util::StreamExt;
use push::Pusher;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How messages reach the outside, and how the outside reaches us.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OutsideOptions {
    /// Whom a push service may ask about our pushes: a mailto: or https: address
    #[arg(long, value_name = "URI", env = "XUNCHA_PUSH_CONTACT")]
    pub push_contact: Option<String>,
    /// Behind a proxy of ours that sets X-Forwarded-For: believe it when counting public reports
    #[arg(long, env = "XUNCHA_TRUST_FORWARDED_FOR")]
    pub trust_forwarded_for: bool,
    /// One push service that may be at an address inside the house, for tests: scheme://host:port
    #[arg(long, value_name = "ORIGIN", env = "XUNCHA_PUSH_ORIGIN_INSIDE", hide = true)]
    pub push_origin_inside: Option<String>,
}

/// How often the store is asked for work; one query on a small index.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Taken at once, and under way at once. All are done well within a lease: two rounds of
/// [`REQUEST_TIMEOUT`].
const BATCH: i64 = 32;
const AT_ONCE: usize = 16;
/// How long a receiver may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A delivery is given up after so many attempts, some hours in all.
const MOST_ATTEMPTS: i32 = 14;
/// Somebody who has the app open gets this long to see a message before the phone rings, seconds.
const APP_FIRST_S: i32 = 30;

/// Works until the event loop ends.
pub async fn run(state: Data<AppState>) {
    let process = Uuid::new_v4();
    let senders = match Senders::new(&state).await {
        Ok(senders) => senders,
        Err(fault) => {
            tracing::error!(%fault, "messages cannot leave the house");
            return;
        }
    };
    let mut said = None::<Instant>;
    loop {
        if said.is_none_or(|at| at.elapsed() >= SAY_STREAMS_EVERY) {
            said = Some(Instant::now());
            if let Err(fault) = say_streams(&state, process).await {
                tracing::warn!(%fault, "open streams cannot be told to other processes");
            }
        }
        match round(&state, &senders).await {
            // There may be more.
            Ok(taken) if taken as i64 == BATCH => continue,
            Ok(_) => {}
            Err(fault) => tracing::warn!(%fault, "deliveries have to wait"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn say_streams(state: &Data<AppState>, process: Uuid) -> Result<()> {
    let state = state.clone();
    blocking(move || {
        let listening = state.world.inboxes.people();
        deliveries::say_streams(&mut *state.store.conn()?, process, &listening)
    })
    .await
}

struct Senders {
    pusher: Pusher,
    webhook: reqwest::Client,
}

impl Senders {
    async fn new(state: &Data<AppState>) -> Result<Self> {
        let shared = state.clone();
        let key =
            blocking(move || crate::store::push::private_key(&mut *shared.store.conn()?)).await?;
        let webhook = client().build().map_err(Fault::internal)?;
        Ok(Self { pusher: Pusher::new(&key, &state.outside)?, webhook })
    }
}

/// What all requests to the outside have in common: no redirects, no waiting, no cookies.
fn client() -> reqwest::ClientBuilder {
    // The other provider is not compiled in; an error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(REQUEST_TIMEOUT / 2)
        .user_agent(concat!("xuncha/", env!("CARGO_PKG_VERSION")))
}

/// Takes what is due and carries it out; gives how much that was.
async fn round(state: &Data<AppState>, senders: &Senders) -> Result<usize> {
    let shared = state.clone();
    let (due, webhook, listening) = blocking(move || {
        let mut conn = shared.store.conn()?;
        let due = deliveries::claim(&mut conn, BATCH)?;
        if due.is_empty() {
            return Ok((due, Webhook::default(), HashSet::new()));
        }
        let webhook = outbox::webhook(&mut conn)?;
        let people: Vec<Uuid> = due.iter().map(|d| d.recipient_id).collect();
        let listening = deliveries::listening(&mut conn, &people)?.into_iter().collect();
        Ok((due, webhook, listening))
    })
    .await?;
    let taken = due.len();
    let (webhook, listening) = (&webhook, &listening);
    futures_util::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |delivery| async move {
            let has_stream = listening.contains(&delivery.recipient_id);
            let outcome = attempt(senders, webhook, &delivery, has_stream).await;
            metrics::counter!("xuncha_deliveries", "channel" => delivery.channel.clone(),
                "outcome" => name(&outcome))
            .increment(1);
            let shared = state.clone();
            let kept = blocking(move || {
                deliveries::finish(&mut *shared.store.conn()?, &delivery, &outcome)
            });
            if let Err(fault) = kept.await {
                // Sent again once the lease has run out; the receiver knows it by its key.
                tracing::warn!(%fault, "the outcome of a delivery could not be kept");
            }
        })
        .await;
    Ok(taken)
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Sent => "sent",
        Outcome::Skipped => "skipped",
        Outcome::Later { .. } => "later",
        Outcome::Dead { .. } => "dead",
        Outcome::SubscriptionGone => "gone",
    }
}

async fn attempt(
    senders: &Senders,
    webhook: &Webhook,
    delivery: &Delivery,
    has_stream: bool,
) -> Outcome {
    if !delivery.active {
        return Outcome::Skipped;
    }
    if delivery.channel != "push" {
        return webhook::send(&senders.webhook, webhook, delivery).await;
    }
    if delivery.read_at.is_some() {
        return Outcome::Skipped;
    }
    if has_stream {
        let seen_by_now = delivery.attempts > 1;
        let wait = Outcome::Later { after_s: APP_FIRST_S, error: None };
        return if seen_by_now { Outcome::Skipped } else { wait };
    }
    senders.pusher.send(delivery).await
}

/// Again later, in growing pauses, until it is given up.
fn later(delivery: &Delivery, error: String) -> Outcome {
    if delivery.attempts >= MOST_ATTEMPTS {
        return Outcome::Dead { error };
    }
    let pause = 2i32.saturating_pow(delivery.attempts.clamp(0, 12).unsigned_abs()).min(3600);
    // Not all at the same moment after an outage.
    let after_s = pause + rand::random_range(0..=pause / 4);
    Outcome::Later { after_s, error: Some(error) }
}
