//! A server that answers with recorded responses, in order, and keeps the requests.
//!
//! The SDK's own test utilities are cargo features of its crates, and would compile all of it a second time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ami_share_aws::clients::Clients;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};

/// A recorded response: its status and its body.
#[derive(Clone)]
pub struct Recorded(pub u16, pub String);

/// What was asked, so far: the first line and the body of each request.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<(String, String)>>>);

impl Requests {
    /// The bodies of the requests, in order.
    pub fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// The methods and targets of the requests, in order: `GET /bucket/key`.
    pub fn lines(&self) -> Vec<String> {
        let asked = self.0.lock().unwrap();
        asked.iter().map(|(line, _)| line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

/// Clients whose calls are answered with `responses`.
pub async fn replay(responses: Vec<Recorded>) -> (Clients, Requests) {
    replay_at("127.0.0.1", responses).await
}

/// The same, with a name for the server.
pub async fn replay_at(host: &str, responses: Vec<Recorded>) -> (Clients, Requests) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let endpoint = format!("http://{host}:{}", listener.local_addr().unwrap().port());
    let requests = Requests::default();
    let kept = requests.clone();
    std::thread::spawn(move || {
        for Recorded(status, body) in responses {
            let (stream, _) = listener.accept().unwrap();
            let asked = answer(stream, status, &body);
            kept.0.lock().unwrap().push(asked);
        }
    });
    let credentials = Credentials::new("testing", "testing", None, None, "replay");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    (Clients::of(config), requests)
}

fn answer(stream: TcpStream, status: u16, body: &str) -> (String, String) {
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
    let mut asked = vec![0; length];
    reader.read_exact(&mut asked).unwrap();
    let head = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    reader.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
    (first.trim().to_owned(), String::from_utf8(asked).unwrap())
}
