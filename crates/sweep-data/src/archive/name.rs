//! A member's name → where it is unpacked to, or why it is not.

use super::ArchiveError;

/// Longest name, longest part of it, and most parts: what file systems take, with room for the folder in front.
const MAX_BYTES: usize = 1024;
const MAX_PART_BYTES: usize = 255;
const MAX_PARTS: usize = 32;

/// `./a//b/` → `a/b`, empty for the root itself.
pub(super) fn plain(name: &str) -> Result<String, ArchiveError> {
    let refused = |why| Err(ArchiveError::Name { member: shown(name), why });
    if name.len() > MAX_BYTES {
        return refused("has more than 1024 bytes");
    }
    if name.starts_with('/') {
        return refused("is an absolute path");
    }
    if name.contains('\\') {
        return refused("has a backslash");
    }
    if name.chars().any(char::is_control) {
        return refused("has a control character");
    }
    let bytes = name.as_bytes();
    if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return refused("begins with a drive");
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return refused("leads upwards with `..`"),
            part if part.len() > MAX_PART_BYTES => return refused("has a part of over 255 bytes"),
            part => parts.push(part),
        }
    }
    if parts.len() > MAX_PARTS {
        return refused("lies more than 32 folders deep");
    }
    Ok(parts.join("/"))
}

/// A name that may be shown on a terminal.
pub(super) fn shown(name: &str) -> String {
    const SHOWN: usize = 120;
    let escape = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    let mut out: String = name.chars().take(SHOWN).map(escape).collect();
    if name.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_lose_only_what_means_nothing() {
        let cases = [
            ("a/b.jpg", "a/b.jpg"),
            ("./a//b/", "a/b"),
            ("./", ""),
            ("Viral Pneumonia/01.jpeg", "Viral Pneumonia/01.jpeg"),
            ("größe/…", "größe/…"),
            ("a..b/...", "a..b/..."),
        ];
        for (name, want) in cases {
            assert_eq!(plain(name).unwrap(), want);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let deep = "a/".repeat(33);
        let long = "a".repeat(256);
        let longer = "ab/".repeat(400);
        let names = [
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a/..",
            "C:/a",
            "c:a",
            "a\\b",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            &deep,
            &long,
            &longer,
        ];
        for name in names {
            let error = plain(name).unwrap_err().to_string();
            assert!(!error.contains(['\0', '\n', '\u{1b}']), "{error}");
        }
    }
}
