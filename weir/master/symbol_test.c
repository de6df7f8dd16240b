/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/symbol.h"

#include "libweir/os/os.h"
#include "tests/tap.h"

static int local_function(void)
{
    return 7;
}

int main(void)
{
    char name[64];
    int (*volatile fn)(void) = local_function;
    symbol_name("/proc/self/exe", (uint64_t)(uintptr_t)fn, name, sizeof name);
    is_str(name, "local_function", "a static function of this program");
    symbol_name("/proc/self/exe", (uint64_t)(uintptr_t)main + 1, name, sizeof name);
    is_str(name, "main", "an address inside a function");
    symbol_name("/proc/self/exe", 16, name, sizeof name);
    is_str(name, "0x10", "what has no name");
    symbol_name("/etc/passwd", 17, name, sizeof name);
    is_str(name, "0x11", "a file that is no program");
    symbol_name("/nowhere", 18, name, sizeof name);
    is_str(name, "0x12", "no file");
    return tap_done();
}
