/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site.h"

#define WEB_MODULE(name) extern const struct web_module name##_module;
#include "weir/web/modules.def"
#undef WEB_MODULE

const struct web_module *const web_modules[WEB_MODULES + 1] = {
#define WEB_MODULE(name) &name##_module,
#include "weir/web/modules.def"
#undef WEB_MODULE
    NULL,
};

const struct conf_module *const web_conf_modules[WEB_MODULES + 1] = {
#define WEB_MODULE(name) &name##_module.conf,
#include "weir/web/modules.def"
#undef WEB_MODULE
    NULL,
};
