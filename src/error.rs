//! The errors a user sees: a stable code, and the reason in plain words in Chinese and English.

use std::fmt;

/// A language users read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    Chinese,
    English,
}

impl Language {
    /// Picks the text in this language.
    pub fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Chinese => zh,
            Self::English => en,
        }
    }
}

/// What kind of refusal it is; each is one HTTP status and one exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 400: the request or file cannot be understood.
    Invalid,
    /// 401
    NotLoggedIn,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409: the state of things does not allow it.
    Conflict,
    /// 412: another version of a protocol is needed.
    Precondition,
    /// 413
    TooLarge,
    /// 415
    WrongType,
    /// 422: understood, but something it needs is missing.
    Unprocessable,
    /// 429
    TooMany,
    /// 500: our own failure.
    Internal,
    /// 503: something we need is away for the moment; try again.
    Unavailable,
}

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldFault {
    /// JSON pointer or parameter name.
    pub field: String,
    pub detail: String,
}

/// A refusal or failure, as the user is told of it.
#[derive(Debug, Clone)]
pub struct Fault {
    pub kind: FaultKind,
    /// Stable, for programs: `crs_unknown`, `wrong_state` …
    pub code: &'static str,
    pub zh: String,
    pub en: String,
    pub fields: Vec<FieldFault>,
    /// For the log, never for the user.
    pub cause: Option<String>,
}

impl Fault {
    pub fn new(
        kind: FaultKind,
        code: &'static str,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self { kind, code, zh: zh.into(), en: en.into(), fields: Vec::new(), cause: None }
    }

    /// 400 `invalid`.
    pub fn invalid(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(FaultKind::Invalid, "invalid", zh, en)
    }

    /// 404 `not_found`.
    pub fn not_found(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(FaultKind::NotFound, "not_found", zh, en)
    }

    /// 500: the cause goes to the log only.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let mut fault = Self::new(
            FaultKind::Internal,
            "internal",
            "服务器内部出错，已记录，请稍后再试",
            "Something failed inside the server; it has been logged. Please try again",
        );
        fault.cause = Some(cause.to_string());
        fault
    }

    /// 503: the store is away for the moment.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        let mut fault = Self::new(
            FaultKind::Unavailable,
            "store_unavailable",
            "数据库暂时不可用，请稍后再试",
            "The database is away for the moment. Please try again",
        );
        fault.cause = Some(cause.to_string());
        fault
    }

    /// Adds a field that is wrong.
    pub fn field(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        self.fields.push(FieldFault { field: field.into(), detail: detail.into() });
        self
    }
}

impl fmt::Display for Fault {
    /// One line in both languages, with the cause: for the terminal and the log.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {} / {}", self.code, self.zh, self.en)?;
        for field in &self.fields {
            write!(f, " [{}: {}]", field.field, field.detail)?;
        }
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

impl From<crate::geometry::crs::CrsError> for Fault {
    fn from(error: crate::geometry::crs::CrsError) -> Self {
        use crate::geometry::crs::CrsError;
        let en = error.to_string();
        match error {
            CrsError::Unknown(name) => Self::new(
                FaultKind::Invalid,
                "crs_unknown",
                format!("无法识别的坐标系：{name}"),
                en,
            ),
            CrsError::OutOfRange(x, y, crs) => Self::new(
                FaultKind::Invalid,
                "out_of_range",
                format!("坐标 {x}, {y} 超出 {crs} 的范围"),
                en,
            ),
            CrsError::Degrees(x, y, crs) => Self::new(
                FaultKind::Invalid,
                "out_of_range",
                format!("坐标 {x}, {y} 是经纬度（度），而 {crs} 以米为单位：请改选坐标系"),
                en,
            ),
        }
    }
}

/// What most fallible functions return.
pub type Result<T, E = Fault> = std::result::Result<T, E>;
