/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_MUTANT_H
#define WR_BASE_MUTANT_H

/*
 * Bugs planted on purpose, to show that the simulator finds them: `if (WR_MUTANT("name")) do it wrong`.
 * They exist only in the simulator's own build of the library (-DWR_MUTANTS=1); everywhere else the
 * condition is the constant 0 and the compiler drops the branch.
 */

#include <stdbool.h>

bool wr_mutant_on(const char *name); /* defined by the simulator */

#if defined(WR_MUTANTS) && WR_MUTANTS
#define WR_MUTANT(name) wr_mutant_on(name)
#else
#define WR_MUTANT(name) 0
#endif

#endif
