//! Where an instance says that it runs: state files for `env`, `doctor`, `stop` and crash recovery.
