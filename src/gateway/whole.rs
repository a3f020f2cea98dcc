//! A backend's whole answer in memory, for answers that leave rewritten.

use super::answer::Answer;
use super::pulse::Pulse;
use crate::protocol::{Problem, ProblemKind};

/// Answers beyond this are not read on: 64 Ki vectors of a large model are less.
const LIMIT: usize = 1 << 30;

/// All bytes of the answer. Dropping the future cancels the request.
pub(super) async fn read(mut answer: Answer, pulse: &mut Pulse) -> Result<Vec<u8>, Problem> {
    let mut all = Vec::new();
    loop {
        let more = pulse.pieces(&mut answer, &mut |piece| all.extend_from_slice(piece)).await?;
        if !more {
            return Ok(all);
        }
        if all.len() > LIMIT {
            return Err(Problem::new(ProblemKind::Upstream, "the engine's answer has no end"));
        }
    }
}
