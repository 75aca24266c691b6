//! Log-in, log-out, and who is asking.

use super::problem::Problem;
use super::state::{AppState, blocking};
use crate::enforcement::people::Person;
use crate::enforcement::permissions::{Action, Scope, may};
use crate::enforcement::place::AreaName;
use crate::error::{Fault, FaultKind, Result};
use crate::store::accounts::{self, Device, LogIn, Via};
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, dev, get, post, web};
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// Name of the session cookie.
pub const COOKIE: &str = "xuncha_session";

/// Who is asking. A handler that takes it answers 401 without log-in, and 403 until a first
/// password has been changed.
#[derive(Debug, Clone)]
pub struct Account {
    pub person: Person,
    pub scope: Scope,
    pub must_change_password: bool,
    pub language: String,
    /// The address this request came from, for the audit trail.
    pub from: Option<IpAddr>,
    pub via: Via,
}

impl Account {
    /// Refuses what the role may not do.
    pub fn require(&self, action: Action) -> Result<()> {
        if may(self.person.role, action) {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Forbidden,
            "role_forbidden",
            "您的角色无权进行此操作",
            "Your role may not do this",
        ))
    }
}

/// [`Account`] before the first password has been changed, too.
pub struct AnyAccount(pub Arc<Account>);

enum Credential {
    /// A session cookie or an API token, by its hash.
    Session([u8; 32]),
    Token([u8; 32]),
    /// Basic credentials: the token must belong to this phone.
    PhoneToken(String, [u8; 32]),
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn credential(request: &HttpRequest) -> Result<Option<Credential>> {
    use base64::Engine;
    let wrong = || {
        Fault::new(
            FaultKind::NotLoggedIn,
            "wrong_credentials",
            "登录凭证无效",
            "These credentials are not valid",
        )
    };
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| wrong())?;
        if let Some(token) = value.strip_prefix("Bearer ") {
            return Ok(Some(Credential::Token(hash(token.trim()))));
        }
        if let Some(encoded) = value.strip_prefix("Basic ") {
            let engine = base64::engine::general_purpose::STANDARD;
            let decoded = engine.decode(encoded.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(decoded).map_err(|_| wrong())?;
            let (phone, token) = text.split_once(':').ok_or_else(wrong)?;
            return Ok(Some(Credential::PhoneToken(phone.to_string(), hash(token))));
        }
        return Err(wrong());
    }
    let Some(cookie) = request.cookie(COOKIE) else { return Ok(None) };
    refuse_cross_site(request)?;
    Ok(Some(Credential::Session(hash(cookie.value()))))
}

/// A cookie travels with requests that another site's page makes; writes must come from our own.
fn refuse_cross_site(request: &HttpRequest) -> Result<()> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    let own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            host == request.connection_info().host()
        }
        // Neither: not a browser.
        (None, None) => true,
    };
    if own {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Forbidden,
        "cross_site",
        "拒绝来自其他网站的请求",
        "Requests from another site are refused",
    ))
}

async fn account_of(request: HttpRequest) -> Result<Arc<Account>> {
    let not_logged_in =
        || Fault::new(FaultKind::NotLoggedIn, "not_logged_in", "请先登录", "Please log in first");
    let state = request
        .app_data::<web::Data<AppState>>()
        .cloned()
        .ok_or_else(|| Fault::internal("no application state"))?;
    let credential = credential(&request)?.ok_or_else(not_logged_in)?;
    let (kind, token, phone) = match credential {
        Credential::Session(token) => (accounts::TokenKind::Session, token, None),
        Credential::Token(token) => (accounts::TokenKind::Api, token, None),
        Credential::PhoneToken(phone, token) => (accounts::TokenKind::Api, token, Some(phone)),
    };
    let cached = state.accounts.get(&token);
    let account = match cached {
        Some(account) => account,
        None => {
            let shared = state.clone();
            let found =
                blocking(move || accounts::by_token(&mut *shared.store.conn()?, kind, &token))
                    .await?;
            let login = found.ok_or_else(not_logged_in)?;
            let account = Arc::new(to_account(&state, login));
            state.accounts.insert(token, Arc::clone(&account));
            account
        }
    };
    if phone.is_some_and(|phone| phone != account.person.phone) {
        return Err(not_logged_in());
    }
    if let Some(scope) = account.via.token
        && !scope.admits(request.method().as_str(), request.path())
    {
        return Err(Fault::new(
            FaultKind::Forbidden,
            "token_scope",
            "该令牌的权限范围不允许此操作",
            "This token's scope does not allow this",
        ));
    }
    Ok(account)
}

fn to_account(state: &AppState, login: LogIn) -> Account {
    let atlas = state.world.atlas.load();
    let is_functional = |code: &str| {
        atlas
            .layer(crate::atlas::feature::layers::FUNCTIONAL_AREA)
            .is_some_and(|layer| layer.by_code(code).is_some())
    };
    Account {
        scope: Scope::of_area(&login.person.area_code, is_functional),
        person: login.person,
        must_change_password: login.must_change_password,
        language: login.language,
        from: None,
        via: login.via,
    }
}

/// The address a request came from. A proxy's word is not taken: anybody can say it.
pub fn address_of(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

impl FromRequest for AnyAccount {
    type Error = Fault;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { account_of(request).await.map(AnyAccount) })
    }
}

impl FromRequest for Account {
    type Error = Fault;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let from = address_of(&request);
            let account = account_of(request).await?;
            if account.must_change_password {
                return Err(Fault::new(
                    FaultKind::Forbidden,
                    "password_change_required",
                    "请先修改初始密码",
                    "Please change your first password before anything else",
                ));
            }
            Ok(Account { from, ..Account::clone(&account) })
        })
    }
}

/// Phone and password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    phone: String,
    password: String,
}

/// The person logged in.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    id: uuid::Uuid,
    name: String,
    phone: String,
    role: crate::enforcement::people::Role,
    area_code: String,
    area: Option<AreaName>,
    department: Option<String>,
    must_change_password: bool,
    language: String,
}

fn me_of(state: &AppState, account: &Account) -> Me {
    let atlas = state.world.atlas.load();
    let person = &account.person;
    let area = super::areas::find_area(&atlas, &person.area_code).map(|(_, f)| AreaName::from(f));
    Me {
        id: person.id,
        name: person.name.clone(),
        phone: person.phone.clone(),
        role: person.role,
        area_code: person.area_code.clone(),
        area,
        department: person.department.clone(),
        must_change_password: account.must_change_password,
        language: account.language.clone(),
    }
}

/// What the device says it is, shortened.
fn user_agent(request: &HttpRequest) -> Option<String> {
    let said = request.headers().get(header::USER_AGENT)?.to_str().ok()?;
    Some(said.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Log in.
#[utoipa::path(tag = "session", request_body = Credentials,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 429, body = Problem)))]
#[post("/session")]
async fn log_in(
    state: web::Data<AppState>,
    request: HttpRequest,
    body: web::Json<Credentials>,
) -> Result<HttpResponse> {
    let Credentials { phone, password } = body.into_inner();
    if phone.len() > 20 || password.len() > 1024 {
        return Err(Fault::invalid("手机号或密码过长", "Phone or password is too long"));
    }
    let device = Device { user_agent: user_agent(&request), address: address_of(&request) };
    let shared = state.clone();
    let (login, token) =
        blocking(move || accounts::log_in(&shared.store, phone.trim(), &password, &device)).await?;
    let account = to_account(&state, login);
    let cookie = Cookie::build(COOKIE, token)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.secure_cookies)
        .max_age(time::Duration::days(accounts::SESSION_DAYS))
        .finish();
    Ok(HttpResponse::Ok().cookie(cookie).json(me_of(&state, &account)))
}

/// Log out.
#[utoipa::path(tag = "session", responses((status = 204)))]
#[delete("/session")]
async fn log_out(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse> {
    if let Some(Credential::Session(token)) = credential(&request)? {
        let (shared, from) = (state.clone(), address_of(&request));
        blocking(move || accounts::log_out(&shared.store, &token, from)).await?;
        state.accounts.invalidate(&token);
    }
    let mut gone = Cookie::build(COOKIE, "").path("/").http_only(true).finish();
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// The person logged in.
#[utoipa::path(tag = "session", responses((status = 200, body = Me), (status = 401, body = Problem)))]
#[get("/me")]
async fn me(state: web::Data<AppState>, account: AnyAccount) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(me_of(&state, &account.0)))
}

/// The old password and the new one.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    old_password: String,
    new_password: String,
}

/// Change one's own password; logs out everywhere else.
#[utoipa::path(tag = "session", request_body = PasswordChange,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem)))]
#[post("/session/password")]
async fn change_password(
    state: web::Data<AppState>,
    request: HttpRequest,
    account: AnyAccount,
    body: web::Json<PasswordChange>,
) -> Result<HttpResponse> {
    let keep = match credential(&request)? {
        Some(Credential::Session(token)) => Some(token),
        _ => None,
    };
    let PasswordChange { old_password, new_password } = body.into_inner();
    let phone = account.0.person.phone.clone();
    let shared = state.clone();
    blocking(move || {
        accounts::change_password(&shared.store, &phone, &old_password, &new_password, keep)
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(log_in).service(log_out).service(me).service(change_password);
}
