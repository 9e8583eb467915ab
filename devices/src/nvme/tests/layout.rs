use super::super::command::Command;
use super::super::completion::{Completion, Status};
use super::super::regs::{CAP, Cc, Csts};

#[test]
fn registers_by_literals() {
    assert_eq!(CAP.raw(), 0x0040_0020_1401_03ff);
    let cc = Cc::from_raw(0x00a5_c789);
    assert_eq!(
        (cc.iocqes(), cc.iosqes(), cc.shn(), cc.ams(), cc.mps(), cc.css(), cc.en()),
        (0xa, 0x5, 0b11, 0b000, 0b1111, 0b000, true)
    );
    assert_eq!(Cc::from_raw(0x0000_3870).ams(), 0b111);
    assert_eq!(Cc::from_raw(0x0000_3870).css(), 0b111);
    assert_eq!(Csts::ZERO.with_shst(0b10).with_cfs(true).with_rdy(true).raw(), 0b1011);
}

#[test]
fn commands_by_literals() {
    let bytes: Vec<u8> = (0..64).collect();
    let command = Command::from_bytes(bytes.as_slice().try_into().unwrap());
    assert_eq!((command.opc(), command.fuse(), command.psdt(), command.cid()), (0x00, 1, 0, 0x0302));
    assert_eq!(command.nsid(), 0x0706_0504);
    assert_eq!((command.prp1(), command.prp2()), (0x1f1e_1d1c_1b1a_1918, 0x2726_2524_2322_2120));
    assert_eq!(
        [
            command.cdw10(),
            command.cdw11(),
            command.cdw12(),
            command.cdw13(),
            command.cdw14(),
            command.cdw15()
        ],
        [0x2b2a_2928, 0x2f2e_2d2c, 0x3332_3130, 0x3736_3534, 0x3b3a_3938, 0x3f3e_3d3c]
    );
    assert_eq!(command.slba(), 0x2f2e_2d2c_2b2a_2928);
}

#[test]
fn completions_by_literals() {
    let completion = Completion::ZERO
        .with_dw0(0x1122_3344)
        .with_sqhd(0x5566)
        .with_sqid(0x7788)
        .with_cid(0x99aa)
        .with_phase(true)
        .with_status(Status::CompareFailure.code())
        .with_more(true)
        .with_dnr(true);
    let expected = [0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 0x66, 0x55, 0x88, 0x77, 0xaa, 0x99, 0x0b, 0xc5];
    assert_eq!(completion.to_bytes(), expected);
}
