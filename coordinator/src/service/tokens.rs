//! Who may do what: roles by bearer token, compared in constant time, never kept or shown in clear.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

/// Shorter tokens can be guessed; `openssl rand -hex 32` makes good ones.
pub const TOKEN_MIN: usize = 16;

/// What a token allows; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything.
    Read,
    /// Submit and steer sweeps, store blobs: people and workers.
    Submit,
    /// Steer workers.
    Admin,
}

impl Role {
    /// All roles, smallest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Submit, Self::Admin];

    /// Its name in files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Tokens that cannot be used. The texts never hold a token. Retrying cannot help.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// Neither a file nor a directory that can be read.
    #[error("cannot read the tokens at {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory without any of the three files, or a file without any line.
    #[error("{} holds no token (a directory has the files read, submit, admin with a token per line; a file has lines ROLE TOKEN)", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// A line that is not `ROLE TOKEN`.
    #[error("{}:{line}: a line must be ROLE TOKEN, where ROLE is read, submit or admin", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A token with blanks or other characters that no header carries.
    #[error("{}:{line}: a token must consist of visible ASCII characters", path.display())]
    Characters {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A token that can be guessed.
    #[error("{}:{line}: the token has {length} characters, but must have at least {TOKEN_MIN} (`openssl rand -hex 32` makes one)", path.display())]
    Short {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Of the token.
        length: usize,
    },
}

/// The tokens of a coordinator, as digests: what is not kept cannot leak.
#[derive(Clone, Default)]
pub struct Tokens(Vec<(Role, [u8; 32])>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    /// Reads a directory with the files `read`, `submit`, `admin` (one token per line; a mounted Kubernetes secret) or a file with
    /// lines `ROLE TOKEN`. Blank lines and those that begin with `#` count for nothing.
    ///
    /// # Errors
    /// [`TokensError`].
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let mut tokens = Self::default();
        if path.is_dir() {
            for role in Role::ALL {
                let file = path.join(role.as_str());
                if file.exists() {
                    let text = text(&file)?;
                    for (line, token) in lines(&text) {
                        tokens.add(role, token, &file, line)?;
                    }
                }
            }
        } else {
            let text = text(path)?;
            for (line, words) in lines(&text) {
                let wrong = || TokensError::Line { path: path.to_owned(), line };
                let (role, token) = words.split_once(char::is_whitespace).ok_or_else(wrong)?;
                let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
                tokens.add(role.ok_or_else(wrong)?, token.trim(), path, line)?;
            }
        }
        if tokens.is_empty() {
            return Err(TokensError::Empty { path: path.to_owned() });
        }
        Ok(tokens)
    }

    fn add(
        &mut self,
        role: Role,
        token: &str,
        path: &Path,
        line: usize,
    ) -> Result<(), TokensError> {
        let path = || path.to_owned();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokensError::Characters { path: path(), line });
        }
        if token.len() < TOKEN_MIN {
            return Err(TokensError::Short { path: path(), line, length: token.len() });
        }
        self.0.push((role, digest(token)));
        Ok(())
    }

    /// Whether there are none: then whoever reaches the coordinator may do everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest role of this token. The time it takes tells nothing about the tokens.
    pub fn role(&self, token: &SecretString) -> Option<Role> {
        let asked = digest(token.expose_secret());
        let mut found = None;
        for (role, known) in &self.0 {
            let same: Choice = asked.ct_eq(known);
            if bool::from(same) {
                found = found.max(Some(*role));
            }
        }
        found
    }
}

fn digest(token: &str) -> [u8; 32] {
    sweep_core::ids::Digest::of(token.as_bytes()).0
}

fn text(path: &Path) -> Result<String, TokensError> {
    fs::read_to_string(path).map_err(|source| TokensError::Read { path: path.to_owned(), source })
}

/// The lines that say something, trimmed, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_file_names_the_role_before_each_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# people\nread reader-0123456789\n\nadmin\tadmin-0123456789\r\n")
            .unwrap();
        let tokens = Tokens::read(file.path()).unwrap();
        assert_eq!(tokens.role(&token("reader-0123456789")), Some(Role::Read));
        assert_eq!(tokens.role(&token("admin-0123456789")), Some(Role::Admin));
        assert_eq!(tokens.role(&token("admin-012345678")), None);
        assert_eq!(tokens.role(&token("")), None);
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }

    #[test]
    fn a_directory_has_a_file_per_role() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("submit"), "first-0123456789\nsecond-0123456789\n").unwrap();
        fs::write(dir.path().join("admin"), "second-0123456789").unwrap();
        let tokens = Tokens::read(dir.path()).unwrap();
        assert_eq!(tokens.role(&token("first-0123456789")), Some(Role::Submit));
        assert_eq!(tokens.role(&token("second-0123456789")), Some(Role::Admin));
    }

    #[test]
    fn wrong_files_are_refused_without_showing_a_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, line) in [
            ("secret-0123456789", ":1:"),
            ("\nroot secret-0123456789", ":2:"),
            ("read secret-01234", ":1:"),
            ("read secret 0123456789", ":1:"),
            ("read secret-0123456789ä", ":1:"),
            ("# nothing\n", "no token"),
        ] {
            fs::write(file.path(), text).unwrap();
            let shown = Tokens::read(file.path()).unwrap_err().to_string();
            assert!(shown.contains(line) && !shown.contains("secret"), "{shown}");
        }
        assert!(Tokens::read(Path::new("/nowhere")).is_err());
    }
}
