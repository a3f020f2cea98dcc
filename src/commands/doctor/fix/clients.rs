//! Settings of clients that lead elsewhere: connected in the way of `llmup connect`, where that would help.

use super::{Step, told};
use crate::client::{CLIENTS, Client, Origin, Scope, Session};
use crate::commands::connect::Connection;
use crate::commands::doctor::{Finding, Scene, Status};
use crate::paths::Paths;

pub(super) fn steps<'s>(findings: &[Finding], scene: &'s Scene, paths: &Paths) -> Vec<Step<'s>> {
    CLIENTS.iter().flat_map(|client| of_client(*client, findings, scene, paths)).collect()
}

fn of_client<'s>(client: &'s dyn Client, findings: &[Finding], scene: &'s Scene, paths: &Paths) -> Vec<Step<'s>> {
    let wrong = findings.iter().filter(|one| one.client == Some(client.id()) && one.status != Status::Ok);
    let (mut steps, mut files) = (Vec::new(), Vec::new());
    for finding in wrong {
        match (&finding.origin, finding.code) {
            (Some(Origin::File(_)), Some(code)) => files.push((code, finding)),
            (Some(Origin::Broken(_) | Origin::Machine(_) | Origin::Program), Some(code)) => {
                steps.push(told(code, finding));
            }
            // Variables are told of once for all clients; programs by the checks themselves.
            _ => {}
        }
    }
    let Some(running) = &scene.inputs.running else {
        steps.extend(files.into_iter().map(|(code, finding)| Step::Tell {
            code,
            client: finding.client,
            what: finding.text.clone(),
            how: first_a_gateway(scene),
        }));
        return steps;
    };
    let best = best(client, &files, &running.session, scene, paths);
    let solved = |text: &String| best.as_ref().is_some_and(|(_, left)| !left.contains(text));
    let open: Vec<Step<'s>> =
        files.iter().filter(|(_, one)| !solved(&one.text)).map(|(code, one)| told(code, one)).collect();
    let code = files.iter().find(|(_, one)| solved(&one.text)).map(|(code, _)| *code);
    if let (Some((connection, _)), Some(code)) = (best, code) {
        steps.insert(0, Step::Connect { code, connection });
    }
    steps.extend(open);
    steps
}

/// The connection after which the least is left of what was found, with what is left; `None`: none would help.
fn best<'s>(
    client: &'s dyn Client,
    files: &[(&'static str, &Finding)],
    session: &'s Session,
    scene: &'s Scene,
    paths: &Paths,
) -> Option<(Connection<'s>, Vec<String>)> {
    if files.is_empty() {
        return None;
    }
    let of_scope = |scope| {
        // One that cannot be planned has the reason among the findings.
        let connection = Connection::plan(client, session, &*scene.host, &scene.places, scope, paths).ok()?;
        let left: Vec<String> = connection.left(&*scene.host).into_iter().map(|conflict| conflict.text).collect();
        let helped = files.iter().filter(|(_, finding)| !left.contains(&finding.text)).count();
        (helped > 0 && connection.changes() > 0).then_some((helped, connection, left))
    };
    let (user, project) = (of_scope(Scope::User), of_scope(Scope::Project));
    // What holds everywhere, unless the folder's own settings need more.
    let most = match (user, project) {
        (Some(user), Some(project)) if project.0 > user.0 => Some(project),
        (user, project) => user.or(project),
    };
    most.map(|(_, connection, left)| (connection, left))
}

fn first_a_gateway(scene: &Scene) -> String {
    match scene.inputs.instances.is_empty() {
        true => "a gateway must run first: `llmup start demo --yes --detach`; then `llmup doctor --fix`".to_owned(),
        false => "once `llmup status` says ready: `llmup doctor --fix`".to_owned(),
    }
}
