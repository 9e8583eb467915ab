//! What the README says of the library.

#[path = "../examples/dma.rs"]
mod dma;

#[test]
fn the_example_is_what_the_readme_shows() {
    let example = include_str!("../examples/dma.rs");
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("\n```rust\n{example}```\n")));
}

#[test]
fn the_example_works() -> Result<(), Box<dyn std::error::Error>> {
    dma::main()
}
