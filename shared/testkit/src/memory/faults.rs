//! What goes wrong: at which call, and how.

use crate::memory::InMemoryAws;
use crate::memory::answer::Refused;
use crate::memory::request::Call;

/// What goes wrong at a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// AWS answers an error; the call has no effect.
    Refuse(Refused),
    /// The call takes effect, and the caller gets no answer.
    TimeOutAfter,
    /// The function is interrupted before the call takes effect.
    InterruptBefore,
    /// The function is interrupted right after it.
    InterruptAfter,
    /// A read answers as of so many changes ago.
    Lag(usize),
    /// Another principal changes something right before the call.
    Edit(fn(&mut InMemoryAws)),
}

/// How long a fault lasts that began at a call.
#[derive(Debug, Clone, Copy)]
enum Lasting {
    /// It is over after that call.
    Once,
    /// Each later call of the same operation by the same function meets it.
    ForEver,
    /// Each later read of the same service meets it.
    EachRead,
}

/// A fault that is to begin at the call of a number.
#[derive(Debug, Clone)]
struct Planned {
    at: usize,
    lasting: Lasting,
    fault: Fault,
    /// The call at which it began.
    began: Option<Call>,
}

/// The faults of one run.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    planned: Vec<Planned>,
}

impl Faults {
    /// A fault at one call.
    pub fn once(&mut self, call: usize, fault: Fault) {
        self.plan(call, Lasting::Once, fault);
    }

    /// A fault at this call, and at each later one of the same operation by the same function.
    pub fn for_ever(&mut self, call: usize, fault: Fault) {
        self.plan(call, Lasting::ForEver, fault);
    }

    /// A fault at this read, and at each later read of the same service.
    pub fn each_read(&mut self, call: usize, fault: Fault) {
        self.plan(call, Lasting::EachRead, fault);
    }

    /// From now on nothing goes wrong.
    pub fn end(&mut self) {
        self.planned.clear();
    }

    fn plan(&mut self, at: usize, lasting: Lasting, fault: Fault) {
        self.planned.push(Planned { at, lasting, fault, began: None });
    }

    /// The fault at this call.
    pub(crate) fn at(&mut self, number: usize, call: &Call) -> Option<Fault> {
        let met = self.planned.iter_mut().find_map(|planned| planned.meets(number, call).then_some(planned));
        met.map(|planned| planned.fault.clone())
    }
}

impl Planned {
    fn meets(&mut self, number: usize, call: &Call) -> bool {
        if number == self.at {
            self.began = Some(call.clone());
            return true;
        }
        self.began.as_ref().is_some_and(|began| match self.lasting {
            Lasting::Once => false,
            Lasting::ForEver => began.is_same_operation(call),
            Lasting::EachRead => call.is_read() && began.service == call.service,
        })
    }
}
