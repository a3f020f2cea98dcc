//! Variables and settings files that lead clients elsewhere than to the gateway, and which of them wins.

use super::{Check, Finding, Scene, Section, Status};
use crate::client::{CLIENTS, Client, Conflict, Origin, Scope, Weight};
use crate::commands::connect::{Connected, Stands};

/// What each client says about its surroundings.
pub(super) struct ConflictsCheck;

impl Check for ConflictsCheck {
    fn section(&self) -> Section {
        Section::Environment
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Environment;
        let gateway = scene.inputs.running.as_ref().map(|running| running.session.base_url.as_str());
        let mut findings = Vec::new();
        for client in CLIENTS {
            let ours: Vec<&Connected> =
                scene.inputs.connected.iter().filter(|connected| connected.client == client.id()).collect();
            let mut conflicts = client.conflicts(&*scene.host, &scene.places, gateway);
            if client.settings_beat_environment() && ours.iter().any(|connected| connected.stands == Stands::Right) {
                // Its settings say all that these variables do.
                conflicts.retain(|conflict| !matches!(conflict.origin, Origin::Variable(_)));
            }
            findings.extend(who_wins(scene, *client, &conflicts).map(|finding| finding.of(*client)));
            for connected in ours {
                // What llmup wrote itself is told as that.
                let others = client.conflicts(&*scene.host, &scene.places, Some(&connected.root));
                conflicts.retain(|one| !matches!(one.origin, Origin::File(_)) || others.contains(one));
                findings.push(of_connection(connected, *client, gateway));
            }
            findings.extend(conflicts.into_iter().map(|conflict| finding(scene, *client, conflict)));
        }
        if findings.iter().all(|finding| finding.status == Status::Ok) {
            findings.insert(0, Finding::ok(section, "nothing leads the clients away from the gateway"));
        }
        findings
    }
}

/// How what `connect` wrote stands to what runs now.
fn of_connection(connected: &Connected, client: &dyn Client, gateway: Option<&str>) -> Finding {
    let section = Section::Environment;
    let (id, title, root) = (client.id(), client.title(), &connected.root);
    let folder = if connected.scope == Scope::Project { " --project" } else { "" };
    let wrong = |text: String, cure: String| {
        // Only the user's own settings are --fix's to write anew.
        let origin = match connected.scope {
            Scope::User => Origin::File(connected.path.clone()),
            Scope::Project => Origin::Program,
        };
        Finding { origin: Some(origin), ..Finding::warning("LLMUP-C022", section, text, cure) }
    };
    let finding = match (&connected.stands, gateway) {
        (Stands::Right, _) => Finding::ok(section, format!("{title} is connected to {root}")),
        (Stands::Elsewhere, _) => Finding::ok(section, format!("{title} is connected to {root}, on another machine")),
        (Stands::Outdated(names), _) => wrong(
            format!("{title} is connected to {root}, with another key or context than that has now"),
            format!("`llmup connect {id}{folder}`"),
        )
        .because(vec![format!("in its settings: {}", names.join(", "))]),
        (Stands::Gone, Some(gateway)) => wrong(
            format!("{title} is connected to {root}, where no llmup runs; one is at {gateway}"),
            format!("lead it there: `llmup connect {id}{folder}`; as it was before: `llmup disconnect {id}`"),
        ),
        (Stands::Gone, None) => {
            let port = root.rsplit_once(':').map_or("", |(_, port)| port);
            wrong(
                format!("{title} is connected to {root}, where no llmup runs"),
                format!("start it there: `llmup start MODEL --port {port}`; as it was before: `llmup disconnect {id}`"),
            )
        }
    };
    finding.of(client)
}

fn finding(scene: &Scene, client: &dyn Client, conflict: Conflict) -> Finding {
    let status = match conflict.weight {
        Weight::Note => Status::Ok,
        Weight::Disturbs => Status::Warning,
        Weight::Beats | Weight::Managed => Status::Problem,
    };
    let code = match (&conflict.origin, conflict.weight) {
        (Origin::Program, _) => "LLMUP-C016",
        (Origin::Broken(_), _) => "LLMUP-C007",
        (Origin::Variable(name), _) if leads_to_v1(scene, name) => "LLMUP-C009",
        (_, Weight::Note) => "LLMUP-C008",
        (_, Weight::Disturbs) => "LLMUP-C006",
        (_, Weight::Beats | Weight::Managed) => "LLMUP-C005",
    };
    let (cure, origin) = (conflict.cure, Some(conflict.origin));
    Finding { code: Some(code), status, cure, origin, ..Finding::ok(Section::Environment, conflict.text) }.of(client)
}

/// Claude Code adds `/v1` to its address itself.
fn leads_to_v1(scene: &Scene, variable: &str) -> bool {
    let url = scene.host.env(variable).filter(|_| variable == "ANTHROPIC_BASE_URL");
    url.is_some_and(|url| url.trim_end_matches('/').ends_with("/v1"))
}

/// For a client that is here: whose word counts in a session of llmup's. The order is the client's own: what beats the
/// environment, the environment that `llmup env` sets, what a start without llmup would follow.
fn who_wins(scene: &Scene, client: &dyn Client, conflicts: &[Conflict]) -> Option<Finding> {
    // An editor has no session of llmup's: the lines below say all.
    if client.only_settings() {
        return None;
    }
    client.programs().iter().find_map(|name| scene.host.which(name))?;
    let section = Section::Environment;
    let has = |weight| conflicts.iter().any(|conflict| conflict.weight == weight);
    let title = client.title();
    Some(if has(Weight::Managed) {
        let cure = "remove what the lines below name; until then it does not reach the gateway";
        let text = format!("{title}: the machine's settings win over llmup");
        Finding { status: Status::Warning, ..Finding::problem("LLMUP-C005", section, text, cure) }
    } else if has(Weight::Beats) {
        let cure = format!("`llmup run {}` wins over them; or remove what the lines below name", client.id());
        let text = format!("{title}: its own settings win over `llmup env {}`", client.id());
        Finding { status: Status::Warning, ..Finding::problem("LLMUP-C005", section, text, cure) }
    } else if has(Weight::Disturbs) {
        let text = format!("{title}: `llmup env {}` wins where it is set; elsewhere the lines below do", client.id());
        Finding::ok(section, text)
    } else {
        Finding::ok(section, format!("{title}: `llmup env {}` wins, nothing beats it", client.id()))
    })
}
