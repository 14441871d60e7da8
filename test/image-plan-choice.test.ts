import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NarHash, StorePath } from '../src/base/brand.ts';
import { choosePlan } from '../src/oci/choose-plan.ts';
import { planLayers } from '../src/oci/layer-plan.ts';
import type { Closure } from '../src/store/closure.ts';
import { samplePath } from './harness/sample-closure.ts';

const MIB = 2 ** 20;
const BUDGET = 63;

/** Twelve libraries, each needed by the next, of 20 MiB; an app on top. */
function release(appRevision: number, changedLibrary?: number): Closure {
  const libraries = Array.from({ length: 12 }, (_, at) =>
    samplePath(`lib${at}`, changedLibrary !== undefined && at >= changedLibrary ? appRevision : 0),
  );
  const app = samplePath('app', appRevision);
  const info = (path: StorePath, narSize: number, references: StorePath[]): Closure['paths'][number] => ({
    path, narSize, references, narHash: `sha256:${path.slice(11, 43)}` as NarHash, signatures: [], registrationTime: 0, ultimate: true,
  }); // prettier-ignore
  const paths = [
    ...libraries.map((path, at) => info(path, 20 * MIB, at === 0 ? [] : libraries.slice(at - 1, at))),
    info(app, MIB, libraries.slice(-1)),
  ];
  return { roots: [app], paths: paths.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

test('the same closure has the same plan, whatever was released before, where that costs little', () => {
  const [first, second] = [release(0), release(1)];
  const fresh = choosePlan(first, { budget: BUDGET, existing: [], history: [] });
  assert.equal(fresh.kind, 'fresh');
  assert.deepEqual(fresh.plan, planLayers(first, { budget: BUDGET }));
  const history = [first.paths.map((info) => info.path)];
  const next = choosePlan(second, { budget: BUDGET, existing: fresh.plan.layers, history });
  assert.equal(next.kind, 'fresh');
  assert.deepEqual(next.plan, planLayers(second, { budget: BUDGET }));
  assert.equal(next.newBytes, MIB);
});

test('layers of the release before are kept where a plan from the closure alone would send much again', () => {
  const first = release(0);
  const app = samplePath('app', 0);
  // Made by another planner, or before this one was changed: nothing in a fresh plan looks like it.
  const libraries = first.paths.map((info) => info.path).filter((path) => path !== app);
  const existing = [libraries.slice(0, 5), libraries.slice(5), [app]];
  const next = choosePlan(release(1), { budget: BUDGET, existing, history: [] });
  assert.equal(next.kind, 'kept');
  assert.equal(next.newBytes, MIB);
  assert.ok((next.otherNewBytes ?? 0) > 200 * MIB);
  assert.deepEqual(
    next.plan.layers.slice(0, 2),
    existing.slice(0, 2).map((layer) => [...layer].sort()),
  );
});

test('a library that keeps changing is set apart after a few releases', () => {
  let existing: readonly (readonly StorePath[])[] = [];
  const history: StorePath[][] = [];
  let sent = 0;
  for (let at = 0; at < 12; at++) {
    const closure = release(at, at === 0 ? undefined : 9);
    const choice = choosePlan(closure, { budget: BUDGET, existing, history });
    sent = choice.newBytes;
    existing = choice.plan.layers;
    history.push(closure.paths.map((info) => info.path));
  }
  assert.ok(sent <= 3 * 20 * MIB + MIB, `${sent / MIB} MiB`);
});
