use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::gateway::answer::Answer;
use crate::gateway::connection::Connections;
use crate::gateway::dial::Post;

/// Says the answers one after the other, one per request, on as few connections as it is asked on; gives its address
/// and how many connections there were.
async fn engine(answers: Vec<&'static [u8]>) -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&accepted);
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            *counted.lock().unwrap() += 1;
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let mut got = [0; 4096];
                while socket.read(&mut got).await.is_ok_and(|n| n > 0) {
                    let Some(answer) = answers.lock().unwrap().next() else { return };
                    socket.write_all(answer).await.unwrap();
                    let closes = !answer.windows(14).any(|w| w == b"content-length" || w == b"nsfer-encoding");
                    if closes {
                        return;
                    }
                }
            });
        }
    });
    (address, accepted)
}

async fn ask(connections: &Arc<Connections>, address: &str) -> Result<(u16, String), String> {
    let url = format!("http://{address}/v1/x?y");
    let request = Post { url, headers: Vec::new(), body: Bytes::from_static(b"{}") };
    let response = connections.send(&request).await.map_err(|error| error.to_string())?.map(Answer::Own);
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_connection_is_used_again_exactly_when_its_answer_was_read_to_a_known_end() {
    let (address, accepted) = engine(vec![
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        // These end the first connection, the second and the third.
        b"HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 1\r\n\r\nb",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ncHTTP/1.1 200 uninvited",
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nd",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ne",
    ])
    .await;
    let connections = Arc::new(Connections::default());
    for (expected, so_far) in [
        ((200, "ok"), 1),
        ((503, "a"), 1),
        ((200, ""), 1),
        ((200, "b"), 1),
        ((200, "c"), 2),
        ((200, "to the end"), 3),
        ((200, "d"), 4),
        ((200, "e"), 5),
    ] {
        let (status, body) = ask(&connections, &address).await.unwrap();
        assert_eq!((status, body.as_str()), expected);
        assert_eq!(*accepted.lock().unwrap(), so_far, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    for nonsense in [
        &b"SSH-2.0-OpenSSH content-length"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
    ] {
        let (address, _) = engine(vec![nonsense]).await;
        let answer = ask(&Arc::new(Connections::default()), &address).await;
        assert!(answer.is_err(), "{nonsense:?}: {answer:?}");
    }
}
