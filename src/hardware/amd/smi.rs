//! Asking AMD's tools, where the kernel's files are not to be seen, and reading what they print: `amd-smi`'s JSON and
//! `rocm-smi`'s JSON, csv and text. Their keys change with every version, so they are compared without case.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Card, TIME_LIMIT, chip, uuid};
use crate::host::Host;

/// What a tool told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) cards: Vec<Card>,
    pub(super) versions: Vec<(String, String)>,
    pub(super) problems: Vec<String>,
}

/// What the tool that is here says; nothing when there is none.
pub(super) fn read(host: &dyn Host) -> Answer {
    let asked: [(&str, &[&[&str]]); 2] = [
        ("amd-smi", &[&["static", "--asic", "--bus", "--vram", "--json"], &["metric", "--mem-usage", "--json"]]),
        ("rocm-smi", &[&["--showproductname", "--showmeminfo", "vram", "--showuniqueid", "--showbus", "--json"]]),
    ];
    let mut problems = Vec::new();
    for (tool, questions) in asked {
        let Some(program) = host.which(tool) else { continue };
        let mut said = Answer::default();
        for question in questions {
            match host.run(&program, question, TIME_LIMIT) {
                Ok(ran) => said = join(said, parse(&format!("{}\n{}", ran.stdout, ran.stderr))),
                Err(error) => problems.push(format!("`{tool}` does not answer: {error}")),
            }
        }
        if !said.cards.is_empty() {
            return said;
        }
        problems.extend(said.problems);
    }
    Answer { problems, ..Answer::default() }
}

/// Two answers about the same cards.
fn join(mut first: Answer, second: Answer) -> Answer {
    if first.cards.is_empty() {
        return second;
    }
    for card in &mut first.cards {
        if let Some(more) = second.cards.iter().find(|other| other.index == card.index) {
            card.vram = card.vram.or(more.vram);
            card.vram_used = card.vram_used.or(more.vram_used);
            card.gtt = card.gtt.or(more.gtt);
            card.gtt_used = card.gtt_used.or(more.gtt_used);
        }
    }
    first
}

/// Reads an output in any of the forms; warnings may stand before it.
pub(super) fn parse(text: &str) -> Answer {
    let mut answer = Answer::default();
    let mut cards = match json(text) {
        Some(Value::Array(list)) => amd_smi(&list),
        Some(Value::Object(map)) => match map.get("gpu_data") {
            Some(Value::Array(list)) => amd_smi(list),
            _ => {
                let driver = map.get("system").and_then(|system| find(system, "driver version")).and_then(string);
                answer.versions.extend(driver.map(|driver| ("amdgpu driver".to_owned(), driver)));
                rocm_smi(map.iter().filter_map(|(name, card)| Some((numbered(name)?, flat(card)))))
            }
        },
        _ => rocm_smi(table(text).into_iter().chain(lines(text))),
    };
    cards.sort_by_key(|card| card.index);
    share(&mut cards);
    for card in &cards {
        answer.problems.extend(card.problem.as_ref().map(|why| format!("GPU {}: {why}", card.index)));
    }
    answer.cards = cards;
    if answer.cards.is_empty() {
        let known = ["not initialized", "not loaded", "amdgpu not found", "No AMD GPUs"];
        if known.iter().any(|words| text.contains(words)) {
            answer.problems.push(
                "AMD's tool finds no amdgpu driver; load it: `sudo modprobe amdgpu`, or in a container start it with \
                 `docker run --device /dev/kfd --device /dev/dri`"
                    .to_owned(),
            );
        }
    }
    answer
}

/// The first JSON value of the text, with what is before and behind it passed over.
fn json(text: &str) -> Option<Value> {
    text.match_indices(['{', '[']).take(STARTS).find_map(|(at, _)| {
        let value = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next()?.ok()?;
        (value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object))).then_some(value)
    })
}

/// Warnings have a bracket or two (`GPU[0]`); more tries would make a long text of brackets slow.
const STARTS: usize = 16;

/// `card12` is 12.
fn numbered(name: &str) -> Option<u32> {
    name.trim().strip_prefix("card")?.parse().ok()
}

type Fields = BTreeMap<String, String>;

fn flat(card: &Value) -> Fields {
    let fields = card.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), string(value)?))).collect()
}

/// `rocm-smi --csv`: a header that begins with `device`, then a line per card.
fn table(text: &str) -> Vec<(u32, Fields)> {
    let mut header: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells = line.split(',').map(str::trim);
        if line.starts_with("device,") {
            header = Some(cells.map(str::to_ascii_lowercase).collect());
        } else if let (Some(header), Some(index)) = (&header, line.split(',').next().and_then(numbered)) {
            rows.push((index, header.iter().cloned().zip(cells.map(str::to_owned)).collect()));
        }
    }
    rows
}

/// `rocm-smi` for people: `GPU[0]  : VRAM Total Memory (B): 17163091968`, and its complaints about a card.
fn lines(text: &str) -> Vec<(u32, Fields)> {
    let mut cards: BTreeMap<u32, Fields> = BTreeMap::new();
    for line in text.lines() {
        let Some((before, rest)) = line.split_once("GPU[") else { continue };
        let Some((index, rest)) = rest.split_once(']') else { continue };
        let Ok(index) = index.parse() else { continue };
        let rest = rest.trim_start_matches([' ', '\t', ':']).trim();
        let fields = cards.entry(index).or_default();
        if before.contains("ERROR") || rest.starts_with("Unable to") {
            fields.insert("error".to_owned(), rest.to_owned());
        } else if let Some((name, value)) = rest.split_once(':') {
            fields.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    cards.into_iter().collect()
}

fn rocm_smi(cards: impl Iterator<Item = (u32, Fields)>) -> Vec<Card> {
    let card = |(index, fields): (u32, Fields)| {
        let get = |name: &str| fields.get(name).filter(|value| !absent(value)).cloned();
        if is_hygon(&fields) {
            return None;
        }
        let bytes = |name: &str| get(name).and_then(|value| value.parse().ok());
        let gfx = get("gfx version").filter(|gfx| gfx.starts_with("gfx"));
        let ids = ["device id", "gpu id", "card model"];
        let named = |name: &String| !name.starts_with("0x");
        Some(Card {
            index,
            name: get("card series").filter(named).or_else(|| get("device name").filter(named)),
            uuid: get("unique id").map(|id| chip::hex(&id).and_then(uuid).unwrap_or(id)),
            integrated: gfx.as_deref().is_some_and(chip::is_integrated)
                || ids.iter().filter_map(|name| get(name)).any(|id| chip::is_integrated_id(&id)),
            gfx,
            pci: get("pci bus"),
            vram: bytes("vram total memory (b)"),
            vram_used: bytes("vram total used memory (b)"),
            gtt: bytes("gtt total memory (b)"),
            gtt_used: bytes("gtt total used memory (b)"),
            problem: get("error").map(|said| format!("the driver does not tell its memory ({said}); see `rocm-smi`")),
            ..Card::default()
        })
    };
    cards.filter_map(card).collect()
}

/// Hygon's driver comes with a copy of the tool, which speaks of DCUs or HCUs and counts in MiB.
fn is_hygon(fields: &Fields) -> bool {
    let maker = fields.get("card vendor").map(|vendor| vendor.to_ascii_lowercase()).unwrap_or_default();
    ["hygon", "haiguang"].iter().any(|name| maker.contains(name))
        || ["vram total memory (mib)", "dcu use (%)", "hcu use (%)"].iter().any(|name| fields.contains_key(*name))
}

fn amd_smi(list: &[Value]) -> Vec<Card> {
    let card = |(at, entry): (usize, &Value)| {
        let deep = |names: &[&str]| names.iter().try_fold(entry, |value, name| find(value, name));
        let text = |names: &[&str]| deep(names).and_then(string).filter(|value| !absent(value));
        entry.as_object()?;
        let gfx = text(&["asic", "target_graphics_version"]).filter(|gfx| gfx.starts_with("gfx"));
        let id = text(&["asic", "device_id"]);
        Some(Card {
            index: deep(&["gpu"]).and_then(whole).and_then(|gpu| u32::try_from(gpu).ok()).or(u32::try_from(at).ok())?,
            name: text(&["asic", "market_name"]).filter(|name| !name.starts_with("0x")),
            uuid: text(&["asic", "asic_serial"]).and_then(|id| uuid(chip::hex(&id)?)).or_else(|| text(&["uuid"])),
            integrated: gfx.as_deref().is_some_and(chip::is_integrated)
                || id.is_some_and(|id| chip::is_integrated_id(&id)),
            gfx,
            pci: text(&["bus", "bdf"]).or_else(|| text(&["bdf"])),
            vram: deep(&["vram", "size"]).or_else(|| deep(&["mem_usage", "total_vram"])).and_then(size),
            vram_used: deep(&["mem_usage", "used_vram"]).and_then(size),
            gtt: deep(&["mem_usage", "total_gtt"]).and_then(size),
            gtt_used: deep(&["mem_usage", "used_gtt"]).and_then(size),
            ..Card::default()
        })
    };
    list.iter().enumerate().filter_map(card).collect()
}

/// The tools print the whole card's memory for each of its partitions (ROCm issue 4750).
fn share(cards: &mut [Card]) {
    let place = |card: &Card| match card.pci.as_deref().and_then(|pci| pci.rsplit_once('.')) {
        Some((device, _)) => Some(device.to_owned()),
        None => card.uuid.clone(),
    };
    let places: Vec<_> = cards.iter().map(place).collect();
    let mut parts: BTreeMap<&str, u32> = BTreeMap::new();
    for place in places.iter().flatten() {
        *parts.entry(place).or_default() += 1;
    }
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for (card, place) in cards.iter_mut().zip(&places) {
        let Some(place) = place else { continue };
        let nth = seen.entry(place).or_default();
        if let Some(of) = parts.get(place.as_str()).copied().filter(|of| *of > 1) {
            card.partition = Some((*nth, of));
            card.vram = card.vram.map(|bytes| bytes / u64::from(of));
            // How much of it is this part's cannot be told.
            card.vram_used = None;
        }
        *nth += 1;
    }
}

fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn string(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    string(value)?.parse().ok()
}

/// `{"value": 24560, "unit": "MB"}`, or the bare number of mebibytes. What the tool calls MB is MiB.
fn size(value: &Value) -> Option<u64> {
    let number = find(value, "value").unwrap_or(value);
    let unit: u64 = match find(value, "unit").and_then(Value::as_str) {
        Some("B") => 1,
        Some("KB" | "KiB") => 1 << 10,
        Some("GB" | "GiB") => 1 << 30,
        _ => 1 << 20,
    };
    whole(number)?.checked_mul(unit)
}

fn absent(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("n/a") || value.eq_ignore_ascii_case("none")
}
