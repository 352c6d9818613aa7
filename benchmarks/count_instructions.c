// Plugin of qemu's user emulation: counts the executed instructions of all threads. It writes the count to standard error
// at the end, and where the program calls sched_get_priority_max, the mark of counted_work.py. It declares what it uses of qemu-plugin.h, which no package of Debian contains. Version 1 of the
// interface is that of qemu 7.2 (Debian 12); later versions keep these functions.
//   cc -O2 -shared -fPIC -DVERSION=1 -o count_instructions.so count_instructions.c
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb; // translated block: instructions that run one after another

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *data);
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *data);

#ifndef VERSION
#define VERSION 1
#endif
int qemu_plugin_version = VERSION;
enum { SCHED_GET_PRIORITY_MAX = 125 }; // on aarch64
static uint64_t instructions;

static void on_execution(unsigned cpu, void *count)
{
    __atomic_fetch_add(&instructions, (uintptr_t)count, __ATOMIC_RELAXED);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_execution, 0, (void *)qemu_plugin_tb_n_insns(block));
}

static void print_count(void)
{
    fprintf(stderr, "instructions: %llu\n", (unsigned long long)instructions);
}

static void on_system_call(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (number == SCHED_GET_PRIORITY_MAX)
        print_count();
}

static void on_end(qemu_plugin_id_t id, void *data)
{
    print_count();
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
