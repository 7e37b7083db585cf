//! Writes man pages and shell completions: `cargo run --example man -- FOLDER`, or `make man`.

mod pages;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("man: the folder to write to is missing");
        return ExitCode::from(2);
    };
    match pages::write_all(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("man: cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
