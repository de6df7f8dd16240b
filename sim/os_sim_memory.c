/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Coroutines and the memory of simulated processes.
 *
 * Every process has a range of its own: stacks first, the heap behind them. Processes of one family (a first
 * one and whoever descends from it) have it at the same addresses, so that pointers stay good in a child,
 * which begins with a copy; the range of that member which ran last lies there, the others' are parked. A
 * switch within a family moves two page tables and no page (both places are aligned for that), so it costs
 * no faults; a switch between families costs nothing.
 */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"
#include "libweir/base/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if WR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define STACK_CANARY 0x5741524d53544b21ull
#define HEAP_CLASSES 128
#define HEAP_LIVE    0x4c495645u
#define HEAP_DEAD    0x44454144u
#define MARKED       256u /* bytes of a block that tell whether it is new or gone */

/* In the range, so that it is copied with the rest. */
struct heap {
    void *free[HEAP_CLASSES];
    void *free_pages; /* unmapped page runs, reused by exact size */
    uint64_t brk;
};
struct heap_tag {
    uint32_t state;
    int32_t owner; /* the process that allocated it: what a child inherits is not its leak */
    uint64_t size;
};
_Static_assert(sizeof(struct heap_tag) == 16, "keeps the alignment of 16");

#define HEAP_AT    (SIM_STACKS * SIM_STACK_SIZE)
#define HEAP_FIRST ((HEAP_AT + sizeof(struct heap) + 63) & ~63ull)

static inline char *range(const struct sim_proc *p, uint64_t at)
{
    return (char *)(uintptr_t)(SIM_BASE + p->family * SIM_FAMILY + at); // NOLINT
}

static struct heap *heap_of(const struct sim_proc *p)
{
    return (struct heap *)(void *)range(p, HEAP_AT);
}

static char *stack_top(const struct sim_proc *p, unsigned slot)
{
    return range(p, (uint64_t)(slot + 1) * SIM_STACK_SIZE);
}

/* Plain stores: the C library's memcpy would look into the shadow, also for the shadow itself. */
#define NO_SANITIZER __attribute__((no_sanitize("address", "undefined"))) WR_NOINLINE
NO_SANITIZER static void words_copy(volatile uint64_t *to, const volatile uint64_t *from,
                                    size_t bytes)
{
    for (size_t i = 0; i < bytes / 8; i++)
        to[i] = from[i];
}

/* ---- the sanitizer's shadow of the range ---------------------------------------------------------- */
#if WR_ASAN
static uint64_t *shadow_of(const char *p)
{
    size_t scale, offset;
    __asan_get_shadow_mapping(&scale, &offset);
    return (uint64_t *)(void *)(((uintptr_t)p >> scale) + offset); // NOLINT
}

struct shadow {
    size_t room, heap_bytes, stack_bytes;
    uint64_t words[];
};

/* Of what is mapped, into to's buffer: the used heap, and the stacks that p's tasks have. */
static void shadow_save(struct sim_proc *to, const struct sim_proc *p)
{
    size_t heap_bytes = ((size_t)(heap_of(p)->brk - HEAP_AT) / 8 + 63) & ~(size_t)63;
    unsigned slots = p->stack_depth + 1;
    for (struct sim_list *it = p->tasks.next; it != &p->tasks; it = it->next) {
        unsigned slot = wr_container_of(it, struct sim_task, node)->stack_slot;
        slots = slot >= slots ? slot + 1 : slots;
    }
    size_t stack_bytes = slots * (SIM_STACK_SIZE / 8);
    struct shadow *s = to->shadow;
    if (!s || s->room < heap_bytes + stack_bytes) {
        free(s);
        s = malloc(sizeof *s + heap_bytes + stack_bytes);
        WR_ASSERT(s);
        s->room = heap_bytes + stack_bytes;
        to->shadow = s;
    }
    s->heap_bytes = heap_bytes;
    s->stack_bytes = stack_bytes;
    words_copy(s->words, shadow_of(range(p, HEAP_AT)), heap_bytes);
    words_copy(s->words + heap_bytes / 8, shadow_of(range(p, 0)), stack_bytes);
}

static void shadow_load(const struct sim_proc *p)
{
    const struct shadow *s = p->shadow;
    words_copy(shadow_of(range(p, HEAP_AT)), s->words, s->heap_bytes);
    words_copy(shadow_of(range(p, 0)), s->words + s->heap_bytes / 8, s->stack_bytes);
}
#endif

/* ---- where the ranges lie --------------------------------------------------------------------------- */
_Static_assert(SIM_BASE % SIM_PAGE_TABLE == 0 && SIM_PARK % SIM_PAGE_TABLE == 0 &&
                   SIM_RANGE % SIM_PAGE_TABLE == 0,
               "whole page tables move");

static char *parking(const struct sim_proc *p)
{
    return (char *)(uintptr_t)(SIM_PARK + (uint64_t)p->memory_slot * SIM_RANGE); // NOLINT
}

static void range_move(const struct sim_proc *p, char *from, char *to)
{
    void *at = mremap(from, p->memory_size, p->memory_size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    WR_ASSERT(at == to);
}

void sim_memory_map(struct sim_proc *p)
{
    struct sim_proc **mapped = &sim_world->mapped[p->family], *before = *mapped;
    if (before == p)
        return;
    if (before) {
#if WR_ASAN
        shadow_save(before, before);
#endif
        range_move(before, range(before, 0), parking(before));
    }
    range_move(p, parking(p), range(p, 0));
    *mapped = p;
#if WR_ASAN
    if (p->shadow)
        shadow_load(p);
    else
        __asan_unpoison_memory_region(range(p, 0), SIM_RANGE);
#endif
}

/* What a process does not use need not be moved; p is mapped. */
static void range_grow(struct sim_proc *p, uint64_t need)
{
    uint64_t size = (need + SIM_PAGE_TABLE - 1) / SIM_PAGE_TABLE * SIM_PAGE_TABLE;
    if (size <= p->memory_size)
        return;
    void *at = mremap(range(p, 0), p->memory_size, size, 0);
    WR_ASSERT(at == range(p, 0));
    p->memory_size = size;
}

NO_SANITIZER static bool blank(const uint64_t *words, size_t bytes)
{
    uint64_t any = 0;
    for (size_t i = 0; i < bytes / sizeof *words && !any; i++)
        any = words[i];
    return !any;
}

/* Page by page; what nobody has written stays unwritten in the copy. Both are multiples of 8. */
static void copy_range(struct sim_proc *to, const char *from, const char *end)
{
    while (from < end) {
        size_t n = 4096 - ((uintptr_t)from & 4095);
        if (n > (size_t)(end - from))
            n = (size_t)(end - from);
        const uint64_t *words = (const uint64_t *)(const void *)from;
        if (!blank(words, n))
            words_copy((uint64_t *)(void *)(parking(to) + (from - range(to, 0))), words, n);
        from += n;
    }
}

static unsigned slot_free(void)
{
    uint64_t used = 0;
    for (struct sim_list *it = sim_world->procs.next; it != &sim_world->procs; it = it->next) {
        int slot = wr_container_of(it, struct sim_proc, node)->memory_slot;
        if (slot >= 0)
            used |= 1ull << slot;
    }
    WR_ASSERT(~used != 0);
    return (unsigned)__builtin_ctzll(~used);
}

/* Where a mapping does not grow in its place (under valgrind) it has its full size from the beginning. */
void sim_memory_open(void)
{
    char *at = (char *)(uintptr_t)SIM_PARK, *got; // NOLINT
    sim_world->memory_least = HEAP_AT + SIM_PAGE_TABLE;
    got = mmap(at, SIM_PAGE_TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    WR_ASSERT(got == at);
    bool grows = mremap(at, SIM_PAGE_TABLE, 2 * SIM_PAGE_TABLE, 0) == at;
    munmap(at, grows ? 2 * SIM_PAGE_TABLE : SIM_PAGE_TABLE);
    if (!grows)
        sim_world->memory_least = SIM_RANGE;
}

/* p is not yet among the processes. */
void sim_memory_new(struct sim_proc *p, struct sim_proc *parent)
{
    p->memory_slot = (int)slot_free();
    p->family = parent ? parent->family : sim_world->families++;
    p->memory_size = parent ? parent->memory_size : sim_world->memory_least;
    WR_ASSERT(p->family < SIM_FAMILIES);
    void *at = mmap(parking(p), p->memory_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    WR_ASSERT(at == parking(p));
    if (!parent) {
        *(struct heap *)(void *)(parking(p) + HEAP_AT) = (struct heap){.brk = HEAP_FIRST};
        return;
    }
    p->stack_depth = parent->stack_depth + 1;
    WR_ASSERT(sim_world->mapped[p->family] == parent && p->stack_depth < SIM_STACKS);
    copy_range(p, range(parent, HEAP_AT), range(parent, heap_of(parent)->brk));
    for (unsigned s = 0; s <= parent->stack_depth; s++) {
        /* The parent's own frames end here; those of its ancestors were copied whole. */
        char *low = s == parent->stack_depth ? (char *)__builtin_frame_address(0)
                                             : stack_top(parent, s) - SIM_STACK_SIZE;
        copy_range(p, low, stack_top(parent, s));
    }
#if WR_ASAN
    shadow_save(p, parent);
#endif
}

void sim_memory_drop(struct sim_proc *p)
{
    if (p->memory_slot < 0)
        return;
    bool mapped = sim_world->mapped[p->family] == p;
    if (mapped)
        sim_world->mapped[p->family] = NULL;
    munmap(mapped ? range(p, 0) : parking(p), p->memory_size);
    p->memory_slot = -1;
    free(p->shadow);
    p->shadow = NULL;
}

/* ---- switching ------------------------------------------------------------------------------------- */
#if WR_ASAN
/* Learned on every arrival in a task. */
static const void *scheduler_stack;
static size_t scheduler_size;
#endif

static void task_begin(void)
{
#if WR_ASAN
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_size);
#endif
    struct sim_task *t = sim_world->current;
    if (t->is_main) {
        int status = t->main_fn(t->arg);
        wr_os_exit(status);
    }
    t->thread_fn(t->arg);
    sim_task_leave();
}

#if defined(__x86_64__)
/* Saves what the ABI lets a callee keep, swaps the stacks, restores. */
void sim_swap_stacks(void **save, void *load);
__asm__(".text\n"
        ".globl sim_swap_stacks\n"
        ".type sim_swap_stacks,@function\n"
        "sim_swap_stacks:\n"
        "  pushq %rbp\n"
        "  pushq %rbx\n"
        "  pushq %r12\n"
        "  pushq %r13\n"
        "  pushq %r14\n"
        "  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %rbx\n"
        "  popq %rbp\n"
        "  ret\n"
        ".size sim_swap_stacks,.-sim_swap_stacks\n");

static void context_make(struct sim_task *t, char *top)
{
    void **sp = (void **)(void *)top;
    *--sp = NULL; /* the caller of task_begin: none */
    *--sp = (void *)(uintptr_t)task_begin;
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    t->context = sp;
}

static void context_swap(void **save, void *load)
{
    sim_swap_stacks(save, load);
}

static void context_free(struct sim_task *t)
{
    (void)t;
}
#else
static ucontext_t scheduler_context;

static void context_make(struct sim_task *t, char *top)
{
    ucontext_t *u = calloc(1, sizeof *u);
    WR_ASSERT(u && getcontext(u) == 0);
    u->uc_stack.ss_sp = top - SIM_STACK_SIZE + 64;
    u->uc_stack.ss_size = SIM_STACK_SIZE - 128;
    makecontext(u, task_begin, 0);
    t->context = u;
}

static void context_swap(void **save, void *load)
{
    ucontext_t *from = *save ? *save : &scheduler_context;
    ucontext_t *to = load ? load : &scheduler_context;
    swapcontext(from, to);
}

static void context_free(struct sim_task *t)
{
    free(t->context);
}
#endif

/* Needs the task's process mapped. */
void sim_stack_prepare(struct sim_task *t)
{
    char *top = stack_top(t->proc, t->stack_slot);
    t->stack_low = top - SIM_STACK_SIZE;
#if WR_ASAN
    __asan_unpoison_memory_region(t->stack_low, SIM_STACK_SIZE);
#endif
    *(uint64_t *)(void *)t->stack_low = STACK_CANARY;
    context_make(t, top - 64);
}

void sim_switch_to(struct sim_task *t)
{
    sim_memory_map(t->proc);
    if (!t->context)
        sim_stack_prepare(t);
    sim_world->current = t;
    t->state = SIM_RUNNING;
#if WR_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, t->stack_low, SIM_STACK_SIZE);
#endif
    context_swap(&sim_world->context, t->context);
#if WR_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    sim_world->current = NULL;
    if (t->state == SIM_ENDED) {
        context_free(t);
        return;
    }
    WR_ASSERT(*(uint64_t *)(void *)t->stack_low == STACK_CANARY);
}

void sim_switch_back(bool for_ever)
{
    struct sim_task *t = sim_world->current;
#if WR_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &t->asan_stack, scheduler_stack,
                                   scheduler_size);
#else
    (void)for_ever;
#endif
    context_swap(&t->context, sim_world->context);
#if WR_ASAN
    __sanitizer_finish_switch_fiber(t->asan_stack, &scheduler_stack, &scheduler_size);
#endif
}

/* ---- the heap of a process ------------------------------------------------------------------------- */
/* 16..1024 in steps of 16, then four steps per doubling. */
static unsigned heap_class(size_t n, size_t *out_size)
{
    if (n <= 1024) {
        unsigned c = (unsigned)((n + 15) / 16);
        *out_size = (size_t)(c ? c : 1) * 16;
        return c ? c : 1;
    }
    unsigned log = 63u - (unsigned)__builtin_clzll(n - 1); /* 2^log <= n-1 < 2^(log+1) */
    size_t step = (size_t)1 << (log - 2);
    size_t size = (n + step - 1) / step * step;
    *out_size = size;
    return 64 + (log - 10) * 4 + (unsigned)((size - ((size_t)1 << log)) / step);
}

static bool heap_refuses(struct sim_proc *p)
{
    if (++sim_world->heap_calls == sim_world->opt.refuse_nth)
        return true;
    if (p->refuse_nth && --p->refuse_nth == 0)
        return true;
    return sim_fault(sim_world->opt.faults.heap);
}

static void *heap_take(size_t n, size_t align)
{
    struct sim_proc *p = sim_self();
    struct heap *h = heap_of(sim_self());
    size_t size, pad = align > 16 ? align : 0;
    unsigned c = heap_class(n + sizeof(struct heap_tag) + (WR_ASAN ? 16 : 0) + pad, &size);
    if (c >= HEAP_CLASSES || n > SIM_HEAP_SIZE)
        return NULL;
    char *block = h->free[c];
    if (block && !pad) {
#if WR_ASAN
        __asan_unpoison_memory_region(block, size);
#endif
        memcpy(&h->free[c], block + sizeof(struct heap_tag), sizeof(void *));
    } else {
        uint64_t at = h->brk;
        if (pad) /* so that what follows the tag is aligned */
            at = ((at + sizeof(struct heap_tag) + align - 1) & ~(uint64_t)(align - 1)) -
                 sizeof(struct heap_tag);
        if (at + size > SIM_RANGE)
            return NULL;
        range_grow(p, at + size);
        block = range(p, at);
        h->brk = at + size;
#if WR_ASAN
        __asan_unpoison_memory_region(block, size); /* another process may have been here */
#endif
    }
    struct heap_tag *tag = (struct heap_tag *)(void *)block;
    *tag = (struct heap_tag){HEAP_LIVE, p->pid, n};
    p->heap_live += n;
    if (p->heap_live > p->heap_peak)
        p->heap_peak = p->heap_live;
    char *user = block + sizeof *tag;
#if WR_ASAN
    __asan_poison_memory_region(user + n, size - sizeof *tag - n);
#else
    memset(user, 0xa5, n < MARKED ? n : MARKED);
#endif
    return user;
}

static void *heap_alloc(void *ctx, size_t n)
{
    (void)ctx;
    return heap_refuses(sim_self()) ? NULL : heap_take(n ? n : 1, 16);
}

static void heap_free(void *ctx, void *user, size_t n)
{
    (void)ctx;
    if (!user)
        return;
    struct sim_proc *p = sim_self();
    struct heap_tag *tag = (struct heap_tag *)(void *)((char *)user - sizeof *tag);
    if (tag->state != HEAP_LIVE || tag->size != (n ? n : 1)) {
        sim_violation("heap: free of %p says %zu bytes, the block is %s of %llu bytes", user, n,
                      tag->state == HEAP_LIVE   ? "live"
                      : tag->state == HEAP_DEAD ? "free"
                                                : "unknown",
                      (unsigned long long)tag->size);
        return;
    }
    if (tag->owner == p->pid)
        p->heap_live -= tag->size;
    size_t size;
    unsigned c = heap_class(tag->size + sizeof *tag + (WR_ASAN ? 16 : 0), &size);
    tag->state = HEAP_DEAD;
#if !WR_ASAN
    memset(user, 0xdd, tag->size < MARKED ? tag->size : MARKED);
#endif
    struct heap *h = heap_of(sim_self());
#if WR_ASAN
    __asan_unpoison_memory_region(user, sizeof(void *));
#endif
    memcpy(user, &h->free[c], sizeof(void *));
    h->free[c] = tag;
#if WR_ASAN
    __asan_poison_memory_region(user, size - sizeof *tag);
#endif
}

static void *heap_realloc(void *ctx, void *old, size_t old_n, size_t n)
{
    if (!old)
        return heap_alloc(ctx, n);
    void *fresh = heap_alloc(ctx, n);
    if (!fresh)
        return NULL;
    memcpy(fresh, old, old_n < n ? old_n : n);
    heap_free(ctx, old, old_n);
    return fresh;
}

const struct wr_heap *wr_os_heap(void)
{
    static const struct wr_heap heap = {heap_alloc, heap_realloc, heap_free, NULL};
    return &heap;
}

/* Pages come from the same range; a run that was unmapped serves the next of its size. */
static char *pages_reuse(size_t n)
{
    struct heap *h = heap_of(sim_self());
    void **link = &h->free_pages;
    while (*link) {
        struct heap_tag *tag = *link;
        void **next = (void **)(void *)(tag + 1);
        if (tag->size == n) {
#if WR_ASAN
            __asan_unpoison_memory_region(tag + 1, n);
#endif
            *link = *next;
            *tag = (struct heap_tag){HEAP_LIVE, sim_self()->pid, n};
            return (char *)(tag + 1);
        }
        link = next;
    }
    return NULL;
}

void *wr_os_map(size_t n)
{
    sim_enter();
    n = (n + 4095) & ~(size_t)4095;
    if (heap_refuses(sim_self()))
        return NULL;
    char *p = pages_reuse(n);
    if (!p) {
        p = heap_take(n, 4096);
        if (!p)
            return NULL;
        sim_self()->heap_live -= n; /* counted as mapped, not as heap */
        memset(p, 0, MARKED);       /* the rest is as the real kernel gave it */
    } else {
        memset(p, 0, n);
    }
    sim_self()->mapped += n;
    return p;
}

int sim_unmap_private(void *p, size_t n)
{
    struct heap_tag *tag = (struct heap_tag *)(void *)((char *)p - sizeof *tag);
    n = (n + 4095) & ~(size_t)4095;
    if (tag->state != HEAP_LIVE || tag->size != n)
        return -EINVAL;
    tag->state = HEAP_DEAD;
    if (tag->owner == sim_self()->pid)
        sim_self()->mapped -= n;
    struct heap *h = heap_of(sim_self());
    memcpy(p, &h->free_pages, sizeof(void *));
    h->free_pages = tag;
    return 0;
}

bool sim_address_private(const void *p)
{
    return (uintptr_t)p >= SIM_BASE && (uintptr_t)p < SIM_BASE + SIM_FAMILIES * SIM_FAMILY;
}
