//! From method and path to what is asked for and in whose dialect to answer, also when it is nothing we have.

use http::{HeaderMap, Method};

use super::embed::Form;
use super::paths;
use super::responses::Wish;
use crate::protocol::ir::Framing;
use crate::protocol::{Id, Problem, ProblemKind};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action<'a> {
    /// An answer of the model, in the route's protocol.
    Generate {
        /// The model, for protocols that name it in the path (percent-decoded).
        model: Option<&'a str>,
        /// The framing, for protocols whose path says it.
        framing: Option<Framing>,
    },
    /// Count a prompt's tokens.
    Count {
        /// As above.
        model: Option<&'a str>,
    },
    /// Embeddings in Gemini's form.
    Embed {
        /// As above.
        model: &'a str,
        /// In which of its forms.
        form: Form,
    },
    /// Hand on to the engine whatever it makes of it; the path below the backend's prefix.
    Pass(&'static str),
    /// A response that was kept, by its id.
    Kept(&'a str, Wish),
    /// A short stand-in for a conversation.
    Compact,
    /// List the models.
    Models,
    /// One model.
    Model(&'a str),
    /// Is it up?
    Health,
    /// Is anybody there?
    Hello,
    /// A WebSocket, which we do not speak.
    Upgrade,
    /// An inference route of a protocol we do not serve yet.
    NotServed,
}

/// A route and the dialect of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) dialect: Id,
    pub(super) action: Action<'a>,
}

impl Route<'_> {
    /// Whether the model has to work for it.
    pub(super) fn asks_model(&self) -> bool {
        matches!(
            self.action,
            Action::Generate { .. } | Action::Count { .. } | Action::Compact | Action::Embed { .. } | Action::Pass(_)
        )
    }

    /// Whether it needs no key: it tells nothing and costs nothing.
    pub(super) fn open(&self) -> bool {
        matches!(self.action, Action::Health | Action::Hello)
    }
}

/// What we have, for those who ask for something else.
pub(super) const LIST: &str = "POST /v1/chat/completions, POST /v1/messages, POST /v1/messages/count_tokens, \
                               POST /v1/responses, POST /v1/completions, POST /v1/embeddings, \
                               POST /v1beta/models/{model}:generateContent, GET /v1/models, GET /health";

const GENERATE: Action<'static> = Action::Generate { model: None, framing: None };

const POSTS: &[(&str, Id, Action<'static>)] = &[
    ("/v1/chat/completions", Id::Chat, GENERATE),
    ("/v1/messages", Id::Messages, GENERATE),
    ("/v1/messages/count_tokens", Id::Messages, Action::Count { model: None }),
    ("/v1/responses", Id::Responses, GENERATE),
    ("/v1/responses/input_tokens", Id::Responses, Action::Count { model: None }),
    ("/v1/responses/compact", Id::Responses, Action::Compact),
    ("/v1/completions", Id::Chat, Action::Pass("/completions")),
    ("/v1/embeddings", Id::Chat, Action::Pass("/embeddings")),
];

/// Finds the route for a path that went through [`paths::plain`]. The dialect comes even with the problem.
pub(super) fn find<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> (Id, Result<Route<'a>, Problem>) {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let dialect = dialect(path, query, headers);
    let get = *method == Method::GET || *method == Method::HEAD;
    let on = |allowed: bool, dialect: Id, action: Action<'a>| {
        let wrong = || Problem::new(ProblemKind::Method, format!("{method} is not the method of {path}"));
        (dialect, if allowed { Ok(Route { dialect, action }) } else { Err(wrong()) })
    };
    if path == "/v1/responses" && *method == Method::GET && headers.contains_key(http::header::UPGRADE) {
        return on(true, Id::Responses, Action::Upgrade);
    }
    if let Some(&(_, dialect, action)) = POSTS.iter().find(|(known, ..)| *known == path) {
        return on(*method == Method::POST, dialect, action);
    }
    match path {
        "/health" => on(get, dialect, Action::Health),
        "" | "/" | "/api/hello" => on(get, dialect, Action::Hello),
        "/v1/models" | "/v1beta/models" => on(get, dialect, Action::Models),
        _ if path.starts_with("/v1/responses/") => match kept(method, path) {
            Some(action) => on(true, dialect, action),
            None => on(false, dialect, Action::NotServed),
        },
        _ if let Some(action) = gemini(path, query).filter(|_| dialect == Id::Gemini) => match action {
            // A verb we do not have.
            Action::Model(name) if *method == Method::POST && name.contains(':') => {
                on(true, dialect, Action::NotServed)
            }
            Action::Model(_) => on(get, dialect, action),
            _ => on(*method == Method::POST, dialect, action),
        },
        _ if dialect == Id::Gemini => on(true, dialect, Action::NotServed),
        _ => match path.strip_prefix("/v1/models/") {
            Some(id) => on(get, dialect, Action::Model(id)),
            None => {
                let problem = Problem::new(ProblemKind::NotFound, format!("nothing at {path}; there is {LIST}"));
                (dialect, Err(problem))
            }
        },
    }
}

/// What is asked of one kept response.
fn kept<'a>(method: &Method, path: &'a str) -> Option<Action<'a>> {
    let (id, verb) = match path.strip_prefix("/v1/responses/")?.split_once('/') {
        Some((id, verb)) => (id, verb),
        None => (path.strip_prefix("/v1/responses/")?, ""),
    };
    let wish = match (method, verb) {
        (&Method::GET, "") => Wish::Get,
        (&Method::DELETE, "") => Wish::Delete,
        (&Method::GET, "input_items") => Wish::Items,
        (&Method::POST, "cancel") => Wish::Cancel,
        _ => return None,
    };
    Some(Action::Kept(id, wish))
}

/// A route of Gemini's.
fn gemini<'a>(path: &'a str, query: Option<&str>) -> Option<Action<'a>> {
    let (model, verb) = paths::gemini(path)?;
    let generate = |framing| Action::Generate { model: Some(model), framing: Some(framing) };
    Some(match verb {
        None => Action::Model(model),
        Some("generateContent") => generate(Framing::Whole),
        Some("streamGenerateContent") => {
            let events = query.is_some_and(|query| query.split('&').any(|pair| matches!(pair, "alt=sse" | "$alt=sse")));
            generate(if events { Framing::Events } else { Framing::Array })
        }
        Some("countTokens") => Action::Count { model: Some(model) },
        Some(embed) => {
            let form = match embed {
                "batchEmbedContents" => Form::Batch,
                "predict" => Form::Predict,
                _ => Form::One,
            };
            Action::Embed { model, form }
        }
    })
}

/// In whose words to answer: by path, then by headers. The model list has one path for three protocols.
fn dialect(path: &str, query: Option<&str>, headers: &HeaderMap) -> Id {
    let verb = || paths::gemini(path).is_some_and(|(_, verb)| verb.is_some());
    if path.starts_with("/v1beta") || verb() {
        Id::Gemini
    } else if path.starts_with("/v1/messages") || headers.contains_key("anthropic-version") {
        Id::Messages
    } else if path.starts_with("/v1/responses") {
        Id::Responses
    } else if path.starts_with("/v1/models")
        && (headers.contains_key("x-goog-api-key")
            || headers.contains_key("x-goog-api-client")
            || query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key="))))
    {
        Id::Gemini
    } else {
        Id::Chat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(method: &Method, path: &'a str) -> (Id, Result<Action<'a>, u16>) {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let (id, route) = find(method, path, query, &HeaderMap::new());
        (id, route.map(|r| r.action).map_err(|p| p.status()))
    }

    #[test]
    fn paths_lead_where_they_should() {
        assert_eq!(at(&Method::POST, "/v1/messages"), (Id::Messages, Ok(GENERATE)));
        assert_eq!(at(&Method::POST, "/v1/messages/count_tokens"), (Id::Messages, Ok(Action::Count { model: None })));
        assert_eq!(at(&Method::HEAD, "/"), (Id::Chat, Ok(Action::Hello)));
        assert_eq!(at(&Method::HEAD, "/api/hello"), (Id::Chat, Ok(Action::Hello)));
        assert_eq!(at(&Method::GET, "/v1/models/org/name:tag"), (Id::Chat, Ok(Action::Model("org/name:tag"))));
        assert_eq!(at(&Method::GET, "/v1/messages"), (Id::Messages, Err(405)));
        assert_eq!(at(&Method::POST, "/v1/messages/nothing"), (Id::Messages, Err(404)));
        assert_eq!(at(&Method::POST, "/nothing"), (Id::Chat, Err(404)));
        let kept = |wish| (Id::Responses, Ok(Action::Kept("resp_1", wish)));
        assert_eq!(at(&Method::GET, "/v1/responses/resp_1"), kept(Wish::Get));
        assert_eq!(at(&Method::DELETE, "/v1/responses/resp_1/"), kept(Wish::Delete));
        assert_eq!(at(&Method::GET, "/v1/responses/resp_1/input_items"), kept(Wish::Items));
        assert_eq!(at(&Method::POST, "/v1/responses/resp_1/cancel"), kept(Wish::Cancel));
        assert_eq!(at(&Method::POST, "/v1/responses/compact"), (Id::Responses, Ok(Action::Compact)));
        assert_eq!(at(&Method::POST, "/v1/responses/resp_1"), (Id::Responses, Err(405)));
    }

    #[test]
    fn geminis_paths_name_model_and_framing() {
        let generate = |framing| (Id::Gemini, Ok(Action::Generate { model: Some("a/b:c"), framing: Some(framing) }));
        for version in ["v1beta", "v1"] {
            let at = |path: &str| {
                let path = format!("/{version}/models/{path}").leak();
                at(&Method::POST, path)
            };
            assert_eq!(at("a/b:c:generateContent"), generate(Framing::Whole));
            assert_eq!(at("a/b:c:streamGenerateContent?alt=sse&key=x"), generate(Framing::Events));
            assert_eq!(at("a/b:c:streamGenerateContent?key=x"), generate(Framing::Array));
            assert_eq!(at("m:countTokens"), (Id::Gemini, Ok(Action::Count { model: Some("m") })));
            assert_eq!(at("m:embedContent"), (Id::Gemini, Ok(Action::Embed { model: "m", form: Form::One })));
            assert_eq!(at("m:batchEmbedContents"), (Id::Gemini, Ok(Action::Embed { model: "m", form: Form::Batch })));
        }
        assert_eq!(at(&Method::GET, "/v1beta/models/m:generateContent"), (Id::Gemini, Err(405)));
        assert_eq!(at(&Method::GET, "/v1beta/models"), (Id::Gemini, Ok(Action::Models)));
        assert_eq!(at(&Method::GET, "/v1/models?key=x"), (Id::Gemini, Ok(Action::Models)));
        assert_eq!(at(&Method::GET, "/v1/models/m?key=x"), (Id::Gemini, Ok(Action::Model("m"))));
        assert_eq!(at(&Method::GET, "/v1beta/models/m:7b"), (Id::Gemini, Ok(Action::Model("m:7b"))));
        assert_eq!(at(&Method::POST, "/v1beta/models/m:predictLongRunning"), (Id::Gemini, Ok(Action::NotServed)));
        assert_eq!(at(&Method::POST, "/v1beta/cachedContents"), (Id::Gemini, Ok(Action::NotServed)));
    }
}
