//! Nothing but tests: `tests/read_back.rs` reads what `instances` loaded back through `rustables`.
