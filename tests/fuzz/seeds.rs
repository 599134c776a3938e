//! Writes the seeds of each law to `corpus/LAW/`, where cargo-fuzz looks for them.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for law in headwater_fuzz::laws() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(law);
        fs::create_dir_all(&directory)?;
        let seeds = headwater_fuzz::seeds(law);
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
        println!("{law}: {} seeds", seeds.len());
    }
    Ok(())
}
