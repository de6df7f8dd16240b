/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who has the mutex that a thread waits for. glibc's mutex is { int lock; unsigned count; int owner; unsigned nusers;
 * int kind; ... } on every 64-bit machine; that is no promise, and other locks wait in the same system call: so
 * whatever does not look like one in every word is none.
 */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#define WORDS       6
#define TID_MAX     4194304U /* 2^22: what the kernel's pid_max can be at most */
#define KNOWN_KINDS 0x3f3U   /* type 0 to 3, robust, PI, protect, shared, elision */

enum { /* words */
    LOCK,
    COUNT,
    OWNER,
    USERS,
    KIND
};

bool futex_is_mutex(const uint32_t words[WORDS], uint32_t operation, uint64_t waits_on,
                    struct facts_futex *io)
{
    uint32_t command = operation & FUTEX_CMD_MASK, kind = words[KIND];
    bool pi = command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
    bool robust = (kind & 16) != 0;
    if (words[OWNER] == 0 || words[OWNER] > TID_MAX || (kind & ~KNOWN_KINDS))
        return false;
    if (words[USERS] == 0 || words[USERS] > TID_MAX || words[COUNT] > TID_MAX)
        return false;
    if (pi || robust) { /* the kernel knows the owner too: it is in the lock word */
        if ((words[LOCK] & FUTEX_TID_MASK) != words[OWNER])
            return false;
    } else if (words[LOCK] != 2 || (uint32_t)waits_on != 2) {
        return false; /* 2: locked, and somebody waits */
    }
    if (!pi && command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET)
        return false;
    io->word = words[LOCK], io->owner = words[OWNER], io->kind = kind;
    return true;
}

static bool is_waiting(const struct facts_thread *t)
{
    return t->syscall == SYS_futex && t->state == 'S' && t->arg[0] != 0 && t->arg[0] % 4 == 0;
}

bool futex_is_risky(const struct facts_thread *t)
{
    static const int calls[] = {SYS_mmap,      SYS_munmap, SYS_mprotect, SYS_mremap, SYS_brk,
                                SYS_madvise,   SYS_mlock,  SYS_munlock,  SYS_clone,  SYS_execve,
#ifdef SYS_clone3
                                SYS_clone3,
#endif
#ifdef SYS_fork
                                SYS_fork,      SYS_vfork,
#endif
                                SYS_exit_group};
    if (t->state != 'D')
        return false;
    for (unsigned i = 0; i < WR_ARRAY_LEN(calls); i++)
        if (t->syscall == calls[i])
            return true;
    return t->syscall < 0; /* outside of a call: in a page fault */
}

static bool is_risky(const struct facts_look *l, uint32_t pid)
{
    for (uint32_t i = 0; i < l->threads.n; i++)
        if (l->threads.v[i].pid == pid && futex_is_risky(&l->threads.v[i]))
            return true;
    return false;
}

static void unreadable(struct facts_look *l, uint32_t pid)
{
    for (uint32_t i = 0; i < l->processes.n; i++)
        if (l->processes.v[i].pid == pid)
            l->processes.v[i].unread |= FACTS_UNREAD_MEMORY;
}

static bool is_unreadable(const struct facts_look *l, uint32_t pid)
{
    const struct facts_process *p = facts_process(l, pid);
    return p && (p->unread & FACTS_UNREAD_MEMORY);
}

static int look_one(struct facts_look *l, const struct facts_thread *t)
{
    uint32_t words[WORDS];
    struct facts_futex f = {.addr = t->arg[0], .pid = t->pid, .tid = t->tid};
    look_pause(l->pace);
    ssize_t got = wr_os_process_read((pid_t)t->pid, t->arg[0], words, sizeof words);
    if (got == -EPERM || got == -EACCES)
        unreadable(l, t->pid);
    if (got != (ssize_t)sizeof words ||
        !futex_is_mutex(words, (uint32_t)t->arg[1], t->arg[2], &f))
        return 0;
    return FACTS_ADD(&l->futexes, l->heap, &f);
}

int look_futexes(struct facts_look *l, const uint32_t *pids, uint32_t n)
{
    int err = 0;
    for (uint32_t i = 0; i < n; i++)
        if (is_risky(l, pids[i]))
            unreadable(l, pids[i]);
    for (uint32_t i = 0; !err && i < l->threads.n; i++) {
        const struct facts_thread *t = &l->threads.v[i];
        if (is_waiting(t) && look_has32(pids, n, t->pid) && !is_unreadable(l, t->pid))
            err = look_one(l, t);
    }
    return err;
}
