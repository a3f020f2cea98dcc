//! Real coding clients through the real binary: each goes through a whole tool loop and must leave its files, in front
//! of an engine as strict as the strictest (and that records everything), and in front of the real llama.cpp server.
//! `scripts/test` installs the clients, in exactly the versions whose behaviour was measured.

mod clients;
mod compact;
mod demo;
mod matrix;
mod run;
mod strict;
