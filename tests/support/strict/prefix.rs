//! Whether the engine's prefix cache could work: every turn of a conversation must begin as the turn before it ended.

use serde_json::Value;

/// A request as a template would write it, piece by piece: the tools, then each message.
fn render(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().into_iter().flatten().map(Value::to_string);
    let messages = body["messages"].as_array().into_iter().flatten().map(message);
    tools.chain(messages).collect()
}

/// Content as text or as parts is the same to a template; so are arguments with other spaces.
fn message(message: &Value) -> String {
    let text = match &message["content"] {
        Value::Array(parts) => parts.iter().map(|p| p["text"].as_str().unwrap_or("[media]")).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        format!("[{} {arguments}]", call["function"]["name"])
    });
    format!("{}: {text}{}", message["role"], calls.collect::<String>())
}

/// Sorts requests with tools into conversations by what they begin with. Gives the number of turns of each, or the
/// first turn that broke the prefix: it begins like another conversation's first turn, but is no continuation.
pub fn conversations(requests: &[Value]) -> Result<Vec<usize>, String> {
    let mut open: Vec<(Vec<String>, usize)> = Vec::new();
    for body in requests.iter().filter(|body| body["tools"].is_array()) {
        let now = render(body);
        if let Some((before, turns)) = open.iter_mut().find(|(before, _)| now.starts_with(before)) {
            *before = now;
            *turns += 1;
            continue;
        }
        let results = body["messages"].as_array().into_iter().flatten().any(|m| m["role"] == "tool");
        if let Some((before, _)) = open.iter().find(|_| results) {
            let at = before.iter().zip(&now).position(|(a, b)| a != b).unwrap_or(before.len().min(now.len()));
            let piece = |of: &[String]| of.get(at).map(|p| p.chars().take(2000).collect::<String>());
            return Err(format!("piece {at} changed\nfrom {:?}\nto   {:?}", piece(before), piece(&now)));
        }
        open.push((now, 1));
    }
    Ok(open.into_iter().map(|(_, turns)| turns).collect())
}
