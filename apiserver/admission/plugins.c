// SPDX-License-Identifier: Apache-2.0
#include "apiserver/admission/plugins.h"

const struct admission_plugin *const admission_plugins[] = {
    &plugin_namespace_lifecycle,
};
const size_t admission_plugins_len = ARRAY_LEN(admission_plugins);

const char *const admission_names_without_effect[] = { "AlwaysAdmit", NULL };
