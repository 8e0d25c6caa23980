//! A server that answers with recorded responses, in order, and keeps the requests.
//!
//! The SDK's own test utilities are cargo features of its crates, and would compile all of it a second time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ami_share_aws::clients::Clients;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use tokio::task::JoinHandle;

/// A recorded response: its status and its body.
#[derive(Clone)]
pub struct Recorded(pub u16, pub String);

/// The requests so far: the first line and the body of each.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<(String, String)>>>);

impl Requests {
    /// The bodies of the requests, in order.
    pub fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// The methods and targets of the requests, in order: `GET /bucket/key`.
    pub fn lines(&self) -> Vec<String> {
        let sent = self.0.lock().unwrap();
        sent.iter().map(|(line, _)| line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

/// Clients whose calls are answered with `responses`.
pub async fn replay(responses: Vec<Recorded>) -> (Clients, Requests) {
    replay_at("127.0.0.1", responses).await
}

/// The same, with so many attempts for each call.
pub async fn replay_with_attempts(attempts: u32, responses: Vec<Recorded>) -> (Clients, Requests) {
    let retries = RetryConfig::standard().with_max_attempts(attempts);
    let retries = retries.with_initial_backoff(std::time::Duration::from_millis(1));
    replay_with("127.0.0.1", retries, responses).await
}

/// The same, with a name for the server.
pub async fn replay_at(host: &str, responses: Vec<Recorded>) -> (Clients, Requests) {
    replay_with(host, RetryConfig::disabled(), responses).await
}

async fn replay_with(host: &str, retries: RetryConfig, responses: Vec<Recorded>) -> (Clients, Requests) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let endpoint = format!("http://{host}:{}", listener.local_addr().unwrap().port());
    let requests = Requests::default();
    let recorded = requests.clone();
    std::thread::spawn(move || {
        for Recorded(status, body) in responses {
            let (stream, _) = listener.accept().unwrap();
            let (sent, stream) = read(stream);
            // Recorded before the answer, after which the test may read it at once.
            recorded.0.lock().unwrap().push(sent);
            answer(stream, status, &body);
        }
    });
    (clients(endpoint, retries).await, requests)
}

/// Clients whose calls are all answered with `body`, on connections that stay open; and how many of these there are.
pub async fn replay_on_open_connections(body: &'static str) -> (Clients, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || answer_all(stream.unwrap(), body));
        }
    });
    (clients(endpoint, RetryConfig::disabled()).await, connections)
}

/// Clients whose calls get no answer, and a task that ends when the first call arrives.
pub async fn silence() -> (Clients, JoinHandle<TcpStream>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let called = tokio::task::spawn_blocking(move || listener.accept().unwrap().0);
    (clients(endpoint, RetryConfig::disabled()).await, called)
}

/// Answers until the client closes the connection: then there is no first line to read.
fn answer_all(stream: TcpStream, body: &str) {
    let mut stream = stream;
    loop {
        let ((first, _), answered) = read(stream);
        stream = answered;
        if first.is_empty() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

async fn clients(endpoint: String, retries: RetryConfig) -> Clients {
    let credentials = Credentials::new("testing", "testing", None, None, "replay");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(retries)
        .load()
        .await;
    Clients::of(config)
}

fn read(stream: TcpStream) -> ((String, String), TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    ((first.trim().to_owned(), String::from_utf8(sent).unwrap()), reader.into_inner())
}

fn answer(mut stream: TcpStream, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}
