// SPDX-License-Identifier: Apache-2.0
/* plugins.h - the admission plugins, one file each (plugin_<name>.c); their order is that of plugins.c. */
#ifndef CKUBE_APISERVER_PLUGINS_H
#define CKUBE_APISERVER_PLUGINS_H

#include "apiserver/admission/admission.h"

extern const struct admission_plugin *const admission_plugins[];
extern const size_t admission_plugins_len;
/* Accepted on the command line because they change nothing here or are served elsewhere; NULL-terminated. */
extern const char *const admission_names_without_effect[];

extern const struct admission_plugin plugin_namespace_lifecycle;

#endif
