// What a program on @kubernetes/client-node does: list, create, read, patch in every way, watch, informer, delete, errors,
// exec into nothing.  Run by client_node.sh with KUBECONFIG set; prints "ok" at the end, throws otherwise.
import assert from 'node:assert/strict';
import * as k8s from '@kubernetes/client-node';

const kc = new k8s.KubeConfig();
kc.loadFromDefault();
const core = kc.makeApiClient(k8s.CoreV1Api);
const apps = kc.makeApiClient(k8s.AppsV1Api);
const version = kc.makeApiClient(k8s.VersionApi);
const auth = kc.makeApiClient(k8s.AuthorizationV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(kc);
const namespace = 'default';

async function until(what, fn) {
    for (let i = 0; i < 200; i++) {
        if (await fn()) return;
        await new Promise((r) => setTimeout(r, 50));
    }
    assert.fail('never true: ' + what);
}

assert.match((await version.getCode()).gitVersion, /^v1\.35\./);
assert.ok((await core.listNamespace()).items.some((n) => n.metadata.name === 'kube-system'));

// create, read, replace, list with selectors and pages
for (const i of [1, 2, 3]) {
    const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: `c${i}`, labels: { i: `${i}` } }, data: { k: 'v' } } });
    assert.equal(made.metadata.name, `c${i}`);
    assert.ok(made.metadata.creationTimestamp instanceof Date);
}
const one = await core.readNamespacedConfigMap({ name: 'c1', namespace });
one.data.k = 'w';
assert.equal((await core.replaceNamespacedConfigMap({ name: 'c1', namespace, body: one })).data.k, 'w');
await assert.rejects(core.replaceNamespacedConfigMap({ name: 'c1', namespace, body: one }), (e) => e.code === 409 && JSON.parse(e.body).reason === 'Conflict');
assert.equal((await core.listNamespacedConfigMap({ namespace, labelSelector: 'i in (1,2)' })).items.length, 2);
assert.equal((await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=c3' })).items.length, 1);
const page = await core.listNamespacedConfigMap({ namespace, limit: 1 });
assert.ok(page.metadata._continue);
assert.equal((await core.listNamespacedConfigMap({ namespace, limit: 1, _continue: page.metadata._continue })).items[0].metadata.name, 'c2');

// patches of each type
const how = (type) => k8s.setHeaderOptions('Content-Type', type);
const patched = async (type, body) => (await core.patchNamespacedConfigMap({ name: 'c1', namespace, body }, how(type))).data;
assert.deepEqual(await patched(k8s.PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/j', value: '1' }]), { k: 'w', j: '1' });
assert.deepEqual(await patched(k8s.PatchStrategy.MergePatch, { data: { j: null, m: '1' } }), { k: 'w', m: '1' });
assert.deepEqual(await patched(k8s.PatchStrategy.StrategicMergePatch, { data: { s: '1' } }), { k: 'w', m: '1', s: '1' });
const applied = await core.patchNamespacedConfigMap(
    { name: 'c1', namespace, fieldManager: 'node', force: true, body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c1' }, data: { a: '1' } } },
    how(k8s.PatchStrategy.ServerSideApply));
assert.equal(applied.data.a, '1');
assert.ok(applied.metadata.managedFields.some((m) => m.manager === 'node' && m.operation === 'Apply'));

// any kind through the discovery documents
await objects.create({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace },
    spec: { replicas: 2, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'x' }] } } } });
assert.equal((await objects.read({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace } })).spec.replicas, 2);
assert.equal((await apps.readNamespacedDeploymentScale({ name: 'd', namespace })).spec.replicas, 2);
await apps.replaceNamespacedDeploymentScale({ name: 'd', namespace, body: { metadata: { name: 'd', namespace }, spec: { replicas: 5 } } });
assert.equal((await apps.readNamespacedDeployment({ name: 'd', namespace })).spec.replicas, 5);
const docs = k8s.loadAllYaml('kind: Secret\napiVersion: v1\nmetadata: {name: y, namespace: default}\nstringData: {a: b}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: y, namespace: default}\nspec: {ports: [{port: 80}]}\n');
for (const doc of docs) await objects.create(doc);
assert.equal((await core.readNamespacedSecret({ name: 'y', namespace })).data.a, 'Yg==');
assert.match((await core.readNamespacedService({ name: 'y', namespace })).spec.clusterIP, /^10\.96\./);

// rights, errors
const review = await auth.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes: { verb: 'delete', resource: 'nodes' } } } });
assert.equal(review.status.allowed, true);
await assert.rejects(core.readNamespacedPod({ name: 'nope', namespace }), (e) => e.code === 404 && JSON.parse(e.body).message === 'pods "nope" not found');
await assert.rejects(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'A B' } } }),
    (e) => e.code === 422 && JSON.parse(e.body).details.causes[0].field === 'metadata.name');

// a plain watch, from now
const seen = [];
const start = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
const watch = await new k8s.Watch(kc).watch(`/api/v1/namespaces/${namespace}/configmaps`, { resourceVersion: start, allowWatchBookmarks: true },
    (phase, obj) => phase !== 'BOOKMARK' && seen.push(`${phase} ${obj.metadata.name}`), () => {});
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'w' } } });
await core.patchNamespacedConfigMap({ name: 'w', namespace, body: { data: { x: '1' } } }, how(k8s.PatchStrategy.MergePatch));
await core.deleteNamespacedConfigMap({ name: 'w', namespace });
await until('watch', () => seen.length >= 3);
assert.deepEqual(seen, ['ADDED w', 'MODIFIED w', 'DELETED w']);
watch.abort();

// an informer: its cache, its events
const events = [];
const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace, labelSelector: 'i' }), 'i');
for (const kind of ['add', 'update', 'delete']) informer.on(kind, (o) => events.push(`${kind} ${o.metadata.name}`));
await informer.start();
await until('informer has the list', () => informer.list().length === 3);
await core.patchNamespacedConfigMap({ name: 'c2', namespace, body: { data: { k: '2' } } }, how(k8s.PatchStrategy.MergePatch));
await until('update', () => events.includes('update c2'));
assert.equal(informer.get('c2', namespace).data.k, '2');
await core.patchNamespacedConfigMap({ name: 'c3', namespace, body: { metadata: { labels: { i: null } } } }, how(k8s.PatchStrategy.MergePatch));
await until('left the selector', () => events.includes('delete c3'));
await core.deleteNamespacedConfigMap({ name: 'c2', namespace });
await until('delete', () => events.includes('delete c2'));
assert.deepEqual(informer.list().map((o) => o.metadata.name), ['c1']);
await informer.stop();

// exec into a pod that is nowhere: refused at the upgrade
await assert.rejects(new k8s.Exec(kc).exec(namespace, 'nope', 'c', ['true'], null, null, null, false));

// deletion
await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'i' });
assert.equal((await core.listNamespacedConfigMap({ namespace, labelSelector: 'i' })).items.length, 0);
await objects.delete({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace } }, undefined, undefined, 0, undefined, 'Background');
await assert.rejects(apps.readNamespacedDeployment({ name: 'd', namespace }), (e) => e.code === 404);
console.log('ok');
process.exit(0);
