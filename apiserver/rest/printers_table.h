// SPDX-License-Identifier: Apache-2.0
/* printers_table.h - the kinds with columns of their own; rows in printers_<area>.c.  For printers.c. */
#ifndef CKUBE_APISERVER_PRINTERS_TABLE_H
#define CKUBE_APISERVER_PRINTERS_TABLE_H

#include "apiserver/rest/printers.h"

extern const struct printer printers[];
extern const size_t printers_len;

#endif
