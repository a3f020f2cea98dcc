//! Which target an input goes to: `LLMUP_FUZZ=<target>` chooses, `LLMUP_FUZZ=list` names them.

use std::sync::OnceLock;

/// What a target does with the bytes and with what follows their last 0xFF.
pub type Run = Box<dyn Fn(&[u8], &[u8]) + Send + Sync>;

static CHOSEN: OnceLock<Run> = OnceLock::new();

/// Remembers the target the environment names, or lists them all and ends.
pub fn choose(mut all: Vec<(String, Run)>) {
    let wanted = std::env::var("LLMUP_FUZZ").unwrap_or_else(|_| "list".into());
    match all.iter().position(|(name, _)| *name == wanted) {
        Some(at) => {
            let _ = CHOSEN.set(all.swap_remove(at).1);
        }
        None => {
            for (name, _) in all {
                println!("{name}");
            }
            std::process::exit(i32::from(wanted != "list"));
        }
    }
}

/// Hands one input to the chosen target.
pub fn run(data: &[u8]) {
    let (body, control) = match data.iter().rposition(|b| *b == 0xff) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    if let Some(run) = CHOSEN.get() {
        run(body, control);
    }
}
