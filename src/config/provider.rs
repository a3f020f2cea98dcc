//! The providers a model's name may begin with (`openai/gpt-4o`), as data.

/// The API a provider is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
    /// Gemini generateContent.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// A provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// What a model's name begins with, without the slash.
    pub prefix: &'static str,
    /// What it speaks.
    pub speaks: Speaks,
    /// Its public address with the path its API begins at; `None`: the file must say `api_base`.
    pub base: Option<&'static str>,
    /// The variable its key is looked for in when the file gives none.
    pub key_variable: Option<&'static str>,
}

const fn own(prefix: &'static str, speaks: Speaks, base: &'static str, key: &'static str) -> Provider {
    Provider { prefix, speaks, base: Some(base), key_variable: Some(key) }
}

const fn elsewhere(prefix: &'static str) -> Provider {
    Provider { prefix, speaks: Speaks::Chat, base: None, key_variable: None }
}

const fn ollama(prefix: &'static str) -> Provider {
    Provider { prefix, speaks: Speaks::Ollama, base: Some("http://127.0.0.1:11434"), key_variable: None }
}

/// Every provider. Addresses are those of the vendors' own API references; the variables are LiteLLM's.
pub static PROVIDERS: &[Provider] = &[
    own("openai", Speaks::Chat, "https://api.openai.com/v1", "OPENAI_API_KEY"),
    elsewhere("hosted_vllm"),
    ollama("ollama"),
    ollama("ollama_chat"),
    own("anthropic", Speaks::Messages, "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    own("gemini", Speaks::Gemini, "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
    own("openrouter", Speaks::Chat, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    own("deepseek", Speaks::Chat, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    own("volcengine", Speaks::Chat, "https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"),
    // OpenAI-compatible servers under the other names LiteLLM has for them.
    elsewhere("openai_like"),
    elsewhere("custom_openai"),
    elsewhere("lm_studio"),
    elsewhere("llamafile"),
    elsewhere("litellm_proxy"),
];

/// The provider and its name for the model. Without a known provider in front: by names everybody knows, else an
/// OpenAI-compatible server when there is an address to go to.
pub(super) fn find(model: &str, has_base: bool) -> Option<(&'static Provider, &str)> {
    let by_prefix = |prefix: &str| PROVIDERS.iter().find(|provider| provider.prefix == prefix);
    if let Some((prefix, rest)) = model.split_once('/')
        && let Some(provider) = by_prefix(prefix)
    {
        return Some((provider, rest));
    }
    if has_base {
        return by_prefix("openai").map(|provider| (provider, model));
    }
    let begins = |words: &[&str]| words.iter().any(|word| model.starts_with(word));
    let prefix = if begins(&["gpt-", "chatgpt-", "o1", "o3", "o4"]) {
        "openai"
    } else if begins(&["claude-"]) {
        "anthropic"
    } else if begins(&["gemini-"]) {
        "gemini"
    } else {
        return None;
    };
    by_prefix(prefix).map(|provider| (provider, model))
}
