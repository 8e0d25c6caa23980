//! Whole workflows of the functions' own code against the in-memory AWS.

mod faults;
