//! The parts of a message that is more than text.

use super::write;
use crate::protocol::Vendor;
use crate::protocol::ir::{Media, MediaKind, Source};
use crate::protocol::media::to_url;

/// What stands where something cannot be carried.
pub(super) fn placeholder(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "[image]",
        MediaKind::Document => "[document]",
        MediaKind::Audio => "[audio]",
    }
}

/// A part with words.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(br#"{"type":"text","#);
    write::member(out, "text", text);
    out.push(b'}');
}

fn url(out: &mut Vec<u8>, name: &str, source: &Source<'_>) {
    write::key(out, name);
    match source {
        // Not through a URL made first: images are large.
        Source::Base64 { media_type, data } => {
            out.extend_from_slice(b"\"data:");
            write::inner(out, media_type);
            out.extend_from_slice(b";base64,");
            write::inner(out, data);
            out.push(b'"');
        }
        _ => write::string(out, to_url(source).as_deref().unwrap_or_default()),
    }
}

/// A part with what is not text, in the form the vendor takes.
pub(super) fn media(out: &mut Vec<u8>, media: &Media<'_>, vendor: Vendor) {
    match (media.kind, &media.source) {
        (_, Source::File(id)) if vendor == Vendor::OpenAi => {
            out.extend_from_slice(br#"{"type":"file","file":{"#);
            write::member(out, "file_id", id);
            out.extend_from_slice(b"}}");
        }
        // Nobody else has the file.
        (kind, Source::File(id)) => text(out, &format!("{} (file {id}, not available here)", placeholder(kind))),
        (MediaKind::Image, source) => {
            out.extend_from_slice(br#"{"type":"image_url","image_url":{"#);
            url(out, "url", source);
            if let Some(detail) = &media.detail {
                write::member(out, "detail", detail);
            }
            out.extend_from_slice(b"}}");
        }
        (MediaKind::Audio, Source::Base64 { media_type, data }) => {
            out.extend_from_slice(br#"{"type":"input_audio","input_audio":{"#);
            write::member(out, "data", data);
            write::member(out, "format", sound(media_type));
            out.extend_from_slice(b"}}");
        }
        (MediaKind::Audio, source) if vendor == Vendor::Vllm => {
            out.extend_from_slice(br#"{"type":"audio_url","audio_url":{"#);
            url(out, "url", source);
            out.extend_from_slice(b"}}");
        }
        // Only OpenRouter fetches documents.
        (MediaKind::Document, source) if matches!(source, Source::Base64 { .. }) || vendor == Vendor::OpenRouter => {
            out.extend_from_slice(br#"{"type":"file","file":{"#);
            write::member(out, "filename", media.name.as_deref().unwrap_or("document.pdf"));
            url(out, "file_data", source);
            out.extend_from_slice(b"}}");
        }
        (kind, Source::Url(url)) => text(out, &format!("{} {url}", placeholder(kind))),
        (kind, _) => text(out, placeholder(kind)),
    }
}

/// The name OpenAI has for a sound's format.
fn sound(media_type: &str) -> &str {
    match media_type.rsplit('/').next().unwrap_or_default() {
        "mpeg" | "mp3" | "mpga" => "mp3",
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        "mp4" | "x-m4a" => "m4a",
        other => other.strip_prefix("x-").unwrap_or(other),
    }
}
