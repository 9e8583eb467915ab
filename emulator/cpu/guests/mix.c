/* A compute mix: CRC, sorting, a sieve, a linked list, string comparison.
 *
 * It runs on bare metal with the MMU off or on, and hosted for its expected result. The scratch
 * memory is the caller's. Built by build.sh into mix.bin.
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

struct node {
    struct node *next;
    u64 value;
};

static u32 crc(const u8 *data, u64 size) {
    static u32 table[256];
    if (!table[1])
        for (u32 i = 0; i < 256; i++) {
            u32 c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
            table[i] = c;
        }
    u32 c = ~0u;
    for (u64 i = 0; i < size; i++)
        c = c >> 8 ^ table[(c ^ data[i]) & 255];
    return ~c;
}

static void sort(u32 *a, long lo, long hi) {
    while (lo < hi) {
        u32 pivot = a[(lo + hi) / 2];
        long i = lo, j = hi;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - lo < hi - i) {
            sort(a, lo, j);
            lo = i;
        } else {
            sort(a, i, hi);
            hi = j;
        }
    }
}

static int compare(const u8 *a, const u8 *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a - *b;
}

/* Uses 256 KiB at scratch. */
u64 mix(u8 *scratch, u64 rounds) {
    u64 result = 0, seed = 88172645463325252ul;
    for (u64 round = 0; round < rounds; round++) {
        u32 *words = (u32 *)scratch;
        for (u32 i = 0; i < 16384; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            words[i] = (u32)seed;
        }
        sort(words, 0, 16383);
        result = result * 31 + crc(scratch, 65536);

        u8 *flags = scratch + 65536;
        for (u32 i = 0; i < 65536; i++)
            flags[i] = 1;
        for (u32 i = 2; i * i < 65536; i++)
            if (flags[i])
                for (u32 j = i * i; j < 65536; j += i)
                    flags[j] = 0;
        u64 primes = 0;
        for (u32 i = 2; i < 65536; i++)
            primes += flags[i];
        result = result * 31 + primes;

        struct node *nodes = (struct node *)(scratch + 131072), *head = 0;
        for (u32 i = 0; i < 4096; i++) {
            struct node *n = &nodes[(i * 1597u) & 4095];
            n->next = head;
            n->value = words[i] % (i + 1);
            head = n;
        }
        for (int pass = 0; pass < 16; pass++)
            for (struct node *n = head; n; n = n->next)
                result += n->value * (u64)(pass + 1) / 3;

        for (u32 i = 0; i < 64; i++) {
            u8 *a = flags, *b = flags + 4096;
            for (u32 j = 0; j < 200; j++)
                a[j] = b[j] = (u8)(j % 100 + 1);
            a[200] = b[200] = 0;
            b[i * 3] ^= 1;
            result += (u64)(long)compare(a, b);
        }
    }
    return result;
}

#ifdef HOSTED
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    static u64 scratch[32768];
    printf("0x%lx\n", mix((u8 *)scratch, argc > 1 ? strtoul(argv[1], 0, 0) : 1));
}
#else
/* X0: scratch, X1: rounds; the stack is set. The result is left in X0. */
__asm__(".section .text.start\n"
        ".global _start\n"
        "_start: bl mix\n"
        "done: wfi\n"
        "b done\n");
#endif
