//! The shell: listeners, the core loop, the recorder, wiring and shutdown.
