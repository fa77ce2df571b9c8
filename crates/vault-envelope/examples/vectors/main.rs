//! Writes the test vectors of docs/FORMAT.md section 14 to docs/vectors:
//!
//! ```text
//! cargo run -p vault-envelope --features hazmat --example vectors
//! ```
//!
//! The same bytes every time; a test compares them with the committed files.

#[path = "catalogue.rs"]
mod catalogue;

fn main() -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in catalogue::files() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
