//! `instances-pxe-filter`: keeps dnsmasq's `dhcp-hostsdir` in step with Ironic. [`filter`] is what it does, [`agenda`] when, each
//! without knowing where Ironic and the folder are.

pub mod agenda;
pub mod commands;
pub mod filter;
pub mod metrics;
mod report;
pub mod serve;
pub mod status;
pub mod tidy;

#[cfg(test)]
mod tests {
    use super::filter::{Hosts, Look};
    use crate::cli::pxe_filter::{Config, FileNames};
    use crate::error::{Error, Result};
    use crate::net::Mac;
    use crate::plan::pxe_access::{Access, Node, Port, Removed, Semantics, Settings, Who};
    use crate::source::ironic;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use uuid::Uuid;

    /// A folder in memory. Clones are the same folder.
    #[derive(Debug, Clone, Default)]
    pub(super) struct Twin(Arc<Mutex<Memory>>);

    #[derive(Debug, Default)]
    struct Memory {
        look: Look,
        writes: Vec<(Who, Access)>,
        fails: bool,
    }

    impl Twin {
        /// What was written since this was asked last.
        pub(super) fn writes(&self) -> Vec<(Who, Access)> {
            std::mem::take(&mut self.0.lock().unwrap().writes)
        }

        pub(super) fn put(&self, mac: Mac, access: Access) {
            self.0.lock().unwrap().look.found.macs.insert(mac, Some(access));
        }

        pub(super) fn fail(&self, fails: bool) {
            self.0.lock().unwrap().fails = fails;
        }
    }

    impl Hosts for Twin {
        fn look(&mut self) -> Result<Look> {
            Ok(self.0.lock().unwrap().look.clone())
        }

        async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
            let mut memory = self.0.lock().unwrap();
            if memory.fails {
                return Err(Error::new("the disk is full"));
            }
            for (who, access) in writes {
                match who {
                    Who::Mac(mac) => drop(memory.look.found.macs.insert(*mac, Some(*access))),
                    Who::Unknown => memory.look.found.unknown = Some(*access),
                }
            }
            memory.writes.extend(writes);
            Ok(())
        }

        fn delete(&mut self, macs: &[Mac]) -> Result<bool> {
            self.0.lock().unwrap().look.found.macs.retain(|mac, _| !macs.contains(mac));
            Ok(true)
        }

        fn purge(&mut self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn changed(&mut self) {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn mac(number: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, number])
    }

    pub(super) fn allow(number: u8) -> (Who, Access) {
        (Who::Mac(mac(number)), Access::Allow)
    }

    pub(super) fn deny(number: u8) -> (Who, Access) {
        (Who::Mac(mac(number)), Access::Deny)
    }

    pub(super) fn port(number: u8, node: u128) -> Port {
        let uuid = Uuid::from_u128(number.into());
        Port { uuid, node: Uuid::from_u128(node), address: mac(number), pxe_enabled: true, guid: None }
    }

    pub(super) fn node(number: u128) -> Node {
        Node { uuid: Uuid::from_u128(number), name: None, inspect_interface: Some("agent".to_owned()), since: None }
    }

    pub(super) fn config() -> Config {
        Config {
            policy: Settings {
                semantics: Semantics::Ironic,
                supported_inspect_interfaces: vec!["agent".to_owned()],
                deny_unknown_macs: false,
                discovers: false,
                deny_pxe_disabled: false,
                removed: Removed::Denied,
            },
            sync_period: None,
            poll_interval: Duration::from_secs(3600),
            hostsdir: "/nonexistent".into(),
            purge: true,
            file_names: FileNames::Colons,
            start_command: None,
            stop_command: None,
            command_timeout: Duration::from_secs(60),
            api: ironic::Access {
                endpoint: ironic::Endpoint::Url("http://127.0.0.1:1".to_owned()),
                auth: ironic::Auth::None,
                ca_file: None,
                insecure: false,
                timeout: Duration::from_secs(60),
                page_size: 1000,
                environment_proxies: false,
            },
            dnsmasq_pid_file: None,
            ethoib_interfaces: Vec::new(),
            metrics_listen: None,
            log_level: tracing::Level::INFO,
        }
    }
}
