//! Somebody who calls the service over HTTP.

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response, multipart};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// One caller, by a token, by a cookie or unknown.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    base: String,
    token: Option<String>,
}

/// A client that keeps cookies.
pub fn client() -> Client {
    // Fails only when another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().cookie_store(true).timeout(Duration::from_secs(300));
    builder.build().expect("a client")
}

impl Caller {
    /// Without any credential; keeps cookies.
    pub fn stranger(base: String) -> Self {
        Self { client: client(), base, token: None }
    }

    /// With an API token.
    pub fn with_token(base: String, token: String) -> Self {
        Self { token: Some(token), ..Self::stranger(base) }
    }

    /// A request to change before it is sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("/tiles") || path.starts_with("/readyz") {
            format!("{}{path}", self.base)
        } else {
            format!("{}/api/v1{path}", self.base)
        };
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body))
    }

    pub fn upload(&self, path: &str, form: multipart::Form) -> Answer {
        Answer::of(self.request(Method::POST, path).multipart(form))
    }

    /// An answer that is read as it comes, without end.
    pub fn listen(&self, path: &str) -> Response {
        let answer = self.request(Method::GET, path).timeout(Duration::from_secs(3600)).send();
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).expect("an answer")
    }

    /// None where the connection breaks.
    pub fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, bytes: response.bytes()?.to_vec() })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| {
            panic!("{} {e}: {}", self.status, String::from_utf8_lossy(&self.bytes))
        })
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem of a refusal with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        let kind = self.header("content-type").to_string();
        let problem = self.with(status);
        assert_eq!(kind, "application/problem+json", "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|t| !t.is_empty()), "{problem}");
        }
        problem
    }
}
