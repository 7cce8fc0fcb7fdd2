// SPDX-License-Identifier: GPL-2.0

//! Runs what the pages in tests/cmd show: each command must print what stands below it.
//!
//! `TRYCMD=overwrite cargo test --test cmd` writes anew what is printed; read the difference before you keep it.

#[test]
fn pages() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}
