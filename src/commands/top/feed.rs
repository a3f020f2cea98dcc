//! From what state files and running llmups say to rows. The only file here that knows their shapes.

use super::keys::Deed;
use super::view::{ModelRow, Which};
use crate::commands::running::{self, BACKEND, Live, LiveModel};
use crate::control::Order;
use crate::error::Result;
use crate::gateway::Counts;
use crate::paths::Paths;
use crate::state::{Instance, Model, Phase};

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
    let mut all = Vec::new();
    for instance in running::all(paths)? {
        let live = Live::of(&instance);
        all.extend(instance.models().map(|model| known(&instance, model, live.as_ref())));
        all.extend(live.iter().flat_map(|live| live.reached(&instance)).map(|model| reached(&instance, model)));
    }
    Ok(all)
}

fn known(instance: &Instance, model: &Model, live: Option<&Live>) -> Known {
    let engine = &model.engine;
    let live = live.and_then(|live| live.of_model(instance, model));
    let counts = live.map(|live| live.counts);
    let state = match (live, model.phase) {
        (Some(live), _) => live.state.clone(),
        (None, Phase::Loading) => "loading".to_owned(),
        (None, _) => "silent".to_owned(),
    };
    let row = ModelRow {
        which: Which { llmup: instance.process.pid, model: model.name.clone() },
        state,
        because: live.and_then(|live| live.because.clone()),
        engine: engine.name.clone(),
        pid: engine.process.as_ref().map(|process| process.pid),
        port: Some(engine.port).filter(|port| *port > 0),
        context: Some(model.context).filter(|context| *context > 0),
        in_flight: counts.map(|counts| counts.in_flight),
        requests: counts.map(|counts| counts.requests),
        errors: counts.map(|counts| counts.errors),
        rates: None,
        cached: counts.and_then(|counts| counts.cached_share()),
        restarts: live.map(|live| live.restarts),
        last_crash: live.and_then(|live| live.last_crash.clone()),
        memory: None,
        on_devices: Vec::new(),
        idle: live.and_then(|live| live.idle_seconds),
        log: engine.log.clone(),
        control: instance.control.clone(),
    };
    Known { row, counts }
}

/// One that is only reached. It takes orders only where nothing else is served: then they are for the gateway.
fn reached(instance: &Instance, live: &LiveModel) -> Known {
    let alone = Live { models: vec![live.clone()], ..Live::default() };
    let mut known = known(instance, &live.as_reached(), Some(&alone));
    if instance.model.engine.name != BACKEND {
        known.row.control = None;
    }
    known
}

/// The order that does it. Of several models of one llmup the stopped one only sleeps: the gateway serves the others,
/// and starts it again when somebody asks for it. `all` are the rows there are.
pub fn order(deed: Deed, row: &ModelRow, all: &[ModelRow]) -> Order {
    let name = &row.which.model;
    // What is only reached is no engine that could end.
    let same = |other: &&ModelRow| other.which.llmup == row.which.llmup && other.engine != BACKEND;
    let alone = all.iter().filter(same).count() < 2;
    match deed {
        Deed::Stop if alone => Order::Stop,
        Deed::Stop => Order::Sleep(name.clone()),
        Deed::Restart => Order::Restart(Some(name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Engine, Process, VERSION};

    fn instance() -> Instance {
        let model = |name: &str| Model {
            name: name.into(),
            phase: Phase::Ready,
            context: 65_536,
            engine: Engine { name: "vllm".into(), ..Engine::default() },
            ..Model::default()
        };
        Instance {
            version: VERSION,
            phase: Phase::Ready,
            process: Process { pid: 10, birth: "b".into() },
            url: "http://127.0.0.1:4000".into(),
            key: "sesame".into(),
            control: None,
            model: model("big"),
            others: vec![Model { phase: Phase::Loading, ..model("small") }],
            started_at: 100,
        }
    }

    fn rows(live: Option<&Live>) -> Vec<ModelRow> {
        let instance = instance();
        instance.models().map(|model| known(&instance, model, live).row).collect()
    }

    #[test]
    fn each_model_says_its_own_and_silence_is_no_health() {
        let counts = Counts { requests: 5, in_flight: 2, prompt_tokens: 400, cached_tokens: 300, ..Counts::default() };
        let model =
            |name: &str, state: &str| LiveModel { name: name.into(), state: state.into(), ..LiveModel::default() };
        let models = vec![
            LiveModel { idle_seconds: Some(9), ..model("small", "asleep") },
            LiveModel { counts, restarts: 1, ..model("big", "ready") },
        ];
        let told = rows(Some(&Live { models, ..Live::default() }));
        assert_eq!((told[0].state.as_str(), told[0].in_flight, told[0].cached), ("ready", Some(2), Some(0.75)));
        assert_eq!((told[0].port, told[0].context, told[0].restarts), (None, Some(65_536), Some(1)));
        assert_eq!((told[1].state.as_str(), told[1].idle, told[1].cached), ("asleep", Some(9), None));
        let silent = rows(None);
        assert_eq!((silent[0].state.as_str(), silent[1].state.as_str()), ("silent", "loading"));
    }

    #[test]
    fn what_is_only_reached_has_a_row_and_is_not_put_to_sleep() {
        let one = |name: &str, at: Option<&str>| LiveModel {
            name: name.into(),
            state: "ready".into(),
            at: at.map(str::to_owned),
            ..LiveModel::default()
        };
        let models = vec![one("big", None), one("small", None), one("far", Some("h:81"))];
        let live = Live { models, ..Live::default() };
        let instance = instance();
        let far: Vec<_> = live.reached(&instance).map(|model| reached(&instance, model).row).collect();
        let told: Vec<_> = far.iter().map(|row| (row.which.model.as_str(), row.engine.as_str(), row.port)).collect();
        assert_eq!(told, [("far", "backend", Some(81))]);
        let mut all = rows(None);
        all.remove(1);
        all.extend(far);
        assert_eq!(order(Deed::Stop, &all[0], &all), Order::Stop, "the only engine there is");
    }

    #[test]
    fn one_of_several_is_put_to_sleep_and_the_only_one_is_ended() {
        let both = rows(None);
        assert_eq!(order(Deed::Stop, &both[1], &both), Order::Sleep("small".into()));
        assert_eq!(order(Deed::Stop, &both[1], &both[1..]), Order::Stop);
        assert_eq!(order(Deed::Restart, &both[0], &both), Order::Restart(Some("big".into())));
    }

    #[test]
    fn a_share_is_none_or_between_nothing_and_all() {
        assert_eq!(Counts::default().cached_share(), None);
        let odd = Counts { prompt_tokens: 3, cached_tokens: 9, ..Counts::default() };
        assert_eq!(odd.cached_share(), Some(1.0));
    }
}
