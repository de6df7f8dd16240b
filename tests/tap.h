/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_TAP_H
#define WR_TESTS_TAP_H

/*
 * The Test Anything Protocol for unit tests: one executable per unit, one line per check, main ends
 * with `return tap_done();`. A failed check prints what it saw and where; the run goes on.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count, tap_failed;

#define ok(cond, ...) tap_check((cond), __FILE__, __LINE__, #cond, __VA_ARGS__)
#define is_int(got, want, ...) \
    tap_int((long long)(got), (long long)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) tap_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)
#define skip(reason)           tap_skip(reason)

#define tap_line(good, ...)                                      \
    do {                                                         \
        printf("%sok %d - ", (good) ? "" : "not ", ++tap_count); \
        printf(__VA_ARGS__);                                     \
        printf("\n");                                            \
        if (!(good))                                             \
            tap_failed++;                                        \
    } while (0)

#define tap_check(good, file, line, text, ...)           \
    do {                                                 \
        bool tap_good_ = (good);                         \
        tap_line(tap_good_, __VA_ARGS__);                \
        if (!tap_good_)                                  \
            printf("#   %s:%d: %s\n", file, line, text); \
        (void)fflush(stdout);                            \
    } while (0)

#define tap_int(got, want, file, line, ...)                                              \
    do {                                                                                 \
        long long tap_got_ = (got), tap_want_ = (want);                                  \
        tap_line(tap_got_ == tap_want_, __VA_ARGS__);                                    \
        if (tap_got_ != tap_want_)                                                       \
            printf("#   %s:%d: got %lld, want %lld\n", file, line, tap_got_, tap_want_); \
        (void)fflush(stdout);                                                            \
    } while (0)

#define tap_str(got, want, file, line, ...)                                           \
    do {                                                                              \
        const char *tap_got_ = (got), *tap_want_ = (want);                            \
        bool tap_same_ = tap_got_ && tap_want_ && strcmp(tap_got_, tap_want_) == 0;   \
        tap_line(tap_same_, __VA_ARGS__);                                             \
        if (!tap_same_)                                                               \
            printf("#   %s:%d: got \"%s\", want \"%s\"\n", file, line,                \
                   tap_got_ ? tap_got_ : "(null)", tap_want_ ? tap_want_ : "(null)"); \
        (void)fflush(stdout);                                                         \
    } while (0)

/* How much slower than usual this run is allowed to be: WEIR_SCALE in the environment, set where a tool
 * such as valgrind runs the tests. Multiplies deadlines and bounds on time. */
static inline unsigned tap_scale(void)
{
    const char *scale = getenv("WEIR_SCALE");
    unsigned long n = scale ? strtoul(scale, NULL, 10) : 1;
    return n > 0 && n < 1000 ? (unsigned)n : 1;
}

static inline void tap_skip(const char *reason)
{
    printf("ok %d # SKIP %s\n", ++tap_count, reason);
}

static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed ? 1 : 0;
}

#endif
