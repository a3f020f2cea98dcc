mod encode;
mod request;
