mod inbound;
mod request;
mod stream;
