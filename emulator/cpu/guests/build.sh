#!/bin/sh
# Builds the checked-in images from their sources, with gcc-aarch64-linux-gnu 12.
set -e
cd "$(dirname "$0")"
aarch64-linux-gnu-gcc -O2 -ffreestanding -nostdlib -static -mgeneral-regs-only -fno-pie -no-pie \
    -fno-tree-vectorize -fno-builtin -Wl,--build-id=none -Wl,-Ttext=0x40000010 -Wl,-Tdata=0x40010000 -Wl,-Tbss=0x40011000 \
    -Wl,--section-start=.text.start=0x40000000 -o mix.elf mix.c
aarch64-linux-gnu-objcopy -O binary -j .text.start -j .text mix.elf mix.bin
rm mix.elf
