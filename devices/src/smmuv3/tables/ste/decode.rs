//! From an STE to what its stream is given [SMMUv3 5.2.2, SteIllegal()].

use super::{
    ContextLayout, ContextTable, DefaultSubstream, Illegal, Overrides, Service, Ste, Stream, stage2,
};
use crate::smmuv3::capability::Config;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::regs::Cr2;
use crate::smmuv3::tables::{aligned, exceeds};

/// Decodes an STE. Where SMMUv3.0 leaves a choice between ILLEGAL and some other value, it is ILLEGAL, as
/// from SMMUv3.1 on.
///
/// # Errors
/// The first rule that is broken: C_BAD_STE.
pub fn decode(ste: Ste, config: &Config, cr2: Cr2) -> Result<Stream, Illegal> {
    if !ste.v() {
        return Err(Illegal::NotValid);
    }
    let (translates, stage1, stage2) =
        (ste.config() & 0b100 != 0, ste.config() & 0b001 != 0, ste.config() & 0b010 != 0);
    if !translates {
        return Ok(Stream::Abort);
    }
    if stage1 && !config.idr0.s1p() {
        return Err(Illegal::NoStage1);
    }
    if stage2 && !config.idr0.s2p() {
        return Err(Illegal::NoStage2);
    }
    let world = world(ste, config, cr2)?;
    let contexts = if stage1 { Some(contexts(ste, stage2, config)?) } else { None };
    let (stage2_stalls, stage2_records) = (stage2 && ste.s2s(), stage2 && ste.s2r());
    let tables = if stage2 { Some(stage2::decode(ste, stage1, config)?) } else { None };
    Ok(Stream::Serve(Service {
        world,
        vmid: vmid(ste, world, stage1 || stage2, config)?,
        contexts,
        stage2: tables,
        stage2_stalls,
        stage2_records,
        merge: ste.mev(),
        overrides: Overrides::of_ste(ste, config),
    }))
}

/// STRW counts with stage 1 alone, where there are EL2 contexts.
fn world(ste: Ste, config: &Config, cr2: Cr2) -> Result<StreamWorld, Illegal> {
    if !config.idr0.hyp() || ste.config() != 0b101 {
        return Ok(StreamWorld::El1);
    }
    match ste.strw() {
        0b00 => Ok(StreamWorld::El1),
        0b10 if cr2.e2h() => Ok(StreamWorld::El2E2h),
        0b10 => Ok(StreamWorld::El2),
        _ => Err(Illegal::ReservedWorld),
    }
}

fn contexts(ste: Ste, stage2: bool, config: &Config) -> Result<ContextTable, Illegal> {
    if ste.s1stalld() && config.idr0.stall_model() != 0b00 {
        return Err(Illegal::StallNotConfigurable);
    }
    // Without SubstreamIDs S1CDMax is ignored, and so is S1Fmt where there is one CD.
    let substreams = config.idr1.ssidsize() != 0;
    let log2_count = if substreams { u32::from(ste.s1cdmax()) } else { 0 };
    if log2_count > u32::from(config.idr1.ssidsize()) {
        return Err(Illegal::TooManyContexts);
    }
    let layout = match ste.s1fmt() {
        0b01 if log2_count != 0 => ContextLayout::Leaves4K,
        0b10 if log2_count != 0 => ContextLayout::Leaves64K,
        _ => ContextLayout::Linear,
    };
    if layout != ContextLayout::Linear && !config.idr0.cd2l() {
        return Err(Illegal::NoTwoLevelContexts);
    }
    let pointer = ste.s1contextptr() << 6;
    let bits = if stage2 { config.ias_bits() } else { config.oas_bits() };
    if exceeds(pointer, bits) {
        return Err(Illegal::ContextPointerRange);
    }
    Ok(ContextTable {
        // The bits inside the table are RES0, and count as zero here.
        base: aligned(pointer, layout.alignment(log2_count)),
        layout,
        log2_count,
        default: match ste.s1dss() {
            // S1DSS is ignored: the one CD serves what has no SubstreamID.
            _ if log2_count == 0 => DefaultSubstream::First,
            0b01 => DefaultSubstream::Bypass,
            0b10 => DefaultSubstream::First,
            // 0b11 is reserved and behaves as 0b00.
            _ => DefaultSubstream::Terminate,
        },
        no_stall: ste.s1stalld(),
    })
}

/// S2VMID counts, with stage 1 alone too, where stage 2 is implemented and the world is EL1.
fn vmid(ste: Ste, world: StreamWorld, translated: bool, config: &Config) -> Result<u16, Illegal> {
    if !config.idr0.s2p() || !translated || world != StreamWorld::El1 {
        return Ok(0);
    }
    if !config.idr0.vmid16() && ste.s2vmid() > 0xff {
        return Err(Illegal::WideVmid);
    }
    Ok(ste.s2vmid())
}
