//! The description of the API as OpenAPI 3.1, made of the table of endpoints and the schemas beside this file.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use super::commands::{COMMANDS, Command};
use super::{ENDPOINTS, Endpoint, answer};

/// JSON Schemas of the answers, by name.
const SCHEMAS: &str = include_str!("schemas.json");

/// `GET /api/v1/openapi.json`
pub async fn document(asked: HeaderMap) -> Response {
    answer(&asked, StatusCode::OK, &describe())
}

/// The whole description.
pub fn describe() -> Json {
    let schemas: Json = serde_json::from_str(SCHEMAS).expect("a test reads the schemas");
    let mut paths: Map<String, Json> = ENDPOINTS.iter().map(|e| (e.path.to_owned(), path(e))).collect();
    for one in COMMANDS {
        let entry = paths.entry(one.path).or_insert_with(|| json!({}));
        entry["post"] = command(one);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Backhaul",
            "version": "1",
            "summary": "What the pages of a mesh's backhaul show, for programs.",
            "description": "Without signing in, answers hold what everybody may see: packets whose senders agreed to MQTT, on \
                channels that anyone can read, with positions cut to about 1.5 km. Times are Unix milliseconds, names of \
                fields end with their unit, and a field keeps its meaning within a version (`v`). Answers carry an ETag.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "backhaul_session" },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `/tokens` or `backhaul token new`. It may `read` (everything that is kept) or \
                        `operate` (the commands, too).",
                },
            },
        },
        "security": [{}, { "session": [] }, { "token": [] }],
    })
}

fn command(command: &Command) -> Json {
    let number = json!({
        "name": "number", "in": "path", "required": true, "description": "Its number.", "schema": { "type": "integer" }, "example": 1,
    });
    let parameters: Vec<Json> = command.path.contains("{number}").then_some(number).into_iter().collect();
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let content = |name: &str| json!({ "application/json": { "schema": reference(name) } });
    json!({
        "operationId": format!("do_{}", name_of(command.path)),
        "summary": command.summary,
        "description": "For the role operator, or a token that may `operate`.",
        "security": [{ "session": [] }, { "token": [] }],
        "parameters": parameters,
        "requestBody": { "required": true, "content": content(command.body) },
        "responses": {
            "2XX": { "description": "Done.", "content": content("Done") },
            "4XX": { "description": "Not done, with why.", "content": content("Problem") },
        },
    })
}

fn name_of(path: &str) -> String {
    path.trim_start_matches("/api/v1/").replace(['/', '.'], "_").replace(['{', '}'], "")
}

fn path(endpoint: &Endpoint) -> Json {
    let parameters: Vec<Json> = endpoint
        .parameters
        .iter()
        .map(|parameter| {
            let in_path = endpoint.path.contains(&format!("{{{}}}", parameter.name));
            json!({
                "name": parameter.name,
                "in": if in_path { "path" } else { "query" },
                "required": in_path,
                "description": parameter.doc,
                "schema": { "type": parameter.kind },
                "example": match (parameter.kind, parameter.example.parse::<i64>()) {
                    ("integer", Ok(number)) => json!(number),
                    _ => json!(parameter.example),
                },
            })
        })
        .collect();
    let content = match endpoint.schema {
        Some(name) => {
            json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } })
        }
        None if endpoint.path.ends_with(".json") => {
            json!({ "application/json": { "schema": { "type": "object" } } })
        }
        None => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    let refusal = |what: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({ "description": what, "content": { "application/json": { "schema": schema } } })
    };
    json!({ "get": {
        "operationId": name_of(endpoint.path),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            "200": { "description": endpoint.summary, "content": content },
            "304": { "description": "Nothing has changed since the answer whose tag came with the question." },
            "429": refusal("Too many questions at once; `Retry-After` says how long to wait."),
            "4XX": refusal("The question is not understood, or its answer is not for whoever asks."),
            "5XX": refusal("The broker or the history does not answer."),
        },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_schema_and_every_schema_is_used() {
        let schemas: Map<String, Json> = serde_json::from_str(SCHEMAS).unwrap();
        let text = describe().to_string();
        for endpoint in ENDPOINTS {
            if let Some(name) = endpoint.schema {
                assert!(
                    schemas.contains_key(name),
                    "{} answers with {name}, which has no schema",
                    endpoint.path
                );
            }
        }
        for name in schemas.keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name} is not used");
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_described() {
        for endpoint in ENDPOINTS {
            let braces = endpoint.path.split('{').skip(1).filter_map(|part| part.split('}').next());
            for name in braces {
                assert!(endpoint.parameters.iter().any(|p| p.name == name), "{} lacks {name}", endpoint.path);
            }
        }
    }
}
