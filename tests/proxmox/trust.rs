//! Who is at the other end.

use super::is;
use super::simulator::{Asking, Authority, Certificates, Cluster, Simulator, access};
use instances::source::proxmox::{Access, Client, Cluster as _, Failure, Fingerprint, Kind, Trust};
use std::net::Ipv4Addr;

fn trusting(simulator: &Simulator, trust: Trust) -> Asking {
    Asking::new(&Access { trust, ..access(simulator) })
}

fn with_ca(simulator: &Simulator) -> Trust {
    access(simulator).trust
}

fn pinned(certificates: &Certificates) -> Trust {
    let digest = ring::digest::digest(&ring::digest::SHA256, &certificates.server);
    Trust { fingerprints: vec![Fingerprint(digest.as_ref().try_into().unwrap())], ..Trust::default() }
}

/// One whose certificate is for these names, until this year.
fn certified(names: &'static [&'static str], until: i32) -> Simulator {
    let address = own_address();
    let certify = move |authority: &Authority, _| {
        let own = address.to_string();
        let names = if names.is_empty() { vec![own.as_str()] } else { names.to_vec() };
        authority.certify(address, &names, until)
    };
    Simulator::certified(Cluster::samples(), 1, certify)
}

fn own_address() -> Ipv4Addr {
    Certificates::new().address
}

#[track_caller]
fn refused(asking: &Asking, text: &str) -> Failure {
    let failure = asking.resources().unwrap_err();
    is(&failure, Kind::Tls, text);
    failure
}

#[test]
fn a_cluster_is_known_by_its_ca() {
    let simulator = Simulator::start();
    assert!(Asking::of(&simulator).resources().is_ok());
    assert_eq!(simulator.seen().len(), 1);
    // By the system's certificates it is not.
    let failure = match Client::new(&Access { trust: Trust::default(), ..access(&simulator) }) {
        Ok(_) => refused(&trusting(&simulator, Trust::default()), "invalid peer certificate: UnknownIssuer"),
        // This system has no certificates at all.
        Err(error) => {
            assert!(error.to_string().contains("/etc/pve/pve-root-ca.pem"), "{error}");
            return;
        }
    };
    is(&failure, Kind::Tls, "/etc/pve/pve-root-ca.pem");
    // Nor by another CA.
    let other = Simulator::start();
    refused(&trusting(&simulator, with_ca(&other)), "UnknownIssuer");
    assert!(simulator.seen().is_empty(), "nobody who is not trusted sees the token");
}

#[test]
fn an_expired_certificate_is_refused() {
    let simulator = certified(&[], 2001);
    refused(&Asking::of(&simulator), "certificate expired");
    assert!(simulator.seen().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_that_is_the_name_meant() {
    let simulator = certified(&["pve.example.com"], 2999);
    refused(&Asking::of(&simulator), "not valid for name");
    let trust = Trust { server_name: Some("pve.example.com".to_owned()), ..with_ca(&simulator) };
    let asking = trusting(&simulator, trust);
    asking.resources().unwrap();
    assert_eq!(simulator.hosts[0].names(), [Some("pve.example.com".to_owned())], "it is asked for, too");
    let (_, port) = simulator.url().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    assert_eq!(simulator.seen()[0].header("host"), Some(&*format!("pve.example.com:{port}")), "here, too");
    let shown = asking.client.host().to_owned();
    assert_eq!(shown, simulator.url(), "people are told where it really is");
    let trust = Trust { server_name: Some("other.example.com".to_owned()), ..with_ca(&simulator) };
    refused(&trusting(&simulator, trust), "not valid for name");
    // A server's name may be an address.
    let simulator = certified(&["192.0.2.1"], 2999);
    let trust = Trust { server_name: Some("192.0.2.1".to_owned()), ..with_ca(&simulator) };
    trusting(&simulator, trust).resources().unwrap();
}

#[test]
fn a_pin_takes_the_very_certificate_and_no_other() {
    let simulator = certified(&["who.example.com"], 2001);
    let right = pinned(&simulator.hosts[0].server().certificates);
    trusting(&simulator, right.clone()).resources().unwrap();
    let wrong = pinned(&Certificates::new());
    let failure = refused(&trusting(&simulator, wrong.clone()), "which is not pinned");
    is(&failure, Kind::Tls, &format!("has the fingerprint {},", right.fingerprints[0]));
    // Not even if its issuer is known, or nobody is to look.
    let good = Simulator::start();
    refused(&trusting(&good, Trust { ca_file: Some(good.ca_file()), ..wrong.clone() }), "which is not pinned");
    refused(&trusting(&good, Trust { is_blind: true, ..wrong.clone() }), "which is not pinned");
    assert!(good.seen().is_empty());
    // Each node has its own.
    let both = Trust { fingerprints: vec![wrong.fingerprints[0], right.fingerprints[0]], ..Trust::default() };
    trusting(&simulator, both).resources().unwrap();
}

#[test]
fn nobody_looks_if_nobody_is_to_and_people_are_told_so() {
    let simulator = certified(&["who.example.com"], 2001);
    let asking = trusting(&simulator, Trust { is_blind: true, ..Trust::default() });
    asking.resources().unwrap();
    let notices = asking.client.notices();
    assert!(notices.len() == 1 && notices[0].contains("nobody looks at the API's certificate"), "{notices:?}");
    assert!(asking.client.notices().is_empty(), "once");
    assert!(Asking::of(&Simulator::start()).client.notices().is_empty());
}

#[test]
fn what_cannot_be_trusted_is_told_at_the_start() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let error = |trust: Trust| Client::new(&Access { trust, ..access(&simulator) }).err().unwrap().to_string();
    let with = |file: &std::path::Path| Trust { ca_file: Some(file.to_owned()), ..Trust::default() };
    assert!(error(with(&file)).contains("No such file"), "{}", error(with(&file)));
    std::fs::write(&file, "hello").unwrap();
    assert!(error(with(&file)).contains("holds no certificate; it must be PEM"), "{}", error(with(&file)));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, broken).unwrap();
    assert!(error(with(&file)).contains("ca.pem: "), "{}", error(with(&file)));
    let name = Trust { server_name: Some("a b\u{1b}".to_owned()), ..with_ca(&simulator) };
    assert!(error(name.clone()).contains("neither a host's name nor an address"), "{}", error(name));
}

#[test]
fn something_that_speaks_no_tls_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let simulator = Simulator::start();
    let hosts = vec![instances::source::proxmox::host(&address.to_string()).unwrap()];
    let failure = Asking::new(&Access { hosts, ..access(&simulator) }).resources().unwrap_err();
    is(&failure, Kind::Tls, "is it HTTPS that is spoken there?");
    server.join().unwrap();
}
