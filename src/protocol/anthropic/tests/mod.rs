mod decode;
mod encode;
mod outbound;
mod request;
