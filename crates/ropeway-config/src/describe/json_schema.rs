//! The JSON schema: for editors that complete and check while one types.

use serde_json::{Map, Value, json};

use crate::schema::Config;
use crate::shape::{KeySpec, Presence, Shape, TableShape};

/// What any checked string may also hold: a variable, whose value only the proxy's environment knows.
const VARIABLE: &str = r"\$\{";

/// The file format as a JSON schema (draft 2020-12).
pub fn json_schema() -> Value {
    let mut schema = table(TableShape::of::<Config>());
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Ropeway configuration"));
    }
    schema
}

fn table(table: TableShape) -> Value {
    let keys = (table.keys)();
    let required: Vec<&str> =
        keys.iter().filter(|spec| spec.presence == Presence::Required).map(|spec| spec.name).collect();
    let properties: Map<String, Value> =
        keys.iter().map(|spec| (spec.name.to_owned(), property(spec))).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.doc.trim(),
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(spec: &KeySpec) -> Value {
    let mut schema = value(&spec.shape);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(spec.doc.trim()));
        if let Presence::Default(default) = &spec.presence
            && let Some(default) = json_of(default)
        {
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

/// Defaults are held as TOML; the scalars and lists among them mean the same in JSON. Empty tables say nothing.
fn json_of(toml: &str) -> Option<Value> {
    serde_json::from_str(toml).ok().filter(|value| *value != json!({}))
}

fn value(shape: &Shape) -> Value {
    match shape {
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::False => json!({ "const": false }),
        Shape::Integer { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Shape::Quantity { pattern, plain_integer, .. } => quantity(pattern, *plain_integer),
        Shape::Text { example, .. } => json!({ "type": "string", "examples": [example] }),
        Shape::Choice(words) => choice(words),
        Shape::List(element) => json!({ "type": "array", "items": value(element) }),
        Shape::OneOf(shapes) => json!({ "anyOf": shapes.iter().map(value).collect::<Vec<_>>() }),
        Shape::Pairs { .. } => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Shape::Table(inner) => table(*inner),
        Shape::Named(inner) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
            "additionalProperties": table(*inner),
        }),
    }
}

fn quantity(pattern: &str, plain_integer: bool) -> Value {
    let text = json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") });
    if plain_integer { json!({ "anyOf": [text, { "type": "integer", "minimum": 0 }] }) } else { text }
}

fn choice(words: &[(&str, &str)]) -> Value {
    let words = words.iter().map(|(word, doc)| json!({ "const": word, "description": doc.trim() }));
    let variable = json!({ "type": "string", "pattern": VARIABLE });
    json!({ "anyOf": words.chain([variable]).collect::<Vec<_>>() })
}
