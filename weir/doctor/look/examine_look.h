/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_EXAMINE_LOOK_H
#define DOCTOR_EXAMINE_LOOK_H

/*
 * One look of an examination, for examine.c only: which processes, what of them, in which namespace and in which
 * order. Fills in the look, seals it, and sets the examination's targets.
 */

#include "weir/doctor/look/examine.h"

/* 0, -ENOMEM, -E2BIG, or what keeps /proc from being read. */
WR_MUST int examine_look(struct examination *e, struct facts_look *l);
/* Is one of these asked for? SEE_... */
bool examine_sees(const struct examination *e, unsigned what);

#endif
