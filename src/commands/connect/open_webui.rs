//! Open WebUI keeps its settings in a database of its own after the first start: llmup prints what to give it, and
//! writes nothing. The variables are those of its environment reference; the service is called as in its own compose file.

use crate::client::Session;
use crate::output;

/// What people type.
pub(in crate::commands) const NAMES: [&str; 2] = ["open-webui", "openwebui"];

/// Prints it: data for a file of its own, words beside it.
pub(super) fn show(gateway: &Session) {
    output::data(&compose(gateway));
    output::note("");
    output::note("Put this beside Open WebUI's own compose file, as compose.override.yaml, then");
    output::note("`docker compose up -d`. Without compose, the same names are its environment.");
    output::note("It shares the host's network there, so that it reaches a gateway which listens");
    output::note("on this machine only; it is at http://127.0.0.1:8080 then. Docker Desktop");
    output::note("without host networking: host.docker.internal instead of 127.0.0.1.");
    output::note("After its first start Open WebUI keeps settings itself; the last variable has it");
    output::note("take them from here each time.");
}

fn compose(gateway: &Session) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "services:
  open-webui:
    network_mode: host
    environment:
      OPENAI_API_BASE_URL: {}
      OPENAI_API_KEY: {}
      ENABLE_OPENAI_API: \"true\"
      ENABLE_OLLAMA_API: \"false\"
      ENABLE_PERSISTENT_CONFIG: \"false\"
",
        quoted(&format!("{}/v1", gateway.base_url)),
        quoted(&gateway.key),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::gateway;

    #[test]
    fn the_snippet_is_yaml_with_address_and_key() {
        let value: serde_yaml::Value = serde_yaml::from_str(&compose(&gateway(32_768))).unwrap();
        let environment = &value["services"]["open-webui"]["environment"];
        assert_eq!(environment["OPENAI_API_BASE_URL"], "http://127.0.0.1:4242/v1");
        assert_eq!(environment["OPENAI_API_KEY"], "sk-test");
        assert_eq!(environment["ENABLE_PERSISTENT_CONFIG"], "false");
    }
}
