//! Debian's control files: stanzas of `Field: value`, parted by empty lines.

use std::collections::BTreeMap;

/// A stanza. Names of fields are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stanza(BTreeMap<String, String>);

impl Stanza {
    /// The value of a field; the lines that continue it are parted by newlines, without the first blank.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(&field.to_ascii_lowercase()).map(String::as_str)
    }
}

/// The stanzas of `text`. Lines that belong to no field are passed over, and so are comments.
pub(super) fn stanzas(text: &str) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    let mut stanza = Stanza::default();
    let mut field = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            if !stanza.0.is_empty() {
                stanzas.push(std::mem::take(&mut stanza));
            }
            field.clear();
        } else if let Some(more) = line.strip_prefix([' ', '\t']) {
            if let Some(value) = stanza.0.get_mut(&field) {
                value.push('\n');
                value.push_str(more);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            field = name.trim().to_ascii_lowercase();
            stanza.0.insert(field.clone(), value.trim().to_owned());
        }
    }
    if !stanza.0.is_empty() {
        stanzas.push(stanza);
    }
    stanzas
}
