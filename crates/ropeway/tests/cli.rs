//! What is printed for what is typed. `TRYCMD=overwrite cargo test -p ropeway --test cli` writes the files anew.

#[test]
fn what_is_typed_answers_as_before() {
    let cases = trycmd::TestCases::new();
    cases.env("NO_COLOR", "1").case("tests/cmd/*.trycmd");
}
