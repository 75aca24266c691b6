//! SMS and e-mail: handed over as signed JSON to a gateway that the administrator names.
//!
//! `X-Xuncha-Signature` is `sha256=` and the HMAC-SHA256, in hex, of the timestamp in
//! `X-Xuncha-Timestamp` (Unix seconds), a dot and the body. The same `Idempotency-Key` is the same
//! message: after a lost answer it comes again.

use super::later;
use crate::enforcement::settings::Webhook;
use crate::store::deliveries::{Delivery, Outcome};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The signature of a body sent at a time.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn body(delivery: &Delivery) -> Vec<u8> {
    serde_json::json!({
        "message_id": delivery.message_id,
        "channel": delivery.channel,
        "kind": delivery.kind,
        "case_id": delivery.case_id,
        "language": delivery.language,
        "text": delivery.text,
        "to": {"name": delivery.name, "phone": delivery.phone},
        "created_at": delivery.created_at,
    })
    .to_string()
    .into_bytes()
}

pub async fn send(client: &reqwest::Client, settings: &Webhook, delivery: &Delivery) -> Outcome {
    let (Some(url), Some(secret)) = (&settings.url, &settings.secret) else {
        return Outcome::Dead { error: "the webhook is switched off".into() };
    };
    let body = body(delivery);
    let timestamp = Utc::now().timestamp().to_string();
    let signature = sign(secret, &timestamp, &body);
    let key = format!("{}:{}", delivery.message_id, delivery.channel);
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-xuncha-timestamp", timestamp)
        .header("x-xuncha-signature", signature)
        .header("idempotency-key", key)
        .body(body);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Outcome::Sent,
        Ok(answer) => later(delivery, format!("the webhook answered {}", answer.status())),
        // Without the address: it may hold a key.
        Err(error) => later(delivery, error.without_url().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_an_hmac_of_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            sign("0123456789abcdef", "1700000000", b"{}"),
            "sha256=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
        );
    }
}
