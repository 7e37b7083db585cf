//! Exchanges with a real Ironic that were recorded: tests/ironic/recorded.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// A request to a real Ironic, and its answer.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub name: String,
    pub method: String,
    /// With the query.
    pub path: String,
    pub request_headers: Vec<(String, String)>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

/// All that are there, by name.
pub fn recorded() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ironic/recorded");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| read(&fs::read_to_string(file).unwrap(), file)).collect()
}

fn read(text: &str, file: &Path) -> Recorded {
    let value: Value = serde_json::from_str(text).unwrap();
    let (request, response) = (&value["request"], &value["response"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |pair: &Value| (text(&pair[0]), text(&pair[1]));
    let headers = request["headers"].as_object().unwrap();
    Recorded {
        name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
        method: text(&request["method"]),
        path: text(&request["path"]),
        request_headers: headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        status: response["status"].as_u64().unwrap().try_into().unwrap(),
        headers: response["headers"].as_array().unwrap().iter().map(pair).collect(),
        body: response["json"].clone(),
    }
}
