//! Every fault at every call of every flow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
            policy.pointer_mut("/Statement").and_then(Value::as_array_mut).unwrap().push(statement);
            key.policy = policy.to_string();
        }
    });
}

/// Another principal grants [`X`] both images.
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
    Kind::Edited(Edit {
        name: "another principal grants the image",
        apply: grant_x,
        also: &[X],
        statements: 0,
    }),
];

/// What the runs have come to.
#[derive(Default)]
struct Report {
    runs: usize,
    calls: usize,
    /// The flow, the fault and the call of each case.
    distinct: BTreeSet<(String, String, String)>,
    /// What went wrong, by fault and call.
    problems: BTreeMap<String, Vec<String>>,
}

/// The work that is left, and what came of it, for all threads.
#[derive(Default)]
struct Work {
    next: AtomicUsize,
    report: Mutex<Report>,
}

#[test]
fn every_fault_at_every_call_of_every_flow_converges() {
    let started = Instant::now();
    let work = Work::default();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(|| block_on(work.take_on()))));
    });
    let report = work.report.into_inner().unwrap();
    println!("{report} in {:.0?}", started.elapsed());
    assert!(report.problems.is_empty(), "{}", report.text());
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl Work {
    /// Tries one fault with one flow after the other, until nothing is left. `FLOW` in the environment picks one flow.
    async fn take_on(&self) {
        let aws = SharedAws::new(world::aws());
        let runner = Runner::start(&aws).await;
        let only = std::env::var("FLOW").ok();
        let cases = FLOWS.iter().flat_map(|flow| KINDS.iter().map(move |kind| (flow, *kind)));
        let cases: Vec<(&'static Flow, Kind)> =
            cases.filter(|(flow, _)| only.as_deref().is_none_or(|only| only == flow.name)).collect();
        while let Some((flow, kind)) = cases.get(self.next.fetch_add(1, Ordering::SeqCst)) {
            self.try_at_every_call(flow, *kind, &aws, &runner).await;
        }
    }

    async fn try_at_every_call(&self, flow: &'static Flow, kind: Kind, aws: &SharedAws, runner: &Runner) {
        let prepared = Prepared::new(flow, aws, runner).await;
        for (number, call) in prepared.calls.iter().enumerate().filter(|(_, call)| kind.fits(call)) {
            let problems = prepared.run(kind, number, aws, runner).await;
            let calls = aws.lock().calls.len();
            let mut report = self.report.lock().unwrap();
            report.runs += 1;
            report.calls += calls;
            report.distinct.insert((flow.name.to_owned(), kind.name(), call.name()));
            if !problems.is_empty() {
                let case = format!("{} at call {number}: {}", flow.name, problems.join("; "));
                report.problems.entry(format!("{} at {}", kind.name(), call.name())).or_default().push(case);
            }
        }
    }
}

impl Report {
    /// What went wrong, some cases of each kind.
    fn text(&self) -> String {
        let mut text = String::new();
        for (place, cases) in &self.problems {
            text.push_str(&format!("{} × {place}\n", cases.len()));
            cases.iter().take(3).for_each(|case| text.push_str(&format!("      {case}\n")));
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runs, calls, distinct) = (self.runs, self.calls, self.distinct.len());
        write!(
            f,
            "{runs} runs with {calls} calls of AWS, {} flows, {} kinds of faults, ",
            FLOWS.len(),
            KINDS.len()
        )?;
        write!(f, "{distinct} distinct cases of flow, fault and call")
    }
}
