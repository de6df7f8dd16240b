/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_DELAY_H
#define ACCESS_DELAY_H

/*
 * A request that waits on purpose: limit_req, auth_delay.
 *
 * The wait is an operation of the request's scope: a client that goes away ends it, and a wait that is over
 * goes on with web_resume.
 *
 * The wait lies in the request's arena.
 */

#include "weir/web/web.h"

/* WEB_LATER, and later web_resume(r, rc); or 500 when memory is refused. */
int access_delay(struct web_req *r, uint64_t ms, int rc);

/* What who refuses with 401 returns: 401, or later, as auth_delay says (auth_delay.c). */
int access_unauthorized(struct web_req *r);

#endif
