//! From what state files and running llmups say to rows. The only file here that knows their shapes.

use super::keys::Deed;
use super::view::{ModelRow, Which};
use crate::commands::running::{self, Live};
use crate::control::Order;
use crate::error::Result;
use crate::gateway::Counts;
use crate::paths::Paths;
use crate::state::{Instance, Phase};

/// A model as it says of itself, without what has to be looked at or computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Everything but rates and memory.
    pub row: ModelRow,
    /// Its counters, from which rates are made.
    pub counts: Option<Counts>,
}

/// All models of all running llmups, the newest first.
///
/// # Errors
/// When the state folder cannot be read.
pub fn ask(paths: &Paths) -> Result<Vec<Known>> {
    Ok(running::all(paths)?.iter().map(|instance| known(instance, Live::of(instance).as_ref())).collect())
}

fn known(instance: &Instance, live: Option<&Live>) -> Known {
    let engine = &instance.engine;
    let counts = live.map(|live| live.counts);
    let state = match live {
        Some(live) => live.state.clone(),
        None if instance.phase == Phase::Loading => "loading".to_owned(),
        None => "silent".to_owned(),
    };
    let row = ModelRow {
        which: Which { llmup: instance.process.pid, model: instance.model.clone() },
        state,
        because: None,
        engine: engine.name.clone(),
        pid: engine.process.as_ref().map(|process| process.pid),
        port: Some(engine.port).filter(|port| *port > 0),
        context: Some(instance.context).filter(|context| *context > 0),
        in_flight: counts.map(|counts| counts.in_flight),
        requests: counts.map(|counts| counts.requests),
        errors: counts.map(|counts| counts.errors),
        rates: None,
        cached: counts.and_then(|counts| share(&counts)),
        restarts: live.map(|live| live.restarts),
        last_crash: live.and_then(|live| live.last_crash.clone()),
        memory: None,
        on_devices: Vec::new(),
        idle: None,
        log: engine.log.clone(),
        control: instance.control.clone(),
    };
    Known { row, counts }
}

/// The order that does it. `all` are the rows there are.
pub fn order(deed: Deed, _row: &ModelRow, _all: &[ModelRow]) -> Order {
    match deed {
        Deed::Stop => Order::Stop,
        Deed::Restart => Order::Restart,
    }
}

/// How much of the prompts came from the cache.
fn share(counts: &Counts) -> Option<f64> {
    let cached = counts.cached_tokens.min(counts.prompt_tokens);
    (counts.prompt_tokens > 0).then(|| cached as f64 / counts.prompt_tokens as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Engine, Process, VERSION};

    fn instance(phase: Phase) -> Instance {
        Instance {
            version: VERSION,
            phase,
            process: Process { pid: 10, birth: "b".into() },
            url: "http://127.0.0.1:4000".into(),
            key: "sesame".into(),
            control: None,
            model: "m".into(),
            context: 65_536,
            engine: Engine { name: "vllm".into(), process: None, pgid: None, mark: None, port: 0, log: None },
            planned: None,
            measured: None,
            started_at: 100,
        }
    }

    #[test]
    fn what_it_says_is_shown_and_silence_is_no_health() {
        let counts = Counts { requests: 5, in_flight: 2, prompt_tokens: 400, cached_tokens: 300, ..Counts::default() };
        let live = Live { counts, restarts: 1, ..Live::new("ready") };
        let known = known(&instance(Phase::Ready), Some(&live));
        assert_eq!((known.row.state.as_str(), known.row.in_flight, known.row.cached), ("ready", Some(2), Some(0.75)));
        assert_eq!((known.row.port, known.row.context, known.row.restarts), (None, Some(65_536), Some(1)));
        let state = |phase| super::known(&instance(phase), None).row.state;
        assert_eq!((state(Phase::Ready).as_str(), state(Phase::Loading).as_str()), ("silent", "loading"));
        assert_eq!(share(&Counts::default()), None);
        let odd = Counts { prompt_tokens: 3, cached_tokens: 9, ..Counts::default() };
        assert_eq!(share(&odd), Some(1.0));
    }
}
