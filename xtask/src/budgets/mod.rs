//! What pieces of the request path may cost, in instructions: a number that a busy machine does not blur.
//!
//! `xtask/budgets.toml` holds what was measured when each was last accepted. Another compiler or processor moves the
//! numbers a little, hence the tolerance. Write a real improvement down, so that it cannot be lost again.

mod count;
mod limits;

use std::path::Path;

use limits::Limits;

/// Counts every case under `root` that has a budget, prints the table, and returns what exceeds it.
///
/// # Errors
/// When the program to count cannot be built or run, or valgrind is not there.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let limits = Limits::read(&root.join("xtask/budgets.toml"))?;
    let program = count::build(root)?;
    let mut counted = Vec::new();
    for case in program.cases()? {
        let instructions = program.instructions_per_call(&case)?;
        println!("{case:20} {instructions:>7} instructions, {}", limits.describe(&case, instructions));
        counted.push((case, instructions));
    }
    Ok(limits.compare(&counted))
}
