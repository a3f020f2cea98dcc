//! What is said when everything is up.

use crate::client::shell::Shell;
use crate::commands::start::{box_of, next_commands, shown_key};
use crate::gateway::Catalog;
use crate::state::Instance;

/// Names shown; the rest is at `/v1/models`.
const SHOWN: usize = 12;

/// Shows the box.
pub fn show(instance: &Instance, catalog: &Catalog, no_auth: bool, shell: Shell) {
    let mut names: Vec<String> = catalog.served().iter().map(|served| served.name.clone()).collect();
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("and {more} more"));
    }
    let key = if no_auth { "none is asked for (--no-auth)" } else { shown_key(instance) };
    let mut lines = vec![
        "the gateway is ready".to_owned(),
        String::new(),
        format!("URL      {}", instance.url),
        format!("key      {key}"),
    ];
    let lead = if names.len() == 1 { "model  " } else { "models " };
    for (at, name) in names.iter().enumerate() {
        lines.push(format!("{}  {name}", if at == 0 { lead } else { "       " }));
    }
    lines.extend([String::new(), "Run this next, in another terminal:".to_owned()]);
    lines.extend(next_commands(shell));
    lines.extend([String::new(), "Ctrl-C stops the gateway; the backends run on.".to_owned()]);
    box_of(&lines);
}
