//! Refusals of the planner: always with numbers or with what would work instead.

use super::Bill;
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
        /// The nearest things that fit, best first.
        nearest: Vec<String>,
    },
    /// A size that cannot work, e.g. a tensor-parallel size that does not divide the heads.
    #[error("{0}")]
    Impossible(String, Vec<String>),
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        Exit::DoesNotFit
    }

    fn evidence(&self) -> Vec<String> {
        let PlanError::DoesNotFit { bills, .. } = self else { return Vec::new() };
        let line = |bill: &Bill| {
            format!(
                "{}: weights {} + context {} + engine {} = {}; usable {} of {}",
                bill.place,
                bytes(bill.weights_bytes),
                bytes(bill.kv_bytes_needed),
                bytes(bill.overhead_bytes),
                bytes(bill.needed_bytes()),
                bytes(bill.budget_bytes),
                bytes(bill.total_bytes),
            )
        };
        bills.iter().map(line).collect()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PlanError::NoEngine { instead, .. } | PlanError::Impossible(_, instead) => instead.clone(),
            PlanError::DoesNotFit { nearest, .. } => nearest.clone(),
        }
    }
}
