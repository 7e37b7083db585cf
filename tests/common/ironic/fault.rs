//! What can go wrong.

use super::api;
use super::wait_while;
use super::wire::{Request, Response};
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// With this status, and Ironic's way to say so.
    Status(u16),
    /// With this answer: status, content type, body.
    Answer(u16, &'static str, Vec<u8>),
    /// With this answer and these headers.
    AnswerWith(u16, Vec<(String, String)>, Vec<u8>),
    /// A proxy's page.
    Html(u16),
    /// To another address.
    Redirect(String),
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
    /// The right answer, a byte each time.
    Drip(Duration),
    /// The right answer after a while.
    Delay(Duration),
    /// As if there were no marker: the first page again.
    IgnoreMarker,
    /// As if neither a state nor a node had been asked for: all of them.
    IgnoreFilters,
    /// The page behind the right one; not of what a single node is asked for.
    SkipPage,
    /// `next` leads there.
    Next(String),
    /// There is no `next`.
    NoNext,
    /// An answer with so many bytes in it.
    Huge(usize),
    /// The same, but packed: small on the wire.
    Bomb(usize),
    /// An answer that calls itself packed and is not.
    BadGzip,
    /// 401 with all headers of the request in its text, as debugging proxies do.
    Echo,
    /// As if the client had sent no version, which somebody on the way has taken away.
    NoVersion,
}

impl Fault {
    /// Goes wrong. Gives how many bytes it sent and whether the connection goes on.
    pub fn play(
        self,
        request: &Request,
        right: impl Fn(&Request) -> Response,
        to: &mut impl Write,
        is_up: impl Fn() -> bool,
    ) -> io::Result<(u64, bool)> {
        let answer = match self {
            Self::Status(status) => api::error(status, "simulated fault"),
            Self::Answer(status, kind, body) => Response::new(status, kind, body),
            Self::AnswerWith(status, headers, body) => Response { status, reason: None, headers, body },
            Self::Html(status) => Response::new(status, "text/html", proxy_page(status)),
            Self::Redirect(location) => Response::new(301, "text/html", "moved").header("Location", location),
            Self::Echo => echo(request),
            Self::IgnoreMarker
            | Self::IgnoreFilters
            | Self::SkipPage
            | Self::Next(_)
            | Self::NoNext
            | Self::NoVersion => {
                return changed(&self, request, right).send(request, to).map(|sent| (sent, true));
            }
            Self::HalfJson => {
                let mut answer = right(request);
                answer.body.truncate(answer.body.len() / 2);
                answer
            }
            Self::Huge(size) => Response::json(200, long(size)),
            Self::Bomb(size) => Response::json(200, long(size)).packed(),
            Self::BadGzip => right(request).header("Content-Encoding", "gzip"),
            Self::Close => return Ok((0, false)),
            Self::NoHttp => {
                to.write_all(b"220 mail.example.com ESMTP\r\n\r\n")?;
                return Ok((0, false));
            }
            Self::CutOff => {
                let answer = right(request);
                to.write_all(answer.head(answer.body.len()).as_bytes())?;
                to.write_all(&answer.body[..answer.body.len() / 2])?;
                return Ok((0, false));
            }
            Self::Stall => {
                wait_while(Duration::from_secs(60), is_up);
                return Ok((0, false));
            }
            Self::Drip(pause) => {
                let answer = right(request);
                let head = answer.head(answer.body.len());
                for byte in head.bytes().chain(answer.body) {
                    to.write_all(&[byte])?;
                    to.flush()?;
                    thread::sleep(pause);
                }
                return Ok((0, false));
            }
            Self::Delay(_) => right(request),
        };
        answer.send(request, to).map(|sent| (sent, true))
    }
}

/// The right answer to a request that somebody on the way has changed, or changed itself.
fn changed(fault: &Fault, request: &Request, right: impl Fn(&Request) -> Response) -> Response {
    let mut answer = match fault {
        Fault::IgnoreMarker => right(&request.with_parameter("marker", None)),
        Fault::IgnoreFilters => {
            right(&request.with_parameter("provision_state", None).with_parameter("node_uuid", None))
        }
        Fault::NoVersion => right(&request.without_header("x-openstack-ironic-api-version")),
        _ => right(request),
    };
    let Ok(serde_json::Value::Object(mut page)) = serde_json::from_slice(&answer.body) else { return answer };
    match fault {
        // Nobody says that it goes on behind a page without entries.
        Fault::Next(url) => {
            if !page.values().any(|value| value.as_array().is_some_and(Vec::is_empty)) {
                page.insert("next".to_owned(), url.clone().into());
            }
        }
        Fault::NoNext => drop(page.remove("next")),
        Fault::SkipPage => {
            let last = page["ports"].as_array().and_then(|ports| ports.last()?["uuid"].as_str());
            // Behind the last page there is none to be left out.
            let is_left_out = last.is_some() && !request.query.contains("node_uuid=");
            return if is_left_out { right(&request.with_parameter("marker", last)) } else { answer };
        }
        _ => return answer,
    }
    answer.body = serde_json::Value::Object(page).to_string().into_bytes();
    answer
}

fn long(size: usize) -> Vec<u8> {
    let mut body = br#"{"ports": []"#.to_vec();
    body.resize(size, b' ');
    body.push(b'}');
    body
}

fn echo(request: &Request) -> Response {
    let seen = request.seen();
    api::error(401, &format!("you sent {:?} {}", seen.headers, seen.body))
}

fn proxy_page(status: u16) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>{status} from the proxy</title></head><body><h1>No</h1></body></html>\n"
    )
}
