//! Pages, live stream and login.
