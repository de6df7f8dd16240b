/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_OS_OS_LINUX_H
#define WR_OS_OS_LINUX_H

/*
 * For the bodies in os_linux*.c only: the two ways in which a libc wrapper's -1 becomes -errno.
 */

#include <errno.h>

/* Repeats the call while a signal interrupts it. */
#define WR_OS_RETRY(call)                       \
    (__extension__({                            \
        __typeof__(call) r_;                    \
        do                                      \
            r_ = (call);                        \
        while (r_ == -1 && errno == EINTR);     \
        r_ == -1 ? (__typeof__(r_))-errno : r_; \
    }))

#define WR_OS_ONCE(call)                        \
    (__extension__({                            \
        __typeof__(call) r_ = (call);           \
        r_ == -1 ? (__typeof__(r_))-errno : r_; \
    }))

#endif
