//! One file for each page: parse, authorise, query, render.

pub mod airtime;
pub mod alerts;
pub mod api_guide;
pub mod bridges;
pub mod check;
pub mod consent;
pub mod downlink;
pub mod gateway_own;
pub mod health;
pub mod join;
pub mod log;
pub mod login;
pub mod metrics;
pub mod node;
pub mod packet;
pub mod people;
pub mod policy;
pub mod policy_change;
pub mod requests;
pub mod setup;
pub mod status;
pub mod trouble;
pub mod watch;
