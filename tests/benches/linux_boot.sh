#!/usr/bin/env bash
# Boots one kernel on the software processor and by QEMU's TCG in turn, and says what each of them took:
#
#     tests/benches/linux_boot.sh KERNEL INITRD [RUNS]
#
# The /init of INITRD is to switch the machine off. Both machines have one CPU, an SMMUv3, a GICv3 and
# 512 MiB of RAM. What counts is the least processor time (user and system) of RUNS, 3 if not given: time by
# the clock depends on what else the host does. IOMMULATOR and QEMU name other programs to compare.
set -euo pipefail

if (($# < 2 || $# > 3)); then
    echo "usage: $0 KERNEL INITRD [RUNS]" >&2
    exit 2
fi
kernel=$1 initrd=$2 runs=${3:-3}
root=$(cd "$(dirname "$0")/../.." && pwd)
words='console=ttyAMA0 rdinit=/init'
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if [[ -z ${IOMMULATOR:-} ]]; then
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package iommulator
    IOMMULATOR=${CARGO_TARGET_DIR:-$root/target}/release/iommulator
fi

iommulator() {
    "$IOMMULATOR" run "$kernel" --machine virt --memory 512M --iommu smmuv3.2-nested \
        --initrd "$initrd" --append "$words" --timeout 600 --stats
}

tcg() {
    "${QEMU:-qemu-system-aarch64}" -accel tcg -machine virt,iommu=smmuv3,gic-version=3 -cpu cortex-a57 \
        -m 512 -nodefaults -no-reboot -display none -serial stdio \
        -kernel "$kernel" -initrd "$initrd" -append "$words" </dev/null
}

# Prints the least processor time and the least time by the clock of a function's runs.
least() {
    local run
    local TIMEFORMAT='%U %S %R'
    for ((run = 0; run < runs; run++)); do
        { time "$1" >"$log" 2>&1; } 2>&1 || {
            tail -n 20 "$log" >&2
            echo "$1 failed" >&2
            return 1
        }
    done | awk '
        NR == 1 || $1 + $2 < cpu { cpu = $1 + $2 }
        NR == 1 || $3 < clock { clock = $3 }
        END { printf "%.2f s of processor time, %.2f s by the clock", cpu, clock }'
}

took=$(least iommulator)
printf 'iommulator: %s\n' "$took"
sed -n 's/^iommulator: \(.* instructions .*\)/            \1 (the last run)/p' "$log"
took=$(least tcg)
printf 'QEMU TCG:   %s\n' "$took"
