//! The user's own profiles, and names people type.

use crate::heap::bounded;
use crate::profile;
use crate::scratch::Scratch;

thread_local! {
    static DIR: Scratch = Scratch::new("profiles");
}

/// A profile of the user's own called `x`; its first line is also tried as the name of a card.
pub fn profile(body: &[u8], _: &[u8]) {
    DIR.with(|dir| {
        dir.write("x.yaml", body);
        let found = bounded(body.len(), || profile::find("x", dir.path()));
        match found {
            Ok(found) => {
                for variant in &found.profile.variants {
                    let _ = (found.profile.size(variant), variant.needs_gpu());
                }
                assert_eq!(found.profile.name.to_lowercase(), "x");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}
