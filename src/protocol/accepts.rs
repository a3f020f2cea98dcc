//! What a model can read, and what happens to the rest: a note in its place, or a refusal. Never a server error.

use super::ir::{Media, MediaKind, Part, Request, Source};
use super::{Problem, ProblemKind};

/// What a model can read besides text. `None`: unknown, so it is passed on and the engine decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepts {
    /// Pictures.
    pub images: Option<bool>,
    /// Documents that are not plain text.
    pub documents: Option<bool>,
    /// Sounds.
    pub audio: Option<bool>,
    /// What happens to what it cannot read.
    pub otherwise: Otherwise,
}

/// What happens to parts a model cannot read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// A short text says in its place what was there; the model can tell the user.
    #[default]
    Note,
    /// The request is refused (400).
    Refuse,
}

impl Accepts {
    /// What a list of input modalities says (`architecture.input_modalities` of llama.cpp's server and OpenRouter).
    pub fn of_modalities(modalities: &[&str]) -> Accepts {
        let has = |name: &str| Some(modalities.contains(&name));
        match modalities.is_empty() {
            true => Accepts::default(),
            false => {
                Accepts { images: has("image"), documents: has("file"), audio: has("audio"), ..Accepts::default() }
            }
        }
    }

    /// The same, with what is unknown here taken from `other`.
    pub fn or(self, other: Accepts) -> Accepts {
        Accepts {
            images: self.images.or(other.images),
            documents: self.documents.or(other.documents),
            audio: self.audio.or(other.audio),
            otherwise: self.otherwise,
        }
    }

    /// Why this cannot be read, in a few words; `None` when it can, as far as we know.
    fn obstacle(self, media: &Media<'_>) -> Option<&'static str> {
        // Uploads are kept by the provider the caller thinks we are: nobody here has the bytes.
        if matches!(media.source, Source::File(_)) {
            return Some("it was uploaded to another provider; send its bytes instead");
        }
        let (readable, why) = match media.kind {
            MediaKind::Image => (self.images, "this model reads no images"),
            MediaKind::Document => (self.documents, "this model reads no documents; send their text instead"),
            MediaKind::Audio => (self.audio, "this model hears no audio"),
        };
        (readable == Some(false)).then_some(why)
    }
}

/// Replaces or refuses what the model cannot read.
pub fn apply(request: &mut Request<'_>, accepts: Accepts) -> Result<(), Problem> {
    for turn in &mut request.turns {
        parts(&mut turn.parts, accepts, &mut request.dropped)?;
    }
    Ok(())
}

fn parts(list: &mut [Part<'_>], accepts: Accepts, dropped: &mut Vec<String>) -> Result<(), Problem> {
    for part in list {
        match part {
            Part::ToolResult { parts: inner, .. } => parts(inner, accepts, dropped)?,
            Part::Media(media) => {
                let Some(why) = accepts.obstacle(media) else { continue };
                if accepts.otherwise == Otherwise::Refuse {
                    let message = format!("the {} cannot be read: {why}", media.called());
                    return Err(Problem::new(ProblemKind::Invalid, message));
                }
                dropped.push(format!("{} part", media.kind.word()));
                *part = Part::Text(media.left_out(why).into());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ir::{Role, Turn};

    fn request() -> Request<'static> {
        let media = |kind, source| Part::Media(Media { kind, source, name: Some("a.b".into()), detail: None });
        let here = || Source::Base64 { media_type: "x/y".into(), data: "QQ==".into() };
        let inner = vec![Part::Text("seen".into()), media(MediaKind::Image, here())];
        let parts = vec![
            media(MediaKind::Image, here()),
            media(MediaKind::Document, here()),
            media(MediaKind::Image, Source::File("file_1".into())),
            Part::ToolResult { id: "c".into(), parts: inner, is_error: false },
        ];
        Request { turns: vec![Turn { role: Role::User, parts }], ..Request::default() }
    }

    fn texts(parts: &[Part<'_>]) -> Vec<String> {
        let text = |part: &Part<'_>| match part {
            Part::Text(text) => text.to_string(),
            Part::Media(media) => format!("{:?}", media.kind),
            Part::ToolResult { parts, .. } => texts(parts).join("+"),
            _ => String::new(),
        };
        parts.iter().map(text).collect()
    }

    #[test]
    fn what_is_unknown_passes_and_what_cannot_be_read_gets_a_note_in_its_place() {
        let mut all = request();
        apply(&mut all, Accepts::default()).unwrap();
        let lost = "[image \"a.b\" left out: it was uploaded to another provider; send its bytes instead]";
        assert_eq!(texts(&all.turns[0].parts), ["Image", "Document", lost, "seen+Image"]);

        let mut none = request();
        apply(&mut none, Accepts { images: Some(false), documents: Some(true), ..Accepts::default() }).unwrap();
        let image = "[image \"a.b\" left out: this model reads no images]";
        assert_eq!(texts(&none.turns[0].parts), [image, "Document", lost, &format!("seen+{image}")]);
        assert_eq!(none.dropped.len(), 3);
    }

    #[test]
    fn or_it_is_refused() {
        let refuse = Accepts { documents: Some(false), otherwise: Otherwise::Refuse, ..Accepts::default() };
        let problem = apply(&mut request(), refuse).unwrap_err();
        assert_eq!(problem.status(), 400);
        assert!(problem.message.contains("document \"a.b\""), "{}", problem.message);
    }
}
