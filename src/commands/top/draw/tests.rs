//! Whole frames at the sizes that terminals have.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Modifier;

use super::super::view::{DeviceRow, Machine, ModelRow, Rates, RequestRow, Which};
use super::*;

const GIB: u64 = 1 << 30;

fn device(index: u32, busy: u8) -> DeviceRow {
    DeviceRow {
        label: format!("GPU {index}"),
        name: "Example X90".into(),
        busy: Some(busy),
        used: Some(60 * GIB),
        total: Some(80 * GIB),
        celsius: Some(54),
        watts: Some(312),
    }
}

fn model(name: &str, state: &str) -> ModelRow {
    ModelRow {
        which: Which { llmup: 100, model: name.into() },
        state: state.into(),
        because: None,
        engine: "vllm".into(),
        pid: Some(4321),
        port: Some(41_000),
        context: Some(131_072),
        in_flight: Some(2),
        requests: Some(57),
        errors: Some(1),
        rates: Some(Rates { prompt: 1234.0, output: 87.5 }),
        cached: Some(0.91),
        restarts: Some(1),
        last_crash: Some("out of memory".into()),
        memory: Some(3 * GIB),
        on_devices: vec![("GPU 0".into(), 30 * GIB), ("GPU 1".into(), 31 * GIB)],
        idle: Some(130),
        log: None,
        control: None,
    }
}

fn request(age: u64) -> RequestRow {
    RequestRow {
        at: 0,
        age,
        dialect: "messages".into(),
        status: "200".into(),
        model: "claude-x->coder-30b".into(),
        prompt: Some(21_000),
        cached: Some(20_000),
        output: Some(300),
        first: Some(0.4),
        total: Some(3.4),
        error: None,
    }
}

fn view() -> View {
    let failed = RequestRow {
        status: "502".into(),
        error: Some("the engine went away".into()),
        prompt: None,
        output: None,
        ..request(70)
    };
    View {
        devices: vec![device(0, 43), device(1, 100)],
        machine: Machine { busy: Some(12), threads: Some(16), used: Some(9 * GIB), total: Some(64 * GIB) },
        models: vec![model("coder-30b", "ready"), model("small", "asleep")],
        requests: vec![request(5), failed, request(200)],
        problem: None,
    }
}

fn lines(view: &View, ui: &Ui, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, ui)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn a_frame_of_eighty_columns_has_everything() {
    let expected = "\
llmup top  2 models, 1 ready, 4 in flight
GPU 0  [|||||||||        43%] [||||||||||||||||||||||60.0/80.0G]  54C  312W
GPU 1  [||||||||||||||||100%] [||||||||||||||||||||||60.0/80.0G]  54C  312W
CPU    [||               12%] [|||||                  9.0/64.0G]  16 threads, m~

MODEL        STATE   REQ  IN/S OUT/S CACHED   GPU   MEM IDLE   CTX ENGINE
coder-30b    ready     2  1234  87.5    91% 61.0G  3.0G   2m  128k vllm
small        asleep    2  1234  87.5    91% 61.0G  3.0G   2m  128k vllm
  vllm pid 4321 port 41000, GPU 0 30.0G GPU 1 31.0G, 57 requests, 1 failed, res~

MODEL                AGO VIA         ST PROMPT CACHED   OUT FIRST TOTAL TOK/S
claude-x->coder-30b   5s messages   200    21k    95%   300  0.40  3.40   100
claude-x->coder-30b  70s messages   502 the engine went away
claude-x->coder-30b   3m messages   200    21k    95%   300  0.40  3.40   100";
    let lines = lines(&view(), &Ui::default(), 80, 24);
    assert_eq!(lines[..14].join("\n"), expected);
    assert!(lines[14..23].iter().all(String::is_empty), "{lines:#?}");
    assert_eq!(lines[23], "q quit   s stop   r restart   l log   ? help");
}

#[test]
fn a_narrow_frame_keeps_what_matters_most() {
    let expected = "\
GPU 0  [||||   43%] [||||||||60.0/80.0G]
GPU 1  [||||||100%] [||||||||60.0/80.0G]
CPU    [|      12%] [|||      9.0/64.0G]

MODEL        STATE   REQ  IN/S OUT/S
coder-30b    ready     2  1234  87.5
small        asleep    2  1234  87.5";
    let lines = lines(&view(), &Ui::default(), 40, 15);
    let drawn = lines.join("\n");
    assert_eq!(lines[1..8].join("\n"), expected);
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{drawn}");
    assert!(drawn.contains("502") && lines[14].starts_with("q quit"), "{drawn}");
}

#[test]
fn no_size_breaks_it_and_the_keys_are_always_there() {
    let mut many = view();
    many.devices = (0..16).map(|index| device(index, 50)).collect();
    many.models = (0..40).map(|n| model(&format!("model-{n}"), "ready")).collect();
    many.requests = (0..100).map(request).collect();
    let panes = [
        Pane::Overview,
        Pane::Help,
        Pane::Asking(Deed::Stop, Which { llmup: 100, model: "model-7".into() }),
        Pane::Log { of: Which::default(), lines: vec!["a\x1b[31mb".into(); 300] },
    ];
    for view in [&View::default(), &view(), &many] {
        for pane in &panes {
            for (width, height) in [(1, 1), (24, 6), (30, 8), (40, 15), (80, 24), (120, 40), (250, 70), (65, 3)] {
                let ui = Ui { pane: pane.clone(), ..Ui::default() };
                let lines = lines(view, &ui, width, height);
                if *pane == Pane::Overview && width >= 24 && height >= 6 {
                    assert!(lines[usize::from(height) - 1].starts_with("q quit"), "{width}x{height}: {lines:#?}");
                    assert!(lines.iter().any(|line| line.starts_with("MODEL")), "{width}x{height}: {lines:#?}");
                }
            }
        }
    }
}

#[test]
fn many_devices_leave_room_and_the_selected_model_is_in_sight() {
    let mut view = view();
    view.devices = (0..16).map(|index| device(index, 50)).collect();
    view.models = (0..40).map(|n| model(&format!("model-{n}"), "ready")).collect();
    let ui = Ui { selected: Some(view.models[33].which.clone()), ..Ui::default() };
    let lines = lines(&view, &ui, 80, 24);
    assert!(lines.iter().any(|line| line.starts_with("and 10 more: 50% busy, memory 600.0/800.0G")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("model-33 ")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("messages")), "requests are in sight, too: {lines:#?}");
}

#[test]
fn what_is_asked_and_said_stands_at_the_bottom() {
    let which = view().models[0].which.clone();
    let bottom = |ui: &Ui, view: &View| lines(view, ui, 80, 24).pop().unwrap();
    let asking = |deed| Ui { pane: Pane::Asking(deed, which.clone()), ..Ui::default() };
    assert_eq!(bottom(&asking(Deed::Stop), &view()), "stop coder-30b and everything it started? (y/n)");
    assert_eq!(bottom(&asking(Deed::Restart), &view()), "restart the engine of coder-30b? (y/n)");
    let said = Ui { said: Some("stopping coder-30b".into()), ..Ui::default() };
    assert_eq!(bottom(&said, &view()), "stopping coder-30b");
    let broken = View { problem: Some("cannot read it".into()), ..view() };
    assert_eq!(bottom(&Ui::default(), &broken), "cannot read it");
    let nothing = lines(&View::default(), &Ui::default(), 80, 24);
    assert!(nothing.contains(&"nothing is running; for a trial: `llmup start demo`".to_owned()), "{nothing:#?}");
}

#[test]
fn without_colour_the_selection_is_still_seen() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let coloured = |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    terminal.draw(|frame| draw(frame, &view(), &Ui::default())).unwrap();
    let buffer = terminal.backend().buffer();
    assert!(!buffer.content().iter().any(coloured));
    assert!(buffer[(0, 6)].modifier.contains(Modifier::REVERSED));
    assert!(!buffer[(0, 7)].modifier.contains(Modifier::REVERSED));
    let ui = Ui { colour: true, ..Ui::default() };
    terminal.draw(|frame| draw(frame, &view(), &ui)).unwrap();
    assert!(terminal.backend().buffer().content().iter().any(coloured));
}

#[test]
fn one_frame_for_a_pipe_has_all_rows_and_no_keys() {
    let view = view();
    let text = super::super::frame(&view, 100, height(&view));
    assert!(!text.contains("q quit") && !text.contains('\x1b'), "{text}");
    for told in ["GPU 1", "CPU", "coder-30b", "small", "the engine went away", "3m messages"] {
        assert!(text.contains(told), "no {told} in\n{text}");
    }
    assert!(text.lines().all(|line| line.trim_end() == line && line.chars().count() <= 100), "{text}");
    let wide = View { models: vec![model("模型-30b", "ready")], ..View::default() };
    let text = super::super::frame(&wide, 100, height(&wide));
    assert!(text.contains("模型-30b"), "{text}");
}
