//! `cargo sbom`: a bill of materials (CycloneDX 1.5) for each function, as `target/sbom/<function>.cdx.json`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use ami_share_tests::progress::end;
use ami_share_tests::{sbom, workspace};
use anyhow::{Context, Result};
use clap::Parser;

/// Writes a bill of materials (CycloneDX 1.5) for each function to target/sbom.
#[derive(Parser)]
#[command(name = "cargo sbom")]
struct Arguments {
    /// The Rust target that the functions are built for.
    #[arg(long, value_name = "TRIPLE", default_value = "aarch64-unknown-linux-gnu")]
    target: String,
    /// The output folder of `sam build`, such as .aws-sam/build. Each bill then names the digest of its function's
    /// binary.
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
}

fn main() -> ExitCode {
    end("cargo sbom", write(&Arguments::parse()))
}

fn write(arguments: &Arguments) -> Result<()> {
    let folder = workspace::target().join("sbom");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for mut bill in sbom::bills(&arguments.target)? {
        if let Some(built) = &arguments.built {
            bill.describe(&built.join(resource(&bill.function)).join("bootstrap"))?;
        }
        let file = folder.join(format!("{}.cdx.json", bill.function));
        fs::write(&file, format!("{:#}\n", bill.document))
            .with_context(|| format!("writing {}", file.display()))?;
        println!("{}: {} crates", file.display(), bill.components().len());
    }
    Ok(())
}

/// The logical id of a function in `template.yaml`, and its folder in the output of `sam build`: `ShareImageFunction`
/// for `share-image`.
fn resource(function: &str) -> String {
    let words = function.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    words.collect::<String>() + "Function"
}
