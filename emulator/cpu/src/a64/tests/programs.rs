use super::rig::{BASE, Rig, SIZE};

#[test]
fn a_loop_sums_and_the_stack_works() {
    let mut rig = Rig::new(&[
        0xd2800140, // mov x0, #10
        0xd2800001, // mov x1, #0
        0xd2800022, // mov x2, #1
        0x8b020023, // add x3, x1, x2
        0xaa0203e1, // mov x1, x2
        0xaa0303e2, // mov x2, x3
        0xf1000400, // subs x0, x0, #1
        0x54ffff81, // b.ne 0xc
        0xf81f0fe1, // str x1, [sp, #-16]!
        0xa8c117e4, // ldp x4, x5, [sp], #16
        0x14000000, // b .
    ]);
    let core = rig.run(100).core();
    assert_eq!((core.x[1], core.x[2], core.x[4], core.x[5]), (55, 89, 55, 0));
    assert_eq!(core.x[31], BASE + SIZE as u64);
    assert_eq!(core.pc, BASE + 40);
}

/// The result is that of the same source compiled for the host.
#[test]
fn the_compute_mix_gives_what_the_host_gives() {
    let image = include_bytes!("../../../guests/mix.bin");
    let words: Vec<u32> =
        image.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let mut rig = Rig::new(&words);
    rig.core().x[0] = BASE + (1 << 20);
    rig.core().x[1] = 1;
    let core = rig.run(20_000_000).core();
    assert_eq!(core.pc, BASE + 8, "it waits for an interrupt");
    assert_eq!(core.x[0], 0x3_58be_e8c2);
}
