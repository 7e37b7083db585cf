//! What can go wrong.

use super::api::response;
use super::cluster::Reply;
use super::counters::Counted;
use super::http::{Request, Response};
use super::simulated::wait_while;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// With this status and reason phrase, as Proxmox says it.
    No(u16, &'static str),
    /// With exactly this: status, reason phrase, body.
    Answer(u16, &'static str, Vec<u8>),
    /// A proxy's page.
    Html(u16),
    /// To another address.
    Redirect(&'static str),
    /// The right answer, but only half of the JSON, in good HTTP.
    HalfJson,
    /// The right answer, but the connection breaks in the middle.
    CutOff,
    /// The connection is closed instead of an answer.
    Close,
    /// Bytes that are no HTTP.
    NoHttp,
    /// No answer, while the connection stays.
    Stall,
    /// The right answer after a while.
    Delay(Duration),
    /// An answer with so many octets in it, which says so first.
    Huge(usize),
    /// The same, but nobody knows before how long it is.
    Endless(usize),
    /// The same, but packed: small on the wire.
    Bomb(usize),
    /// The right answer, packed.
    Packed,
    /// The right answer, which says that it is packed.
    BadPacking,
    /// 500 with the request's own headers in the reason phrase, behind so many other characters.
    Echo(usize),
}

impl Fault {
    /// Goes wrong. Whether the connection goes on.
    pub fn play(
        self,
        request: &Request,
        right: impl Fn() -> Response,
        to: &mut impl Write,
        is_up: impl Fn() -> bool,
        counted: Counted<'_>,
    ) -> io::Result<bool> {
        let answer = match self {
            Self::No(status, reason) => response(&Reply::no(status, reason)),
            Self::Answer(status, reason, body) => response(&Reply { status, reason: reason.to_owned(), body }),
            Self::Html(status) => {
                let page =
                    format!("<!DOCTYPE html>\n<html><head><title>{status} from the proxy</title></head></html>\n");
                Response::new(status, "text/html", page)
            }
            Self::Redirect(location) => Response::new(301, "text/html", "moved").header("Location", location),
            Self::HalfJson => {
                let mut answer = right();
                answer.body.truncate(answer.body.len() / 2);
                answer
            }
            Self::Huge(size) => Response::json(200, long(size)),
            Self::Bomb(size) => Response::json(200, long(size)).packed(),
            Self::Packed => right().packed(),
            Self::BadPacking => right().header("Content-Encoding", "gzip"),
            Self::Endless(size) => {
                to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
                to.write_all(br#"{"data":["#)?;
                let piece = vec![b' '; 65_536];
                for _ in 0..size / piece.len() {
                    to.write_all(&piece)?;
                }
                return Ok(false);
            }
            Self::Echo(before) => {
                let echo = request.header("authorization").unwrap_or_default();
                let reason = format!("{}{echo}", "x".repeat(before));
                response(&Reply::no(500, &reason))
            }
            Self::Close => return Ok(false),
            Self::NoHttp => {
                to.write_all(b"220 mail.example.com ESMTP\r\n\r\n")?;
                return Ok(false);
            }
            Self::CutOff => {
                let answer = right();
                to.write_all(answer.head(answer.body.len()).as_bytes())?;
                to.write_all(&answer.body[..answer.body.len() / 2])?;
                return Ok(false);
            }
            Self::Stall => {
                wait_while(Duration::from_secs(60), is_up);
                return Ok(false);
            }
            Self::Delay(time) => {
                thread::sleep(time);
                right()
            }
        };
        let ends = answer.status >= 590;
        drop(counted);
        answer.send(request, to).map(|_| !ends)
    }
}

fn long(size: usize) -> Vec<u8> {
    let mut body = br#"{"data": []"#.to_vec();
    body.resize(size, b' ');
    body.push(b'}');
    body
}
