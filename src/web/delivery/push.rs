//! Web Push (RFC 8030, 8188, 8291, 8292): encrypted for one browser, signed with our key.

use super::guard::{self, PublicOnly};
use super::{OutsideOptions, client, later};
use crate::error::{Fault, Result};
use crate::store::deliveries::{Delivery, Outcome};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{StatusCode, Url};
use std::sync::Arc;
use web_push::{
    ContentEncoding, PartialVapidSignatureBuilder, SubscriptionInfo, VapidSignatureBuilder,
    WebPushMessageBuilder,
};

/// How long a push service keeps a push for a phone that is off, seconds: by then there is a
/// reminder.
const KEPT_S: u32 = 24 * 3600;
/// A push holds 3,993 bytes at most; the text is cut so that all fits.
const MOST_TEXT_BYTES: usize = 2_400;

/// Sends pushes.
pub struct Pusher {
    client: reqwest::Client,
    key: PartialVapidSignatureBuilder,
    contact: String,
    inside: Option<String>,
}

fn key_pair(private_key: &[u8]) -> Result<PartialVapidSignatureBuilder> {
    VapidSignatureBuilder::from_base64_no_sub(&URL_SAFE_NO_PAD.encode(private_key))
        .map_err(Fault::internal)
}

/// The public key that browsers subscribe with: an uncompressed point, base64url.
pub fn public_key(private_key: &[u8]) -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(key_pair(private_key)?.get_public_key()))
}

/// Whether a browser's keys can be encrypted for.
pub fn usable(endpoint: &str, p256dh: &str, auth: &str) -> bool {
    let info = SubscriptionInfo::new(endpoint, p256dh, auth);
    let mut message = WebPushMessageBuilder::new(&info);
    message.set_payload(ContentEncoding::Aes128Gcm, b"{}");
    message.build().is_ok()
}

impl Pusher {
    pub fn new(private_key: &[u8], options: &OutsideOptions) -> Result<Self> {
        let inside = options.push_origin_inside.clone();
        let host = inside.as_deref().and_then(|origin| Url::parse(origin).ok());
        let host = host.and_then(|url| url.host_str().map(String::from));
        let resolver = Arc::new(PublicOnly { inside: host });
        // Not through a proxy, which would resolve names by itself.
        let client = client().no_proxy().dns_resolver(resolver).build().map_err(Fault::internal)?;
        let contact = options.push_contact.clone().unwrap_or("mailto:postmaster@localhost".into());
        Ok(Self { client, key: key_pair(private_key)?, contact, inside })
    }

    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        let request = match self.request(delivery) {
            Ok(request) => request,
            Err(error) => return Outcome::Dead { error },
        };
        match request.send().await {
            Ok(answer) => match answer.status() {
                status if status.is_success() => Outcome::Sent,
                StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::SubscriptionGone,
                status
                    if status.is_server_error()
                        || status == StatusCode::TOO_MANY_REQUESTS
                        || status == StatusCode::REQUEST_TIMEOUT =>
                {
                    later(delivery, format!("the push service answered {status}"))
                }
                status => Outcome::Dead { error: format!("the push service answered {status}") },
            },
            Err(error) => later(delivery, error.without_url().to_string()),
        }
    }

    fn request(&self, delivery: &Delivery) -> Result<reqwest::RequestBuilder, String> {
        let (_, endpoint, p256dh, auth) =
            delivery.subscription.as_ref().ok_or("the subscription is gone")?;
        let url = guard::check(endpoint, self.inside.as_deref()).map_err(|fault| fault.en)?;
        let info = SubscriptionInfo::new(endpoint, p256dh, auth);
        let mut signature = self.key.clone().add_sub_info(&info);
        // With the port, which the crate would leave out.
        signature.add_claim("aud", url.origin().ascii_serialization());
        signature.add_claim("sub", self.contact.clone());
        let payload = payload(delivery);
        let mut message = WebPushMessageBuilder::new(&info);
        message.set_payload(ContentEncoding::Aes128Gcm, &payload);
        message.set_vapid_signature(signature.build().map_err(|e| e.to_string())?);
        let message = message.build().map_err(|e| e.to_string())?;
        let payload = message.payload.ok_or("nothing to send")?;
        let mut request = self
            .client
            .post(url)
            .header("ttl", KEPT_S.to_string())
            .header("urgency", "high")
            .header("content-encoding", payload.content_encoding.to_str())
            .header("content-type", "application/octet-stream")
            .body(payload.content);
        for (name, value) in payload.crypto_headers {
            request = request.header(name, value);
        }
        Ok(request)
    }
}

/// What the phone shows.
fn payload(delivery: &Delivery) -> Vec<u8> {
    let mut end = delivery.text.len().min(MOST_TEXT_BYTES);
    while !delivery.text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < delivery.text.len() { "…" } else { "" };
    let title = if delivery.language == "en" { "Xuncha" } else { "巡查" };
    serde_json::json!({
        "id": delivery.message_id,
        "kind": delivery.kind,
        "case_id": delivery.case_id,
        "title": title,
        "text": format!("{}{cut}", &delivery.text[..end]),
    })
    .to_string()
    .into_bytes()
}
