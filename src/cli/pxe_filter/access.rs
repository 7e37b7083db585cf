//! Where Ironic is and how one gets in, from the options of `[ironic]`, with keystoneauth's rules.

use super::lookup::{Lookup, Source, variable};
use super::options as opt;
use super::options::{Described as _, Opt};
use crate::net::Shown;
use crate::source::ironic::{Access, Auth, Domain, Endpoint, Identity, Named, Scope};
use std::time::Duration;

/// What is missing or wrong goes to `lookup.wrong`; there is no access then.
pub(super) fn access(lookup: &mut Lookup, notices: &mut Vec<String>) -> Option<Access> {
    let auth = auth(lookup, notices);
    let endpoint = endpoint(lookup, auth.as_ref());
    let ca_file = lookup.get(&opt::CAFILE);
    let insecure = lookup.get_or(&opt::INSECURE, false, "false");
    let timeout = lookup.get_or(&opt::TIMEOUT, Duration::from_secs(60), "60");
    let page_size = lookup.get_or(&opt::PAGE_SIZE, 1000, "1000");
    let environment_proxies = lookup.get_or(&opt::ENVIRONMENT_PROXIES, false, "false");
    Some(Access { endpoint: endpoint?, auth: auth?, ca_file, insecure, timeout, page_size, environment_proxies })
}

fn auth(lookup: &mut Lookup, notices: &mut Vec<String>) -> Option<Auth> {
    let strategy = lookup.get(&opt::AUTH_STRATEGY);
    let credential = credential(lookup);
    let guessed = match (strategy.as_deref(), &credential) {
        (Some("noauth"), _) => "none",
        (_, Some(_)) => "v3applicationcredential",
        _ => "password",
    };
    let auth_type = lookup.get_or(&opt::AUTH_TYPE, guessed.to_owned(), guessed);
    match auth_type.as_str() {
        "none" | "noauth" => Some(Auth::None),
        "http_basic" => {
            let username = required(lookup, &opt::USERNAME, "who we are for HTTP Basic");
            let password = required(lookup, &opt::PASSWORD, "the password for HTTP Basic");
            Some(Auth::HttpBasic { username: username?, password: password? })
        }
        "password" | "v3password" => {
            let auth_url = auth_url(lookup);
            let domain = domain(lookup, &opt::USER_DOMAIN_ID, &opt::USER_DOMAIN_NAME);
            let user = user(lookup, domain);
            let password = required(lookup, &opt::PASSWORD, "the user's password");
            let scope = scope(lookup);
            let identity = Identity::Password { user: user?, password: password? };
            Some(Auth::Keystone { auth_url: auth_url?, identity, scope: scope? })
        }
        "v3applicationcredential" => {
            let auth_url = auth_url(lookup);
            let domain = domain(lookup, &opt::USER_DOMAIN_ID, &opt::USER_DOMAIN_NAME);
            let by_name = matches!(credential, Some(Named::Name { .. }));
            let user = if by_name { Some(user(lookup, domain)?) } else { None };
            let secret = required(lookup, &opt::APPLICATION_CREDENTIAL_SECRET, "the application credential's secret");
            if credential.is_none() {
                missing(lookup, &opt::APPLICATION_CREDENTIAL_ID, "which application credential");
            }
            let scopes = [&opt::PROJECT_ID, &opt::PROJECT_NAME, &opt::DOMAIN_ID, &opt::DOMAIN_NAME, &opt::SYSTEM_SCOPE];
            for option in scopes {
                if let Some((_, source)) = lookup.get_with_source(option) {
                    let name = lookup.name(option.about());
                    notices
                        .push(format!("{source}: {name} has no effect: an application credential has its own project"));
                }
            }
            let identity = Identity::ApplicationCredential { credential: credential?, user, secret: secret? };
            Some(Auth::Keystone { auth_url: auth_url?, identity, scope: Scope::Default })
        }
        other => {
            let name = lookup.name(opt::AUTH_TYPE.about());
            let known = "none, http_basic, password, v3password and v3applicationcredential";
            lookup.wrong.push(format!("{name} = {} is not supported: {known} are", Shown(other)));
            None
        }
    }
}

/// The application credential, if one is named.
fn credential(lookup: &mut Lookup) -> Option<Named> {
    let id = lookup.get(&opt::APPLICATION_CREDENTIAL_ID).map(Named::Id);
    id.or_else(|| lookup.get(&opt::APPLICATION_CREDENTIAL_NAME).map(|name| Named::Name { name, domain: None }))
}

fn auth_url(lookup: &mut Lookup) -> Option<String> {
    let what = "where Keystone is, like http://192.0.2.1:5000/v3; if Ironic has none, auth_type = none or http_basic";
    if let Some((text, source)) = said(lookup, &opt::AUTH_URL, what) {
        url(lookup, &opt::AUTH_URL, &text, &source)
    } else {
        None
    }
}

/// The user, of this domain unless it is known by its id.
fn user(lookup: &mut Lookup, domain: Option<Domain>) -> Option<Named> {
    if let Some(id) = lookup.get(&opt::USER_ID) {
        return Some(Named::Id(id));
    }
    let name = required(lookup, &opt::USERNAME, "who we are")?;
    if domain.is_none() {
        missing(lookup, &opt::USER_DOMAIN_NAME, "the user's domain, usually Default");
    }
    Some(Named::Name { name, domain: Some(domain?) })
}

/// The domain that these two name, or the default one.
fn domain(lookup: &mut Lookup, id: &Opt<String>, name: &Opt<String>) -> Option<Domain> {
    let mut of = |id: &Opt<String>, name: &Opt<String>| {
        lookup.get(id).map(Domain::Id).or_else(|| lookup.get(name).map(Domain::Name))
    };
    of(id, name).or_else(|| of(&opt::DEFAULT_DOMAIN_ID, &opt::DEFAULT_DOMAIN_NAME))
}

/// What the token is for; one thing at most.
fn scope(lookup: &mut Lookup) -> Option<Scope> {
    if let Some((_, source)) = lookup.get_with_source(&opt::TRUST_ID) {
        let name = lookup.name(opt::TRUST_ID.about());
        lookup
            .wrong
            .push(format!("{source}: {name} is set, but trusts are not supported: use an application credential"));
        return None;
    }
    let mut scopes = Vec::new();
    let all = lookup.get_with_source(&opt::SYSTEM_SCOPE);
    if let Some((_, source)) = all {
        scopes.push((Scope::System, "system_scope", source));
    }
    for (by_id, option) in [(true, &opt::DOMAIN_ID), (false, &opt::DOMAIN_NAME)] {
        if let Some((text, source)) = lookup.get_with_source(option) {
            let domain = if by_id { Domain::Id(text) } else { Domain::Name(text) };
            scopes.push((Scope::Domain(domain), option.about().name, source));
            break;
        }
    }
    if let Some((id, source)) = lookup.get_with_source(&opt::PROJECT_ID) {
        scopes.push((Scope::Project(Named::Id(id)), "project_id", source));
    } else if let Some((name, source)) = lookup.get_with_source(&opt::PROJECT_NAME) {
        let domain = domain(lookup, &opt::PROJECT_DOMAIN_ID, &opt::PROJECT_DOMAIN_NAME);
        if domain.is_none() {
            missing(lookup, &opt::PROJECT_DOMAIN_NAME, "the project's domain, usually Default");
        }
        scopes.push((Scope::Project(Named::Name { name, domain: Some(domain?) }), "project_name", source));
    }
    if scopes.len() > 1 {
        let named: Vec<_> = scopes.iter().map(|(_, name, source)| format!("{name} ({source})")).collect();
        let section = &lookup.auth;
        lookup
            .wrong
            .push(format!("[{section}] {}: a token is for one of them only, remove the others", named.join(", ")));
        return None;
    }
    Some(scopes.pop().map_or(Scope::Default, |(scope, ..)| scope))
}

fn endpoint(lookup: &mut Lookup, auth: Option<&Auth>) -> Option<Endpoint> {
    if let Some((text, source)) = lookup.get_with_source(&opt::ENDPOINT_OVERRIDE) {
        return url(lookup, &opt::ENDPOINT_OVERRIDE, &text, &source).map(Endpoint::Url);
    }
    if matches!(auth, Some(Auth::None | Auth::HttpBasic { .. })) {
        if let Some((text, source)) = lookup.get_with_source(&opt::ENDPOINT) {
            return url(lookup, &opt::ENDPOINT, &text, &source).map(Endpoint::Url);
        }
        missing(
            lookup,
            &opt::ENDPOINT_OVERRIDE,
            "where Ironic is, like http://192.0.2.1:6385, for there is no Keystone to ask",
        );
        return None;
    }
    // Services are inside; whoever has a clouds.yaml or an openrc file may be anywhere.
    let standard = if lookup.elsewhere { "public" } else { "internal,public" };
    let interfaces = standard.split(',').map(str::to_owned).collect();
    Some(Endpoint::Catalog {
        service_type: lookup.get_or(&opt::SERVICE_TYPE, "baremetal".to_owned(), "baremetal"),
        service_name: lookup.get(&opt::SERVICE_NAME),
        region: lookup.get(&opt::REGION_NAME),
        interfaces: lookup.get_or(&opt::VALID_INTERFACES, interfaces, standard),
    })
}

/// A URL that an API can have. One with a password in it would end up in logs.
fn url(lookup: &mut Lookup, option: &Opt<String>, text: &str, source: &Source) -> Option<String> {
    let why = match reqwest::Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "has a user or a password in it: say username, password and auth_type = http_basic instead"
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => {
            return Some(text.trim_end_matches('/').to_owned());
        }
        _ => "is no URL of an API: http://HOST:PORT or https://HOST/PATH is expected",
    };
    let name = lookup.name(option.about());
    lookup.wrong.push(format!("{source}: {name} {why}"));
    None
}

fn required(lookup: &mut Lookup, option: &Opt<String>, what: &str) -> Option<String> {
    said(lookup, option, what).map(|(text, _)| text)
}

fn said(lookup: &mut Lookup, option: &Opt<String>, what: &str) -> Option<(String, Source)> {
    let before = lookup.wrong.len();
    let value = lookup.get_with_source(option);
    if value.is_none() && lookup.wrong.len() == before {
        missing(lookup, option, what);
    }
    value
}

fn missing(lookup: &mut Lookup, option: &Opt<String>, what: &str) {
    let name = lookup.name(option.about());
    let instead = match option.about() {
        about if about.secret => variable(about.flag),
        about => format!("--{}", about.flag),
    };
    lookup.wrong.push(format!("{name} is missing: {what}; write it into a configuration file, or say it by {instead}"));
}
