//! Has the crate built again when the dashboard was: the embedded files are not known to the compiler.

fn main() {
    println!("cargo::rerun-if-changed=dashboard/dist");
}
