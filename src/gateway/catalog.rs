//! The models on offer, and which of them a request gets.

use tokio::sync::watch;

use super::backend::BackendState;
use crate::protocol::{Problem, ProblemKind};

/// One model on offer.
#[derive(Debug, Clone)]
pub struct Served {
    /// The name it is listed under.
    pub name: String,
    /// Its backend as it comes, stays and goes.
    pub backend: watch::Receiver<BackendState>,
}

/// All models on offer.
#[derive(Debug, Clone)]
pub struct Catalog {
    served: Vec<Served>,
    /// The first model answers whatever name a caller asks for.
    any_name: bool,
}

impl Catalog {
    /// One model that answers to every name: coding tools ask for names of their own.
    pub fn single(name: impl Into<String>, backend: watch::Receiver<BackendState>) -> Catalog {
        Catalog { served: vec![Served { name: name.into(), backend }], any_name: true }
    }

    /// The models, in the order they are listed.
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// The model for a request that asks for `name`.
    pub fn find(&self, name: Option<&str>) -> Result<&Served, Problem> {
        let named = self.served.iter().find(|served| Some(served.name.as_str()) == name);
        named.or(self.served.first().filter(|_| self.any_name)).ok_or_else(|| {
            let name = name.unwrap_or_default();
            let known: Vec<&str> = self.served.iter().map(|served| served.name.as_str()).collect();
            Problem::new(ProblemKind::NotFound, format!("there is no model {name:?}; there is {}", known.join(", ")))
        })
    }
}
