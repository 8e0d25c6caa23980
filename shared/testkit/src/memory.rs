//! An AWS in memory: it answers the requests of the AWS SDK, and can lag, refuse, keep an answer back, interrupt, and let
//! others edit in between.
//!
//! The functions' own code runs against it, with the SDK's own requests, errors and retries: only the connection is
//! replaced. What a service does is in the module of its name; what can go wrong is in [`faults`].

pub mod answer;
pub mod dynamodb;
pub mod ec2;
pub mod faults;
pub mod kms;
pub mod messages;
pub mod organizations;
pub mod scheduler;

mod encoding;
mod input;
mod request;

use jiff::{SignedDuration, Timestamp};

pub use crate::memory::answer::{Answer, Refused};
use crate::memory::dynamodb::DynamoDb;
use crate::memory::ec2::Ec2;
pub use crate::memory::encoding::Response;
use crate::memory::encoding::encode;
use crate::memory::faults::{Fault, Faults};
use crate::memory::kms::Kms;
use crate::memory::messages::{EventBuses, Executions, Topics};
use crate::memory::organizations::Organizations;
pub use crate::memory::request::{Call, Request, Service};
use crate::memory::scheduler::Scheduler;

/// The hub's account.
pub const HUB: &str = "111122223333";
/// The hub's Region.
pub const REGION: &str = "eu-west-1";
/// How much later each call is than the one before.
const CALL: SignedDuration = SignedDuration::from_millis(20);
/// How many earlier states can be read when reads lag.
const PAST: usize = 16;

/// What reads can lag behind: all that AWS does not promise to answer consistently.
#[derive(Debug, Clone, Default)]
struct Eventual {
    ec2: Ec2,
    kms: Kms,
    organizations: Organizations,
}

/// The services, a clock, and the faults that are to happen.
#[derive(Debug, Clone)]
pub struct InMemoryAws {
    /// The time of the next call.
    pub now: Timestamp,
    /// The ledger's table.
    pub dynamodb: DynamoDb,
    /// The event buses.
    pub buses: EventBuses,
    /// The topic.
    pub topics: Topics,
    /// The executions that functions started.
    pub executions: Executions,
    /// The schedules.
    pub scheduler: Scheduler,
    /// What goes wrong.
    pub faults: Faults,
    /// The calls so far, in order.
    pub calls: Vec<Call>,
    /// What must never be true, checked after each call that changes something.
    pub watch: Option<fn(&Self) -> Option<String>>,
    /// What was true all the same, and at which call.
    pub violations: Vec<String>,
    current: Eventual,
    /// Earlier states, the latest last.
    past: Vec<Eventual>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// AWS answers.
    Answered(Response),
    /// The connection breaks: the caller does not know whether the call took effect.
    Unanswered,
    /// The function that called is interrupted.
    Interrupted,
}

impl InMemoryAws {
    /// An AWS at `now`, with nothing in it.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            dynamodb: DynamoDb::default(),
            buses: EventBuses::default(),
            topics: Topics::default(),
            executions: Executions::default(),
            scheduler: Scheduler::default(),
            faults: Faults::default(),
            calls: Vec::new(),
            watch: None,
            violations: Vec::new(),
            current: Eventual::default(),
            past: Vec::new(),
        }
    }

    /// Images and snapshots as they are.
    pub fn ec2(&self) -> &Ec2 {
        &self.current.ec2
    }

    /// Keys as they are.
    pub fn kms(&self) -> &Kms {
        &self.current.kms
    }

    /// Changes images and snapshots, as anybody but ami-share does.
    pub fn edit_ec2<T>(&mut self, edit: impl FnOnce(&mut Ec2) -> T) -> T {
        self.remember();
        edit(&mut self.current.ec2)
    }

    /// Changes keys, as anybody but ami-share does.
    pub fn edit_kms<T>(&mut self, edit: impl FnOnce(&mut Kms) -> T) -> T {
        self.remember();
        edit(&mut self.current.kms)
    }

    /// Changes the organization.
    pub fn edit_organizations<T>(&mut self, edit: impl FnOnce(&mut Organizations) -> T) -> T {
        self.remember();
        edit(&mut self.current.organizations)
    }

    /// Lets time pass.
    pub fn wait(&mut self, duration: SignedDuration) {
        self.now = self.now.saturating_add(duration).unwrap_or(self.now);
    }

    /// Answers one request, as far as the faults let it.
    pub fn serve(&mut self, request: &Request) -> Reply {
        self.wait(CALL);
        let call = match request.call() {
            Ok(call) => call,
            Err(problem) => return Reply::Answered(Response::unreadable(problem)),
        };
        let number = self.calls.len();
        self.calls.push(call.clone());
        let fault = self.faults.at(number, &call);
        let answer = match &fault {
            Some(Fault::Refuse(refused)) => Err(refused.clone()),
            Some(Fault::InterruptBefore) => return Reply::Interrupted,
            Some(Fault::Edit(edit)) => {
                let edit = *edit;
                edit(self);
                self.answer(&call, 0)
            }
            Some(Fault::Lag(steps)) => self.answer(&call, *steps),
            Some(Fault::TimeOutAfter | Fault::InterruptAfter) | None => self.answer(&call, 0),
        };
        if !call.is_read() {
            let seen = self.watch.and_then(|watch| watch(self));
            self.violations.extend(seen.map(|seen| format!("after call {number}, {}: {seen}", call.name())));
        }
        match fault {
            Some(Fault::TimeOutAfter) => Reply::Unanswered,
            Some(Fault::InterruptAfter) => Reply::Interrupted,
            _ => Reply::Answered(encode(&call, number, &answer)),
        }
    }

    /// The answer; of a read that lags, by the state of so many changes ago.
    fn answer(&mut self, call: &Call, lag: usize) -> Answer {
        let Call { service, operation, input, .. } = call;
        match service {
            Service::DynamoDb => self.dynamodb.call(operation, input),
            Service::Scheduler => self.scheduler.call(operation, input, self.now),
            Service::Events => self.buses.call(operation, input),
            Service::Sns => self.topics.call(operation, input),
            Service::States => self.executions.call(operation, input),
            Service::Ec2 | Service::Kms | Service::Organizations => {
                if !call.is_read() {
                    self.remember();
                } else if lag > 0 {
                    return self.as_of(lag).call(call);
                }
                self.current.call(call)
            }
        }
    }

    /// The state of so many changes ago, or the earliest that is remembered.
    fn as_of(&self, lag: usize) -> Eventual {
        let place = self.past.len().saturating_sub(lag);
        self.past.get(place).unwrap_or(&self.current).clone()
    }

    fn remember(&mut self) {
        self.past.push(self.current.clone());
        if self.past.len() > PAST {
            self.past.remove(0);
        }
    }
}

impl Eventual {
    fn call(&mut self, call: &Call) -> Answer {
        match call.service {
            Service::Ec2 => self.ec2.call(&call.operation, &call.input),
            Service::Kms => self.kms.call(&call.operation, &call.input),
            _ => self.organizations.call(&call.operation, &call.input),
        }
    }
}
