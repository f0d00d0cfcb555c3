// SPDX-License-Identifier: Apache-2.0
/* object_file.h - Services and EndpointSlices from YAML files, into nft_tables: what `kube-proxy render` shows and the
 * golden tests compare, without an apiserver.  One thread. */
#ifndef CKUBE_KUBE_PROXY_OBJECT_FILE_H
#define CKUBE_KUBE_PROXY_OBJECT_FILE_H

#include "kube-proxy/nft_tables.h"

struct object_files;

struct object_files *object_files_new(void) MUST_CHECK;
void object_files_free(struct object_files *f);
DEFINE_AUTO(object_files)

/* A stream of YAML documents (Lists too); an object of the same kind and name replaces the earlier one.  Kinds but
 * Service and EndpointSlice are passed over.  `what` names the text in errors. */
struct kerr *object_files_read(struct object_files *f, const char *yaml, size_t len, const char *what) MUST_CHECK;
/* Forgets an object; false when there is none of that kind and name. */
bool object_files_remove(struct object_files *f, const char *kind, const char *ns, const char *name);
/* Gives all services to the tables, and takes those away that are gone.  Warnings are appended. */
void object_files_to_tables(const struct object_files *f, const struct picture_node *node, enum ip_family family,
                            struct nft_tables *t, struct sbuf *warnings);

#endif
