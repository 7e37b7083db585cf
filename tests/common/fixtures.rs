//! The cases in nft-fixtures: registry and environment in, hosts, chains, sets and the kernel's listing out.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder in nft-fixtures; its name says what it is about.
pub struct Case {
    pub folder: PathBuf,
    /// The environment of the programs, besides the base path.
    pub environment: Vec<(String, String)>,
    /// Arguments for instances-process.
    pub arguments: Vec<String>,
}

impl Case {
    /// All cases, by name.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("nft-fixtures");
        let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let environment = fs::read_to_string(folder.join("environment")).unwrap_or_default();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        let environment = environment.lines().map(pair).collect();
        let arguments = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Self { folder, environment, arguments }
    }

    pub fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Runs instances-process on a copy of the registry with base path `base`.
    pub fn process(&self, base: &Path, arguments: &[&str]) -> Output {
        fs::copy(self.folder.join("registry.json"), base.with_extension("json")).unwrap();
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        Command::new(env!("CARGO_BIN_EXE_instances-process"))
            .args(&self.arguments)
            .args(arguments)
            .env_clear()
            .env("INSTANCES_BASE_PATH", base)
            .envs(environment)
            .output()
            .unwrap()
    }

    /// Compares `found` with the golden file of this name, or with BLESS=1 makes it the golden file. Says what differs.
    pub fn compare(&self, golden: &str, found: &str) -> Option<String> {
        let path = self.folder.join(golden);
        if std::env::var_os("BLESS").is_some() {
            fs::write(path, found).unwrap();
            return None;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let diff = similar::TextDiff::from_lines(&*expected, found);
        let header = format!("nft-fixtures/{}/{golden}", self.name());
        (expected != found).then(|| diff.unified_diff().header(&header, "as written now").to_string())
    }
}
