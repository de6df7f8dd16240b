/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_LOOK_H
#define DOCTOR_LOOK_H

/*
 * The collectors: each asks the kernel one kind of question and adds the answers to a look.
 *
 * Reading and understanding are apart: look_* read, and hand bytes to functions that know nothing of the
 * kernel (row and text functions below), so that recorded, damaged and invented answers are understood
 * by the same code.
 *
 * 1. Nothing is changed, stopped, traced or opened for reading that could be consumed: netlink, readlink, and
 *    files below /proc that have no effect when read.
 * 2. What cannot be read becomes a gap or a bit in process.unread, and the look goes on. Only -ENOMEM and -E2BIG
 *    are returned: then the look is worth nothing.
 * 3. A process may end, and its number be given away, at any time: what vanished is left out without a gap.
 *
 * One thread; the look is the caller's.
 */

#include "weir/doctor/facts.h"

/* ---- sockets: look_tcp.c, look_unix.c ----------------------------------------------------------- */
#define LOOK_LISTEN_ONLY (1U << FACTS_LISTEN)
#define LOOK_ALL_STATES  0xffffffffU

/* Adds the sockets of both families; states: bits 1 << enum facts_tcp_state. */
WR_MUST int look_inet(struct facts_look *l, enum facts_proto proto, uint32_t states);
WR_MUST int look_unix(struct facts_look *l);

/* One message of an answer. -EPROTO: too short to be one. */
WR_MUST int look_inet_row(struct facts_look *l, enum facts_proto proto, struct wr_span message);
WR_MUST int look_unix_row(struct facts_look *l, struct wr_span message);

#endif
