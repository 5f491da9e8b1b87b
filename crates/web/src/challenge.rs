//! http-01: answers an ACME authority that asks whether a name is ours. Serves nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Answers by the token that is asked for. (RFC 8555, section 8.3)
#[derive(Debug, Clone, Default)]
pub struct ChallengeAnswers(Arc<Mutex<BTreeMap<String, String>>>);

impl ChallengeAnswers {
    /// Adds an answer.
    pub fn add(&self, token: &str, answer: &str) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), answer.to_owned());
    }

    fn find(&self, token: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

/// Answers until `shutdown` is `true` or its sender is gone.
pub async fn serve_challenges(
    listener: TcpListener,
    answers: ChallengeAnswers,
    shutdown: watch::Receiver<bool>,
) {
    let app = Router::new().route("/.well-known/acme-challenge/{token}", get(answer)).with_state(answers);
    crate::listen::serve(listener, None, app, shutdown).await;
}

async fn answer(State(answers): State<ChallengeAnswers>, Path(token): Path<String>) -> Response {
    match answers.find(&token) {
        Some(answer) => ([(header::CONTENT_TYPE, "application/octet-stream")], answer).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
