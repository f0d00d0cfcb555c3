// SPDX-License-Identifier: Apache-2.0
/* plugins.h - the admission plugins, one file each (plugin_<name>.c); their order is that of plugins.c. */
#ifndef CKUBE_APISERVER_PLUGINS_H
#define CKUBE_APISERVER_PLUGINS_H

#include "apiserver/admission/admission.h"

extern const struct admission_plugin *const admission_plugins[];
extern const size_t admission_plugins_len;
/* Upstream's names that are accepted on the command line and do nothing in this release; NULL-terminated.  Enabling one
 * that matters is warned about at start. */
extern const char *const admission_names_not_served[];

extern const struct admission_plugin plugin_namespace_lifecycle;
extern const struct admission_plugin plugin_service_account;
extern const struct admission_plugin plugin_taint_nodes_by_condition;
extern const struct admission_plugin plugin_priority;
extern const struct admission_plugin plugin_default_toleration_seconds;
extern const struct admission_plugin plugin_node_restriction;
extern const struct admission_plugin plugin_rbac_escalation;

#endif
