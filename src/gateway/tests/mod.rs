//! The gateway over real sockets, in front of a scripted backend that can misbehave.

mod basics;
mod connections;
mod fits;
mod gemini;
mod heals;
mod limits;
mod native;
mod peers;
mod queued;
mod records;
mod responses;
mod siblings;
mod support;
mod translated;
