/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_LIBWEIR_H
#define WR_LIBWEIR_H

#define WR_VERSION "0.1.0"

#include "libweir/base/assert.h"
#include "libweir/base/compiler.h"
#include "libweir/base/err.h"
#include "libweir/base/span.h"

#endif
