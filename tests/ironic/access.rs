//! Ways in: where the API is, TLS, HTTP Basic, Keystone.

use crate::simulator::{Asking, AuthMode, Certificates, Fault, Simulator, access, catalog, keystone};
use instances::source::ironic::{Access, Auth, Baremetal as _, Client, Domain, Endpoint, Identity, Kind, Named, Scope};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// An Ironic that wants tokens, and whom Keystone knows.
fn with_keystone() -> Simulator {
    let ironic = Simulator::start();
    let url = ironic.url();
    let mut state = ironic.state();
    state.auth = AuthMode::Keystone;
    state.accounts.push(("ironic".to_owned(), "s3cret".to_owned()));
    state.catalog_at(&[
        ("public", "RegionOne", "http://127.0.0.1:9/public"),
        ("internal", "RegionTwo", "http://127.0.0.1:9/two"),
        ("internal", "RegionOne", &url),
    ]);
    drop(state);
    ironic
}

fn by_catalog(ironic: &Simulator) -> Access {
    Access { endpoint: catalog(Some("RegionOne")), auth: keystone(&ironic.auth_url()), ..access("http://unused") }
}

fn refused(access: &Access) -> String {
    Client::new(access).err().expect("a refusal").to_string()
}

#[test]
fn the_api_may_be_below_a_path_and_be_given_with_v1_or_without() {
    let ironic = Simulator::start();
    ironic.state().populate(1, 3);
    for prefix in ["", "/baremetal", "/a/b"] {
        prefix.clone_into(&mut ironic.state().prefix);
        for suffix in ["", "/", "/v1", "/v1/", "/v1?x=y#z"] {
            let url = format!("{}{suffix}", ironic.url());
            assert_eq!(Asking::at(&url).ports().unwrap().ports.len(), 3, "{url}");
        }
    }
    let failure = Asking::at(&ironic.url().replace("/a/b", "/c")).ports().unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.text.contains("check the endpoint's path"), "{failure}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    for (url, why) in [
        ("ironic:6385", "is neither http nor https"),
        ("", "is no URL"),
        ("http://", "is no URL"),
        ("ftp://u:secret@h/", "endpoint_override = ftp://h/ is neither http nor https"),
        ("http://u:secret@[", "endpoint_override = http://[ is no URL"),
    ] {
        let text = refused(&access(url));
        assert!(text.contains(why) && text.contains("write http://HOST:6385") && !text.contains("secret"), "{text}");
    }
    let nowhere = Access { endpoint: catalog(None), ..access("") };
    assert!(refused(&nowhere).contains("set endpoint_override"));
    for (url, why) in [("http://k:5000/v2.0", "write /v3"), ("k", "is no URL"), ("file:///v3", "is no URL")] {
        let text = refused(&Access { auth: keystone(url), ..access("http://i") });
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn http_basic_lets_in_with_the_right_password_only() {
    let ironic = Simulator::start();
    ironic.state().populate(1, 3);
    ironic.state().auth = AuthMode::Basic("admin".to_owned(), "s3cret\u{e4}:".to_owned());
    let basic = |password: &str| Auth::HttpBasic { username: "admin".to_owned(), password: password.to_owned() };
    let with = |auth| Asking::new(&Access { auth, ..access(&ironic.url()) }).ports();
    assert_eq!(with(basic("s3cret\u{e4}:")).unwrap().ports.len(), 3);
    let failure = with(basic("wr0ng")).unwrap_err();
    assert_eq!(failure.kind, Kind::Unauthorized);
    assert!(failure.text.contains("401 Unauthorized: Incorrect username or password; check username"), "{failure}");
    assert!(!failure.text.contains("wr0ng"));
    let failure = with(Auth::None).unwrap_err();
    assert!(failure.text.contains("set auth_type = http_basic"), "{failure}");
    // In the URL, as curl has it.
    let url = ironic.url().replace("http://", "http://admin:s3cret%C3%A4%3A@");
    assert_eq!(Asking::at(&url).ports().unwrap().ports.len(), 3);
    let failure = Asking::at(&url.replace("s3c", "t0p")).ports().unwrap_err();
    assert!(failure.text.starts_with(&format!("GET {}/v1/ports", ironic.url())), "{failure}");
}

#[test]
fn keystone_gives_a_token_for_a_password_and_says_where_ironic_is() {
    let ironic = with_keystone();
    ironic.state().populate(1, 3);
    let mut asking = Asking::new(&by_catalog(&ironic));
    assert_eq!(asking.ports().unwrap().ports.len(), 3);
    asking.nodes().unwrap();
    let seen = ironic.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(asked.len(), 1, "one token for all");
    assert_eq!(asked[0].path, "/identity/v3/auth/tokens");
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body["auth"]["identity"]["password"]["user"]["domain"]["name"], "Default");
    assert_eq!(body["auth"]["scope"]["project"]["name"], "service");
    // With the address given, the catalogue is not asked for; /v3 may be there or not.
    for auth_url in [ironic.auth_url(), format!("{}/v3/", ironic.auth_url())] {
        let mut asking = Asking::new(&Access { auth: keystone(&auth_url), ..access(&ironic.url()) });
        assert_eq!(asking.ports().unwrap().ports.len(), 3);
        assert_eq!(ironic.seen()[0].path, "/identity/v3/auth/tokens?nocatalog");
    }
}

#[test]
fn an_application_credential_needs_no_scope() {
    let ironic = with_keystone();
    ironic.state().accounts.push(("0123abcd".to_owned(), "app-s3cret".to_owned()));
    ironic.state().accounts.push(("filter".to_owned(), "app-s3cret".to_owned()));
    let user = Named::Name { name: "ironic".to_owned(), domain: Some(Domain::Id("default".to_owned())) };
    for (credential, user) in [
        (Named::Id("0123abcd".to_owned()), None),
        (Named::Name { name: "filter".to_owned(), domain: None }, Some(user)),
    ] {
        let identity = Identity::ApplicationCredential { credential, user, secret: "app-s3cret".to_owned() };
        let auth = Auth::Keystone { auth_url: ironic.auth_url(), identity, scope: Scope::System };
        Asking::new(&Access { auth, ..by_catalog(&ironic) }).ports().unwrap();
        let body: serde_json::Value = serde_json::from_str(&ironic.seen()[0].body).unwrap();
        assert_eq!(body["auth"].get("scope"), None);
    }
}

#[test]
fn every_scope_is_asked_for_as_keystone_wants_it() {
    let ironic = with_keystone();
    for (scope, json) in [
        (Scope::Default, serde_json::Value::Null),
        (Scope::System, serde_json::json!({ "system": { "all": true } })),
        (Scope::Domain(Domain::Id("default".to_owned())), serde_json::json!({ "domain": { "id": "default" } })),
        (Scope::Project(Named::Id("p".to_owned())), serde_json::json!({ "project": { "id": "p" } })),
    ] {
        let Auth::Keystone { auth_url, identity, .. } = keystone(&ironic.auth_url()) else { panic!() };
        let auth = Auth::Keystone { auth_url, identity, scope };
        Asking::new(&Access { auth, ..by_catalog(&ironic) }).ports().unwrap();
        let body: serde_json::Value = serde_json::from_str(&ironic.seen()[0].body).unwrap();
        assert_eq!(body["auth"]["scope"], json);
    }
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    let ironic = with_keystone();
    let mut asking = Asking::new(&by_catalog(&ironic));
    asking.ports().unwrap();
    ironic.state().revoke_tokens();
    asking.ports().unwrap();
    assert_eq!(ironic.state().tokens_given, 2);
    // And not for ever.
    ironic.fault("/v1", Fault::Status(401));
    let failure = asking.ports().unwrap_err();
    assert_eq!(failure.kind, Kind::Unauthorized);
    assert!(failure.text.contains("a fresh token is refused, too"), "{failure}");
    assert_eq!(ironic.state().tokens_given, 3);
}

#[test]
fn a_token_is_renewed_before_it_ends_whatever_keystones_clock_says() {
    let ironic = with_keystone();
    ironic.state().clock_error = -86_400;
    ironic.state().token_lifetime = Duration::from_secs(3);
    let mut asking = Asking::new(&by_catalog(&ironic));
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        asking.ports().unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let given = ironic.state().tokens_given;
    let refused = ironic.state().tokens_refused;
    assert!((2..=4).contains(&given), "{given} tokens in five seconds");
    // On a busy machine, a question may take longer than the token has left.
    assert!(refused < given, "{refused} of {given} tokens were refused");
}

#[test]
fn a_token_that_is_still_good_is_used_while_keystone_is_away() {
    let ironic = with_keystone();
    ironic.state().token_lifetime = Duration::from_secs(4);
    let mut asking = Asking::new(&by_catalog(&ironic));
    let asked = Instant::now();
    asking.ports().unwrap();
    ironic.fault("/identity", Fault::Status(503));
    std::thread::sleep(Duration::from_millis(3100).saturating_sub(asked.elapsed()));
    let answer = asking.ports();
    // On a busy machine it may have ended by now.
    if asked.elapsed() < Duration::from_secs(4) {
        answer.unwrap();
        assert_eq!(ironic.state().tokens_given, 1);
    }
    std::thread::sleep(Duration::from_millis(4100).saturating_sub(asked.elapsed()));
    let failure = asking.ports().unwrap_err();
    assert_eq!(failure.kind, Kind::Server);
    assert!(failure.text.contains("POST ") && failure.text.contains("look at Keystone's log"), "{failure}");
    ironic.heal();
    asking.ports().unwrap();
}

#[test]
fn keystones_refusals_say_what_to_do() {
    let ironic = with_keystone();
    let with = |change: &dyn Fn(&mut Identity, &mut String)| {
        let Auth::Keystone { mut auth_url, mut identity, scope } = keystone(&ironic.auth_url()) else { panic!() };
        change(&mut identity, &mut auth_url);
        let auth = Auth::Keystone { auth_url, identity, scope };
        Asking::new(&Access { auth, ..by_catalog(&ironic) }).ports().unwrap_err()
    };
    let failure = with(&|identity, _| {
        if let Identity::Password { password, .. } = identity {
            "wr0ng".clone_into(password);
        }
    });
    assert_eq!(failure.kind, Kind::Unauthorized);
    assert!(failure.text.contains("requires authentication.; check username, password and their domain"), "{failure}");
    assert!(!failure.text.contains("wr0ng"));
    let failure = with(&|identity, _| {
        if let Identity::Password { user: Named::Name { domain, .. }, .. } = identity {
            *domain = None;
        }
    });
    assert!(
        failure.text.contains("find domain in user.; a user's and a project's name need their domains"),
        "{failure}"
    );
    let failure = with(&|_, url| url.push_str("/nowhere"));
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.text.ends_with("check auth_url"), "{failure}");
    let failure = with(&|_, url| *url = "http://127.0.0.1:9".to_owned());
    assert_eq!(failure.kind, Kind::Unreachable);
    ironic.fault("/identity", Fault::Html(200));
    let failure = with(&|_, _| ());
    assert_eq!(failure.kind, Kind::Nonsense);
}

#[test]
fn a_catalogue_without_ironic_says_what_it_has() {
    let ironic = with_keystone();
    let text = |access: &Access| {
        let failure = Asking::new(access).ports().unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "{failure}");
        failure.text
    };
    let in_three = Access { endpoint: catalog(Some("RegionThree")), ..by_catalog(&ironic) };
    let said = text(&in_three);
    assert!(
        said.contains("no internal or public endpoint of a service of type baremetal in region RegionThree"),
        "{said}"
    );
    assert!(said.contains("it has public in RegionOne, internal in RegionTwo, internal in RegionOne"), "{said}");
    let kind = Endpoint::Catalog {
        service_type: "bare".to_owned(),
        service_name: Some("x".to_owned()),
        region: None,
        interfaces: vec!["admin".to_owned()],
    };
    let said = text(&Access { endpoint: kind, ..by_catalog(&ironic) });
    assert!(said.contains("of type bare named x; it has services of the types compute, baremetal"), "{said}");
    ironic.state().catalog_at(&[("internalURL", "RegionOne", "gopher://h")]);
    assert!(text(&by_catalog(&ironic)).contains("gopher://h, is neither http nor https; set endpoint_override"));
}

#[test]
fn tls_wants_a_certificate_that_is_trusted_good_and_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let mut failures = Vec::new();
    for certificates in [Certificates::new(), Certificates::expired(), Certificates::of_another()] {
        std::fs::File::create(&ca_file).unwrap().write_all(certificates.ca.as_bytes()).unwrap();
        let ironic = Simulator::start_tls(&certificates);
        ironic.state().populate(1, 3);
        let trusting = Access { ca_file: Some(ca_file.clone()), ..access(&ironic.url()) };
        failures.push(Asking::new(&trusting).ports().map(|ports| ports.ports.len()));
        let blind = Access { insecure: true, ..access(&ironic.url()) };
        let mut asking = Asking::new(&blind);
        assert_eq!(asking.ports().unwrap().ports.len(), 3);
        assert!(asking.client.notices()[0].starts_with("insecure = true: nobody looks"));
        let failure = Asking::at(&ironic.url()).ports().unwrap_err();
        assert_eq!(failure.kind, Kind::Tls);
        let is_good = failures.len() == 1;
        assert!(!is_good || failure.text.contains("name the file with the issuer's certificate: cafile"), "{failure}");
        // Half of it only: plain HTTP spoken to TLS.
        let failure = Asking::at(&ironic.url().replace("https", "http")).ports().unwrap_err();
        assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    }
    let [good, expired, others] = failures.try_into().unwrap();
    assert_eq!(good, Ok(3));
    for failure in [expired.unwrap_err(), others.unwrap_err()] {
        assert_eq!(failure.kind, Kind::Tls);
        assert!(failure.text.contains("look at the server's certificate and at both clocks"), "{failure}");
    }
}

#[test]
fn tls_spoken_to_who_does_not_speak_it_is_told() {
    let ironic = Simulator::start();
    let failure = Asking::at(&ironic.url().replace("http", "https")).ports().unwrap_err();
    assert_eq!(failure.kind, Kind::Tls);
    assert!(failure.text.ends_with("is it HTTPS that is spoken there?"), "{failure}");
}

#[test]
fn a_ca_file_must_be_there_and_hold_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let with = |url: &str| refused(&Access { ca_file: Some(file.clone()), ..access(url) });
    assert!(with("https://h").contains("cannot read cafile") && with("https://h").contains("No such file"));
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        let said = with("https://h");
        assert!(said.contains("ca.pem"), "{said}");
    }
}

#[test]
fn secrets_show_nowhere() {
    let auth = keystone("http://u:s3cret@k/v3");
    let application = Auth::Keystone {
        auth_url: "http://k".to_owned(),
        identity: Identity::ApplicationCredential {
            credential: Named::Id("id".to_owned()),
            user: None,
            secret: "s3cret".to_owned(),
        },
        scope: Scope::Default,
    };
    let basic = Auth::HttpBasic { username: "u".to_owned(), password: "s3cret".to_owned() };
    for auth in [auth, application, basic, Auth::None] {
        let access = Access { auth, ..access("http://u:s3cret@h:6385/") };
        let shown = format!("{access:?} {access:#?}");
        assert!(!shown.contains("s3cret") && shown.contains("http://h:6385/"), "{shown}");
    }
}

#[test]
fn what_is_secret_stays_secret_if_a_server_sends_it_back() {
    let ironic = with_keystone();
    let mut asking = Asking::new(&by_catalog(&ironic));
    asking.ports().unwrap();
    ironic.fault("/", Fault::Echo);
    let failure = asking.ports().unwrap_err();
    assert!(failure.text.contains("you sent"), "{failure}");
    assert!(!failure.text.contains("s3cret") && !failure.text.contains("gAAAAAB"), "{failure}");
    let ironic = Simulator::start();
    ironic.fault("/v1/ports", Fault::Echo);
    let basic = Auth::HttpBasic { username: "admin".to_owned(), password: "s3cret".to_owned() };
    let failure = Asking::new(&Access { auth: basic, ..access(&ironic.url()) }).ports().unwrap_err();
    assert!(failure.text.contains("you sent") && !failure.text.contains("YWRtaW46czNjcmV0"), "{failure}");
}
