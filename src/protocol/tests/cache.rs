//! A conversation's next request continues the prompt of the last one, byte by byte, whatever clients change about
//! what they sent before: that prefix is what an engine has cached.

use serde_json::{Value, json};

use super::render;
use crate::protocol::head::{Head, splice};
use crate::protocol::{Id, Target, Vendor, anthropic, protocol};

/// The prompt a backend of protocol `to` is sent.
fn translated(from: Id, to: Id, body: &Value) -> Option<String> {
    let text = body.to_string();
    let outbound = protocol(to).outbound()?;
    let request = protocol(from).inbound()?.decode_request(text.as_bytes()).unwrap();
    let body = outbound.encode_request(&request, &Target { model: "m", vendor: Vendor::Vllm, context: 0 });
    let body = serde_json::from_slice(&body).unwrap();
    Some(if to == Id::Messages { render::messages(&body) } else { render::chat(&body) })
}

/// The prompt of an engine that speaks Messages itself.
fn native(body: &Value) -> String {
    let text = body.to_string();
    let mut patches = Vec::new();
    Head::scan(text.as_bytes()).unwrap().rename(text.as_bytes(), "m", &mut patches);
    anthropic::tidy::tidy(text.as_bytes(), &mut patches);
    render::messages(&serde_json::from_slice(&splice(text.as_bytes(), patches)).unwrap())
}

/// Every way a Messages request can go.
fn ways(body: &Value) -> Vec<(String, String)> {
    let mut found = vec![("native".to_owned(), native(body))];
    for to in [Id::Chat, Id::Ollama, Id::Messages] {
        found.extend(translated(Id::Messages, to, body).map(|prompt| (format!("{to:?}"), prompt)));
    }
    assert_eq!(found.len(), 4);
    found
}

fn shared(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

fn continues(first: &Value, second: &Value) {
    for ((way, first), (_, second)) in ways(first).into_iter().zip(ways(second)) {
        let same = shared(&first, &second);
        assert_eq!(same, first.len(), "{way}: they part at {:?} and {:?}", &first[same..], &second[same..]);
        assert!(second.len() > first.len());
    }
}

fn marked(mut block: Value) -> Value {
    block["cache_control"] = json!({"type": "ephemeral"});
    block
}

fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("does {name}"), "input_schema": {"type": "object"}})
}

fn late(name: &str) -> Value {
    let mut tool = tool(name);
    tool["defer_loading"] = true.into();
    tool
}

const SURROUNDINGS: &str = "The folder is /w.\nSkills: none.";

/// A request in the shape of Claude Code 2.1: a billing block first, a system message behind the first prompt.
fn agent(bill: &str, tools: &[Value], messages: &[Value]) -> Value {
    json!({"model": "local", "max_tokens": 100, "stream": true,
        "system": [text(&format!("x-anthropic-billing-header: cc_version=2.1.{bill};")),
            marked(text("You are an agent.")), marked(text("Work well."))],
        "thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"},
        "context_management": {"edits": []}, "metadata": {"user_id": "{}"},
        "tools": tools, "messages": messages})
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn system(content: Value) -> Value {
    json!({"role": "system", "content": content})
}

fn call(id: &str, name: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": {"path": "a b", "n": [1, 2.5]}})
}

fn result(id: &str, content: Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

#[test]
fn claude_code_continues_though_contents_change_form_and_marks_move() {
    let tools = [tool("Bash"), late("Placeholder"), tool("Read")];
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": ""});
    let first = agent("a1f", &tools, &[user(json!([text("go")])), system(json!([marked(text(SURROUNDINGS))]))]);
    let second = agent(
        "a1f",
        &tools,
        &[
            user(json!("go")),
            system(json!(SURROUNDINGS)),
            assistant(json!([thought, text("Reading."), call("t1", "Read"), call("t2", "Read")])),
            user(json!([result("t1", json!("one")), marked(result("t2", json!([text("two")])))])),
        ],
    );
    let third = agent(
        "a1f",
        &tools,
        &[
            user(json!([text("go")])),
            system(json!(SURROUNDINGS)),
            assistant(json!([thought, text("Reading."), call("t1", "Read"), call("t2", "Read")])),
            user(json!([result("t1", json!([text("one")])), result("t2", json!("two"))])),
            assistant(json!("Done.")),
            user(json!([marked(text("more"))])),
        ],
    );
    let fourth = agent(
        "a1f",
        &tools,
        &[
            user(json!([text("go")])),
            system(json!(SURROUNDINGS)),
            assistant(json!([thought, text("Reading."), call("t1", "Read"), call("t2", "Read")])),
            user(json!([result("t1", json!([text("one")])), result("t2", json!("two"))])),
            assistant(json!([text("Done.")])),
            user(json!("more")),
            system(json!([marked(text("The time is short."))])),
            assistant(json!("Yes.")),
            user(json!("go on")),
        ],
    );
    continues(&first, &second);
    continues(&second, &third);
    continues(&third, &fourth);
}

#[test]
fn the_next_conversation_shares_all_that_stands_before_its_prompt() {
    let tools = [tool("Bash")];
    let conversation = |bill: &str, prompt: &str| {
        agent(bill, &tools, &[user(json!(prompt)), system(json!([marked(text(SURROUNDINGS))]))])
    };
    for ((way, one), (_, other)) in
        ways(&conversation("a1f", "first")).into_iter().zip(ways(&conversation("b2e", "second")))
    {
        assert!(one.contains("Skills: none.") && !one.contains("billing"), "{way}");
        assert_eq!(shared(&one, &other), one.find("first").unwrap(), "{way}: {one}");
    }
}

#[test]
fn tools_found_on_the_way_come_behind_those_that_were_there() {
    let start = [tool("Bash"), late("Placeholder"), tool("Search"), tool("Write")];
    let mut history = vec![user(json!("go")), system(json!(SURROUNDINGS))];
    let first = agent("a1f", &start, &history);
    let find = |id: &str, name: &str| {
        let reference = json!({"type": "tool_reference", "tool_name": name});
        [assistant(json!([call(id, "Search")])), user(json!([result(id, json!([reference]))]))]
    };
    history.extend(find("t1", "WebFetch"));
    // Clients put them where the alphabet does.
    let second =
        agent("a1f", &[tool("Bash"), late("Placeholder"), tool("Search"), late("WebFetch"), tool("Write")], &history);
    history.extend(find("t2", "Ask"));
    let third = agent(
        "a1f",
        &[late("Ask"), tool("Bash"), late("Placeholder"), tool("Search"), late("WebFetch"), tool("Write")],
        &history,
    );
    for (earlier, later) in [(&first, &second), (&second, &third)] {
        for ((way, earlier), (_, later)) in ways(earlier).into_iter().zip(ways(later)) {
            let tools_end = earlier.find("\n<user>").unwrap();
            assert!(shared(&earlier, &later) >= tools_end, "{way}: {earlier}\n\n{later}");
            assert!(later.contains("The tool WebFetch is available now."), "{way}");
            // The conversation itself goes on as it was.
            assert!(later.contains(&earlier[tools_end..]), "{way}");
        }
    }
}

/// Requests in the shape of OpenCode, Qwen Code and Continue: contents as strings or as lists of texts, reasoning
/// sent back by some.
#[test]
fn chat_clients_continue() {
    let chat = |messages: &[Value]| {
        let tools = json!([{"type": "function", "function": {"name": "read", "description": "d", "parameters": {"type": "object"}}}]);
        json!({"model": "local", "stream": true, "max_tokens": 100, "tools": tools, "messages": messages})
    };
    let say = |role: &str, content: Value| json!({"role": role, "content": content});
    let calls = json!([{"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{\"p\": \"x\"}"}}]);
    let mut history = vec![say("system", json!("You are.")), say("user", json!([text("go"), text("now")]))];
    let first = chat(&history);
    history.push(json!({"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": calls}));
    history.push(json!({"role": "tool", "tool_call_id": "c1", "content": [text("found")]}));
    let second = chat(&history);
    history.push(say("assistant", json!("Done.")));
    history.push(say("user", json!("more")));
    let third = chat(&history);
    for to in [Id::Chat, Id::Ollama, Id::Messages] {
        let prompts = [&first, &second, &third].map(|body| translated(Id::Chat, to, body));
        let [Some(first), Some(second), Some(third)] = prompts else {
            println!("chat is not translated yet: skipped");
            return;
        };
        assert!(second.starts_with(&first), "{to:?}:\n{first}\n\n{second}");
        assert!(third.starts_with(&second), "{to:?}:\n{second}\n\n{third}");
    }
}
