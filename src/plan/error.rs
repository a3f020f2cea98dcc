//! Refusals of the planner: always with numbers or with what would work instead.

use super::{Alternative, Bill};
use crate::error::Explain;
use crate::exit::Exit;
use crate::output::bytes;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No engine runs this here.
    #[error("{what}")]
    NoEngine {
        /// Which combination and why not.
        what: String,
        /// What works instead.
        instead: Vec<String>,
    },
    /// The weights or the context need more memory than there is.
    #[error("{model} does not fit: {why}")]
    DoesNotFit {
        /// The model.
        model: String,
        /// What falls short, in words.
        why: String,
        /// The bill.
        bills: Vec<Bill>,
        /// What stands in the way beside memory, and how to get around it.
        nearest: Vec<String>,
        /// What would do instead, nearest first; see [`super::alternatives::add`].
        alternatives: Vec<Alternative>,
    },
    /// A size that cannot work, e.g. a tensor-parallel size that does not divide the heads.
    #[error("{0}")]
    Impossible(String, Vec<String>),
}

/// Bills in runs of those that say the same of places of the same kind.
pub(super) fn alike(bills: &[Bill]) -> impl Iterator<Item = &[Bill]> {
    bills.chunk_by(|a, b| kind(a) == kind(b) && Bill { place: b.place.clone(), ..a.clone() } == *b)
}

/// `GPU 0 (NVIDIA H200)`, or for several `each of 8 × NVIDIA H200`.
pub(super) fn places(alike: &[Bill]) -> String {
    match alike {
        [] => String::new(),
        [one] => one.place.clone(),
        [first, ..] => format!("each of {} × {}", alike.len(), kind(first)),
    }
}

/// What a place is, without its number.
fn kind(bill: &Bill) -> &str {
    bill.place.split_once(" (").map_or(bill.place.as_str(), |(_, name)| name.trim_end_matches(')'))
}

/// Hints that people are told; programs get all alternatives.
pub(super) const TOLD: usize = 4;

impl PlanError {
    /// What would do instead.
    pub fn alternatives(&self) -> &[Alternative] {
        match self {
            PlanError::DoesNotFit { alternatives, .. } => alternatives,
            _ => &[],
        }
    }

    /// How many bytes are missing in all places together; `None` when it is no matter of memory.
    pub fn missing_bytes(&self) -> Option<u64> {
        let PlanError::DoesNotFit { bills, .. } = self else { return None };
        Some(bills.iter().map(|b| b.needed_bytes().saturating_sub(b.budget_bytes)).fold(0, u64::saturating_add))
    }
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        Exit::DoesNotFit
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, PlanError::DoesNotFit { .. }).then_some("LLMUP-M008")
    }

    fn evidence(&self) -> Vec<String> {
        let PlanError::DoesNotFit { bills, .. } = self else { return Vec::new() };
        let mut lines = Vec::new();
        for alike in alike(bills) {
            let Some(bill) = alike.first() else { continue };
            let (needed, usable) = (bytes(bill.needed_bytes()), bytes(bill.budget_bytes));
            lines.push(format!("{}: {needed} needed, {usable} usable", places(alike)));
            lines.push(format!(
                "weights {} + context {} + engine {}",
                bytes(bill.weights_bytes),
                bytes(bill.kv_bytes_needed),
                bytes(bill.overhead_bytes)
            ));
        }
        lines
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PlanError::NoEngine { instead, .. } | PlanError::Impossible(_, instead) => instead.clone(),
            PlanError::DoesNotFit { nearest, alternatives, .. } => {
                let told = nearest.iter().cloned().chain(alternatives.iter().map(Alternative::said)).take(TOLD);
                let told: Vec<String> = told.collect();
                if told.is_empty() {
                    vec!["no profile fits this machine; `llmup start demo --yes` does".into()]
                } else {
                    told
                }
            }
        }
    }
}
