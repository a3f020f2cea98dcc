//! The world outside as a client under test sees it: a proxy that refuses everything and writes down what was wanted.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// The proxy; its thread ends with the test process.
pub struct Outside {
    /// Its URL, for `HTTPS_PROXY` and the like.
    pub url: String,
    wanted: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    pub fn start() -> Outside {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wanted = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&wanted);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                if BufReader::new(&stream).read_line(&mut line).is_ok() {
                    let target = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
                    list.lock().unwrap().push(target);
                }
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Outside { url, wanted }
    }

    /// Where clients wanted to go, once each.
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted = self.wanted.lock().unwrap().clone();
        wanted.sort();
        wanted.dedup();
        wanted
    }
}
