//! A file is named for what it is. These names say nothing, so everything ends up in them.

const NAMELESS: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "misc", "stuff", "shared"];

/// A finding for each file or folder with such a name.
pub fn check(paths: &[String]) -> Vec<String> {
    paths.iter().filter_map(|path| nameless_part(path).map(|part| finding(path, part))).collect()
}

fn nameless_part(path: &str) -> Option<&str> {
    path.split('/').find(|part| {
        let stem = part.split('.').next().unwrap_or(part);
        NAMELESS.contains(&stem.to_ascii_lowercase().as_str())
    })
}

fn finding(path: &str, part: &str) -> String {
    format!("{path}: \"{part}\" says nothing: name it for what it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_files_and_folders_named_for_nothing() {
        let paths = ["src/utils.rs", "src/common/mod.rs", "src/Helpers.py"].map(str::to_owned);
        assert_eq!(check(&paths).len(), 3);
        assert!(check(&paths)[1].contains("\"common\""));
    }

    #[test]
    fn accepts_names_that_merely_contain_one() {
        let paths = ["src/utilisation.rs", "src/shared_cursor.rs", "docs/commons.md"].map(str::to_owned);
        assert_eq!(check(&paths), Vec::<String>::new());
    }
}
