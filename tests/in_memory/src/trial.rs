//! One run of a flow with one fault, and what must be true of it.

use std::collections::BTreeSet;

use ami_share_testkit::memory::faults::Fault;
use ami_share_testkit::memory::{Call, InMemoryAws, Refused, Service};

use crate::connection::SharedAws;
use crate::flow::{Act, Flow};
use crate::observed::{Access, false_audit_entries, revoked_yet_granted};
use crate::workflow::Runner;
use crate::world;

/// A kind of fault.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// AWS answers this code once.
    RefusedOnce(u16, &'static str),
    /// AWS answers this code at each such call of the function, until the faults end.
    RefusedForEver(u16, &'static str),
    /// The call takes effect, and the caller gets no answer.
    TimedOut,
    /// The function is interrupted before the call.
    InterruptedBefore,
    /// The function is interrupted after the call.
    InterruptedAfter,
    /// From this call on each read of the service is so many changes old.
    Lagging(usize),
    /// Another principal changes something right before the call.
    Edited(Edit),
}

/// A change by another principal.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    /// What it is.
    pub name: &'static str,
    /// The change.
    pub apply: fn(&mut InMemoryAws),
    /// Who may launch the image besides, in the end.
    pub also: &'static [&'static str],
    /// How many statements of others each key has more, in the end.
    pub statements: usize,
}

impl Kind {
    /// What it is called in a report.
    pub fn name(&self) -> String {
        match self {
            Self::RefusedOnce(_, code) => format!("{code} once"),
            Self::RefusedForEver(_, code) => format!("{code} for ever"),
            Self::TimedOut => "timed out after the effect".to_owned(),
            Self::InterruptedBefore => "interrupted before".to_owned(),
            Self::InterruptedAfter => "interrupted after".to_owned(),
            Self::Lagging(steps) => format!("reads {steps} changes old"),
            Self::Edited(edit) => edit.name.to_owned(),
        }
    }

    /// Whether it can happen at this call.
    pub fn fits(&self, call: &Call) -> bool {
        match self {
            Self::Lagging(_) => {
                call.is_read() && matches!(call.service, Service::Ec2 | Service::Kms | Service::Organizations)
            }
            // KMS has no conditional write: what is put between the last read and our put is lost.
            Self::Edited(edit) => edit.statements == 0 || call.operation != "PutKeyPolicy",
            _ => true,
        }
    }

    fn plan(&self, aws: &mut InMemoryAws, call: usize) {
        let refuse = |status: u16, code: &str| {
            Fault::Refuse(Refused::new(code, "as the test asks").with_status(status))
        };
        match *self {
            Self::RefusedOnce(status, code) => aws.faults.once(call, refuse(status, code)),
            Self::RefusedForEver(status, code) => aws.faults.for_ever(call, refuse(status, code)),
            Self::TimedOut => aws.faults.once(call, Fault::TimeOutAfter),
            Self::InterruptedBefore => aws.faults.once(call, Fault::InterruptBefore),
            Self::InterruptedAfter => aws.faults.once(call, Fault::InterruptAfter),
            Self::Lagging(steps) => aws.faults.each_read(call, Fault::Lag(steps)),
            Self::Edited(edit) => aws.faults.once(call, Fault::Edit(edit.apply)),
        }
    }
}

/// A flow as it is before the faults, and the calls that it makes without any.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The flow.
    pub flow: &'static Flow,
    /// The AWS before.
    before: InMemoryAws,
    /// The calls.
    pub calls: Vec<Call>,
}

impl Prepared {
    /// Runs what happened before, and the flow once without faults.
    pub async fn new(flow: &'static Flow, aws: &SharedAws, runner: &Runner) -> Self {
        *aws.lock() = world::aws();
        for act in flow.before {
            act.happen(aws, runner).await;
        }
        let mut before = aws.lock().clone();
        before.calls.clear();
        before.watch = Some(revoked_yet_granted);
        let prepared = Self { flow, before: before.clone(), calls: Vec::new() };
        *aws.lock() = before;
        flow.act.happen(aws, runner).await;
        let calls = aws.lock().calls.clone();
        let problems = prepared.problems(&aws.lock(), None);
        assert!(problems.is_empty(), "{} without faults: {problems:?}", flow.name);
        Self { calls, ..prepared }
    }

    /// Runs the flow with a fault at one call, then, without faults, one more reconciliation. Returns what is wrong.
    pub async fn run(&self, kind: Kind, call: usize, aws: &SharedAws, runner: &Runner) -> Vec<String> {
        let mut before = self.before.clone();
        kind.plan(&mut before, call);
        *aws.lock() = before;
        let Some(input) = self.flow.act.trigger(&mut aws.lock()) else { return Vec::new() };
        runner.execute(input).await;
        let mut problems = Vec::new();
        if self.calls.get(call).is_some_and(|call| holds_up_no_revocation(kind, call)) {
            let late = self.flow.still_granted(&aws.lock());
            problems.extend(late.into_iter().map(|late| format!("after the run with the fault: {late}")));
        }
        aws.lock().faults.end();
        Act::Reconcile(self.flow.image).happen(aws, runner).await;
        problems.extend(self.problems(&aws.lock(), Some(kind)));
        problems
    }

    /// Whether another principal could grant the image.
    fn can_be_granted(&self, aws: &InMemoryAws) -> bool {
        aws.ec2().images.get(self.flow.image).is_some_and(|image| image.state == "available")
    }

    /// What must be true once the faults have ended.
    fn problems(&self, aws: &InMemoryAws, kind: Option<Kind>) -> Vec<String> {
        let edit = match kind {
            Some(Kind::Edited(edit)) => Some(edit),
            _ => None,
        };
        let mut problems = aws.violations.clone();
        let also = edit.filter(|_| self.can_be_granted(aws)).map_or(&[][..], |edit| edit.also);
        problems.extend(self.flow.difference(aws, also));
        problems.extend(foreign_statements_changed(&self.before, aws, edit));
        problems.extend(
            false_audit_entries(aws).into_iter().map(|entry| format!("the audit log is not true: {entry}")),
        );
        problems
    }
}

/// Whether a fault hinders nothing but granting: then whoever departs is gone after the same run.
fn holds_up_no_revocation(kind: Kind, call: &Call) -> bool {
    let is_for_ever = matches!(kind, Kind::RefusedForEver(..));
    let is_refused = is_for_ever || matches!(kind, Kind::RefusedOnce(..));
    let is_of_granting = match call.service {
        Service::Scheduler | Service::Organizations | Service::Sns | Service::Events | Service::Kms => true,
        // For ever, it is refused for the revocation, too.
        Service::Ec2 => call.input.pointer("/LaunchPermission/Add").is_some() && !is_for_ever,
        Service::DynamoDb | Service::States => false,
    };
    is_refused && is_of_granting
}

fn foreign_statements_changed(before: &InMemoryAws, after: &InMemoryAws, edit: Option<Edit>) -> Vec<String> {
    let (before, after) = (Access::of(before).foreign, Access::of(after).foreign);
    let mut problems = Vec::new();
    for (key, statements) in &before {
        let left = after.get(key).cloned().unwrap_or_default();
        let sids = |all: &[serde_json::Value]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let lost: Vec<String> = sids(statements).difference(&sids(&left)).cloned().collect();
        let added = edit.map_or(0, |edit| edit.statements);
        if !lost.is_empty() || left.len() != statements.len() + added {
            problems.push(format!(
                "statements of others in {key}: {} instead of {} and {added}",
                left.len(),
                statements.len()
            ));
        }
    }
    problems
}
