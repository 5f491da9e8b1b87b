//! One file for each page: parse, authorise, query, render.

pub mod alerts;
pub mod api_guide;
pub mod bridges;
pub mod check;
pub mod compare;
pub mod consent;
pub mod coverage;
pub mod downlink;
pub mod health;
pub mod links;
pub mod log;
pub mod login;
pub mod map;
pub mod metrics;
pub mod node;
pub mod packet;
pub mod people;
pub mod policy;
pub mod policy_change;
pub mod setup;
pub mod status;
pub mod survey_frame;
pub mod topology;
pub mod traceroutes;
pub mod trouble;
pub mod watch;
