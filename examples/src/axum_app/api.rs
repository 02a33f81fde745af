//! The API: create, follow, count, change, delete, and errors as JSON.

use std::convert::Infallible;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::{LOCATION, REFERER, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use linkly_core::{Error, Link, LinkPatch, Linkly, NewLink, Visit, VisitContext};
use serde_json::{Value, json};

pub(crate) fn router(linkly: Linkly) -> Router {
    Router::new()
        .route("/links", post(create))
        .route("/links/{code}", get(show).patch(change).delete(delete))
        .route("/links/{code}/stats", get(stats))
        .route("/s/{code}", get(follow))
        .fallback(async || Failure(StatusCode::NOT_FOUND, "no such page".into()))
        .method_not_allowed_fallback(async || Failure(StatusCode::METHOD_NOT_ALLOWED, "no such method".into()))
        .with_state(linkly)
}

/// `POST /links {"url", "code"?}` → 201 with the link.
async fn create(State(linkly): State<Linkly>, body: Result<Json<NewLink>, JsonRejection>) -> Result<Response, Failure> {
    let Json(new) = body?;
    let link = linkly.create(new).await?;
    Ok((StatusCode::CREATED, Json(link)).into_response())
}

/// `GET /links/{code}` → the link.
async fn show(State(linkly): State<Linkly>, code: Result<Path<String>, PathRejection>) -> Result<Json<Link>, Failure> {
    let Path(code) = code?;
    linkly.get(&code).await?.map(Json).ok_or_else(Failure::not_found)
}

/// `PATCH /links/{code} {"url"?, "title"?, "tags"?, …, "version"?}` → the link as it is now.
async fn change(
    State(linkly): State<Linkly>,
    code: Result<Path<String>, PathRejection>,
    body: Result<Json<LinkPatch>, JsonRejection>,
) -> Result<Json<Link>, Failure> {
    let (Path(code), Json(patch)) = (code?, body?);
    Ok(Json(linkly.update(&code, patch).await?))
}

/// `DELETE /links/{code}` → 204.
async fn delete(
    State(linkly): State<Linkly>,
    code: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Failure> {
    let Path(code) = code?;
    linkly.delete(&code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /s/{code}` → the redirect, and one more click.
async fn follow(
    State(linkly): State<Linkly>,
    code: Result<Path<String>, PathRejection>,
    visitor: Visitor,
) -> Result<Response, Failure> {
    let Path(code) = code?;
    let context = VisitContext::new()
        .with_head(visitor.head)
        .with_query(visitor.query.as_deref())
        .with_referrer(text(&visitor.referrer))
        .with_user_agent(text(&visitor.user_agent));
    match linkly.visit(&code, &context).await? {
        Visit::Redirect { status, location, .. } => {
            let location = HeaderValue::from_str(location.as_str()).map_err(Failure::internal)?;
            let status = StatusCode::from_u16(status).map_err(Failure::internal)?;
            Ok((status, [(LOCATION, location)]).into_response())
        }
        Visit::Withheld => Ok(StatusCode::OK.into_response()),
        Visit::Gone => Err(Failure(StatusCode::GONE, "link gone".into())),
        _ => Err(Failure::not_found()),
    }
}

/// `GET /links/{code}/stats` → the totals of a link, also of one that was deleted.
async fn stats(
    State(linkly): State<Linkly>,
    code: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Failure> {
    let Path(code) = code?;
    linkly.flush().await?;
    let totals = linkly.stats(&code).await?;
    if totals.clicks == 0 && linkly.get(&code).await?.is_none() {
        return Err(Failure::not_found());
    }
    Ok(Json(json!({
        "code": code,
        "clicks": totals.clicks,
        "bots": totals.bots,
        "last_clicked_at": totals.last_clicked_at,
    })))
}

/// What a click is told of its request. Headers share the request's memory.
struct Visitor {
    head: bool,
    query: Option<String>,
    referrer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            head: request.method == Method::HEAD,
            query: request.uri.query().map(str::to_owned),
            referrer: request.headers.get(REFERER).cloned(),
            user_agent: request.headers.get(USER_AGENT).cloned(),
        })
    }
}

fn text(header: &Option<HeaderValue>) -> Option<&str> {
    header.as_ref()?.to_str().ok()
}

/// An error as this API answers it: a status and `{"error": …}`.
struct Failure(StatusCode, String);

impl Failure {
    fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, "link not found".into())
    }

    fn internal(error: impl std::fmt::Display) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            error if error.is_invalid_input() => StatusCode::BAD_REQUEST,
            Error::NotFound { .. } => return Self::not_found(),
            Error::CodeTaken { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
            // The store is down, or broken in a way that somebody has to mend.
            Error::Unavailable { .. } | Error::Closed { .. } | Error::Backend { .. } | Error::Schema { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
