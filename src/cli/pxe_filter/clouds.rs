//! Credentials from elsewhere than the configuration: a cloud of `clouds.yaml`, or the variables that an openrc file sets.

use super::lookup::{Credentials, Source};
use super::options::{ALL, IRONIC};
use crate::cli::{Environment, configuration_text};
use crate::error::{Error, Result};
use crate::net::Shown;
use crate::source::clouds_yaml::{self, Cloud, Clouds};
use std::path::{Path, PathBuf};

/// What OpenStack's own variables say, and whether they say where to get in: then they stand alone.
pub(super) fn variables(environment: Environment) -> (Credentials, bool) {
    let mut credentials = Credentials::new();
    for about in ALL.iter().map(|option| option.about()).filter(|about| about.section == IRONIC) {
        let said = about.openrc.iter().find_map(|name| {
            let text = environment(name)?.into_string().ok()?;
            (!text.trim().is_empty()).then(|| (text, Source::Variable((*name).to_owned())))
        });
        credentials.extend(said.map(|said| (about.name, said)));
    }
    let alone = credentials.contains_key("auth_url") || credentials.contains_key("auth_type");
    spread_domains(&mut credentials);
    (credentials, alone)
}

/// What a cloud of `clouds.yaml` says.
///
/// # Errors
/// There is no such file or no such cloud, or it cannot be read.
pub(super) fn cloud(name: &str, environment: Environment) -> Result<Credentials> {
    let Some((path, mut clouds)) = first("clouds", "OS_CLIENT_CONFIG_FILE", environment)? else {
        let message = format!("cloud {} is asked for, but there is no clouds.yaml", Shown(name));
        return Err(Error::new(message).remedy(
            "it is looked for where OS_CLIENT_CONFIG_FILE says, here, in ~/.config/openstack and in /etc/openstack",
        ));
    };
    let Some(mut cloud) = clouds.remove(name) else {
        let names: Vec<_> = clouds.keys().map(|name| Shown(name).to_string()).collect();
        let message = format!("{}: there is no cloud {}, only: {}", path.display(), Shown(name), names.join(", "));
        return Err(Error::new(message).remedy("choose another by --os-cloud or OS_CLOUD"));
    };
    if let Some((_, mut secrets)) = first("secure", "OS_CLIENT_SECURE_FILE", environment)? {
        cloud.merge(secrets.remove(name).unwrap_or_default());
    }
    let profile = cloud.settings.get("profile").or_else(|| cloud.settings.get("cloud"));
    if let Some(profile) = profile
        && !cloud.auth.contains_key("auth_url")
    {
        let message = format!("{}: cloud {} has a profile, {}", path.display(), Shown(name), Shown(profile));
        return Err(Error::new(message).remedy("profiles are not known here: write its auth_url into the cloud"));
    }
    Ok(credentials(&cloud, &format!("{}: cloud {name}", path.display())))
}

fn credentials(cloud: &Cloud, place: &str) -> Credentials {
    let mut credentials = Credentials::new();
    let mut say = |key: &str, value: String| {
        let key = key.replace('-', "_");
        let name = match key.as_str() {
            "auth_plugin" => "auth_type",
            "user_name" => "username",
            "tenant_name" => "project_name",
            "tenant_id" => "project_id",
            "cacert" => "cafile",
            "interface" | "endpoint_type" => "valid_interfaces",
            "api_timeout" => "timeout",
            other => other.strip_prefix("baremetal_").map_or(other, |own| match own {
                "endpoint" => "endpoint_override",
                "interface" => "valid_interfaces",
                own => own,
            }),
        };
        let known = ALL.iter().map(|option| option.about()).find(|about| about.section == IRONIC && about.name == name);
        credentials.extend(known.map(|about| (about.name, (value, Source::Cloud(place.to_owned())))));
    };
    cloud.auth.iter().for_each(|(key, value)| say(key, value.clone()));
    // Those for Ironic alone are stronger than those for all services.
    let (ironic, all): (Vec<_>, Vec<_>) = cloud.settings.iter().partition(|(key, _)| key.starts_with("baremetal_"));
    for (key, value) in all.into_iter().chain(ironic) {
        match key.as_str() {
            "verify" => {
                let verified = !matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0");
                say("insecure", (!verified).to_string());
            }
            key => say(key, value.clone()),
        }
    }
    spread_domains(&mut credentials);
    credentials
}

/// A domain beside a project is the domain of that project and of the user, as openstacksdk has it.
fn spread_domains(credentials: &mut Credentials) {
    if !credentials.contains_key("project_name") && !credentials.contains_key("project_id") {
        return;
    }
    for (domain, targets) in [
        ("domain_id", ["user_domain_id", "project_domain_id"]),
        ("domain_name", ["user_domain_name", "project_domain_name"]),
    ] {
        if let Some(said) = credentials.remove(domain) {
            for target in targets {
                credentials.entry(target).or_insert_with(|| said.clone());
            }
        }
    }
}

/// The first of the places that has the file.
fn first(stem: &str, variable: &str, environment: Environment) -> Result<Option<(PathBuf, Clouds)>> {
    let given = environment(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let names = folders(environment)
        .into_iter()
        .flat_map(|folder| ["yaml", "yml", "json"].map(|extension| folder.join(format!("{stem}.{extension}"))));
    for path in given.into_iter().chain(names) {
        if path.exists() {
            return clouds(&path).map(|clouds| Some((path, clouds)));
        }
    }
    Ok(None)
}

fn clouds(path: &Path) -> Result<Clouds> {
    let text = configuration_text(path, true)?.unwrap_or_default();
    clouds_yaml::read(&text).map_err(|why| Error::new(format!("{}: {why}", path.display())))
}

/// Where openstacksdk looks.
fn folders(environment: Environment) -> Vec<PathBuf> {
    let variable = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME").map(|home| home.join(".config"));
    let mut folders = vec![std::env::current_dir().unwrap_or_default()];
    folders.extend(variable("XDG_CONFIG_HOME").into_iter().chain(home).map(|folder| folder.join("openstack")));
    folders.extend(["/etc/xdg/openstack", "/etc/openstack"].map(PathBuf::from));
    folders
}
