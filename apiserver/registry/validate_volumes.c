// SPDX-License-Identifier: Apache-2.0
/* Volumes of pods: exactly one source, each source by its own rules. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define MODE_MSG "must be a number between 0 and 0777 (octal), both inclusive"

static void
check_mode(struct findings *f, const struct path *p, const int32_t *mode)
{
    if (mode && (*mode > 0777 || *mode < 0))
        find_invalid_int(f, p, *mode, MODE_MSG);
}

void
check_host_path(struct findings *f, const struct path *p, const struct host_path_volume_source *v)
{
    static const char *const types[] = { "",     "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate",
                                         "File", "FileOrCreate", "Socket",     NULL };

    if (!check_required(f, AT(p, "path"), v->path))
        return;
    check_no_backsteps(f, AT(p, "path"), v->path);
    if (v->type && !is_one_of(v->type, types))
        find_unsupported(f, AT(p, "type"), v->type, types);
}

static void
check_items(struct findings *f, const struct path *p, const struct key_to_path_slice *items)
{
    for (uint32_t i = 0; i < items->len; i++) {
        const struct key_to_path *kp = &items->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_required(f, AT(at, "key"), kp->key);
        check_required(f, AT(at, "path"), kp->path);
        check_local_path(f, AT(at, "path"), kp->path);
        check_mode(f, AT(at, "mode"), kp->mode);
    }
}

static bool
iqn_ok(const char *s)
{
    /* iqn.YYYY-MM.name:anything without , ; * & $ | and space */
    if (str_has_prefix(s, "iqn")) {
        const char *p = s + 3, *colon = strchr(s, ':');
        bool ok = *p == '.' && strlen(p) > 9 && p[5] == '-' && p[8] == '.' && colon && colon > p + 9 && colon[1];
        for (int i = 1; ok && i < 8; i++)
            ok = i == 5 || (p[i] >= '0' && p[i] <= '9');
        for (const char *c = p + 9; ok && c < colon; c++)
            ok = strchr("-.", *c) || name_ok(NAME_PATH_SEGMENT, (char[]){ *c, 0 });
        return ok && !strpbrk(colon + 1, ",;*&$| \t\n");
    }
    size_t want = str_has_prefix(s, "eui.") ? 16 : str_has_prefix(s, "naa.") ? 32 : 0;
    if (want == 0 || strlen(s) != want + 4)
        return false;
    return strspn(s + 4, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == want;
}

static bool
iqn_prefix_ok(const char *s)
{
    return str_has_prefix(s, "iqn") || str_has_prefix(s, "eui") || str_has_prefix(s, "naa");
}

void
check_iscsi(struct findings *f, const struct path *p, const char *portal, const char *iqn, int32_t lun, bool chap,
            bool has_secret, const char *initiator)
{
    check_required(f, AT(p, "targetPortal"), portal);
    if (check_required(f, AT(p, "iqn"), iqn) && !iqn_ok(iqn))
        find_invalid(f, AT(p, "iqn"), iqn, "%s",
                     iqn_prefix_ok(iqn) ? "must be valid format" : "must be valid format starting with iqn, eui, or naa");
    check_range(f, AT(p, "lun"), lun, 0, 255);
    if (chap && !has_secret)
        find_required(f, AT(p, "secretRef"), "");
    if (initiator && !iqn_ok(initiator))
        find_invalid(f, AT(p, "initiatorname"), initiator, "%s",
                     iqn_prefix_ok(initiator) ? "must be valid format"
                                              : "must be valid format starting with iqn, eui, or naa");
}

void
check_fc(struct findings *f, const struct path *p, const struct fc_volume_source *v)
{
    if (v->target_wwns.len == 0 && v->wwids.len == 0)
        find_required(f, AT(p, "targetWWNs"), "must specify either targetWWNs or wwids, but not both");
    if (v->target_wwns.len > 0 && v->wwids.len > 0)
        find_invalid_list(f, AT(p, "targetWWNs"), &v->target_wwns,
                          "targetWWNs and wwids can not be specified simultaneously");
    if (v->target_wwns.len == 0)
        return;
    if (!v->lun)
        find_required(f, AT(p, "lun"), "lun is required if targetWWNs is specified");
    else
        check_range(f, AT(p, "lun"), *v->lun, 0, 255);
}

void
check_azure_disk(struct findings *f, const struct path *p, const struct azure_disk_volume_source *v)
{
    static const char *const caching[] = { "None", "ReadOnly", "ReadWrite", NULL };
    static const char *const kinds[] = { "Dedicated", "Managed", "Shared", NULL };
    static const char *const managed[] = {
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}", NULL
    };
    static const char *const blob[] = { "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
                                        NULL };

    check_required(f, AT(p, "diskName"), v->disk_name);
    check_required(f, AT(p, "diskURI"), v->disk_uri);
    if (v->caching_mode && !is_one_of(v->caching_mode, caching))
        find_unsupported(f, AT(p, "cachingMode"), v->caching_mode, caching);
    if (v->kind && !is_one_of(v->kind, kinds))
        find_unsupported(f, AT(p, "kind"), v->kind, kinds);
    bool is_managed = str_eq(v->kind, "Managed");
    if (v->kind && is_managed && !str_has_prefix(v->disk_uri, "/subscriptions/"))
        find_unsupported(f, AT(p, "diskURI"), v->disk_uri, managed);
    if (v->kind && !is_managed && !str_has_prefix(v->disk_uri, "https://"))
        find_unsupported(f, AT(p, "diskURI"), v->disk_uri, blob);
}

void
check_csi_driver_name(struct findings *f, const struct path *p, const char *name)
{
    const char *why[NAME_MAX_ERRORS];

    if (str_empty(name))
        find_required(f, p, "");
    if (strlen(str_safe(name)) > 63)
        find_too_long(f, p, 63);
    AUTO_FREE char *lower = str_lower(name);
    unsigned n = name_check(NAME_DNS_SUBDOMAIN, lower, why);
    for (unsigned i = 0; i < n; i++)
        find_invalid(f, p, name, "%s", why[i]);
}

static const char *const volume_field_paths[] = { "metadata.annotations", "metadata.labels", "metadata.name",
                                                  "metadata.namespace",   "metadata.uid",    NULL };

static void
check_downward_file(struct findings *f, const struct path *p, const struct downward_api_volume_file *file)
{
    check_required(f, AT(p, "path"), file->path);
    check_local_path(f, AT(p, "path"), file->path);
    if (file->field_ref) {
        check_field_ref(f, AT(p, "fieldRef"), file->field_ref, volume_field_paths);
        if (file->resource_field_ref)
            find_invalid(f, p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (file->resource_field_ref)
        check_resource_ref(f, AT(p, "resourceFieldRef"), file->resource_field_ref, true);
    else
        find_required(f, p, "one of fieldRef and resourceFieldRef is required");
    check_mode(f, AT(p, "mode"), file->mode);
}

/* Paths that the sources of one projected volume write to: none twice. */
struct paths_seen {
    struct name_index paths;
};

static void
check_path_free(struct findings *f, const struct path *p, struct paths_seen *seen, const char *path, const char *blame)
{
    if (str_empty(path))
        return;
    if (name_index_add(&seen->paths, path, seen))
        find_invalid(f, p, blame, "conflicting duplicate paths");
}

static void
check_projected_token(struct findings *f, const struct path *vol, const struct path *p,
                      const struct service_account_token_projection *t)
{
    int64_t seconds = t->expiration_seconds ? *t->expiration_seconds : 3600;

    if (seconds < 600)
        find_invalid_int(f, AT(p, "expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    if (seconds > 1ll << 32)
        find_invalid_int(f, AT(p, "expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds");
    if (check_required(f, AT(vol, "path"), t->path))
        check_local_path(f, AT(vol, "path"), t->path);
}

static void
check_trust_bundle(struct findings *f, const struct path *p, const struct cluster_trust_bundle_projection *b)
{
    if (b->name && b->signer_name)
        find_invalid_struct(f, p, &api_type_cluster_trust_bundle_projection, b,
                            "only one of name and signerName may be used");
    else if (b->name) {
        if (!*b->name)
            find_required(f, AT(p, "name"), "must be a valid object name");
        if (b->label_selector)
            find_invalid_struct(f, AT(p, "labelSelector"), &api_type_label_selector, b->label_selector,
                                "labelSelector must be unset if name is specified");
    } else if (b->signer_name) {
        if (!*b->signer_name)
            find_required(f, AT(p, "signerName"), "must be a valid signer name");
        check_label_selector(f, AT(p, "labelSelector"), b->label_selector);
    } else
        find_required(f, p, "either name or signerName must be specified");
    check_required(f, AT(p, "path"), b->path);
    check_local_path(f, AT(p, "path"), b->path);
}

static void
check_projection(struct findings *f, const struct path *vol, const struct path *p, const struct volume_projection *s,
                 struct paths_seen *seen)
{
    unsigned sources = 0;

    if (s->secret) {
        const struct path *at = AT(p, "secret");
        sources++;
        check_required(f, AT(at, "name"), s->secret->local_object_reference.name);
        check_items(f, AT(at, "items"), &s->secret->items);
        for (uint32_t i = 0; i < s->secret->items.len; i++)
            check_path_free(f, vol, seen, s->secret->items.items[i].path, s->secret->local_object_reference.name);
    }
    if (s->config_map) {
        const struct path *at = AT(p, "configMap");
        sources++;
        check_required(f, AT(at, "name"), s->config_map->local_object_reference.name);
        check_items(f, AT(at, "items"), &s->config_map->items);
        for (uint32_t i = 0; i < s->config_map->items.len; i++)
            check_path_free(f, vol, seen, s->config_map->items.items[i].path, s->config_map->local_object_reference.name);
    }
    if (s->downward_api) {
        sources++;
        for (uint32_t i = 0; i < s->downward_api->items.len; i++) {
            check_downward_file(f, AT(p, "downwardAPI"), &s->downward_api->items.items[i]);
            check_path_free(f, vol, seen, s->downward_api->items.items[i].path, s->downward_api->items.items[i].path);
        }
    }
    if (s->service_account_token) {
        sources++;
        check_projected_token(f, vol, AT(p, "serviceAccountToken"), s->service_account_token);
    }
    if (s->cluster_trust_bundle) {
        sources++;
        check_trust_bundle(f, AT(p, "clusterTrustBundle"), s->cluster_trust_bundle);
        check_path_free(f, vol, seen, s->cluster_trust_bundle->path, s->cluster_trust_bundle->path);
    }
    if (s->pod_certificate) {
        const struct path *at = AT(p, "podCertificate");
        sources++;
        check_required(f, AT(at, "signerName"), s->pod_certificate->signer_name);
        check_required(f, AT(at, "keyType"), s->pod_certificate->key_type);
    }
    if (sources > 1)
        find_forbidden(f, p, "may not specify more than 1 volume type per source");
}

static void
check_flex_options(struct findings *f, const struct path *p, const struct string_map *options)
{
    for (uint32_t i = 0; i < options->len; i++) {
        const char *key = options->items[i].key, *slash = strchr(key, '/');
        AUTO_FREE char *domain = slash ? xstrndup(key, (size_t)(slash - key)) : xstrdup(key);
        AUTO_FREE char *lower = str_lower(domain);
        AUTO_FREE char *dotted = xasprintf(".%s", lower);
        if (str_has_suffix(dotted, ".kubernetes.io") || str_has_suffix(dotted, ".k8s.io"))
            find_invalid(f, AT_KEY(p, key), key, "kubernetes.io and k8s.io namespaces are reserved");
    }
}

/* One function per source that has rules beyond "these fields are required". */
#define SOURCE(fn, cname) static void fn(struct findings *f, const struct path *p, const void *source, const struct pod_scope *scope)

SOURCE(empty_dir, empty_dir_volume_source)
{
    const struct empty_dir_volume_source *v = source;

    if (v->size_limit && quantity_sign(*v->size_limit) < 0)
        find_forbidden(f, AT(p, "sizeLimit"), "SizeLimit field must be a valid resource quantity");
}

SOURCE(host_path, host_path_volume_source)
{
    check_host_path(f, p, source);
}

SOURCE(git_repo, git_repo_volume_source)
{
    const struct git_repo_volume_source *v = source;

    check_required(f, AT(p, "repository"), v->repository);
    check_relative_path(f, AT(p, "directory"), v->directory);
}

SOURCE(gce_disk, gce_persistent_disk_volume_source)
{
    const struct gce_persistent_disk_volume_source *v = source;

    check_required(f, AT(p, "pdName"), v->pd_name);
    if (v->partition < 0 || v->partition > 255)
        find_invalid_int(f, AT(p, "partition"), v->partition, "must be between 1 and 255, inclusive");
}

SOURCE(aws_disk, aws_elastic_block_store_volume_source)
{
    const struct aws_elastic_block_store_volume_source *v = source;

    check_required(f, AT(p, "volumeID"), v->volume_id);
    if (v->partition < 0 || v->partition > 255)
        find_invalid_int(f, AT(p, "partition"), v->partition, "must be between 1 and 255, inclusive");
}

SOURCE(secret, secret_volume_source)
{
    const struct secret_volume_source *v = source;

    check_required(f, AT(p, "secretName"), v->secret_name);
    check_mode(f, AT(p, "defaultMode"), v->default_mode);
    check_items(f, AT(p, "items"), &v->items);
}

SOURCE(config_map, config_map_volume_source)
{
    const struct config_map_volume_source *v = source;

    check_required(f, AT(p, "name"), v->local_object_reference.name);
    check_mode(f, AT(p, "defaultMode"), v->default_mode);
    check_items(f, AT(p, "items"), &v->items);
}

SOURCE(nfs, nfs_volume_source)
{
    const struct nfs_volume_source *v = source;

    check_required(f, AT(p, "server"), v->server);
    check_required(f, AT(p, "path"), v->path);
    if (!str_has_prefix(v->path, "/"))
        find_invalid(f, AT(p, "path"), v->path, "must be an absolute path");
}

SOURCE(iscsi, iscsi_volume_source)
{
    const struct iscsi_volume_source *v = source;

    check_iscsi(f, p, v->target_portal, v->iqn, v->lun, v->chap_auth_discovery || v->chap_auth_session, v->secret_ref,
                v->initiator_name);
}

SOURCE(glusterfs, glusterfs_volume_source)
{
    const struct glusterfs_volume_source *v = source;

    check_required(f, AT(p, "endpoints"), v->endpoints);
    check_required(f, AT(p, "path"), v->path);
}

SOURCE(claim, persistent_volume_claim_volume_source)
{
    const struct persistent_volume_claim_volume_source *v = source;

    check_required(f, AT(p, "claimName"), v->claim_name);
}

SOURCE(rbd, rbd_volume_source)
{
    const struct rbd_volume_source *v = source;

    if (v->monitors.len == 0)
        find_required(f, AT(p, "monitors"), "");
    check_required(f, AT(p, "image"), v->image);
}

SOURCE(flex, flex_volume_source)
{
    const struct flex_volume_source *v = source;

    check_required(f, AT(p, "driver"), v->driver);
    check_flex_options(f, AT(p, "options"), &v->options);
}

SOURCE(cinder, cinder_volume_source)
{
    const struct cinder_volume_source *v = source;

    check_required(f, AT(p, "volumeID"), v->volume_id);
    if (v->secret_ref)
        check_required(f, AT(AT(p, "secretRef"), "name"), v->secret_ref->name);
}

SOURCE(cephfs, ceph_fs_volume_source)
{
    const struct ceph_fs_volume_source *v = source;

    if (v->monitors.len == 0)
        find_required(f, AT(p, "monitors"), "");
}

SOURCE(flocker, flocker_volume_source)
{
    const struct flocker_volume_source *v = source;

    if (str_empty(v->dataset_name) && str_empty(v->dataset_uuid))
        find_required(f, p, "one of datasetName and datasetUUID is required");
    if (!str_empty(v->dataset_name) && !str_empty(v->dataset_uuid))
        find_invalid(f, p, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    if (strchr(str_safe(v->dataset_name), '/'))
        find_invalid(f, AT(p, "datasetName"), v->dataset_name, "must not contain '/'");
}

SOURCE(downward_api, downward_api_volume_source)
{
    const struct downward_api_volume_source *v = source;

    check_mode(f, AT(p, "defaultMode"), v->default_mode);
    for (uint32_t i = 0; i < v->items.len; i++)
        check_downward_file(f, p, &v->items.items[i]);
}

SOURCE(fc, fc_volume_source)
{
    check_fc(f, p, source);
}

SOURCE(azure_file, azure_file_volume_source)
{
    const struct azure_file_volume_source *v = source;

    check_required(f, AT(p, "secretName"), v->secret_name);
    check_required(f, AT(p, "shareName"), v->share_name);
}

SOURCE(vsphere, vsphere_virtual_disk_volume_source)
{
    const struct vsphere_virtual_disk_volume_source *v = source;

    check_required(f, AT(p, "volumePath"), v->volume_path);
}

SOURCE(quobyte, quobyte_volume_source)
{
    const struct quobyte_volume_source *v = source;
    static const char msg[] = "must be a host:port pair or multiple pairs separated by commas";

    if (str_empty(v->registry))
        find_required(f, AT(p, "registry"), msg);
    else if (strlen(str_safe(v->tenant)) >= 65)
        find_required(f, AT(p, "tenant"), "must be a UUID and may not exceed a length of 64 characters");
    else {
        AUTO_STRLIST pairs = { 0 };
        strlist_split(&pairs, v->registry, ',');
        for (size_t i = 0; i < pairs.len; i++)
            if (!strchr(pairs.items[i], ':'))
                find_invalid(f, AT(p, "registry"), v->registry, "%s", msg);
    }
    check_required(f, AT(p, "volume"), v->volume);
}

SOURCE(azure_disk, azure_disk_volume_source)
{
    check_azure_disk(f, p, source);
}

SOURCE(photon, photon_persistent_disk_volume_source)
{
    const struct photon_persistent_disk_volume_source *v = source;

    check_required(f, AT(p, "pdID"), v->pd_id);
}

SOURCE(projected, projected_volume_source)
{
    const struct projected_volume_source *v = source;
    struct paths_seen seen = { 0 };

    check_mode(f, AT(p, "defaultMode"), v->default_mode);
    for (uint32_t i = 0; i < v->sources.len; i++)
        check_projection(f, p, AT_INDEX(AT(p, "sources"), i), &v->sources.items[i], &seen);
    name_index_done(&seen.paths);
}

SOURCE(portworx, portworx_volume_source)
{
    const struct portworx_volume_source *v = source;

    check_required(f, AT(p, "volumeID"), v->volume_id);
}

SOURCE(scale_io, scale_io_volume_source)
{
    const struct scale_io_volume_source *v = source;

    check_required(f, AT(p, "gateway"), v->gateway);
    check_required(f, AT(p, "system"), v->system);
    check_required(f, AT(p, "volumeName"), v->volume_name);
}

SOURCE(storage_os, storage_os_volume_source)
{
    const struct storage_os_volume_source *v = source;

    check_required_name(f, AT(p, "volumeName"), NAME_DNS_LABEL, v->volume_name);
    check_optional_name(f, AT(p, "volumeNamespace"), NAME_DNS_LABEL, v->volume_namespace);
    if (v->secret_ref)
        check_required(f, AT(AT(p, "secretRef"), "name"), v->secret_ref->name);
}

SOURCE(csi, csi_volume_source)
{
    const struct csi_volume_source *v = source;

    check_csi_driver_name(f, AT(p, "driver"), v->driver);
    if (!v->node_publish_secret_ref)
        return;
    if (check_required(f, AT(AT(p, "nodePublishSecretRef"), "name"), v->node_publish_secret_ref->name))
        check_name(f, AT(p, "name"), NAME_DNS_SUBDOMAIN, v->node_publish_secret_ref->name);
}

/* Only labels and annotations of the template's metadata are used; the rest must stay empty. */
static void
check_claim_template_meta(struct findings *f, const struct path *p, const struct object_meta *m)
{
    check_annotations(f, AT(p, "annotations"), &m->annotations);
    check_labels(f, AT(p, "labels"), &m->labels);
    const struct {
        const char *field;
        bool set;
    } unused[] = {
        { "name", !str_empty(m->name) },
        { "generateName", !str_empty(m->generate_name) },
        { "namespace", !str_empty(m->namespace) },
        { "uID", !str_empty(m->uid) },
        { "resourceVersion", !str_empty(m->resource_version) },
        { "ownerReferences", m->owner_references.len > 0 },
        { "finalizers", m->finalizers.len > 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(unused); i++)
        if (unused[i].set)
            find_forbidden(f, AT(p, unused[i].field), "cannot be set");
}

SOURCE(ephemeral, ephemeral_volume_source)
{
    const struct ephemeral_volume_source *v = source;
    const struct path *at = AT(p, "volumeClaimTemplate");

    if (!v->volume_claim_template) {
        find_required(f, at, "");
        return;
    }
    check_claim_template_meta(f, AT(at, "metadata"), &v->volume_claim_template->metadata);
    check_pvc_spec(f, AT(at, "spec"), &v->volume_claim_template->spec);
}

SOURCE(image, image_volume_source)
{
    const struct image_volume_source *v = source;

    if (scope->is_pod)
        check_required(f, AT(p, "reference"), v->reference);
    check_pull_policy(f, AT(p, "pullPolicy"), v->pull_policy);
}

#define ROW(member, json_, path_, fn) { offsetof(struct volume_source, member), json_, path_, fn }

/* In upstream's order; some of its paths differ from the JSON names, and we keep its texts. */
static const struct {
    size_t offset;
    const char *json; /* where a second source is refused */
    const char *path; /* where its fields are */
    void (*check)(struct findings *f, const struct path *p, const void *source, const struct pod_scope *scope);
} sources[] = {
    ROW(empty_dir, "emptyDir", "emptyDir", empty_dir),
    ROW(host_path, "hostPath", "hostPath", host_path),
    ROW(git_repo, "gitRepo", "gitRepo", git_repo),
    ROW(gce_persistent_disk, "gcePersistentDisk", "persistentDisk", gce_disk),
    ROW(aws_elastic_block_store, "awsElasticBlockStore", "awsElasticBlockStore", aws_disk),
    ROW(secret, "secret", "secret", secret),
    ROW(nfs, "nfs", "nfs", nfs),
    ROW(iscsi, "iscsi", "iscsi", iscsi),
    ROW(glusterfs, "glusterfs", "glusterfs", glusterfs),
    ROW(flocker, "flocker", "flocker", flocker),
    ROW(persistent_volume_claim, "persistentVolumeClaim", "persistentVolumeClaim", claim),
    ROW(rbd, "rbd", "rbd", rbd),
    ROW(cinder, "cinder", "cinder", cinder),
    ROW(cephfs, "cephFS", "cephfs", cephfs),
    ROW(quobyte, "quobyte", "quobyte", quobyte),
    ROW(downward_api, "downwarAPI", "downwardAPI", downward_api),
    ROW(fc, "fc", "fc", fc),
    ROW(flex_volume, "flexVolume", "flexVolume", flex),
    ROW(config_map, "configMap", "configMap", config_map),
    ROW(azure_file, "azureFile", "azureFile", azure_file),
    ROW(vsphere_volume, "vsphereVolume", "vsphereVolume", vsphere),
    ROW(photon_persistent_disk, "photonPersistentDisk", "photonPersistentDisk", photon),
    ROW(portworx_volume, "portworxVolume", "portworxVolume", portworx),
    ROW(azure_disk, "azureDisk", "azureDisk", azure_disk),
    ROW(storageos, "storageos", "storageos", storage_os),
    ROW(projected, "projected", "projected", projected),
    ROW(scale_io, "scaleIO", "scaleIO", scale_io),
    ROW(csi, "csi", "csi", csi),
    ROW(ephemeral, "ephemeral", "ephemeral", ephemeral),
    ROW(image, "image", "image", image),
};

static void
check_source(struct findings *f, const struct path *p, const struct volume *v, const struct pod_scope *scope)
{
    bool have = false;

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        const void *source = *(void *const *)((const char *)&v->volume_source + sources[i].offset);
        if (!source)
            continue;
        if (have)
            find_forbidden(f, AT(p, sources[i].json), "may not specify more than 1 volume type");
        else
            sources[i].check(f, AT(p, sources[i].path), source, scope);
        have = true;
    }
    const struct iscsi_volume_source *is = v->volume_source.iscsi;
    if (is && is->initiator_name && strlen(str_safe(v->name)) + 1 + strlen(str_safe(is->target_portal)) > 64)
        find_invalid(f, AT(p, "name"), v->name,
                     "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                     "iscsi.initiatorName is specified.");
    if (!have)
        find_required(f, p, "must specify a volume type");
}

void
check_volume(struct findings *f, const struct path *p, const struct volume *v, const struct pod_scope *scope)
{
    check_source(f, p, v, scope);
    if (v->volume_source.ephemeral && scope->meta && !str_empty(scope->meta->name) && !str_empty(v->name)) {
        const char *why[NAME_MAX_ERRORS];
        AUTO_FREE char *pvc = xasprintf("%s-%s", scope->meta->name, v->name);
        unsigned n = name_check(NAME_DNS_SUBDOMAIN, pvc, why);
        for (unsigned i = 0; i < n; i++)
            find_invalid(f, AT(p, "name"), v->name, "PVC name \"%s\": %s", pvc, why[i]);
    }
    check_required_name(f, AT(p, "name"), NAME_DNS_LABEL, v->name);
}
