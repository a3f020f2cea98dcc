//! What `pull MODEL` means: a profile's variant, a repository, or an Ollama tag.

use super::{hub_of, nothing_to_pull, pick, variant_dir};
use crate::cli::{PullArgs, SourceChoice};
use crate::commands::start;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::profile::{self, ModelProfile, ProfileError, Variant};
use crate::pull::{self, HubId, Order, Pick};

/// What shall be pulled.
#[derive(Debug)]
pub(super) enum What {
    /// From the first of these hubs that answers.
    Orders(Vec<Order>),
    /// Through Ollama.
    Ollama(String),
}

/// Finds out. A profile's name or alias comes first, as for `start`; a repository that a profile lists belongs to it.
pub(super) fn resolve(args: &PullArgs, paths: &Paths, host: &dyn Host) -> Result<What> {
    let (named, rest) = match args.model.split_once(':') {
        Some(("hf", rest)) => (Some(SourceChoice::Hf), rest),
        Some(("ms" | "modelscope", rest)) => (Some(SourceChoice::Modelscope), rest),
        Some(("ollama", rest)) => (Some(SourceChoice::Ollama), rest),
        _ => (None, args.model.as_str()),
    };
    let source = named.or(args.source);
    if source == Some(SourceChoice::Ollama) && named.is_some() {
        return Ok(What::Ollama(rest.to_owned()));
    }
    // llama.cpp's way to write it: ORG/NAME:Q4_K_M.
    let (repo, tag) = match rest.split_once(':') {
        Some((repo, tag)) if repo.contains('/') && !repo.contains("://") => (repo, Some(tag)),
        _ => (rest, None),
    };
    let quantization = args.quantization.clone().or_else(|| tag.map(str::to_owned));
    if is_repo(repo) {
        return Ok(What::Orders(vec![of_repo(repo, source, quantization, args, paths, host)?]));
    }
    match profile::find(&args.model, &paths.user_profiles()) {
        Ok(found) => of_profile(&found.profile, source, args, paths, host),
        Err(ProfileError::Unknown { .. }) if args.model.contains(':') || source == Some(SourceChoice::Ollama) => {
            Ok(What::Ollama(args.model.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `ORG/NAME`, as hubs allow names.
fn is_repo(text: &str) -> bool {
    let good = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains("..")
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    text.split_once('/').is_some_and(|(org, name)| good(org) && good(name))
}

fn of_repo(
    repo: &str,
    source: Option<SourceChoice>,
    quantization: Option<String>,
    args: &PullArgs,
    paths: &Paths,
    host: &dyn Host,
) -> Result<Order> {
    let hub = source.and_then(hub_of).unwrap_or_else(|| preferred(host));
    // Weights that a profile lists go where `start` looks for them.
    let profiles = profile::all(&paths.user_profiles()).unwrap_or_default();
    let listed = profiles.iter().find_map(|profile| {
        let asked = |v: &&Variant| quantization.as_deref().is_none_or(|q| v.quantization.eq_ignore_ascii_case(q));
        let here = |v: &&Variant| repo_of(v, hub).is_some_and(|listed| listed.eq_ignore_ascii_case(repo));
        profile.variants.iter().filter(here).find(asked).map(|variant| (profile.name.clone(), variant.clone()))
    });
    let mut order = match listed.filter(|_| args.include.is_empty() && args.revision.is_none()) {
        Some((name, variant)) => Order {
            name: args.model.clone(),
            form: quantization,
            hub,
            repo: repo.to_owned(),
            revision: None,
            pick: pick(&variant, &[]),
            dir: variant_dir(&name, &variant, paths),
            below: false,
        },
        None => {
            // Without a word the folder is named after what is chosen.
            let what = quantization.as_deref().or(args.revision.as_deref()).map(str::to_lowercase);
            let below = what.is_none();
            let dir = pull::dir(&paths.models(), repo, what.as_deref().unwrap_or("x"));
            Order {
                name: args.model.clone(),
                form: quantization.clone(),
                hub,
                repo: repo.to_owned(),
                revision: args.revision.clone(),
                pick: Pick { form: None, quantization, include: args.include.clone() },
                dir: if below { dir.parent().map_or_else(|| dir.clone(), Into::into) } else { dir },
                below,
            }
        }
    };
    place(&mut order, args);
    Ok(order)
}

fn of_profile(
    profile: &ModelProfile,
    source: Option<SourceChoice>,
    args: &PullArgs,
    paths: &Paths,
    host: &dyn Host,
) -> Result<What> {
    let listed = |variant: &&Variant| match source {
        None => true,
        Some(SourceChoice::Ollama) => variant.ollama.is_some(),
        Some(SourceChoice::Hf) => variant.hugging_face.is_some(),
        Some(SourceChoice::Modelscope) => variant.model_scope.is_some(),
    };
    let variant = match (&args.quantization, source) {
        (None, None) => start::best_variant(&profile.name, paths)?,
        (None, Some(_)) => {
            // What suits this machine, if it is there; else the first that is.
            let best = start::best_variant(&profile.name, paths);
            let found = match &best {
                Ok(best) if listed(&best) => Some(best.clone()),
                _ => profile.variants.iter().find(listed).cloned(),
            };
            found.ok_or_else(|| no_variant(profile, "from there"))?
        }
        (Some(asked), _) => {
            let same =
                |v: &&Variant| v.quantization.eq_ignore_ascii_case(asked) || v.format.eq_ignore_ascii_case(asked);
            let files_first = |v: &&Variant| usize::from(v.format == "ollama");
            let found = profile.variants.iter().filter(listed).filter(same).min_by_key(files_first);
            found.cloned().ok_or_else(|| no_variant(profile, &format!("in {asked}")))?
        }
    };
    if let Some(tag) = variant.ollama.clone().filter(|_| variant.format == "ollama") {
        return Ok(What::Ollama(tag));
    }
    let mut orders = orders(&profile.name, &variant, source.and_then(hub_of), paths, host)?;
    if args.revision.is_some() {
        // Another hub's revisions are others.
        orders.truncate(1);
    }
    for order in &mut orders {
        order.name.clone_from(&args.model);
        order.revision.clone_from(&args.revision);
        order.pick.include.clone_from(&args.include);
        place(order, args);
    }
    Ok(What::Orders(orders))
}

/// The hubs a variant is on, the preferred one first.
pub(super) fn orders(
    name: &str,
    variant: &Variant,
    only: Option<HubId>,
    paths: &Paths,
    host: &dyn Host,
) -> Result<Vec<Order>> {
    let mut hubs = vec![HubId::HuggingFace, HubId::ModelScope];
    hubs.sort_by_key(|hub| *hub != preferred(host));
    let orders: Vec<Order> = hubs
        .into_iter()
        .filter(|hub| only.is_none_or(|only| only == *hub))
        .filter_map(|hub| {
            Some(Order {
                name: name.to_owned(),
                form: Some(variant.quantization.clone()),
                hub,
                repo: repo_of(variant, hub)?.to_owned(),
                revision: None,
                pick: pick(variant, &[]),
                dir: variant_dir(name, variant, paths),
                below: false,
            })
        })
        .collect();
    if orders.is_empty() { Err(nothing_to_pull(name)) } else { Ok(orders) }
}

fn repo_of(variant: &Variant, hub: HubId) -> Option<&str> {
    match hub {
        HubId::HuggingFace => variant.hugging_face.as_deref(),
        HubId::ModelScope => variant.model_scope.as_deref(),
    }
}

/// ModelScope for users who told vLLM so (its `VLLM_USE_MODELSCOPE`), else Hugging Face.
fn preferred(host: &dyn Host) -> HubId {
    let asked = host.env("VLLM_USE_MODELSCOPE").is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "true"));
    if asked { HubId::ModelScope } else { HubId::HuggingFace }
}

fn place(order: &mut Order, args: &PullArgs) {
    if let Some(dir) = &args.to {
        order.dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        order.below = false;
    }
}

fn no_variant(profile: &ModelProfile, what: &str) -> Plain {
    let mut forms: Vec<String> = Vec::new();
    for variant in &profile.variants {
        let form = format!("{} ({})", variant.quantization, variant.format);
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    let message = format!("the profile {} lists no download {what}; it has {}", profile.name, forms.join(", "));
    Plain::new(Exit::Config, message, format!("let llmup choose: `llmup pull {}`", profile.name))
}

#[cfg(test)]
mod tests {
    use super::is_repo;

    #[test]
    fn repositories_have_two_names() {
        for good in ["Qwen/Qwen3-8B", "unsloth/gpt-oss-20b-GGUF", "a/b_c.d"] {
            assert!(is_repo(good), "{good}");
        }
        for bad in ["qwen3-8b", "a/b/c", "../x", "a/..", "/a", "a/", "a b/c", "https://x/y", "a/b?c"] {
            assert!(!is_repo(bad), "{bad}");
        }
    }
}
