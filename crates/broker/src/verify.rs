//! x
use crate::session::SessionId;
use crate::{Broker, Now};
impl Broker {
    pub(crate) fn verify_downlink(&mut self, _now: Now, _to: SessionId) {}
}
