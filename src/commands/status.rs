//! `llmup status`: what runs, and how what was planned compares with what the engine says it got.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::held::{self, Held};
use super::running::{self, Live, LiveModel};
use super::stop::{NobodyError, end_by_hand};
use crate::cli::StatusArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::hardware::load::Load;
use crate::output;
use crate::paths::Paths;
use crate::protocol::ids;
use crate::state::{self, Instance, Model, Phase, Sizes};
use crate::supervisor::process;

/// Runs the subcommand; gives the exit code.
pub fn run(args: &StatusArgs, paths: &Paths) -> Result<u8> {
    let devices = held::ask();
    let found = running::all(paths)?;
    let now = ids::now();
    if args.json {
        let loads = devices.soon();
        let running: Vec<Value> = each(&found, &loads).iter().map(|shown| as_json(shown, now)).collect();
        output::json(&json!({ "running": running, "devices": loads }));
    } else if found.is_empty() {
        let others = state::of_other_versions(&paths.state(), process::alive);
        match others.first() {
            Some(other) => {
                output::note(&NobodyError::OtherVersion { pid: other.pid }.to_string());
                output::note(&end_by_hand(other.pid));
            }
            None => output::note(
                "nothing is running; start a model with `llmup start MODEL`, for a trial `llmup start demo`",
            ),
        }
    } else {
        let loads = devices.soon();
        let mut shown: Vec<String> = each(&found, &loads).iter().map(|shown| as_text(shown, now)).collect();
        let devices: String = loads.iter().map(|load| held::device_text(load) + "\n").collect();
        shown.extend(Some(devices).filter(|devices| !devices.is_empty()));
        output::data(&shown.join("\n"));
    }
    Ok(Exit::Ok.code())
}

/// A running model.
struct Shown<'a> {
    instance: &'a Instance,
    model: Cow<'a, Model>,
    now: Now,
}

/// What is known of a running model besides its file.
#[derive(Debug, Default)]
struct Now {
    live: Option<LiveModel>,
    /// Main memory of llmup.
    own_bytes: Option<u64>,
    /// Memory of the engine's whole tree.
    engine: Held,
}

/// Every model of every instance.
fn each<'a>(found: &'a [Instance], loads: &[Load]) -> Vec<Shown<'a>> {
    let models = || found.iter().flat_map(Instance::models);
    let engines: Vec<Option<u32>> = models().map(|model| model.engine.process.as_ref().map(|p| p.pid)).collect();
    let mut held = held::by_engines(&engines, loads).into_iter();
    let mut all = Vec::new();
    for instance in found {
        let live = Live::of(instance);
        let own_bytes = process::memory(&[instance.process.pid]);
        for model in instance.models() {
            let live = live.as_ref().and_then(|live| live.of_model(instance, model)).cloned();
            let engine = held.next().unwrap_or_default();
            all.push(Shown { instance, model: Cow::Borrowed(model), now: Now { live, own_bytes, engine } });
        }
        for reached in live.iter().flat_map(|live| live.reached(instance)) {
            let now = Now { live: Some(reached.clone()), own_bytes, engine: Held::default() };
            all.push(Shown { instance, model: Cow::Owned(reached.as_reached()), now });
        }
    }
    all
}

/// Without the key: it is for clients, who get it from `env`.
fn as_json(Shown { instance, model, now: known }: &Shown<'_>, now: u64) -> Value {
    let live = known.live.as_ref();
    let deviation: serde_json::Map<String, Value> = rows(model)
        .into_iter()
        .filter_map(|row| Some((row.key.to_owned(), json!((row.deviation()? * 1000.0).round() / 1000.0))))
        .collect();
    json!({
        "model": model.name,
        "url": instance.url,
        "context": Some(model.context).filter(|context| *context > 0),
        "context_assumed": assumed(model, live),
        "pid": instance.process.pid,
        "phase": model.phase,
        "started_at": instance.started_at,
        "seconds": now.saturating_sub(instance.started_at),
        "engine": {
            "name": model.engine.name,
            "pid": model.engine.process.as_ref().map(|p| p.pid),
            "port": model.engine.port,
            "log": model.engine.log,
        },
        "answers": live.is_some(),
        "state": live.map(|live| &live.state),
        "restarts": live.map(|live| live.restarts),
        "live": live,
        "tokens_per_second": live.and_then(|live| live.counts.tokens_per_second()),
        "cached_share": live.and_then(|live| live.counts.cached_share()).map(|share| (share * 1000.0).round() / 1000.0),
        "memory": {
            "llmup_bytes": known.own_bytes,
            "engine_bytes": known.engine.main,
            "engine_on_devices": known.engine.json(),
        },
        "planned": model.planned,
        "measured": model.measured,
        "deviation": deviation,
    })
}

fn as_text(Shown { instance, model, now: known }: &Shown<'_>, now: u64) -> String {
    let engine = &model.engine;
    let place = if instance.url.is_empty() { String::new() } else { format!(" on {}", instance.url) };
    let mut out = format!("{}{place}\n", model.name);
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<9} {text}\n"));
    let pid = engine.process.as_ref().map(|p| format!(", pid {}", p.pid)).unwrap_or_default();
    if !engine.name.is_empty() {
        let at = known.live.as_ref().and_then(|live| live.at.as_ref()).filter(|_| engine.name == running::BACKEND);
        let at = at.map_or_else(|| format!("port {}", engine.port), |at| format!("at {at}"));
        line("engine", format!("{}, {at}{pid}", engine.name));
    }
    line("llmup", format!("pid {}, up {}", instance.process.pid, duration(now.saturating_sub(instance.started_at))));
    match &known.live {
        Some(live) => {
            let crashed = live.last_crash.as_ref().map(|why| format!("; the last crash: {why}")).unwrap_or_default();
            let restarts = match live.restarts {
                0 => String::new(),
                1 => format!(", restarted once{crashed}"),
                times => format!(", restarted {times} times{crashed}"),
            };
            let because = live.because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            line("state", format!("{}{because}{restarts}", live.state));
            let counts = &live.counts;
            let share = counts.cached_share().map(|share| format!(" ({:.0} % cached)", (share * 100.0).floor()));
            let speed = counts.tokens_per_second().map(|speed| format!(", {speed:.1} a second in a stream"));
            line("requests", format!("{}, {} in flight, {} failed", counts.requests, counts.in_flight, counts.errors));
            line(
                "tokens",
                format!(
                    "{} in prompts{}, {} in answers{}",
                    counts.prompt_tokens,
                    share.unwrap_or_default(),
                    counts.output_tokens,
                    speed.unwrap_or_default()
                ),
            );
        }
        None if instance.control.is_none() && model.phase == Phase::Loading => {
            line("state", "preparing: what is missing is downloaded and installed".to_owned());
        }
        None if instance.control.is_some() => line("state", "it does not answer".to_owned()),
        None => {}
    }
    let memory = [("llmup", known.own_bytes), ("engine", known.engine.main)];
    let mut memory: Vec<String> =
        memory.iter().filter_map(|(who, bytes)| Some(format!("{who} {}", output::bytes((*bytes)?)))).collect();
    memory.extend(known.engine.text());
    if !memory.is_empty() {
        line("memory", memory.join(", "));
    }
    if let Some(log) = &engine.log {
        line("log", log.display().to_string());
    }
    let rows = rows(model);
    if rows.is_empty() && model.context == 0 {
        return out;
    }
    if rows.is_empty() {
        let assumed = if assumed(model, known.live.as_ref()) { ", assumed: the backend does not tell it" } else { "" };
        line("context", format!("{} tokens{assumed}", model.context));
        return out;
    }
    out.push_str(&format!("  {:<22}{:>14}{:>14}\n", "", "planned", "real"));
    for row in rows {
        let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| row.unit.show(value));
        let deviation = row.deviation().map(|d| format!("{:+.0} %", d * 100.0)).unwrap_or_default();
        let line = format!("  {:<22}{:>14}{:>14}{deviation:>9}", row.name, text(row.planned), text(row.real));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Whether its context is a guess: nobody has told it.
fn assumed(model: &Model, live: Option<&LiveModel>) -> bool {
    model.engine.name == running::BACKEND && model.context > 0 && live.is_some_and(|live| live.context.is_none())
}

/// One figure, planned and real.
struct Row {
    key: &'static str,
    name: &'static str,
    unit: Unit,
    planned: Option<f64>,
    real: Option<f64>,
}

impl Row {
    /// How far the real figure is from the planned one, as a share of it.
    fn deviation(&self) -> Option<f64> {
        let (planned, real) = (self.planned.filter(|n| *n > 0.0)?, self.real?);
        Some((real - planned) / planned)
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Tokens,
    Bytes,
    Times,
    Share,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Tokens => format!("{value:.0}"),
            Unit::Bytes => output::bytes(value as u64),
            Unit::Times => format!("{value:.2}x"),
            Unit::Share => format!("{:.0} %", value * 100.0),
        }
    }
}

type Figure = fn(&Sizes) -> Option<f64>;

/// The figures of which at least one side is known.
fn rows(model: &Model) -> Vec<Row> {
    const FIGURES: &[(&str, &str, Unit, Figure)] = &[
        ("context", "context, tokens", Unit::Tokens, |s| s.context.map(|n| n as f64)),
        ("kv_bytes", "KV cache", Unit::Bytes, |s| s.kv_bytes.map(|n| n as f64)),
        ("kv_tokens", "KV cache, tokens", Unit::Tokens, |s| s.kv_tokens.map(|n| n as f64)),
        ("concurrency", "full contexts at once", Unit::Times, |s| s.concurrency),
        ("weights_bytes", "weights", Unit::Bytes, |s| s.weights_bytes.map(|n| n as f64)),
        ("compute_bytes", "activations", Unit::Bytes, |s| s.compute_bytes.map(|n| n as f64)),
        ("graph_bytes", "CUDA graphs", Unit::Bytes, |s| s.graph_bytes.map(|n| n as f64)),
        ("total_bytes", "all together", Unit::Bytes, |s| s.total_bytes.map(|n| n as f64)),
        ("on_gpu", "on the GPU", Unit::Share, |s| s.on_gpu),
    ];
    let of = |sizes: &Option<Sizes>, figure: Figure| sizes.as_ref().and_then(figure);
    FIGURES
        .iter()
        .map(|(key, name, unit, figure)| Row {
            key,
            name,
            unit: *unit,
            planned: of(&model.planned, *figure),
            real: of(&model.measured, *figure),
        })
        .filter(|row| row.planned.is_some() || row.real.is_some())
        .collect()
}

/// `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Counts;
    use crate::state::{Engine, Phase, Process, VERSION};

    fn instance() -> Instance {
        let planned = Sizes {
            context: Some(131_072),
            kv_bytes: Some(4 << 30),
            kv_tokens: Some(200_000),
            weights_bytes: Some(1 << 30),
            ..Sizes::default()
        };
        let measured = Sizes {
            context: Some(65_536),
            kv_bytes: Some(3 << 30),
            concurrency: Some(2.5),
            on_gpu: Some(0.62),
            ..Sizes::default()
        };
        Instance {
            version: VERSION,
            phase: Phase::Ready,
            process: Process { pid: 10, birth: "b".into() },
            url: "http://127.0.0.1:4000".into(),
            key: "sesame".into(),
            control: None,
            model: Model {
                phase: Phase::Ready,
                context: 65_536,
                engine: Engine { name: "vllm".into(), port: 7, ..Engine::default() },
                planned: Some(planned),
                measured: Some(measured),
                ..Model::loading("m")
            },
            others: Vec::new(),
            started_at: 100,
        }
    }

    fn shown(instance: &Instance) -> Shown<'_> {
        Shown { instance, model: Cow::Borrowed(&instance.model), now: Now::default() }
    }

    #[test]
    fn planned_and_real_stand_side_by_side() {
        let expected = "\
m on http://127.0.0.1:4000
  engine    vllm, port 7
  llmup     pid 10, up 1 h 1 min
                               planned          real
  context, tokens               131072         65536    -50 %
  KV cache                     4.0 GiB       3.0 GiB    -25 %
  KV cache, tokens              200000             -
  full contexts at once              -         2.50x
  weights                      1.0 GiB             -
  on the GPU                         -          62 %
";
        let text = as_text(&shown(&instance()), 100 + 3700);
        assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn json_has_the_deviation_and_no_key() {
        let mut instance = instance();
        let value = as_json(&shown(&instance), 160);
        assert_eq!((value["seconds"].as_u64(), value["measured"]["context"].as_u64()), (Some(60), Some(65_536)));
        assert_eq!(value["deviation"], json!({"context": -0.5, "kv_bytes": -0.25}));
        assert!(!value.to_string().contains("sesame"));
        assert_eq!(
            (&value["state"], &value["restarts"], &value["cached_share"]),
            (&json!(null), &json!(null), &json!(null))
        );
        // One that is only reached, and tells no context.
        instance.model = LiveModel { at: Some("h:81".into()), ..LiveModel::default() }.as_reached();
        instance.model.context = 32_768;
        let counts = Counts { prompt_tokens: 800, cached_tokens: 600, ..Counts::default() };
        let live = LiveModel { counts, at: Some("h:81".into()), state: "ready".into(), ..LiveModel::default() };
        let mut shown = shown(&instance);
        shown.now.live = Some(live);
        let value = as_json(&shown, 160);
        assert_eq!(
            (&value["state"], &value["restarts"], &value["cached_share"]),
            (&json!("ready"), &json!(0), &json!(0.75))
        );
        assert_eq!(value["context_assumed"], true);
        let text = as_text(&shown, 160);
        assert!(text.contains("backend, at h:81\n") && text.contains("(75 % cached)"), "{text}");
        assert!(text.contains("32768 tokens, assumed: the backend does not tell it"), "{text}");
    }
}
