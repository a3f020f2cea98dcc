//! What llmup says in Chinese: that nothing is left out, and what a user sees.

mod complete;
mod source;
mod spoken;
