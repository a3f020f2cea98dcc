use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::json;

use super::*;

fn all() -> [Order; 5] {
    let name = || "glm 4.7 \u{4f60}\r\n".to_owned();
    [Order::Stop, Order::Kill, Order::Restart(None), Order::Restart(Some(name())), Order::Sleep(name())]
}

async fn opened() -> Opened {
    open(Arc::new(|| json!({"model": "m"}))).await.unwrap()
}

/// What it says to a request as it stands.
fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_arrive_and_questions_are_answered() {
    let mut opened = opened().await;
    let endpoint = opened.endpoint.clone();
    let status = blocking(move || {
        let status = ask(&endpoint).unwrap();
        for each in all() {
            order(&endpoint, &each).unwrap();
        }
        status
    })
    .await;
    assert_eq!(status, json!({"model": "m"}));
    for each in all() {
        assert_eq!(opened.orders.recv().await, Some(each));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_web_pages_are_told_nothing() {
    let mut opened = opened().await;
    let Endpoint { port, key } = opened.endpoint.clone();
    let said = blocking(move || {
        let wrong = Endpoint { port, key: "0".repeat(48) };
        assert!(matches!(ask(&wrong), Err(Unanswered::Stranger { status: 403, .. })));
        let own = format!("host: 127.0.0.1:{port}\r\n");
        let auth = format!("authorization: Bearer {key}\r\n");
        [
            raw(port, &format!("POST /stop HTTP/1.1\r\n{own}origin: http://127.0.0.1:{port}\r\n{auth}\r\n")),
            // A name of a stranger's that leads here, as far as the browser knows its own site.
            raw(port, &format!("POST /stop HTTP/1.1\r\nhost: rebound.example:{port}\r\n{auth}\r\n")),
            raw(port, &format!("POST /stop HTTP/1.1\r\n{auth}\r\n")),
            raw(port, &format!("GET /stop HTTP/1.1\r\n{own}{auth}\r\n")),
            raw(port, &format!("POST /stop HTTP/1.1\r\n{own}\r\n")),
            raw(port, "\0\0\r\n\r\n"),
        ]
    })
    .await;
    let status = |said: &str| said.split(' ').nth(1).map(str::to_owned);
    let expected = ["403", "403", "403", "404", "403", "400"].map(|s| Some(s.to_owned()));
    assert_eq!(said.each_ref().map(|said| status(said)), expected);
    assert!(opened.orders.try_recv().is_err(), "nothing of that is an order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_is_silent_and_what_hangs_is_left() {
    let endpoint = opened().await.endpoint.clone();
    let gone = endpoint.clone();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(matches!(blocking(move || ask(&gone)).await, Err(Unanswered::Silent { .. })));
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = Endpoint { port: deaf.local_addr().unwrap().port(), ..endpoint };
    assert!(matches!(blocking(move || ask(&hanging)).await, Err(Unanswered::Silent { .. })));
}

#[test]
fn the_key_is_not_in_what_is_printed() {
    let endpoint = Endpoint { port: 1, key: "sesame".to_owned() };
    assert!(!format!("{endpoint:?}").contains("sesame"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_answered_when_it_is_done() {
    let mut opened = opened().await;
    let endpoint = opened.endpoint.clone();
    let lines = vec![("error".to_owned(), "c.yaml:3:7: 你好".to_owned()), ("hint".to_owned(), "x".to_owned())];
    let refused = lines.clone();
    let answering = async {
        opened.reloads.recv().await.unwrap().answer(Told::Done(vec!["one".to_owned()]));
        opened.reloads.recv().await.unwrap().answer(Told::Refused(refused));
        // Neither: it ends meanwhile.
        drop(opened.reloads.recv().await);
    };
    let asking = blocking(move || [reload(&endpoint), reload(&endpoint), reload(&endpoint)]);
    let (told, ()) = tokio::join!(asking, answering);
    let [done, refused, ending] = told;
    assert_eq!(done.unwrap(), Told::Done(vec!["one".to_owned()]));
    assert_eq!(refused.unwrap(), Told::Refused(lines));
    assert!(matches!(ending, Err(Unanswered::Stranger { status: 503, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_in_more_says_what_joiners_need_and_answers_their_wish() {
    let mut opened = open_for_more(Arc::new(|| json!({})), Some(json!({"machine": 1}))).await.unwrap();
    let endpoint = opened.endpoint.clone();
    let answering = async {
        let join = opened.joins.recv().await.unwrap();
        assert_eq!(join.wish, json!({"model": "glm"}));
        join.answer(Told::Done(vec!["taken".to_owned()]));
        drop(opened.joins.recv().await);
    };
    let asking = blocking(move || {
        let wish = json!({"model": "glm"});
        let raw = |body: &str| {
            let Endpoint { port, key } = &endpoint;
            let head = format!("host: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n");
            raw(*port, &format!("POST /join HTTP/1.1\r\n{head}content-length: {}\r\n\r\n{body}", body.len()))
        };
        assert!(raw("{").starts_with("HTTP/1.1 400"));
        (joining(&endpoint).unwrap(), join(&endpoint, &wish).unwrap(), join(&endpoint, &wish))
    });
    let ((told, taken, ending), ()) = tokio::join!(asking, answering);
    assert_eq!(told, json!({"machine": 1}));
    assert_eq!(taken, Told::Done(vec!["taken".to_owned()]));
    assert!(matches!(ending, Err(Unanswered::Stranger { status: 503, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_in_nobody_has_no_such_path() {
    let opened = opened().await;
    let endpoint = opened.endpoint.clone();
    let (told, wish) = blocking(move || (joining(&endpoint), join(&endpoint, &json!({})))).await;
    assert!(matches!(told, Err(Unanswered::Stranger { status: 404, .. })));
    assert!(matches!(wish, Err(Unanswered::Stranger { status: 404, .. })));
}
