//! What another policy would have done with the traffic of the past, beside what the one in force does with it. Knows no
//! files and no clock: receptions are given in order, each with its time.
//!
//! Both policies go through `policy::engine::Policy`, as live traffic does; nothing here decides anything. What the past
//! does not tell is taken from the present: credentials, and whose subscriptions would have matched a packet that was
//! passed on to nobody at the time.

mod people;
mod receivers;
mod report;
mod run;
mod side;
mod words;

pub use report::{Changed, Hit, Report, RuleCounts, Sample, SideReport};
pub use run::{Backtest, Heard, Options};
pub use words::{Sentence, duration, sentences, thousands};
