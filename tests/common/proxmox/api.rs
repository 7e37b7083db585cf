//! What the API answers.

use super::cluster::{Cluster, Reply};
use super::http::{Request, Response};
use serde_json::{Value, json};

/// The answer to a request for this path.
pub fn answer(cluster: &Cluster, path: &str, request: &Request) -> Response {
    let parameters = request.parameters();
    let parameter = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let reply = match parts.as_slice() {
        ["cluster", "resources"] => Reply::ok(&Value::Array(resources(cluster, parameter("type")))),
        ["cluster", "sdn", "ipams", "pve", "status"] => cluster.ipam.clone(),
        ["nodes", node, kind, vmid, rest @ ..] => {
            guest(cluster, (node, kind, vmid), rest, parameter("current") == Some("1"))
        }
        _ => cluster.replies.get(path).cloned().unwrap_or_else(|| Reply::no(501, "no such uri")),
    };
    if request.method == "GET" { response(&reply) } else { response(&Reply::no(501, "no such uri")) }
}

/// With the headers that Proxmox sends.
pub fn response(reply: &Reply) -> Response {
    let response = Response::new(reply.status, "application/json;charset=UTF-8", reply.body.clone())
        .reason(&reply.reason)
        .header("Cache-Control", "max-age=0")
        .header("Pragma", "no-cache")
        .header("Server", "pve-api-daemon/3.0");
    if reply.status >= 590 { response.header("Connection", "close") } else { response }
}

fn resources(cluster: &Cluster, kind: Option<&str>) -> Vec<Value> {
    let mut rows = Vec::new();
    if kind.is_none_or(|kind| kind == "vm") && cluster.sees_guests {
        for (vmid, guest) in &cluster.guests {
            let is_online = cluster.nodes.get(&guest.node) == Some(&true);
            rows.push(if is_online {
                guest.row.clone()
            } else {
                let (kind, node) = (&guest.kind, &guest.node);
                json!({ "id": format!("{kind}/{vmid}"), "vmid": vmid, "node": node, "type": kind, "status": "unknown" })
            });
        }
    }
    if kind.is_none_or(|kind| kind == "node") {
        for (name, is_online) in &cluster.nodes {
            let status = if *is_online { "online" } else { "offline" };
            rows.push(json!({ "id": format!("node/{name}"), "node": name, "type": "node", "status": status }));
        }
    }
    if kind.is_none() {
        rows.extend(cluster.others.iter().cloned());
    }
    rows
}

fn guest(cluster: &Cluster, (node, kind, vmid): (&str, &str, &str), rest: &[&str], current: bool) -> Reply {
    match cluster.nodes.get(node) {
        None => {
            let why = "failed to get address info for";
            return Reply::no(
                500,
                &format!("hostname lookup '{node}' failed - {why}: {node}: Name or service not known"),
            );
        }
        Some(false) => return Reply::no(595, "No route to host"),
        Some(true) => {}
    }
    if !cluster.sees_guests {
        return Reply::no(403, &format!("Permission check failed (/vms/{vmid}, VM.Audit)"));
    }
    let here = vmid.parse().ok().and_then(|vmid: u32| cluster.guests.get(&vmid));
    let Some(guest) = here.filter(|guest| guest.node == node && guest.kind == kind) else {
        let folder = if kind == "lxc" { "lxc" } else { "qemu-server" };
        return Reply::no(500, &format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist"));
    };
    match (kind, rest) {
        (_, ["config"]) => Reply::ok(guest.pending.as_ref().filter(|_| !current).unwrap_or(&guest.config)),
        ("lxc", ["interfaces"]) | ("qemu", ["agent", "network-get-interfaces"]) => guest.interfaces.clone(),
        _ => Reply::no(501, "no such uri"),
    }
}
