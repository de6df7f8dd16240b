/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_IOV_H
#define WR_IO_IOV_H

/*
 * base's wr_iov is the kernel's iovec under a name that ISO C headers allow. The cast lives here, with
 * the proof that it is one.
 */

#include "libweir/base/chain.h"

#include <sys/uio.h>

_Static_assert(sizeof(struct wr_iov) == sizeof(struct iovec), "same size");
_Static_assert(offsetof(struct wr_iov, base) == offsetof(struct iovec, iov_base), "same base");
_Static_assert(offsetof(struct wr_iov, len) == offsetof(struct iovec, iov_len), "same length");

static inline const struct iovec *wr_iov_os(const struct wr_iov *v)
{
    return (const struct iovec *)(const void *)v;
}

#endif
