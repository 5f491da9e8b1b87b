//! Copies toward gateways, which end on the radio: what each is worth, and the queue that they wait in.

pub mod budget;
pub mod class;
pub mod details;
pub mod hold;
pub mod model;
pub mod numbers;
pub mod queue;
pub mod target;
