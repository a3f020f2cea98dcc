//! `--settings FILE|JSON` of the user's own, and llmup's on top of it. Measured with 2.1.329: text that is a JSON object
//! is taken as one, all else is the name of a file; a file that is no plain JSON object is told of and not used.

use serde_json::{Map, Value};

use crate::client::{Conflict, Origin, Start, Weight};

/// What the user's option says; the error is why Claude Code would not use it.
pub(super) fn read(start: &Start<'_>, said: &str) -> Result<Map<String, Value>, Conflict> {
    if let Ok(Value::Object(settings)) = serde_json::from_str(said) {
        return Ok(settings);
    }
    let path = start.places.project.join(said);
    let refuse = |why: String| Conflict {
        weight: Weight::Managed,
        origin: Origin::Typed,
        text: format!("--settings {said}: {why}"),
        cure: Some("give it a file with one JSON object, or the object itself: `--settings '{\"env\":{}}'`".to_owned()),
    };
    let bytes = start.host.read(&path).map_err(|error| refuse(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err(refuse("it holds no JSON object".to_owned())),
        Err(error) => Err(refuse(format!("it is no JSON, which has no comments either: {error}"))),
    }
}

/// The user's settings, with llmup's variables among theirs, and without a second key.
pub(super) fn with(env: Map<String, Value>, mut settings: Map<String, Value>) -> Value {
    let theirs = settings.remove("env");
    let mut all = match theirs {
        Some(Value::Object(theirs)) => theirs,
        _ => Map::new(),
    };
    all.extend(env);
    settings.insert("env".to_owned(), Value::Object(all));
    if settings.contains_key("apiKeyHelper") {
        settings.insert("apiKeyHelper".to_owned(), "".into());
    }
    Value::Object(settings)
}
