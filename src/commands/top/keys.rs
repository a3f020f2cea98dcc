//! What keys do. Pure: a key changes what is selected and shown, or asks for a [`Wish`] that others fulfil.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{View, Which};

/// What can be done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// End it.
    Stop,
    /// Start its engine anew.
    Restart,
}

/// What the user looks at.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Pane {
    /// Devices, models, requests.
    #[default]
    Overview,
    /// Whether to do it.
    Asking(Deed, Which),
    /// The end of a log.
    Log {
        /// Whose.
        of: Which,
        /// Its last lines, the newest last.
        lines: Vec<String>,
    },
    /// What keys do.
    Help,
}

/// The state of the interface.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ui {
    /// The selected model; the first one where it is gone.
    pub selected: Option<Which>,
    /// What is shown.
    pub pane: Pane,
    /// What came of the last wish.
    pub said: Option<String>,
    /// Whether colours may be used.
    pub colour: bool,
    /// Nobody can type: one frame for a pipe.
    pub still: bool,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// To leave.
    Quit,
    /// To leave, as by the signal that Ctrl-C is elsewhere.
    Interrupt,
    /// To have something done with a model.
    Do(Deed, Which),
    /// The end of a model's log.
    Log(Which),
}

impl Ui {
    /// Where the selected model stands in the list.
    pub fn at(&self, view: &View) -> Option<usize> {
        let found = self.selected.as_ref().and_then(|which| view.models.iter().position(|row| row.which == *which));
        found.or((!view.models.is_empty()).then_some(0))
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent, view: &View) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Wish::Interrupt);
        }
        self.said = None;
        match std::mem::take(&mut self.pane) {
            Pane::Asking(deed, which) => {
                return (key.code == KeyCode::Char('y')).then_some(Wish::Do(deed, which));
            }
            Pane::Log { .. } | Pane::Help => return None,
            Pane::Overview => {}
        }
        let at = self.at(view);
        let row = at.and_then(|at| view.models.get(at));
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('?' | 'h') => self.pane = Pane::Help,
            KeyCode::Up | KeyCode::Char('k') => self.select(at.map(|at| at.saturating_sub(1)), view),
            KeyCode::Down | KeyCode::Char('j') => self.select(at.map(|at| at + 1), view),
            KeyCode::Home => self.select(Some(0), view),
            KeyCode::End => self.select(view.models.len().checked_sub(1), view),
            KeyCode::Char(key @ ('s' | 'r' | 'l')) => match row {
                None => self.said = Some("nothing is running".to_owned()),
                Some(row) if key == 'l' => return Some(Wish::Log(row.which.clone())),
                Some(row) => {
                    let deed = if key == 's' { Deed::Stop } else { Deed::Restart };
                    self.pane = Pane::Asking(deed, row.which.clone());
                }
            },
            _ => {}
        }
        None
    }

    fn select(&mut self, at: Option<usize>, view: &View) {
        let last = view.models.len().saturating_sub(1);
        self.selected = at.and_then(|at| view.models.get(at.min(last))).map(|row| row.which.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::ModelRow;
    use super::*;

    fn view(names: &[&str]) -> View {
        let row = |name: &&str| ModelRow { which: which(name), ..ModelRow::default() };
        View { models: names.iter().map(row).collect(), ..View::default() }
    }

    fn which(name: &str) -> Which {
        Which { llmup: 7, model: name.to_owned() }
    }

    fn press(ui: &mut Ui, code: KeyCode, view: &View) -> Option<Wish> {
        ui.key(KeyEvent::new(code, KeyModifiers::NONE), view)
    }

    #[test]
    fn a_selection_stays_with_its_model_when_rows_move() {
        let (mut ui, before) = (Ui::default(), view(&["a", "b", "c"]));
        assert_eq!(ui.at(&before), Some(0));
        press(&mut ui, KeyCode::Down, &before);
        assert_eq!(ui.selected, Some(which("b")));
        let after = view(&["new", "a", "b", "c"]);
        assert_eq!(ui.at(&after), Some(2));
        for _ in 0..5 {
            press(&mut ui, KeyCode::Down, &after);
        }
        assert_eq!(ui.selected, Some(which("c")));
        // It is gone: the first one is meant, and nothing breaks.
        let gone = view(&["new", "a"]);
        assert_eq!(ui.at(&gone), Some(0));
        press(&mut ui, KeyCode::Up, &gone);
        assert_eq!(ui.selected, Some(which("new")));
        press(&mut ui, KeyCode::Down, &view(&[]));
        assert_eq!((ui.selected.clone(), ui.at(&view(&[]))), (None, None));
    }

    #[test]
    fn nothing_is_stopped_before_the_user_said_yes() {
        for (key, deed) in [('s', Deed::Stop), ('r', Deed::Restart)] {
            let (mut ui, view) = (Ui::default(), view(&["a", "b"]));
            press(&mut ui, KeyCode::Down, &view);
            assert_eq!(press(&mut ui, KeyCode::Char(key), &view), None);
            assert_eq!(ui.pane, Pane::Asking(deed, which("b")));
            for no in [KeyCode::Char('n'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char('q'), KeyCode::Char('s')] {
                let mut ui = ui.clone();
                assert_eq!(press(&mut ui, no, &view), None, "{no:?}");
                assert_eq!(ui.pane, Pane::Overview, "{no:?}");
            }
            assert_eq!(press(&mut ui, KeyCode::Char('y'), &view), Some(Wish::Do(deed, which("b"))));
            assert_eq!(ui.pane, Pane::Overview);
        }
    }

    #[test]
    fn every_pane_is_left_by_any_key_and_ctrl_c_ends_everywhere() {
        let view = view(&["a"]);
        let panes = [
            Pane::Overview,
            Pane::Help,
            Pane::Log { of: which("a"), lines: Vec::new() },
            Pane::Asking(Deed::Stop, which("a")),
        ];
        for pane in panes {
            let mut ui = Ui { pane: pane.clone(), ..Ui::default() };
            let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(ui.key(control_c, &view), Some(Wish::Interrupt));
            press(&mut ui, KeyCode::Esc, &view);
            assert_eq!(ui.pane, Pane::Overview, "{pane:?}");
        }
        assert_eq!(press(&mut Ui::default(), KeyCode::Char('q'), &view), Some(Wish::Quit));
        assert_eq!(press(&mut Ui::default(), KeyCode::Char('l'), &view), Some(Wish::Log(which("a"))));
        let mut ui = Ui::default();
        press(&mut ui, KeyCode::Char('s'), &View::default());
        assert_eq!((ui.pane, ui.said.as_deref()), (Pane::Overview, Some("nothing is running")));
    }
}
