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

/// Where a fault happens.
#[derive(Debug, Clone)]
enum Place {
    /// At the call of this number only.
    Once(usize),
    /// From the call of this number on, at each call of the same operation by the same function.
    ForEver(usize),
    /// From the call of this number on, at each read of the same service.
    EachRead(usize),
}

/// The faults of one run.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    planned: Vec<(Place, Fault)>,
    /// The calls at which a lasting fault began.
    lasting: Vec<Option<Call>>,
    /// How many calls met a fault.
    pub met: usize,
}

impl Faults {
    /// A fault at one call.
    pub fn once(&mut self, call: usize, fault: Fault) {
        self.plan(Place::Once(call), fault);
    }

    /// A fault at this call, and at each later one of the same operation by the same function.
    pub fn for_ever(&mut self, call: usize, fault: Fault) {
        self.plan(Place::ForEver(call), fault);
    }

    /// A fault at this call, and at each later read of the same service.
    pub fn each_read(&mut self, call: usize, fault: Fault) {
        self.plan(Place::EachRead(call), fault);
    }

    /// From now on nothing goes wrong.
    pub fn end(&mut self) {
        self.planned.clear();
        self.lasting.clear();
    }

    fn plan(&mut self, place: Place, fault: Fault) {
        self.planned.push((place, fault));
        self.lasting.push(None);
    }

    /// The fault at this call.
    pub(crate) fn at(&mut self, number: usize, call: &Call) -> Option<Fault> {
        for ((place, fault), began) in self.planned.iter().zip(&mut self.lasting) {
            let meets = match place {
                Place::Once(at) => *at == number,
                Place::ForEver(at) => {
                    if *at == number {
                        *began = Some(call.clone());
                    }
                    began.as_ref().is_some_and(|began| began.is_same_operation(call))
                }
                Place::EachRead(at) => {
                    if *at == number {
                        *began = Some(call.clone());
                    }
                    call.is_read() && began.as_ref().is_some_and(|began| began.service == call.service)
                }
            };
            if meets {
                self.met += 1;
                return Some(fault.clone());
            }
        }
        None
    }
}
