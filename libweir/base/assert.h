/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_ASSERT_H
#define WR_BASE_ASSERT_H

/*
 * Assertions for programmer errors; never for input, configuration, peers or the kernel's mood.
 *
 * 1. WR_ASSERT stays on in releases. WR_DEBUG_ASSERT is for costly checks (-Ddebug_asserts=true).
 * 2. A failed assertion calls wr_panic: one line to the panic hook (stderr by default), then abort.
 * 3. The hook may record (a flight recorder, a crash page); it must not allocate and must not return
 *    anything of use: the process aborts after it. A unit test may longjmp out of it.
 */

#include "libweir/base/compiler.h"

typedef void wr_panic_hook(const char *message);

/* Sets the hook for the process and returns the old one; NULL means the default. */
wr_panic_hook *wr_panic_set_hook(wr_panic_hook *hook);

WR_NORETURN WR_COLD WR_PRINTF(3, 4) void wr_panic(const char *file, int line, const char *fmt,
                                                  ...);

#define WR_PANIC(...) wr_panic(__FILE__, __LINE__, __VA_ARGS__)
#define WR_ASSERT(cond)                                                  \
    do {                                                                 \
        if (WR_UNLIKELY(!(cond)))                                        \
            wr_panic(__FILE__, __LINE__, "assertion failed: %s", #cond); \
    } while (0)
#if WR_DEBUG
#define WR_DEBUG_ASSERT(cond) WR_ASSERT(cond)
#else
#define WR_DEBUG_ASSERT(cond) \
    do {                      \
        if (0 && (cond)) {    \
        }                     \
    } while (0)
#endif

#endif
