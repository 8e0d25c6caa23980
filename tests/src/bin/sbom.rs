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
    /// The target that the functions are built for.
    #[arg(long, value_name = "TRIPLE", default_value = "aarch64-unknown-linux-gnu")]
    target: String,
    /// What `sam build` has made, such as .aws-sam/build. Each bill then names the digest of its function's binary.
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

/// What a function is called in `template.yaml`, and so in what `sam build` makes: `share-image` is `ShareImageFunction`.
fn resource(function: &str) -> String {
    let selectors = function.split('-').map(|selector| {
        let mut letters = selector.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    selectors.collect::<String>() + "Function"
}
