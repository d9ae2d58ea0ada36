//! End-to-end tests of the `ropeway` binary.
