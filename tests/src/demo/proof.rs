//! Claims that the demo checks and counts: it succeeds only if every claim holds.

/// The claims so far.
#[derive(Debug, Default)]
pub struct Proofs {
    held: usize,
    failed: usize,
}

impl Proofs {
    /// Prints a claim with whether it holds.
    pub fn claim(&mut self, claim: impl AsRef<str>, holds: bool) {
        println!("   {} {}", if holds { "✓" } else { "✗ NOT TRUE:" }, claim.as_ref());
        if holds {
            self.held += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Whether every claim held, and there was one.
    pub fn all_held(&self) -> bool {
        self.failed == 0 && self.held > 0
    }

    /// The number of claims that held.
    pub fn summary(&self) -> String {
        match self.failed {
            0 => format!("All {} proofs held.", self.held),
            failed => format!("{failed} of {} proofs did not hold.", self.held + failed),
        }
    }
}
