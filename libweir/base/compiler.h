/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_COMPILER_H
#define WR_BASE_COMPILER_H

/*
 * The few words of the compiler that the tree uses, under names of our own.
 */

#include <stddef.h>
#include <stdint.h>

#define WR_MUST          __attribute__((warn_unused_result))
#define WR_PRINTF(f, a)  __attribute__((format(printf, f, a)))
#define WR_NORETURN      __attribute__((noreturn))
#define WR_NOINLINE      __attribute__((noinline))
/* Seldom called: what leads to a call of it is laid out behind the function, out of the way of the usual path. */
#define WR_COLD          __attribute__((cold))
#define WR_MALLOC        __attribute__((malloc))
#define WR_LIKELY(x)     __builtin_expect(!!(x), 1)
#define WR_UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define WR_UNUSED        __attribute__((unused))
#define WR_FALLTHROUGH   __attribute__((fallthrough))
#define WR_CACHE_LINE    64
#define WR_CACHE_ALIGNED __attribute__((aligned(WR_CACHE_LINE)))
#define WR_ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))

/* The struct of type T whose member M lies at P. The pointer's own type is checked. */
#define wr_container_of(p, T, m) \
    ((T *)(void *)((char *)(1 ? (p) : &((T *)0)->m) - offsetof(T, m)))

/* Where a thing was asked for: a static record, so that keeping it costs one pointer. */
struct wr_site {
    const char *file;
    int line;
    const char *func;
};
#define WR_HERE                                                                \
    (__extension__({                                                           \
        static const struct wr_site wr_here_ = {__FILE__, __LINE__, __func__}; \
        &wr_here_;                                                             \
    }))

#ifndef WR_DEBUG
#define WR_DEBUG 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WR_ASAN 1
#endif
#endif
#ifndef WR_ASAN
#define WR_ASAN 0
#endif

#endif
