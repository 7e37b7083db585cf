//! The page of `instances-proxmox` in a real browser.

use crate::browser::Browser;
use crate::made_up;
use instances::daemon::endpoint::Listener;
use instances::daemon::proxmox::metrics::Metrics;
use instances::daemon::proxmox::page;
use instances::daemon::proxmox::snapshot::{Dnsmasq, Snapshot};
use serde_json::json;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Serves this snapshot.
fn serve(snapshot: Snapshot) -> (Metrics, SocketAddr) {
    let started = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    let metrics = Metrics::new(started, Duration::from_secs(600));
    metrics.snapshot(snapshot);
    metrics.round(Duration::from_secs(1));
    let listener = Listener::bind_as("LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    page::serve(listener, metrics.clone(), Vec::new()).unwrap();
    (metrics, address)
}

/// The page in a browser, when it shows its table.
fn shown(snapshot: Snapshot) -> Option<(Browser, Metrics)> {
    let browser = Browser::open(true)?;
    let (metrics, address) = serve(snapshot);
    browser.go(&format!("http://{address}/"));
    browser.until("the table is shown", "document.querySelectorAll('tbody tr').length > 0");
    Some((browser, metrics))
}

/// The names in the table, from top to bottom.
fn names(browser: &Browser) -> Vec<String> {
    let names = browser.value("[...document.querySelectorAll('tbody .name')].map((name) => name.textContent)");
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn names_are_shown_with_all_about_them_and_can_be_filtered_and_sorted() {
    let Some((browser, _metrics)) = shown(made_up::snapshot()) else { return };
    browser.screenshot("page-light");
    assert_eq!(names(&browser), ["printer.lan", "web.lan", "db.lan", "db.lan"]);
    let row = browser.text("tbody tr:nth-child(2)");
    for part in [
        "web.lan",
        "192.0.2.10",
        "PTR",
        "CT 101",
        "running",
        "pve1",
        "net0",
        "02:00:00:00:00:65",
        "vmbr0",
        "config",
        "min",
    ] {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert!(browser.text("#health").contains("All is well"));
    for (filter, expected) in [
        ("db", vec!["db.lan", "db.lan"]),
        ("DB 2001", vec!["db.lan"]),
        ("static", vec!["printer.lan", "web.lan"]),
        ("02:00:00:00:00:65", vec!["web.lan"]),
        ("pve2", vec!["db.lan", "db.lan"]),
    ] {
        browser.clear("#filter");
        browser.type_into("#filter", filter);
        assert_eq!(names(&browser), expected, "{filter}");
    }
    browser.clear("#filter");
    browser.type_into("#filter", "nobody is called so");
    assert_eq!((names(&browser).len(), browser.text("#nothing").as_str()), (0, "Nothing is like that."));
    browser.clear("#filter");
    browser.click("th:nth-child(1) button");
    assert_eq!(names(&browser), ["db.lan", "db.lan", "printer.lan", "web.lan"]);
    browser.click("th:nth-child(2) button");
    browser.click("th:nth-child(2) button");
    assert_eq!(browser.text("tbody tr td:nth-child(2)"), "2001:db8::20 PTR");
    assert_eq!(browser.value("document.querySelector('th:nth-child(2)').ariaSort"), "descending");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_guests_call_themselves_is_text_wherever_it_is_shown() {
    let hostile = "<script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 1\">\u{1f980}";
    let mut snapshot = made_up::snapshot();
    for guest in &mut snapshot.guests {
        guest.name = Some(hostile.to_owned());
        guest.node = format!("{}{hostile}", guest.node);
    }
    snapshot.nodes = [(hostile.to_owned(), true)].into();
    snapshot.warnings = vec![format!("guest 101: {hostile} is no name")];
    snapshot.troubles = vec![format!("the node {hostile} does not answer")];
    snapshot.dnsmasq = Dnsmasq::Down(hostile.to_owned());
    snapshot.networks[0].place = hostile.to_owned();
    let Some((browser, metrics)) = shown(snapshot) else { return };
    browser.click("#warnings summary");
    for selector in ["tbody tr:nth-child(2) td:nth-child(3)", "#warnings", "#troubles", "#tiles", "#health"] {
        assert!(browser.text(selector).contains(hostile), "{selector}: {}", browser.text(selector));
    }
    for tab in 1..=4 {
        browser.click(&format!("#tabs button:nth-child({tab})"));
        assert_eq!(
            browser.value("[window.pwned ?? null, document.querySelectorAll('img, body script').length]"),
            json!([null, 1])
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(metrics);
}

#[test]
fn what_is_wrong_is_shown_and_what_changes_comes_by_itself() {
    let mut snapshot = made_up::snapshot();
    snapshot.guests[0].stale = Some((Duration::from_secs(40), "the node pve1 does not answer".to_owned()));
    let Some((browser, metrics)) = shown(snapshot) else { return };
    browser.click("#warnings summary");
    assert!(browser.text("#warnings").contains("guest 101: \"we b\" is no name for DNS; it is called web"));
    assert!(browser.text("#tiles").contains("pve3 offline"));
    assert!(browser.text("tbody tr:nth-child(2)").contains("the node pve1 does not answer"));
    browser.click("#stale");
    assert_eq!(names(&browser), ["web.lan"]);
    browser.click("#stale");
    browser.click("#tabs button:nth-child(2)");
    assert!(browser.text("tbody").contains("mail.lan") && browser.text("tbody").contains("103"));
    browser.click("#tabs button:nth-child(4)");
    assert!(browser.text("tbody").contains("172.17.0.1") && browser.text("tbody").contains("outside"));
    browser.click("#tabs button:nth-child(1)");
    let mut next = made_up::snapshot();
    next.rows.push(made_up::row(103, "mail.lan", "192.0.2.30", "neighbor"));
    next.troubles = vec!["GET https://pve1:8006: 401 Authentication failed!".to_owned()];
    next.dnsmasq = Dnsmasq::Down("it has ended".to_owned());
    metrics.snapshot(next);
    browser.until("the new name comes", "document.querySelector('tbody').innerText.includes('mail.lan')");
    assert!(browser.text("#troubles").contains("401 Authentication failed!"));
    assert!(browser.text("#health").contains("dnsmasq: it has ended"));
    browser.screenshot("page-wrong");
}

#[test]
fn ten_thousand_guests_are_no_burden() {
    let mut snapshot = made_up::snapshot();
    for number in 0..10_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        let name = format!("guest-{number}");
        let address = format!("10.1.{high}.{low}");
        snapshot.rows.push(made_up::row(1000 + number, &format!("{name}.lan"), &address, "lease"));
        snapshot.guests.push(made_up::guest(1000 + number, "pve1", &name, 1));
    }
    let Some((browser, _metrics)) = shown(snapshot) else { return };
    let rows = "document.querySelectorAll('tbody tr').length";
    assert_eq!((browser.value(rows), browser.text("#count").as_str()), (json!(200), "10,004 rows"));
    browser.click("#more");
    assert_eq!(browser.value(rows), 1200);
    browser.type_into("#filter", "guest-9999");
    assert_eq!(
        (names(&browser), browser.text("#count").as_str()),
        (vec!["guest-9999.lan".to_owned()], "1 of 10,004 rows")
    );
    browser.clear("#filter");
    browser.click("th:nth-child(2) button");
    assert_eq!(browser.text("tbody tr td:nth-child(2)"), "10.1.0.0 PTR");
}

#[test]
fn it_fits_on_a_telephone_and_into_the_night() {
    let mut snapshot = made_up::snapshot();
    snapshot.rows[1].name = format!("{}.lan", "long".repeat(15));
    snapshot.guests[1].name = Some("x".repeat(300));
    snapshot.warnings.push(format!("guest 102: {} is no name", "x".repeat(300)));
    let Some((browser, _metrics)) = shown(snapshot) else { return };
    let ground = "getComputedStyle(document.body).backgroundColor";
    browser.prefers("light");
    let light = browser.value(ground);
    browser.prefers("dark");
    assert_ne!(browser.value(ground), light);
    browser.screenshot("page-dark");
    for width in [320, 390, 768, 1280] {
        browser.resize(width, 844);
        let fits = browser.value("document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{width} pixels");
        browser.screenshot(&format!("page-{width}"));
    }
}

#[test]
fn without_script_there_is_a_plain_table() {
    let Some(browser) = Browser::open(false) else { return };
    let mut snapshot = made_up::snapshot();
    snapshot.guests[0].name = Some("<b>web</b>".to_owned());
    let (_metrics, address) = serve(snapshot);
    browser.go(&format!("http://{address}/"));
    browser.until("the plain table is shown", "location.pathname === '/plain' && document.readyState === 'complete'");
    let table = browser.text("table");
    assert!(
        table.contains("web.lan") && table.contains("<b>web</b>") && table.contains("net0 02:00:00:00:00:65"),
        "{table}"
    );
    assert!(browser.text("main").contains("is no name for DNS") && browser.text("main").contains("pve3 offline"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.screenshot("page-plain");
}

#[test]
fn it_says_so_when_the_program_does_not_answer_and_notices_another_run_of_it() {
    let Some(browser) = Browser::open(true) else { return };
    let (_metrics, address) = serve(made_up::snapshot());
    let (between, target) = passage(address);
    browser.go(&format!("http://{between}/"));
    browser.until("the table is shown", "document.querySelectorAll('tbody tr').length === 4");
    *target.lock().unwrap() = None;
    browser.until("it is noticed", "document.querySelector('#health').textContent.includes('has not answered for')");
    assert!(browser.text("#health").contains("what is shown is old"));
    assert_eq!(names(&browser).len(), 4);
    browser.screenshot("page-lost");
    // It begins to count its snapshots anew.
    let mut snapshot = made_up::snapshot();
    snapshot.rows.push(made_up::row(103, "mail.lan", "192.0.2.30", "neighbor"));
    *target.lock().unwrap() = Some(serve(snapshot).1);
    browser.until("it answers again", "document.querySelector('#health').textContent.includes('All is well')");
    assert_eq!(names(&browser).len(), 5);
}

/// Where a passage leads to; none: it is closed.
type Target = Arc<Mutex<Option<SocketAddr>>>;

/// Another way to that address, which can be closed and lead elsewhere.
fn passage(to: SocketAddr) -> (SocketAddr, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, target) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Some(to))));
    let known = Arc::clone(&target);
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            if let Some(to) = *known.lock().unwrap() {
                std::thread::spawn(move || drop(pass(&from, to)));
            }
        }
    });
    (address, target)
}

fn pass(from: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let to = TcpStream::connect(to)?;
    let (mut asking, mut asked) = (from.try_clone()?, to.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut asking, &mut asked);
        let _ = asked.shutdown(Shutdown::Write);
    });
    let (mut answering, mut answered) = (&to, from);
    io::copy(&mut answering, &mut answered)?;
    from.shutdown(Shutdown::Write)
}
