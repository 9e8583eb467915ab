//! `cargo run -p iommulator-tests --bin seeds`: writes the seed corpus of the fuzz targets.

use std::path::Path;

use anyhow::Context;
use tests::fuzz::seeds::{Seed, seeds};

fn main() -> anyhow::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for Seed { target, name, data } in seeds() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(name);
        std::fs::write(&file, data).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
