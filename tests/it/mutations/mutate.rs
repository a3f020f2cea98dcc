//! What can be wrong with a request.

use serde_json::{Map, Value, json};

/// SplitMix64: the same draws on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Text that no `Value` can hold; a string of this shape in the tree is replaced by it.
const RAW: [&[u8]; 12] = [
    b"1e999",
    b"-0",
    b"99999999999999999999999999",
    b"1.7976931348623157e309",
    b"18446744073709551616",
    br#""\ud800""#,
    br#""\udc00\ud800""#,
    br#""\u0000""#,
    b"\"\xff\xfe\"",
    b"\"\xc3\"",
    b"NaN",
    b"\"\n\"",
];

fn raw(n: usize) -> Value {
    Value::from(format!("@raw{n:02}@"))
}

/// A member or an element: the way to it.
type Path = Vec<Step>;

#[derive(Clone)]
enum Step {
    Key(String),
    At(usize),
}

fn paths(value: &Value, here: &mut Path, all: &mut Vec<Path>) {
    let mut into = |step: Step, child: &Value, all: &mut Vec<Path>| {
        here.push(step);
        all.push(here.clone());
        paths(child, here, all);
        here.pop();
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(k, v)| into(Step::Key(k.clone()), v, all)),
        Value::Array(elements) => elements.iter().enumerate().for_each(|(n, v)| into(Step::At(n), v, all)),
        _ => {}
    }
}

fn at<'v>(mut value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    for step in path {
        value = match step {
            Step::Key(key) => value.get_mut(key.as_str())?,
            Step::At(n) => value.get_mut(*n)?,
        };
    }
    Some(value)
}

/// A body with one to three mistakes.
pub fn body(base: &Value, random: &mut Random) -> Vec<u8> {
    let mut value = base.clone();
    for _ in 0..=random.below(3) {
        tree(&mut value, random);
    }
    let mut text = unraw(serde_json::to_vec(&value).unwrap(), random);
    if random.one_in(4) {
        bytes(&mut text, random);
    }
    text
}

fn tree(root: &mut Value, random: &mut Random) {
    let mut all = Vec::new();
    paths(root, &mut Vec::new(), &mut all);
    if all.is_empty() {
        return;
    }
    let path = all[random.below(all.len())].clone();
    let other = all[random.below(all.len())].clone();
    let (last, parent) = (path[path.len() - 1].clone(), &path[..path.len() - 1]);
    let elsewhere = at(root, &other).cloned().unwrap_or_default();
    match random.below(6) {
        // Gone.
        0 => match (at(root, parent), last) {
            (Some(Value::Object(members)), Step::Key(key)) => drop(members.remove(&key)),
            (Some(Value::Array(elements)), Step::At(n)) => drop(elements.remove(n)),
            _ => {}
        },
        // Twice.
        1 => match (at(root, parent), last) {
            (Some(Value::Array(elements)), Step::At(n)) => elements.push(elements[n].clone()),
            (Some(Value::Object(members)), Step::Key(key)) => {
                let copy = members[&key].clone();
                // As a second key of that name: written so in the text.
                members.insert(format!("@twice@{key}"), if random.one_in(2) { copy } else { elsewhere });
            }
            _ => {}
        },
        // Another name.
        2 => {
            if let (Some(Value::Object(members)), Step::Key(key)) = (at(root, parent), last) {
                let name = match random.below(4) {
                    0 => key.to_uppercase(),
                    1 => key.replace('_', ""),
                    2 => format!("{key}\u{0}"),
                    _ => other
                        .iter()
                        .rev()
                        .find_map(|step| if let Step::Key(key) = step { Some(key.clone()) } else { None })
                        .unwrap_or_default(),
                };
                let value = members.remove(&key).unwrap_or_default();
                members.insert(name, value);
            }
        }
        // Another value from elsewhere in the request.
        3 => {
            if let Some(place) = at(root, &path) {
                *place = elsewhere;
            }
        }
        // Another type.
        _ => {
            if let Some(place) = at(root, &path) {
                *place = odd(place, random);
            }
        }
    }
}

fn odd(old: &Value, random: &mut Random) -> Value {
    match random.below(22) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!(u64::MAX),
        6 => json!(""),
        7 => json!("x".repeat(1 + random.below(300))),
        8 => json!([]),
        9 => json!({}),
        10 => json!([old]),
        11 => json!({ "type": old }),
        12 => json!(old.to_string()),
        13 => json!([null, 1, "a", [], {}]),
        14 => json!("data:image/png;base64,@@@"),
        15 => json!("\u{202e}\u{feff}\u{1f980}\u{0}\r\n"),
        16 => Value::from("@deep@"),
        17 => (0..random.below(40)).fold(old.clone(), |inner, _| json!({ "a": inner, "properties": {} })),
        18 => Value::Object((0..random.below(50)).map(|n| (n.to_string(), json!(n))).collect::<Map<_, _>>()),
        _ => raw(random.below(RAW.len())),
    }
}

/// Puts in what no `Value` can hold.
fn unraw(text: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let Some(first) = rest.first() {
        if let Some(more) = rest.strip_prefix(b"\"@deep@\"") {
            let depth = [100, 130, 1_000, 50_000][random.below(4)];
            let (open, close): (&[u8], &[u8]) = if random.one_in(2) { (b"[", b"]") } else { (b"{\"a\":", b"}") };
            out.extend(open.repeat(depth));
            out.extend_from_slice(b"1");
            out.extend(close.repeat(depth));
            rest = more;
        } else if let Some(more) = rest.strip_prefix(b"@twice@") {
            rest = more;
        } else if rest.starts_with(b"\"@raw") && rest.get(8) == Some(&b'"') && rest.len() > 8 {
            let n = std::str::from_utf8(&rest[5..7]).ok().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            out.extend_from_slice(RAW[n % RAW.len()]);
            rest = &rest[9..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// Mistakes below JSON.
fn bytes(text: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(text.len().max(1));
    match random.below(5) {
        0 => text.truncate(at),
        1 => text.insert(at, [0, 0xff, b'"', b'{', b'\\', b',', 0x80, b'\n'][random.below(8)]),
        2 => {
            let end = (at + random.below(20)).min(text.len());
            text.drain(at..end);
        }
        3 => {
            if let Some(byte) = text.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            let piece = text[at..(at + random.below(60)).min(text.len())].to_vec();
            let to = random.below(text.len().max(1));
            text.splice(to..to, piece);
        }
    }
}
