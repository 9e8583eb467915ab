//! Registers and in-memory entries, declared as their specification prints them.
//!
//! [`register!`](crate::register!) takes rows of `hi:lo access name: type` in descending order and
//! refuses, at compile time, rows that do not tile the whole register or a type too narrow for its
//! field. From the rows it derives getters, `with_…` setters, the access masks, [`Register::FIELDS`]
//! and `written`. Bit positions therefore never follow from field order, and a layout
//! can be read beside the page it was taken from.
//!
//! What is absent: register offsets (a model's own table) and side effects (its `match`).

mod bits;
pub mod block;
#[cfg(test)]
mod tests;

pub use bits::{extract, insert, mask_of, tiles};

/// How software may access a field of a register, or how a reader treats a field of a table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: a write has no effect.
    Ro,
    /// Read only, sticky over a warm reset.
    Ros,
    /// Read and write.
    Rw,
    /// Read; writing 1 clears the bit.
    Rw1c,
    /// Read; writing 1 clears the bit; sticky over a warm reset.
    Rw1cs,
    /// Write only: reads as zero.
    Wo,
    /// Reserved: reads as zero, software writes zero.
    RsvdZ,
    /// Reserved: software preserves what it read.
    RsvdP,
    /// A meaningful field of a table entry or queue entry.
    Field,
    /// A field of an entry that hardware never looks at.
    Ignored,
    /// A field of an entry that must be zero where the entry is present.
    Reserved,
}

/// One field of a register or entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The specification's mnemonic in lower case; reserved rows start with `_`.
    pub name: &'static str,
    /// Highest bit, counted over the whole register or entry.
    pub hi: u32,
    /// Lowest bit.
    pub lo: u32,
    /// Who may change it.
    pub access: Access,
}

/// What every type declared with [`register!`](crate::register!) offers to generic code
/// (`Debug`, reports, snapshot differences).
pub trait Register: Copy {
    /// Width in bits.
    const BITS: u32;
    /// All rows, highest first, reserved ones included.
    const FIELDS: &'static [Field];

    /// Bits `hi:lo` as a number; at most 64 bits wide.
    fn bits(&self, hi: u32, lo: u32) -> u64;
}

/// Writes `register` as its named, non-reserved fields; the `Debug` of every declared type.
pub fn fmt_fields<R: Register>(
    name: &str,
    register: &R,
    f: &mut std::fmt::Formatter<'_>,
) -> std::fmt::Result {
    let mut out = f.debug_struct(name);
    for field in R::FIELDS.iter().filter(|field| !field.name.starts_with('_')) {
        out.field(field.name, &format_args!("{:#x}", register.bits(field.hi, field.lo)));
    }
    out.finish()
}

/// Declares a register or in-memory entry; see the [module documentation](mod@crate::register).
///
/// The backing type is `u32`, `u64` or `[u64; N]`. A row is
/// `hi:lo Access name: type,` or, where no accessor is wanted, `hi:lo Access _name,`.
///
/// ```
/// devices::register! {
///     /// An example.
///     pub struct Example: u32 {
///         31:8 RsvdZ _r0,
///         /// How many.
///         7:4  Rw    count: u8,
///         3:1  Ro    kind: u8,
///         0:0  Rw1c  pending: bool,
///     }
/// }
/// let e = Example::from_raw(0x0000_00a1);
/// assert_eq!((e.count(), e.pending()), (0xa, true));
/// assert_eq!(e.written(0x31).raw(), 0x30);
/// ```
#[macro_export]
macro_rules! register {
    ($(#[$meta:meta])* $vis:vis struct $name:ident: $store:tt { $($rows:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        $vis struct $name($store);
        $crate::register!(@common $name $store);
        $crate::register!(@table $name $store; $($rows)*);
        $crate::register!(@rows $name; $($rows)*);
    };

    (@common $name:ident u32) => {
        $crate::register!(@both $name u32, 1);
        impl $name {
            /// The value as 64-bit words, lowest first.
            pub const fn words(self) -> [u64; 1] { [self.0 as u64] }
            /// From 64-bit words; bits beyond the register are dropped.
            pub const fn from_words(words: [u64; 1]) -> Self { Self(words[0] as u32) }
            const fn raw_of(words: [u64; 1]) -> u32 { words[0] as u32 }
        }
    };
    (@common $name:ident u64) => {
        $crate::register!(@both $name u64, 1);
        impl $name {
            /// The value as 64-bit words, lowest first.
            pub const fn words(self) -> [u64; 1] { [self.0] }
            /// From 64-bit words.
            pub const fn from_words(words: [u64; 1]) -> Self { Self(words[0]) }
            const fn raw_of(words: [u64; 1]) -> u64 { words[0] }
        }
    };
    (@common $name:ident [u64; $n:literal]) => {
        $crate::register!(@both $name [u64; $n], $n);
        impl $name {
            /// The value as 64-bit words, lowest first.
            pub const fn words(self) -> [u64; $n] { self.0 }
            /// From 64-bit words.
            pub const fn from_words(words: [u64; $n]) -> Self { Self(words) }
            const fn raw_of(words: [u64; $n]) -> [u64; $n] { words }
        }
    };
    (@both $name:ident $store:ty, $n:literal) => {
        #[allow(dead_code)]
        impl $name {
            /// All bits zero.
            pub const ZERO: Self = Self::from_words([0; $n]);
            /// Bits that software reads and writes.
            pub const RW: $store = Self::raw_of(Self::mask(&[$crate::register::Access::Rw]));
            /// Bits that software clears by writing 1.
            pub const RW1C: $store = Self::raw_of(Self::mask(&[
                $crate::register::Access::Rw1c, $crate::register::Access::Rw1cs]));
            /// Bits that must be zero: RsvdZ of a register, Reserved of an entry.
            pub const RESERVED: $store = Self::raw_of(Self::mask(&[
                $crate::register::Access::RsvdZ, $crate::register::Access::Reserved]));
            /// Bits of an entry that hardware never looks at.
            pub const IGNORED: $store = Self::raw_of(Self::mask(&[$crate::register::Access::Ignored]));

            const fn mask(access: &[$crate::register::Access]) -> [u64; $n] {
                $crate::register::mask_of(<Self as $crate::register::Register>::FIELDS, access)
            }

            /// From the raw value.
            pub const fn from_raw(raw: $store) -> Self { Self(raw) }
            /// The raw value.
            pub const fn raw(self) -> $store { self.0 }

            /// The register after software wrote `value`: RW bits are taken over, RW1C bits are
            /// cleared where `value` has a 1, all others keep their value.
            pub const fn written(self, value: $store) -> Self {
                let (old, new) = (self.words(), Self(value).words());
                let (rw, rw1c) = (Self(Self::RW).words(), Self(Self::RW1C).words());
                let mut out = old;
                let mut i = 0;
                while i < $n {
                    out[i] = ((old[i] & !rw[i]) | (new[i] & rw[i])) & !(new[i] & rw1c[i]);
                    i += 1;
                }
                Self::from_words(out)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                $crate::register::fmt_fields(stringify!($name), self, f)
            }
        }
    };

    (@table $name:ident $store:ty;
     $($(#[$fm:meta])* $hi:literal : $lo:literal $access:ident $field:ident $(: $ty:ident)?),+ $(,)?) => {
        impl $crate::register::Register for $name {
            const BITS: u32 = (::core::mem::size_of::<$store>() * 8) as u32;
            const FIELDS: &'static [$crate::register::Field] = &[
                $($crate::register::Field {
                    name: stringify!($field), hi: $hi, lo: $lo,
                    access: $crate::register::Access::$access,
                }),+
            ];
            fn bits(&self, hi: u32, lo: u32) -> u64 {
                $crate::register::extract(&self.words(), hi, lo)
            }
        }
        const _: () = assert!(
            $crate::register::tiles(
                <$name as $crate::register::Register>::FIELDS,
                <$name as $crate::register::Register>::BITS,
            ),
            "the rows do not tile the register: a gap, an overlap or a wrong order",
        );
    };

    (@rows $name:ident;) => {};
    (@rows $name:ident; $(#[$fm:meta])* $hi:literal : $lo:literal $access:ident $field:ident : $ty:ident $(, $($rest:tt)*)?) => {
        const _: () = assert!(
            $hi - $lo < $crate::register!(@width $ty),
            "the type is too narrow for its field",
        );
        ::pastey::paste! {
            #[allow(dead_code)]
            impl $name {
                $(#[$fm])*
                #[doc = concat!("Bits ", stringify!($hi), ":", stringify!($lo), " (", stringify!($access), ").")]
                pub const fn $field(self) -> $ty {
                    $crate::register!(@from $ty, $crate::register::extract(&self.words(), $hi, $lo))
                }
                #[doc = concat!("With bits ", stringify!($hi), ":", stringify!($lo), " set to `value`, cut to their width.")]
                #[must_use]
                pub const fn [<with_ $field>](self, value: $ty) -> Self {
                    Self::from_words($crate::register::insert(self.words(), $hi, $lo, value as u64))
                }
            }
        }
        $crate::register!(@rows $name; $($($rest)*)?);
    };
    (@rows $name:ident; $(#[$fm:meta])* $hi:literal : $lo:literal $access:ident $field:ident $(, $($rest:tt)*)?) => {
        $crate::register!(@rows $name; $($($rest)*)?);
    };

    (@width bool) => { 1 };
    (@width $ty:ident) => { $ty::BITS };
    (@from bool, $e:expr) => { $e != 0 };
    (@from $ty:ident, $e:expr) => { $e as $ty };
}
