// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//
// Runs A64 instructions from given states and tells the states they end in. It is the half of the
// vector generator that needs an AArch64 CPU: real, or qemu-aarch64.
//
//   aarch64-linux-gnu-gcc -O1 -static -o oracle oracle.c
//
// Standard input is a sequence of requests, standard output one reply for each. Both begin with
// struct state; a request goes on with a count and as many instruction words, a reply with the
// number of the signal that ended the program. A program that reaches its end stops at a BRK behind
// it, which is SIGTRAP.
//
// The state is put in force and taken by way of a signal frame: the handler of one signal edits the
// frame it returns by, and the one that ends the program copies it.

#define _GNU_SOURCE
#include <asm/sigcontext.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = 1000 };
#define CODE ((uint8_t *)0x40000000)
#define DATA ((uint8_t *)0x40001000)
#define BRK 0xd4200000u
#define NZCV 0xf0000000u

struct state {
    uint64_t x[32]; // X0 to X30, SP
    uint64_t v[32][2];
    uint64_t pc;
    uint32_t nzcv; // as in NZCV: bits 31 to 28
    uint32_t fpcr, fpsr, zero;
    uint8_t memory[PAGE];
};

static struct state state;
static ucontext_t home;
static struct fpsimd_context home_fp;
static volatile int ended_by;

static struct fpsimd_context *fpsimd(ucontext_t *context)
{
    struct _aarch64_ctx *record = (void *)context->uc_mcontext.__reserved;
    while (record->magic != FPSIMD_MAGIC)
        record = (void *)((uint8_t *)record + record->size);
    return (void *)record;
}

static void enter(int signal, siginfo_t *info, void *frame)
{
    ucontext_t *context = frame;
    struct fpsimd_context *fp = fpsimd(context);
    memcpy(&home.uc_mcontext, &context->uc_mcontext, 34 * 8);
    home_fp = *fp;
    memcpy(context->uc_mcontext.regs, state.x, 31 * 8);
    context->uc_mcontext.sp = state.x[31];
    context->uc_mcontext.pc = state.pc;
    context->uc_mcontext.pstate = (context->uc_mcontext.pstate & ~(uint64_t)NZCV) | state.nzcv;
    memcpy(fp->vregs, state.v, sizeof state.v);
    fp->fpcr = state.fpcr;
    fp->fpsr = state.fpsr;
}

static void leave(int signal, siginfo_t *info, void *frame)
{
    ucontext_t *context = frame;
    struct fpsimd_context *fp = fpsimd(context);
    ended_by = signal;
    memcpy(state.x, context->uc_mcontext.regs, 31 * 8);
    state.x[31] = context->uc_mcontext.sp;
    state.pc = context->uc_mcontext.pc;
    state.nzcv = context->uc_mcontext.pstate & NZCV;
    memcpy(state.v, fp->vregs, sizeof state.v);
    state.fpcr = fp->fpcr;
    state.fpsr = fp->fpsr;
    memcpy(&context->uc_mcontext, &home.uc_mcontext, 34 * 8);
    memcpy(fp, &home_fp, sizeof home_fp);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    if (sigaction(signal, &action, NULL))
        abort();
}

int main(void)
{
    static uint8_t alternate[1 << 16];
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    sigaltstack(&stack, NULL);
    handle(SIGUSR1, enter);
    handle(SIGTRAP, leave);
    handle(SIGILL, leave);
    handle(SIGSEGV, leave);
    handle(SIGBUS, leave);
    if (mmap(CODE, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != CODE)
        abort();

    uint32_t count, words[WORDS + 1];
    while (fread(&state, sizeof state, 1, stdin) == 1) {
        if (fread(&count, 4, 1, stdin) != 1 || count > WORDS || fread(words, 4, count, stdin) != count)
            abort();
        words[count] = BRK;
        memcpy(CODE, words, 4 * (count + 1));
        __builtin___clear_cache((char *)CODE, (char *)CODE + PAGE);
        memcpy(DATA, state.memory, PAGE);
        raise(SIGUSR1);
        memcpy(state.memory, DATA, PAGE);
        uint32_t signal = ended_by;
        fwrite(&state, sizeof state, 1, stdout);
        fwrite(&signal, 4, 1, stdout);
        fflush(stdout);
    }
    return 0;
}
