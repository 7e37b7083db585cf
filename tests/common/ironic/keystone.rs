//! Keystone's part: tokens for passwords and application credentials, with a catalogue.

use super::state::State;
use super::wire::{Request, Response};
use serde_json::{Value, json};
use std::time::{Instant, SystemTime};

/// The answer to a request below `/identity`.
pub fn answer(state: &mut State, request: &Request) -> Response {
    if (request.method.as_str(), request.path.as_str()) != ("POST", "/identity/v3/auth/tokens") {
        return refusal(404, "Not Found", "The resource could not be found.");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return refusal(400, "Bad Request", "Malformed json in request body");
    };
    let identity = &body["auth"]["identity"];
    let (who, secret) = match identity["methods"][0].as_str() {
        Some("password") => (&identity["password"]["user"], "password"),
        Some("application_credential") if body["auth"].get("scope").is_some() => {
            return refusal(
                401,
                "Unauthorized",
                "Error authenticating with application credential: Application credentials cannot request a scope.",
            );
        }
        Some("application_credential") => (&identity["application_credential"], "secret"),
        _ => return refusal(400, "Bad Request", "Expecting to find methods in identity."),
    };
    let name = who["name"].as_str().or(who["id"].as_str()).unwrap_or_default();
    if who.get("name").is_some() && who.get("domain").is_none() && who.get("user").is_none() {
        return refusal(400, "Bad Request", "Expecting to find domain in user.");
    }
    let given = (name.to_owned(), who[secret].as_str().unwrap_or_default().to_owned());
    if !state.accounts.contains(&given) {
        return refusal(401, "Unauthorized", "The request you have made requires authentication.");
    }
    state.tokens_given += 1;
    let token = format!(
        "gAAAAAB{:032x}",
        u128::from(state.tokens_given).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    );
    state.tokens.insert(token.clone(), Instant::now() + state.token_lifetime);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    let issued = i64::try_from(now).unwrap() + state.clock_error * 1_000_000;
    let expires = issued + i64::try_from(state.token_lifetime.as_micros()).unwrap();
    let mut description =
        json!({ "methods": identity["methods"], "issued_at": iso(issued), "expires_at": iso(expires) });
    if request.query != "nocatalog" {
        description["catalog"] = serde_json::from_str(&state.catalog).unwrap();
    }
    Response::json(201, json!({ "token": description }).to_string()).header("X-Subject-Token", token)
}

fn refusal(code: u16, title: &str, message: &str) -> Response {
    Response::json(code, json!({ "error": { "code": code, "title": title, "message": message } }).to_string())
}

/// Microseconds since 1970 as Keystone writes them.
fn iso(microseconds: i64) -> String {
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date, counted in eras of 400 years from 0000-03-01.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}
