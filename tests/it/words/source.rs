//! Which sentences our own source says: every string literal that humans may read, with the place it stands at.

use std::path::Path;

use syn::buffer::Cursor;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, Meta, Token};

/// A literal of the source.
pub struct Said {
    /// `src/…`, with forward slashes.
    pub file: String,
    /// The function or constant it stands in.
    pub function: String,
    /// As it is when the program runs.
    pub text: String,
    /// Whether it is given to something that compares or takes apart what others wrote, or makes data.
    pub compared: bool,
    /// Whether it is the message of an error.
    pub message: bool,
}

/// Methods and functions whose literals are looked for in other text, or name what programs know.
const COMPARE: &[&str] = &[
    "contains",
    "starts_with",
    "ends_with",
    "split",
    "split_once",
    "rsplit_once",
    "strip_prefix",
    "strip_suffix",
    "find",
    "rfind",
    "eq_ignore_ascii_case",
    "matches",
    "get",
    "env",
    "trim_start_matches",
    "trim_end_matches",
    "header",
    "arg",
];
/// Macros that make data or check.
const DATA: &[&str] = &["json", "matches", "include_str", "env", "concat", "debug_assert", "assert", "cfg"];

/// Every literal of the files below `src`, without their tests.
pub fn literals(src: &Path) -> Vec<Said> {
    let mut all = Vec::new();
    files(src, &mut |path| {
        let relative = path.strip_prefix(src).unwrap().to_string_lossy().replace('\\', "/");
        let parsed = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut reader = Reader {
            file: format!("src/{relative}"),
            functions: Vec::new(),
            compared: 0,
            message: false,
            all: Vec::new(),
        };
        reader.visit_file(&parsed);
        all.append(&mut reader.all);
    });
    all
}

fn files(dir: &Path, each: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let of_tests = name == "tests" || name.ends_with("_tests") || name.starts_with("tests_") || name == "snapshots";
        match (path.is_dir(), of_tests) {
            (_, true) => {}
            (true, _) => files(&path, each),
            (false, _) if path.extension().is_some_and(|e| e == "rs") => each(&path),
            (false, _) => {}
        }
    }
}

struct Reader {
    file: String,
    functions: Vec<String>,
    compared: usize,
    message: bool,
    all: Vec<Said>,
}

impl Reader {
    fn keep(&mut self, text: String) {
        self.all.push(Said {
            file: self.file.clone(),
            function: self.functions.last().cloned().unwrap_or_default(),
            text,
            compared: self.compared > 0,
            message: self.message,
        });
    }

    fn within(&mut self, name: &syn::Ident, read: impl FnOnce(&mut Self)) {
        self.functions.push(name.to_string());
        read(self);
        self.functions.pop();
    }

    fn comparing(&mut self, compares: bool, read: impl FnOnce(&mut Self)) {
        self.compared += usize::from(compares);
        read(self);
        self.compared -= usize::from(compares);
    }
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

/// All strings from here to the end, groups included.
fn strings<'a>(mut at: Cursor<'a>, texts: &mut Vec<String>) -> Cursor<'a> {
    loop {
        at = if let Some((inside, _, _, after)) = at.any_group() {
            strings(inside, texts);
            after
        } else if let Some((literal, after)) = at.literal() {
            texts.extend(syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value()));
            after
        } else if let Some((_, after)) = at.token_tree() {
            after
        } else {
            return at;
        };
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !for_tests(&item.attrs) {
            self.within(&item.sig.ident, |reader| visit::visit_item_fn(reader, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !for_tests(&item.attrs) {
            self.within(&item.sig.ident, |reader| visit::visit_impl_item_fn(reader, item));
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.within(&item.ident, |reader| visit::visit_item_const(reader, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.within(&item.ident, |reader| visit::visit_item_static(reader, item));
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let Meta::List(list) = &attribute.meta else { return };
        if list.path.is_ident("error") {
            let first = |input: ParseStream<'_>| {
                let text = input.parse::<syn::LitStr>()?;
                // What follows are the values.
                input.step(|cursor| {
                    let mut rest = *cursor;
                    while let Some((_, next)) = rest.token_tree() {
                        rest = next;
                    }
                    Ok((text, rest))
                })
            };
            // `#[error(transparent)]` has none.
            if let Ok(text) = list.parse_args_with(first) {
                self.message = true;
                self.keep(text.value());
                self.message = false;
            }
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let name = match &*call.func {
            Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        self.comparing(name.is_some_and(|name| COMPARE.contains(&name.as_str())), |reader| {
            visit::visit_expr_call(reader, call);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.visit_expr(&call.receiver);
        self.comparing(COMPARE.contains(&call.method.to_string().as_str()), |reader| {
            call.args.iter().for_each(|argument| reader.visit_expr(argument));
        });
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        self.comparing(DATA.contains(&name.as_str()), |reader| {
            match called.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
                Ok(parts) => parts.iter().for_each(|part| Visit::visit_expr(reader, part)),
                // Another grammar, as that of `select!`: then whatever is a string in it.
                Err(_) => {
                    let texts = called.parse_body_with(|input: ParseStream<'_>| {
                        input.step(|cursor| {
                            let mut texts = Vec::new();
                            let end = strings(*cursor, &mut texts);
                            Ok((texts, end))
                        })
                    });
                    texts.unwrap_or_default().into_iter().for_each(|text| reader.keep(text));
                }
            }
        });
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.keep(text.value());
    }

    /// What is compared with is no text of ours.
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
}
