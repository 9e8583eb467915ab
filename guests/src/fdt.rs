//! Reading a flattened device tree [DTSpec 5].
//!
//! Nodes are looked for by name or `compatible`, and their properties by name. What is malformed is
//! not found: a broken tree makes a program say what it lacks.

/// The header's magic number.
const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
/// Bytes of the header that are looked at.
const HEADER: usize = 40;

/// Bytes of the whole tree, by the first 8 bytes of its header; `None` if it is none.
pub fn total_size(start: [u8; 8]) -> Option<usize> {
    (word(&start, 0)? == MAGIC).then_some(word(&start, 4)? as usize)
}

/// A device tree.
#[derive(Clone, Copy, Debug)]
pub struct Fdt<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Fdt<'a> {
    /// The tree in `blob`; `None` if it is none.
    pub fn new(blob: &'a [u8]) -> Option<Self> {
        let header = blob.get(..HEADER)?;
        if word(header, 0)? != MAGIC {
            return None;
        }
        let block = |offset: usize, size: usize| {
            let (offset, size) = (word(header, offset)? as usize, word(header, size)? as usize);
            blob.get(offset..offset.checked_add(size)?)
        };
        Some(Self { structure: block(8, 36)?, strings: block(12, 32)? })
    }

    /// All nodes, parents before children.
    pub fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            loop {
                match self.token(at)? {
                    Token::Begin { name, next } => {
                        at = next;
                        return Some(Node { tree: self, name, at });
                    }
                    Token::Property { next, .. } | Token::Other { next } => at = next,
                }
            }
        })
    }

    /// The first node of this name, its unit address left out or given.
    pub fn node(self, name: &str) -> Option<Node<'a>> {
        self.nodes().find(|node| node.name == name || node.name.split('@').next() == Some(name))
    }

    /// The first node that is compatible with `name`.
    pub fn compatible(self, name: &str) -> Option<Node<'a>> {
        self.nodes().find(|node| {
            let value = node.property("compatible").unwrap_or_default();
            value.split(|byte| *byte == 0).any(|entry| entry == name.as_bytes())
        })
    }

    fn token(self, at: usize) -> Option<Token<'a>> {
        let next = at.checked_add(4)?;
        match word(self.structure, at)? {
            BEGIN_NODE => {
                let name = text(self.structure.get(next..)?)?;
                Some(Token::Begin { name, next: aligned(next + name.len() + 1) })
            }
            PROPERTY => {
                let (len, name) = (word(self.structure, next)? as usize, word(self.structure, next + 4)?);
                let end = next.checked_add(8)?.checked_add(len)?;
                let value = self.structure.get(next + 8..end)?;
                let name = text(self.strings.get(name as usize..)?)?;
                Some(Token::Property { name, value, next: aligned(end) })
            }
            END_NODE | NOP => Some(Token::Other { next }),
            // FDT_END, or nothing known.
            _ => None,
        }
    }
}

enum Token<'a> {
    Begin { name: &'a str, next: usize },
    Property { name: &'a str, value: &'a [u8], next: usize },
    Other { next: usize },
}

/// A node.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    tree: Fdt<'a>,
    name: &'a str,
    /// Behind its name.
    at: usize,
}

impl<'a> Node<'a> {
    /// Its name with the unit address.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// The value of a property, which stands before all child nodes.
    pub fn property(self, wanted: &str) -> Option<&'a [u8]> {
        let mut at = self.at;
        loop {
            match self.tree.token(at)? {
                Token::Property { name, value, .. } if name == wanted => return Some(value),
                Token::Property { next, .. } => at = next,
                Token::Other { next } if word(self.tree.structure, at)? == NOP => at = next,
                Token::Begin { .. } | Token::Other { .. } => return None,
            }
        }
    }

    /// The value of a property as text, without its NUL.
    pub fn text(self, name: &str) -> Option<&'a str> {
        text(self.property(name)?)
    }

    /// Address and size of range `index` of `reg`, which has two cells for each.
    pub fn range(self, index: usize) -> Option<(u64, u64)> {
        let reg = self.property("reg")?;
        let cells = |at: usize| Some(u64::from(word(reg, at)?) << 32 | u64::from(word(reg, at + 4)?));
        Some((cells(index * 16)?, cells(index * 16 + 8)?))
    }

    /// `reg` as a number of one or two cells.
    pub fn number(self) -> Option<u64> {
        let reg = self.property("reg")?;
        match reg.len() {
            4 => Some(u64::from(word(reg, 0)?)),
            8 => Some(u64::from(word(reg, 0)?) << 32 | u64::from(word(reg, 4)?)),
            _ => None,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Up to the NUL.
fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    core::str::from_utf8(&bytes[..end]).ok()
}

/// Tokens stand at multiples of 4.
fn aligned(offset: usize) -> usize {
    offset.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// `/ { memory@40000000 { reg }; chosen { bootargs }; cpus { cpu@1 { reg } } }`, word by word.
    fn tree() -> Vec<u8> {
        let strings = b"reg\0bootargs\0compatible\0";
        let mut structure = Vec::new();
        let mut words = |words: &[u32]| {
            for word in words {
                structure.extend_from_slice(&word.to_be_bytes());
            }
        };
        words(&[1, 0]);
        // "memory@40000000" and its NUL are 16 bytes.
        words(&[1, 0x6d65_6d6f, 0x7279_4034, 0x3030_3030, 0x3030_3000]);
        words(&[4, 3, 16, 0, 0, 0x4000_0000, 0, 0x1000_0000, 2]);
        // "chosen"; bootargs = "a=1 b".
        words(&[1, 0x6368_6f73, 0x656e_0000, 3, 6, 4, 0x613d_3120, 0x6200_0000, 2]);
        // "cpus" with "cpu@1"; compatible = "x\0yz".
        words(&[1, 0x6370_7573, 0, 1, 0x6370_7540, 0x3100_0000]);
        words(&[3, 4, 0, 1, 3, 5, 13, 0x7800_797a, 0, 2, 2, 2, 9]);
        let mut blob: Vec<u8> = [MAGIC, 0, 40, 0, 0, 17, 16, 0, strings.len() as u32, structure.len() as u32]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        let at = (40 + structure.len()) as u32;
        blob[12..16].copy_from_slice(&at.to_be_bytes());
        blob.extend(structure);
        blob.extend(strings);
        let size = blob.len() as u32;
        blob[4..8].copy_from_slice(&size.to_be_bytes());
        blob
    }

    #[test]
    fn nodes_and_properties_are_found() {
        let blob = tree();
        assert_eq!(total_size(blob[..8].try_into().unwrap()), Some(blob.len()));
        let tree = Fdt::new(&blob).unwrap();
        let names: Vec<_> = tree.nodes().map(Node::name).collect();
        assert_eq!(names, ["", "memory@40000000", "chosen", "cpus", "cpu@1"]);
        assert_eq!(tree.node("memory").unwrap().range(0), Some((0x4000_0000, 0x1000_0000)));
        assert_eq!(tree.node("memory").unwrap().range(1), None);
        assert_eq!(tree.node("chosen").unwrap().text("bootargs"), Some("a=1 b"));
        assert_eq!(tree.node("chosen").unwrap().property("reg"), None);
        assert_eq!(tree.node("cpu").unwrap().number(), Some(1));
        assert_eq!(tree.node("cpus").unwrap().property("reg"), None, "that of its child is not its own");
        assert_eq!(tree.compatible("yz").map(Node::name), Some("cpu@1"));
        assert!(tree.compatible("y").is_none());
    }

    #[test]
    fn a_damaged_tree_is_read_without_harm() {
        let blob = tree();
        assert!(Fdt::new(&[]).is_none());
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut blob = blob.clone();
                blob[at] = value;
                if let Some(tree) = Fdt::new(&blob) {
                    for node in tree.nodes() {
                        node.range(0);
                        node.number();
                        node.text("bootargs");
                    }
                }
                Fdt::new(&blob[..at]);
            }
        }
    }
}
