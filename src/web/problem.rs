//! Errors as RFC 9457 `application/problem+json`, in the reader's language.

use crate::error::{Fault, FaultKind, FieldFault, Language};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;

/// The body of an error answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says which.
    #[serde(rename = "type")]
    kind: &'static str,
    status: u16,
    /// Stable, for programs.
    code: String,
    title: String,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldFault>,
}

/// The language of an answer: by `Accept-Language`; Chinese unless English is asked for first.
pub fn language_of(headers: &header::HeaderMap) -> Language {
    let wanted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let first =
        wanted.split(',').map(str::trim).find(|l| l.starts_with("zh") || l.starts_with("en"));
    match first {
        Some(language) if language.starts_with("en") => Language::English,
        _ => Language::Chinese,
    }
}

fn status(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::Invalid => StatusCode::BAD_REQUEST,
        FaultKind::NotLoggedIn => StatusCode::UNAUTHORIZED,
        FaultKind::Forbidden => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::Precondition => StatusCode::PRECONDITION_FAILED,
        FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaultKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn title(kind: FaultKind, language: Language) -> &'static str {
    match kind {
        FaultKind::Invalid => language.pick("请求有误", "The request is wrong"),
        FaultKind::NotLoggedIn => language.pick("请先登录", "Please log in"),
        FaultKind::Forbidden => language.pick("无权操作", "Not allowed"),
        FaultKind::NotFound => language.pick("未找到", "Not found"),
        FaultKind::Conflict => {
            language.pick("与当前状态冲突", "In conflict with the present state")
        }
        FaultKind::Precondition => {
            language.pick("协议版本不符", "Another protocol version is needed")
        }
        FaultKind::TooLarge => language.pick("内容过大", "Too large"),
        FaultKind::WrongType => language.pick("类型不支持", "Type not supported"),
        FaultKind::Unprocessable => language.pick("缺少必要内容", "Something is missing"),
        FaultKind::TooMany => language.pick("请求过于频繁", "Too many requests"),
        FaultKind::Internal => language.pick("服务器出错", "Server error"),
        FaultKind::Unavailable => language.pick("暂时不可用", "Not available at the moment"),
    }
}

/// The error answer in a language.
pub fn answer(fault: &Fault, language: Language) -> HttpResponse {
    let status = status(fault.kind);
    let problem = Problem {
        kind: "about:blank",
        status: status.as_u16(),
        code: fault.code.to_string(),
        title: title(fault.kind, language).to_string(),
        detail: language.pick(&fault.zh, &fault.en).to_string(),
        errors: fault.fields.clone(),
    };
    let mut response = HttpResponse::build(status);
    response.content_type("application/problem+json");
    response.insert_header((header::CONTENT_LANGUAGE, language.pick("zh", "en")));
    if fault.kind == FaultKind::NotLoggedIn {
        // GIS clients ask for Basic credentials only when told to; browsers must not pop up.
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        response.append_header((header::WWW_AUTHENTICATE, "Basic realm=\"xuncha\""));
    }
    response.json(problem)
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        status(self.kind)
    }

    fn error_response(&self) -> HttpResponse {
        answer(self, Language::Chinese)
    }
}

/// Middleware: writes every error answer in the reader's language, and logs our own failures.
pub async fn localise<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let language = language_of(request.headers());
    let from_browser = request.headers().contains_key("sec-fetch-mode");
    let response = next.call(request).await;
    // An error may come as the response's or, from an extractor further out, as our own.
    let response = response?;
    let fault = response.response().error().map(as_fault);
    let Some(fault) = fault else { return Ok(response.map_into_left_body()) };
    if matches!(fault.kind, FaultKind::Internal | FaultKind::Unavailable) {
        tracing::error!(path = response.request().path(), "{fault}");
    }
    let request: HttpRequest = response.into_parts().0;
    let mut answer = answer(&fault, language);
    if from_browser {
        answer.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    Ok(ServiceResponse::new(request, answer).map_into_right_body())
}

fn as_fault(error: &actix_web::Error) -> Fault {
    if let Some(fault) = error.as_error::<Fault>() {
        return fault.clone();
    }
    let response = error.as_response_error();
    let kind = match response.status_code() {
        StatusCode::NOT_FOUND => FaultKind::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => FaultKind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => FaultKind::WrongType,
        code if code.is_client_error() => FaultKind::Invalid,
        _ => return Fault::internal(error),
    };
    let code = match kind {
        FaultKind::NotFound => "not_found",
        FaultKind::TooLarge => "too_large",
        FaultKind::WrongType => "wrong_type",
        _ => "invalid",
    };
    Fault::new(
        kind,
        code,
        format!("请求无法处理：{error}"),
        format!("The request cannot be read: {error}"),
    )
}
