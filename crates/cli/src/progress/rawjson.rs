//! Progress for programs: an object per line, as `docker buildx build --progress=rawjson` prints it (`SolveStatus` of
//! BuildKit's client package). A step is a vertex; what it says are logs, in base64.

use super::View;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wiac_build::progress::{Event, Progress, Step, Stream};
use wiac_oci::digest::Digest;
use wiac_oci::time::now;

/// What BuildKit says of a vertex that was ended since something else was.
const CANCELED: &str = "context canceled";

/// Objects.
#[derive(Default)]
pub(super) struct RawJson {
    /// The vertices under way, by their numbers.
    vertices: BTreeMap<usize, Vertex>,
}

struct Vertex {
    digest: String,
    started: String,
}

impl RawJson {
    fn digest(&self, number: usize) -> &str {
        self.vertices.get(&number).map_or("", |vertex| vertex.digest.as_str())
    }

    fn vertex(&self, step: &Step<'_>, more: &Value) -> Value {
        let mut vertex = json!({
            "digest": self.digest(step.number),
            "name": format!("[{} {}/{}] {}", step.stage, step.position, step.count, step.text),
            "started": self.vertices.get(&step.number).map(|vertex| vertex.started.as_str()),
        });
        if step.position > 1 {
            vertex["inputs"] = json!([id(step.stage, step.position - 1)]);
        }
        if let (Some(vertex), Some(more)) = (vertex.as_object_mut(), more.as_object()) {
            vertex.extend(more.clone());
        }
        json!({ "vertexes": [vertex] })
    }
}

impl Progress for RawJson {
    fn event(&mut self, event: Event<'_>) {
        let object = match event {
            Event::Planned { .. } => return,
            Event::Started { step } => {
                let vertex = Vertex {
                    digest: id(step.stage, step.position),
                    started: now(),
                };
                self.vertices.insert(step.number, vertex);
                self.vertex(&step, &json!({}))
            }
            Event::Waiting { number, reason } => json!({ "statuses": [{
                "id": format!("waiting {reason}"),
                "vertex": self.digest(number),
                "name": format!("waiting {reason}"),
                "current": 0,
                "timestamp": now(),
                "started": now(),
            }] }),
            Event::Output { number, stream, bytes } => json!({ "logs": [{
                "vertex": self.digest(number),
                "stream": if stream == Stream::Output { 1 } else { 2 },
                "data": BASE64_STANDARD.encode(bytes),
                "timestamp": now(),
            }] }),
            Event::Done { step, cached, .. } => {
                let more = if cached {
                    json!({ "completed": now(), "cached": true })
                } else {
                    json!({ "completed": now() })
                };
                self.vertex(&step, &more)
            }
            Event::Failed { step, reason, .. } => {
                let more = json!({ "completed": now(), "error": reason.unwrap_or(CANCELED) });
                self.vertex(&step, &more)
            }
            Event::Warning(message) => json!({ "warnings": [{
                "level": 1,
                "short": BASE64_STANDARD.encode(message),
            }] }),
        };
        super::write(&format!("{object}\n"));
    }
}

impl View for RawJson {
    fn has_shown_failure(&self) -> bool {
        true
    }
}

/// What names a step for as long as a build takes.
fn id(stage: &str, position: usize) -> String {
    Digest::sha256(format!("{stage}\0{position}")).to_string()
}
