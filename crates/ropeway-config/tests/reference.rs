//! The reference page, the JSON schema, the starter file and the examples all follow from the declarations.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ropeway_config::{
    Environment, Style, commented_default, json_schema, load_with, parse_with, reference_markdown,
};
use serde_json::Value;

#[test]
fn the_reference_page_is_current() {
    let file = repository().join("docs/reference.md");
    if std::env::var_os("ROPEWAY_UPDATE").is_some() {
        fs::write(&file, reference_markdown()).unwrap();
    }
    let current = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        current == reference_markdown(),
        "docs/reference.md is out of date: ROPEWAY_UPDATE=1 cargo test -p ropeway-config --test reference"
    );
}

#[test]
fn the_starter_file_loads() {
    assert_loads("init.toml", &commented_default());
}

#[test]
fn the_starter_file_loads_with_every_setting_uncommented() {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => setting.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = commented_default().lines().map(uncomment).collect();
    // `include` may name files, so this one is a file.
    let folder = tempfile("starter");
    fs::write(folder.join("ropeway.toml"), text.join("\n")).unwrap();
    let loaded = load_with(&folder.join("ropeway.toml"), Environment::default());
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
}

#[test]
fn the_starter_file_shows_every_key() {
    let text = commented_default();
    for key in keys(&json_schema()) {
        // Shown in the short form of the value around it: `balance = "round_robin"`, `path = "/api"`, a server's address;
        // or as one example of a table that has many keys.
        let short_forms = [
            "acme.",
            "upstream.balance.",
            "route.match.path.",
            "upstream.servers.",
            "upstream.tls.",
            "listener.tls.",
            "listener.http2.",
            "listener.hsts.",
        ];
        if is_table(&key) || short_forms.iter().any(|form| key.starts_with(form)) {
            continue;
        }
        let last = key.rsplit('.').next().unwrap();
        assert!(text.lines().any(|line| line.contains(&format!("{last} = "))), "{key} is missing");
    }
}

#[test]
fn the_examples_load_and_fit_the_schema() {
    let mut count = 0;
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let loaded = assert_loads(&name, &text);
        assert!(loaded.warnings.is_empty(), "{name}: {}", loaded.warnings[0].render(Style::Plain));
        let document: Value = serde_json::to_value(toml::from_str::<toml::Value>(&text).unwrap()).unwrap();
        assert_eq!(misfits(&json_schema(), &document, &name), Vec::<String>::new());
        count += 1;
    }
    assert!(count >= 3, "{count} examples");
}

#[test]
fn the_schema_finds_what_does_not_fit() {
    for (text, misfit) in [
        ("worker = 4", "worker"),
        ("workers = 0", "workers"),
        ("[listener.web]\n", "bind"),
        ("[log]\nlevel = \"loud\"", "level"),
        ("[listener.web]\nbind = \"x\"\ntimeout = { head = \"5 s\" }", "head"),
        ("route = [{ upstream = 5 }]", "upstream"),
    ] {
        let document = serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
        let misfits = misfits(&json_schema(), &document, "file");
        assert!(misfits.iter().any(|found| found.contains(misfit)), "{text}: {misfits:?}");
    }
}

/// One file that sets every key to something else than its default, and what becomes of it.
#[test]
fn every_key_is_read() {
    let text = include_str!("every_key.toml");
    let loaded = assert_loads("every_key.toml", text);
    insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_debug_snapshot!("every_key", loaded.config);
    });
    let document: Value = serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    assert_eq!(misfits(&json_schema(), &document, "every_key.toml"), Vec::<String>::new());
    let mut given = BTreeSet::new();
    collect_given(&document, &json_schema(), "", &mut given);
    let missing: Vec<String> = keys(&json_schema()).difference(&given).cloned().collect();
    // `include` needs files, and `prefix` is what the text form of a path means.
    assert_eq!(missing, ["include", "route.match.path.prefix"]);
}

fn assert_loads(name: &str, text: &str) -> ropeway_config::Loaded {
    parse_with(name, text, Environment::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fresh folder of this test's own.
fn tempfile(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn is_table(key: &str) -> bool {
    let all = keys(&json_schema());
    all.iter().any(|other| other.starts_with(&format!("{key}.")))
}

/// The object schemas among what `schema` allows: itself, or its alternatives, elements and named tables.
fn objects(schema: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    if schema.get("properties").is_some() {
        found.push(schema);
    }
    for alternative in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        found.extend(objects(alternative));
    }
    for inner in ["items", "additionalProperties"] {
        found.extend(schema.get(inner).filter(|inner| inner.is_object()).map(objects).unwrap_or_default());
    }
    found
}

/// Every key path of the schema, names left out: `listener.timeout.head`.
fn keys(schema: &Value) -> BTreeSet<String> {
    fn walk(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        for object in objects(schema) {
            for (key, value) in object["properties"].as_object().unwrap() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(value, &path, found);
                found.insert(path);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(schema, "", &mut found);
    found
}

/// Every key path that `document` gives.
fn collect_given(document: &Value, schema: &Value, path: &str, given: &mut BTreeSet<String>) {
    for element in document.as_array().into_iter().flatten() {
        collect_given(element, schema, path, given);
    }
    for (key, value) in document.as_object().into_iter().flatten() {
        let known = objects(schema).into_iter().find_map(|object| object["properties"].get(key));
        match known {
            Some(inner) => {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect_given(value, inner, &path, given);
                given.insert(path);
            }
            // The name of a table.
            None => collect_given(value, schema, path, given),
        }
    }
}

/// As much of JSON schema as `json_schema` uses, patterns aside where they need more than a look at the characters.
fn misfits(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        let all: Vec<Vec<String>> = alternatives.iter().map(|schema| misfits(schema, value, at)).collect();
        return all.into_iter().min_by_key(Vec::len).unwrap_or_default();
    }
    let mut found = Vec::new();
    let fits = match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("unknown type {other}"),
        None => true,
    };
    let out_of_range = value.as_f64().is_some_and(|number| {
        schema.get("minimum").and_then(Value::as_f64).is_some_and(|minimum| number < minimum)
            || schema.get("maximum").and_then(Value::as_f64).is_some_and(|maximum| number > maximum)
    });
    let wrong_constant = schema.get("const").is_some_and(|constant| constant != value);
    let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
    let off_pattern = match (pattern, value.as_str()) {
        (r"\$\{", Some(text)) => !text.contains("${"),
        (pattern, Some(text)) if pattern.contains("ms)?)$") => {
            text.contains(' ') || text.ends_with(char::is_numeric)
        }
        _ => false,
    };
    if !fits || out_of_range || wrong_constant || (off_pattern && value.as_str() != Some("0")) {
        found.push(format!("{at} does not fit: {value}"));
    }
    if let (Some(properties), Some(given)) =
        (schema.get("properties").and_then(Value::as_object), value.as_object())
    {
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !given.contains_key(required.as_str().unwrap()) {
                found.push(format!("{at} lacks {required}"));
            }
        }
        for (key, value) in given {
            match properties.get(key) {
                Some(schema) => found.extend(misfits(schema, value, &format!("{at}.{key}"))),
                None => found.push(format!("{at}.{key} is unknown")),
            }
        }
    } else if let (Some(any), Some(given)) = (schema.get("additionalProperties"), value.as_object()) {
        found.extend(given.iter().flat_map(|(key, value)| misfits(any, value, &format!("{at}.{key}"))));
    }
    if let (Some(items), Some(elements)) = (schema.get("items"), value.as_array()) {
        found.extend(elements.iter().flat_map(|element| misfits(items, element, at)));
    }
    found
}
