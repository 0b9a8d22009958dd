//! An [`Audit`] as text for a terminal.

use std::fmt::Write as _;

use super::{Audit, Group};
use crate::duplicates::leak_text;

/// Most lines of a list; the rest is counted, and all of it is in the JSON.
const SHOWN: usize = 20;

impl Audit {
    /// The whole audit, in lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.counts(&mut out);
        self.files(&mut out);
        self.equals(&mut out);
        self.nears(&mut out);
        self.properties(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        line(out, format_args!("{} · {}", self.name, self.title));
        line(
            out,
            format_args!(
                "licence: {}",
                self.license.as_deref().unwrap_or("unknown (do not pass the images on)")
            ),
        );
        if let Some(words) = &self.attribution {
            line(out, format_args!("{}", words.trim_end()));
        }
        self.place(out);
        line(out, format_args!("content {}\nsplit   {}", self.content, self.split));
    }

    /// Where the files were found.
    fn place(&self, out: &mut String) {
        let Some(origin) = &self.origin else { return };
        line(out, format_args!("files   {}", origin.folder.display()));
        if let Some(layout) = &origin.layout {
            line(out, format_args!("layout  {layout}"));
        }
        if let Some(archive) = &origin.archive {
            let (path, bytes) = (archive.path.display(), archive.bytes);
            line(out, format_args!("archive {path} ({bytes} bytes)"));
            let verified = if archive.verified { ", as the manifest says" } else { "" };
            line(out, format_args!("sha256  {}{verified}", archive.sha256));
            if !archive.verified {
                let text = "write it into the manifest as the archive's `sha256`, and no other archive is taken any more";
                line(out, format_args!("        {text}"));
            }
        }
    }

    fn counts(&self, out: &mut String) {
        let width = self.classes.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).max(5);
        line(out, format_args!("\n{:width$}  {:>6}  {:>6}", "class", "train", "val"));
        for class in &self.classes {
            let expected = match (class.expected_train, class.expected_val) {
                (Some(_), Some(_)) => "  as expected",
                _ => "",
            };
            line(
                out,
                format_args!(
                    "{:width$}  {:>6}  {:>6}{expected}",
                    class.name, class.train, class.val
                ),
            );
        }
        let sum =
            |count: fn(&super::ClassCount) -> u32| self.classes.iter().map(count).sum::<u32>();
        line(out, format_args!("{:width$}  {:>6}  {:>6}", "sum", sum(|c| c.train), sum(|c| c.val)));
    }

    fn files(&self, out: &mut String) {
        line(out, format_args!("\nfiles"));
        for kind in &self.kinds {
            let pixel = kind.pixel.map(|p| format!(" {}", p.name())).unwrap_or_default();
            let named = if kind.extension.is_empty() {
                String::new()
            } else {
                format!(" named {}", kind.extension)
            };
            let progressive = if kind.progressive { ", progressive" } else { "" };
            let mark = if kind.mislabelled { "   ← the name says another format" } else { "" };
            line(
                out,
                format_args!(
                    "{:>6}  {}{pixel}{named}{progressive}{mark}",
                    kind.files,
                    kind.format.name()
                ),
            );
        }
        if let Some(sizes) = &self.sizes {
            let ((a, b), (c, d)) = (sizes.smallest, sizes.largest);
            let below = sizes.short_side_below_224;
            let all = sizes.pictures;
            if (a, b) == (c, d) && all > 1 {
                let square = if a == b { ", perhaps squashed: the aspect is lost" } else { "" };
                let copy = "← a resized copy";
                line(out, format_args!("sizes: all {all} are {a}×{b}   {copy}{square}"));
            } else {
                line(
                    out,
                    format_args!("sizes {a}×{b} … {c}×{d}, {below} with a short side below 224"),
                );
            }
        }
        list(out, "left out by the manifest's rules", &self.skipped, |s| {
            format!("{}: {}", s.path, s.reason)
        });
        list(out, "ERROR: cannot be read", &self.unreadable, |s| {
            format!("{}: {}", s.path, s.reason)
        });
    }

    fn equals(&self, out: &mut String) {
        if self.equal.is_empty() {
            line(out, format_args!("\nno equal pictures"));
            return;
        }
        let extra: usize = self.equal.iter().map(|group| group.members.len() - 1).sum();
        line(
            out,
            format_args!("\n{} groups of equal pictures, {extra} extra files", self.equal.len()),
        );
        let val: u32 = self.classes.iter().map(|class| class.val).sum();
        if !self.leaked.is_empty() {
            line(out, format_args!("WARNING: {}", leak_text(self.leaked.len(), val as usize)));
        }
        let of = |choose: fn(&Group) -> bool| {
            self.equal.iter().filter(|g| choose(g)).collect::<Vec<_>>()
        };
        list(out, "ERROR: equal pictures in different classes", &of(|g| g.across_classes), |g| {
            group_text(g)
        });
        list(out, "equal across the parts", &of(|g| g.across_parts && !g.across_classes), |g| {
            group_text(g)
        });
        list(out, "equal within a part", &of(|g| !g.across_parts && !g.across_classes), |g| {
            group_text(g)
        });
    }

    fn nears(&self, out: &mut String) {
        list(out, "look alike (difference hash; look at them yourself)", &self.near, |near| {
            let parts = if near.across_parts { ", across the parts" } else { "" };
            let classes = if near.across_classes { ", of different classes" } else { "" };
            format!("{} ~ {} ({} of 64 bits{parts}{classes})", near.a, near.b, near.bits)
        });
    }

    fn properties(&self, out: &mut String) {
        if self.giveaways.is_empty() {
            return;
        }
        let majority = 100.0 * self.giveaways[0].majority;
        line(
            out,
            format_args!(
                "\nthe class told from a property of the file alone (most frequent class: {majority:.1} %)"
            ),
        );
        for giveaway in &self.giveaways {
            let mark = if giveaway.is_notable() { "   ← gives the class away" } else { "" };
            line(
                out,
                format_args!("{:>6.1} %  {}{mark}", 100.0 * giveaway.accuracy, giveaway.property),
            );
            for only in &giveaway.exclusive {
                let (values, n, of, val) =
                    (only.values.join(", "), only.images, only.of, only.in_val);
                line(
                    out,
                    format_args!(
                        "            only {}: {values} ({n} of {of}, {val} of them in val)",
                        only.class
                    ),
                );
            }
        }
    }
}

fn group_text(group: &Group) -> String {
    let members: Vec<String> = group
        .members
        .iter()
        .map(|m| format!("{} ({}, {})", m.path, m.class, m.part.name()))
        .collect();
    let how = if group.equal_files { "" } else { "   (files differ)" };
    format!("{}{how}", members.join(" = "))
}

fn list<T>(out: &mut String, title: &str, items: &[T], text: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    line(out, format_args!("{title}: {}", items.len()));
    for item in items.iter().take(SHOWN) {
        line(out, format_args!("  {}", text(item)));
    }
    if items.len() > SHOWN {
        line(out, format_args!("  … and {} more", items.len() - SHOWN));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string does not fail");
}
