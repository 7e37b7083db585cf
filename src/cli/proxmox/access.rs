//! Where the API is and how one gets in.

use super::lookup::{Lookup, Said};
use super::options as opt;
use super::options::Described as _;
use super::values;
use super::written::Source;
use crate::error::in_words;
use crate::source::proxmox::{Access, Token, Trust};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The variable that holds the token's secret.
const SECRET: &str = "API_TOKEN_SECRET";
/// Where systemd puts credentials, and what ours is called.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIAL: &str = "token";
/// Longer than any secret, bytes.
const LONGEST: u64 = 4096;

/// What is missing or wrong goes to `lookup.wrong`; there is no access then. And where the secret is from.
pub(super) fn access(lookup: &mut Lookup) -> (Option<Access>, Option<Source>) {
    let before = lookup.wrong.len();
    let hosts = lookup.many(&opt::HOSTS);
    if hosts.is_empty() && lookup.wrong.len() == before {
        lookup.missing(opt::HOSTS.about(), "where Proxmox VE's API is, like https://pve1.example.com:8006");
    } else {
        // Without what was taken off.
        let said = lookup.said.iter_mut().find(|said| said.name == opt::HOSTS.about().name);
        if let Some(Said { items, .. }) = said {
            *items = hosts.iter().map(ToString::to_string).collect();
        }
    }
    let before = lookup.wrong.len();
    let id = lookup.one(&opt::TOKEN_ID);
    if id.is_none() && lookup.wrong.len() == before {
        lookup.missing(opt::TOKEN_ID.about(), "the API token, USER@REALM!NAME, like root@pam!leazzard");
    }
    let (secret, source) = secret(lookup).unzip();
    let trust = trust(lookup);
    let connect_timeout = lookup.one(&opt::CONNECT_TIMEOUT);
    let timeout = lookup.one(&opt::TIMEOUT);
    let access = || {
        let token = Token { id: id?, secret: secret? };
        Some(Access { hosts, token, trust: trust?, connect_timeout: connect_timeout?, timeout: timeout? })
    };
    (access(), source)
}

fn trust(lookup: &mut Lookup) -> Option<Trust> {
    let ca_file = lookup.one(&opt::CA_FILE);
    let fingerprints = lookup.many(&opt::FINGERPRINTS);
    let server_name = lookup.one(&opt::SERVER_NAME);
    let verify = lookup.one(&opt::VERIFY)?;
    for (about, is_said) in
        [(opt::CA_FILE.about(), ca_file.is_some()), (opt::SERVER_NAME.about(), server_name.is_some())]
    {
        let key = about.key();
        if is_said && !fingerprints.is_empty() {
            lookup.notices.push(format!("{key} has no effect: with fingerprints, only these certificates are taken"));
        } else if is_said && !verify {
            lookup.notices.push(format!("{key} has no effect: [proxmox] verify = false, nobody looks at certificates"));
        }
    }
    Some(Trust { ca_file, fingerprints, server_name, is_blind: !verify })
}

/// The secret and who has it: a file that a flag names, a variable, a file that a variable names, systemd, a file that the file names.
fn secret(lookup: &mut Lookup) -> Option<(String, Source)> {
    let before = lookup.wrong.len();
    let file =
        lookup.values(&opt::TOKEN_FILE, None).and_then(|(files, source)| Some((files.into_iter().next()?, source)));
    if lookup.wrong.len() > before {
        return None;
    }
    let is_flag = matches!(file, Some((_, Source::Flag(_))));
    let is_variable = matches!(file, Some((_, Source::Variable(_))));
    let variable = lookup.variable(SECRET).filter(|_| !is_flag);
    let credential = lookup.variable(CREDENTIALS).map(|folder| Path::new(&folder).join(CREDENTIAL));
    // The unit hands on that there is none, too.
    let is_there = |path: &PathBuf| {
        path.try_exists().unwrap_or(true)
            && text_of(path).map_or(true, |text| !matches!(text.trim(), "" | values::NONE))
    };
    let credential = credential.filter(|path| !is_flag && !is_variable && is_there(path));
    let forget = |lookup: &mut Lookup| lookup.said.retain(|said| said.name != opt::TOKEN_FILE.about().name);
    if let Some(text) = variable {
        forget(lookup);
        let source = Source::Variable(SECRET.to_owned());
        return read(lookup, text.trim(), &source).map(|secret| (secret, source));
    }
    if let Some(path) = credential {
        forget(lookup);
        let source = Source::Credential(path.display().to_string());
        return in_file(lookup, &path, &source);
    }
    if let Some((path, source)) = file {
        warn_of_readers(lookup, &path, &source);
        return in_file(lookup, &path, &source);
    }
    lookup.wrong.push(format!(
        "the token's secret is missing: set {SECRET}, or name a file that holds it, [proxmox] token_file; `pveum user token add` \
         shows it once"
    ));
    None
}

fn read(lookup: &mut Lookup, text: &str, source: &Source) -> Option<String> {
    values::secret(text).map_err(|why| lookup.wrong.push(format!("{source}: {why}"))).ok()
}

fn in_file(lookup: &mut Lookup, path: &Path, source: &Source) -> Option<(String, Source)> {
    match text_of(path) {
        Ok(text) => read(lookup, text.trim(), source).map(|secret| (secret, source.clone())),
        Err(error) => {
            let (path, why) = (path.display(), in_words(&error));
            lookup.wrong.push(format!("{source}: cannot read the token's secret in {path}: {why}"));
            None
        }
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn warn_of_readers(lookup: &mut Lookup, path: &Path, source: &Source) {
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let path = path.display();
        lookup.notices.push(format!("{source}: {path} can be read by all users of this host: chmod o= {path}"));
    }
}

/// What `--print-config` says of the secret.
pub(super) fn secret_in_words(source: &Source) -> String {
    format!("# The token's secret is not shown; it is from {source}.")
}
