//! What decoding has made of STEs and CDs.
//!
//! No cache that anybody could tell from none: words are looked up under what decides what they mean, and
//! count if they are the same, so nothing of this needs an invalidation, and no policy applies to it. A
//! saved unit does without.

use super::Translator;
use crate::addr::{Pasid, StreamId};
use crate::iommu::cache::{Cache, Policy};
use crate::smmuv3::regs::Cr2;
use crate::smmuv3::tables::cd::{self, Cd};
use crate::smmuv3::tables::ste::{self, Ste};

/// Entries that there is room for.
const ENTRIES: usize = 256;

/// Words and what they mean, by what else that depends on.
#[derive(Debug)]
pub(super) struct Memo(Cache<8>);

impl Memo {
    pub(super) fn new() -> Self {
        Self(Cache::new(ENTRIES, Policy::Retain, 0))
    }

    /// What was made of an entry, of which the low half decides: the other has no field that is looked at.
    #[inline(always)]
    fn recall(&self, key: u64, &[w0, w1, w2, w3, ..]: &[u64; 8]) -> Option<[u64; 4]> {
        let mut entry = [0; 8];
        if !self.0.lookup_into(place(key), key, &mut entry) {
            return None;
        }
        let [k0, k1, k2, k3, m0, m1, m2, m3] = entry;
        // Word by word: arrays are compared in pieces other than those they were stored in.
        let different = (k0 ^ w0) | (k1 ^ w1) | (k2 ^ w2) | (k3 ^ w3);
        (different == 0).then_some([m0, m1, m2, m3])
    }

    fn keep(&self, key: u64, &[w0, w1, w2, w3, ..]: &[u64; 8], [m0, m1, m2, m3]: [u64; 4]) {
        self.0.insert(self.0.ticket(), place(key), key, [w0, w1, w2, w3, m0, m1, m2, m3]);
    }
}

impl Translator {
    /// Puts what an STE means into `meaning`, where it will be looked at: a result is copied there in pieces
    /// other than those it was stored in, for which processors wait.
    ///
    /// # Errors
    /// C_BAD_STE.
    #[inline(always)]
    pub(super) fn decode_ste(
        &self,
        stream: StreamId,
        words: &[u64; 8],
        cr2: Cr2,
        meaning: &mut ste::Packed,
    ) -> Result<(), ste::Illegal> {
        // Bit 31 of CR2 is reserved: no key is all ones.
        let key = (u64::from(stream.0) | u64::from(cr2.raw()) << 32) & !(1 << 63);
        if let Some(known) = self.stes.recall(key, words) {
            *meaning = ste::Packed::from_words(known);
            return Ok(());
        }
        self.decode_new_ste(key, words, cr2, meaning)
    }

    #[cold]
    #[inline(never)]
    fn decode_new_ste(
        &self,
        key: u64,
        words: &[u64; 8],
        cr2: Cr2,
        meaning: &mut ste::Packed,
    ) -> Result<(), ste::Illegal> {
        *meaning = ste::Packed::new(&ste::decode(Ste::from_raw(*words), &self.config, cr2)?);
        self.stes.keep(key, words, meaning.words());
        Ok(())
    }

    /// Puts what a CD means into `meaning`, likewise.
    ///
    /// # Errors
    /// C_BAD_CD.
    #[inline(always)]
    pub(super) fn decode_cd(
        &self,
        stream: StreamId,
        index: Pasid,
        words: &[u64; 8],
        service: &ste::Packed,
        meaning: &mut cd::Packed,
    ) -> Result<(), cd::Illegal> {
        let by = u64::from(service.world_number()) | u64::from(service.no_stall()) << 2;
        let key = u64::from(stream.0) << 20 | u64::from(index.get()) | by << 52;
        if let Some(known) = self.cds.recall(key, words) {
            *meaning = cd::Packed::from_words(known);
            return Ok(());
        }
        self.decode_new_cd(key, words, service, meaning)
    }

    #[cold]
    #[inline(never)]
    fn decode_new_cd(
        &self,
        key: u64,
        words: &[u64; 8],
        service: &ste::Packed,
        meaning: &mut cd::Packed,
    ) -> Result<(), cd::Illegal> {
        let context = cd::decode(Cd::from_raw(*words), &self.config, &service.service())?;
        *meaning = cd::Packed::new(&context);
        self.cds.keep(key, words, meaning.words());
        Ok(())
    }
}

/// The set of a key: streams and substreams differ in its low bits, or from bit 20 on.
fn place(key: u64) -> u64 {
    key ^ key >> 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pa;
    use crate::mem::PhysMem;
    use crate::register::{Access, Register};
    use crate::smmuv3::Config;
    use crate::smmuv3::invalidation::StreamWorld;

    /// Config = 101, one CD at 0x1000.
    const STAGE1: u64 = 0xb | 0x1000;
    /// 4K, 48 bits, EPD1, V, 48-bit IPS, AA64, R, A.
    const CD: u64 = 0x10 | 1 << 30 | 1 << 31 | 5 << 32 | 1 << 41 | 1 << 45 | 1 << 46;

    fn translator() -> Translator {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x1000)]).unwrap();
        Translator::new(&Config::preset("smmuv3.3-full").unwrap(), mem)
    }

    #[test]
    fn the_high_half_of_an_entry_has_no_field_that_is_looked_at() {
        for field in Ste::FIELDS.iter().chain(Cd::FIELDS).filter(|field| field.hi >= 256) {
            assert!(field.access == Access::Ignored && field.lo >= 256, "{field:?}");
        }
    }

    #[test]
    fn an_ste_is_known_by_its_words_and_by_what_cr2_makes_of_them() {
        let translator = translator();
        // STRW = 10.
        let el2 = [STAGE1, 2 << 30, 0, 0, 0, 0, 0, 0];
        let [host, guest] = [1, 0].map(Cr2::from_raw);
        let rows = [
            (el2, guest, Ok(StreamWorld::El2)),
            (el2, host, Ok(StreamWorld::El2E2h)),
            ([STAGE1, 0, 9, 0, 0, 0, 0, 0], host, Ok(StreamWorld::El1)),
            ([STAGE1, 1 << 30, 0, 0, 0, 0, 0, 0], host, Err(ste::Illegal::ReservedWorld)),
            (el2, guest, Ok(StreamWorld::El2)),
        ];
        // Twice: first all of it is new.
        for (words, cr2, expected) in rows.into_iter().chain(rows) {
            let mut packed = ste::Packed::ZERO;
            let found = translator.decode_ste(StreamId(7), &words, cr2, &mut packed);
            assert_eq!(found.map(|()| packed.world()), expected, "{words:x?}, {cr2:?}");
        }
    }

    #[test]
    fn a_cd_is_known_by_its_words_and_by_what_the_ste_makes_of_them() {
        let translator = translator();
        let stalls = [CD | 1 << 44, 0x2000, 0, 0xff, 0, 0, 0, 0];
        let service = |words: [u64; 2], cr2| {
            let [w0, w1] = words;
            let mut packed = ste::Packed::ZERO;
            let words = [w0, w1, 0, 0, 0, 0, 0, 0];
            translator.decode_ste(StreamId(7), &words, Cr2::from_raw(cr2), &mut packed).unwrap();
            packed
        };
        // One range in EL2 alone; S1STALLD refuses CD.S.
        let rows = [
            (service([STAGE1, 0], 0), Ok((false, true))),
            (service([STAGE1, 2 << 30], 0), Ok((true, true))),
            (service([STAGE1, 2 << 30], 1), Ok((false, true))),
            (service([STAGE1, 1 << 27], 0), Err(cd::Illegal::StallDisabled)),
        ];
        for (service, expected) in rows.into_iter().chain(rows) {
            let mut packed = cd::Packed::ZERO;
            let index = Pasid::new(0).unwrap();
            let found = translator.decode_cd(StreamId(7), index, &stalls, &service, &mut packed);
            assert_eq!(found.map(|()| (packed.single(), packed.stall())), expected, "{service:?}");
        }
    }
}
