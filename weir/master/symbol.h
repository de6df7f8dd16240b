/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_SYMBOL_H
#define MASTER_SYMBOL_H

/*
 * Names for addresses of functions of this program, from the symbol table of its file.
 *
 * The file may lie elsewhere in memory than it says; how far is learnt from a function that this module knows
 * by name and by address. A stripped file has no names: then the address is the name.
 *
 * Slow (it reads the table each time): for findings, not for loops.
 */

#include "libweir/base/compiler.h"

#include <stddef.h>

/* Always writes something; path: of the program's file. */
void symbol_name(const char *path, uint64_t address, char *out, size_t n);

#endif
