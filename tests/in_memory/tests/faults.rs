//! Every fault at every call of every flow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ami_share_in_memory::connection::SharedAws;
use ami_share_in_memory::flow::Flow;
use ami_share_in_memory::flows::FLOWS;
use ami_share_in_memory::trial::{Edit, Kind, Prepared};
use ami_share_in_memory::workflow::Runner;
use ami_share_in_memory::world::{self, IMAGE, KEY, OTHER_IMAGE, OTHER_KEY, X};
use ami_share_testkit::memory::InMemoryAws;
use serde_json::{Value, json};

/// An administrator adds a statement to the policy of each key.
fn add_statement(aws: &mut InMemoryAws) {
    aws.edit_kms(|kms| {
        for key in [KEY, OTHER_KEY] {
            let key = kms.keys.get_mut(key).unwrap();
            let mut policy: Value = serde_json::from_str(&key.policy).unwrap();
            let statement = json!({ "Sid": "Auditors", "Effect": "Allow", "Principal": { "AWS": "*" },
                "Action": "kms:DescribeKey", "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalAccount": X } } });
            policy["Statement"].as_array_mut().unwrap().push(statement);
            key.policy = policy.to_string();
        }
    });
}

/// Somebody grants [`X`] both images.
fn grant_x(aws: &mut InMemoryAws) {
    aws.edit_ec2(|ec2| {
        for image in [IMAGE, OTHER_IMAGE] {
            if let Some(image) = ec2.images.get_mut(image).filter(|image| image.state == "available") {
                image.launch.insert(X.to_owned());
            }
        }
    });
}

const KINDS: &[Kind] = &[
    Kind::RefusedOnce(403, "AccessDeniedException"),
    Kind::RefusedForEver(403, "AccessDeniedException"),
    Kind::RefusedOnce(400, "ThrottlingException"),
    Kind::RefusedForEver(400, "ThrottlingException"),
    Kind::RefusedOnce(500, "InternalFailure"),
    Kind::RefusedForEver(400, "ServiceQuotaExceededException"),
    Kind::TimedOut,
    Kind::InterruptedBefore,
    Kind::InterruptedAfter,
    Kind::Lagging(1),
    Kind::Lagging(2),
    Kind::Edited(Edit {
        name: "an administrator adds a statement",
        apply: add_statement,
        also: &[],
        statements: 1,
    }),
    Kind::Edited(Edit { name: "somebody grants the image", apply: grant_x, also: &[X], statements: 0 }),
];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn every_fault_at_every_call_of_every_flow_converges() {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let problems: Mutex<BTreeMap<String, Vec<String>>> = Mutex::default();
    let counted: Mutex<(usize, usize, BTreeSet<(String, String, String)>)> = Mutex::default();
    let work = || block_on(work(&next, &problems, &counted));
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let (runs, calls, distinct) = counted.into_inner().unwrap();
    println!(
        "{runs} runs with {calls} calls in {:?}: {} flows, {} kinds of faults, {} distinct (flow, fault, call) cases",
        started.elapsed(),
        FLOWS.len(),
        KINDS.len(),
        distinct.len()
    );
    let problems = problems.into_inner().unwrap();
    let mut report = String::new();
    for (kind, cases) in &problems {
        report.push_str(&format!("{} × {kind}\n", cases.len()));
        cases.iter().take(3).for_each(|case| report.push_str(&format!("      {case}\n")));
    }
    assert!(problems.is_empty(), "{report}");
}

async fn work(
    next: &AtomicUsize,
    problems: &Mutex<BTreeMap<String, Vec<String>>>,
    counted: &Mutex<(usize, usize, BTreeSet<(String, String, String)>)>,
) {
    let aws = SharedAws::new(world::aws());
    let runner = Runner::start(&aws, "runner").await;
    let only = std::env::var("FLOW").ok();
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let Some(flow) = FLOWS.get(number / KINDS.len()) else { return };
        if only.as_deref().is_some_and(|only| only != flow.name) {
            continue;
        }
        let kind = KINDS[number % KINDS.len()];
        try_kind(flow, kind, &aws, &runner, problems, counted).await;
    }
}

async fn try_kind(
    flow: &'static Flow,
    kind: Kind,
    aws: &SharedAws,
    runner: &Runner,
    problems: &Mutex<BTreeMap<String, Vec<String>>>,
    counted: &Mutex<(usize, usize, BTreeSet<(String, String, String)>)>,
) {
    let prepared = Prepared::new(flow, aws, runner).await;
    for (number, call) in prepared.calls.iter().enumerate().filter(|(_, call)| kind.fits(call)) {
        let found = prepared.run(kind, number, aws, runner).await;
        {
            let mut counted = counted.lock().unwrap();
            counted.0 += 1;
            counted.1 += aws.lock().calls.len();
            counted.2.insert((flow.name.to_owned(), kind.name(), call.name()));
        }
        if !found.is_empty() {
            let case = format!("{}: {} at call {number}, {}", flow.name, kind.name(), call.name());
            let found = format!("{case}: {}", found.join("; "));
            problems
                .lock()
                .unwrap()
                .entry(format!("{} at {}", kind.name(), call.name()))
                .or_default()
                .push(found);
        }
    }
}
