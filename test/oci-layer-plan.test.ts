import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NarHash, StorePath } from '../src/base/brand.ts';
import { checkPlan, LAYER_BUDGET, type LayerPlan, planLayers, recordPlan } from '../src/oci/layer-plan.ts';
import type { Closure, PathInfo } from '../src/store/closure.ts';
import { samplePath } from './harness/sample-closure.ts';

interface Node {
  readonly name: string;
  readonly size: number;
  readonly references: readonly number[];
}

/** Each node refers only to nodes before it; the last one is the root. `revisions` gives nodes another hash. */
function closureOf(nodes: readonly Node[], revisions: ReadonlyMap<string, number> = new Map()): Closure {
  const paths = nodes.map(({ name }) => samplePath(name, revisions.get(name)));
  const infos = nodes.map((node, index): PathInfo => ({
    path: paths[index] as StorePath,
    narHash: `sha256:${node.name}` as NarHash,
    narSize: node.size,
    references: node.references.flatMap((at) => paths[at] ?? []).sort(),
    signatures: [],
    registrationTime: 0,
    ultimate: false,
  }));
  const root = paths.at(-1);
  return { roots: root === undefined ? [] : [root], paths: infos.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

const MIB = 2 ** 20;
const graphs = fc
  .array(
    fc.record({
      size: fc.oneof(fc.nat(5000), fc.nat(200 * MIB)),
      picks: fc.array(fc.nat(1000), { maxLength: 6 }),
    }),
    {
      minLength: 1,
      maxLength: 150,
    },
  )
  .map((drafts) =>
    drafts.map(({ size, picks }, index) => ({
      name: `package${index}`,
      size,
      references: index === 0 ? [] : [...new Set([index - 1, ...picks.map((pick) => pick % index)])],
    })),
  );

const names = (plan: LayerPlan): string[][] =>
  plan.layers.map((layer) => layer.map((path) => path.slice(44)).sort());

test('a plan holds every path once and keeps to its budget', () => {
  fc.assert(
    fc.property(graphs, fc.integer({ min: 1, max: 120 }), (nodes, budget) => {
      const closure = closureOf(nodes);
      const plan = planLayers(closure, { budget });
      checkPlan(plan, closure);
      assert.ok(plan.layers.length <= budget);
      assert.ok(plan.layers.every((layer) => layer.length > 0));
      assert.equal(plan.digest, planLayers(closure, { budget }).digest);
    }),
    { numRuns: 60 },
  );
});

test('hashes do not decide: a closure rebuilt from new inputs is cut in the same places', () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const rebuilt = closureOf(nodes, new Map(nodes.map(({ name }) => [name, 7])));
      assert.deepEqual(names(planLayers(rebuilt)), names(planLayers(closureOf(nodes))));
    }),
    { numRuns: 40 },
  );
});

test('one changed path leaves all other layers as they are', () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const before = planLayers(closureOf(nodes));
      const root = nodes.at(-1)?.name ?? '';
      const closure = closureOf(nodes, new Map([[root, 1]]));
      const after = planLayers(closure, { existing: before.layers });
      checkPlan(after, closure);
      const kept = new Set(after.layers.map(String));
      const untouched = before.layers.filter((layer) => !layer.includes(samplePath(root)));
      const room = LAYER_BUDGET - LAYER_BUDGET / 4;
      if (untouched.length <= room) for (const layer of untouched) assert.ok(kept.has(String(layer)));
      assert.ok(after.layers.length <= LAYER_BUDGET);
    }),
    { numRuns: 60 },
  );
});

test('layers that are kept stand first, in the order they had', () => {
  const nodes = Array.from({ length: 30 }, (_, index) => ({
    name: `package${index}`,
    size: 20 * MIB,
    references: index === 0 ? [] : [index - 1],
  }));
  const before = planLayers(closureOf(nodes));
  const after = planLayers(closureOf(nodes, new Map([['package29', 1]])), { existing: before.layers });
  const unchanged = before.layers.filter((layer) => !layer.includes(samplePath('package29')));
  assert.ok(unchanged.length > 1);
  assert.deepEqual(after.layers.slice(0, unchanged.length), unchanged);
});

test('the program stands apart from what it is built on', () => {
  const libraries = Array.from({ length: 20 }, (_, index) => ({
    name: `library${index}`,
    size: 30 * MIB,
    references: [],
  }));
  const all = [...libraries, { name: 'app', size: 40 * MIB, references: libraries.map((_, index) => index) }];
  const layers = names(planLayers(closureOf(all)));
  assert.deepEqual(layers.at(-1), ['app']);
});

test('what history shows to change often is parted from what does not', () => {
  const nodes = [
    { name: 'steady', size: 30 * MIB, references: [] },
    { name: 'busy', size: 30 * MIB, references: [] },
    { name: 'app', size: MIB, references: [0, 1] },
  ];
  const history = Array.from({ length: 12 }, (_, index) =>
    closureOf(
      nodes,
      new Map([
        ['busy', index],
        ['app', index],
      ]),
    ).paths.map((info) => info.path),
  );
  const layers = names(
    planLayers(
      closureOf(
        nodes,
        new Map([
          ['busy', 12],
          ['app', 12],
        ]),
      ),
      { history },
    ),
  );
  assert.deepEqual(layers[0], ['steady']);
});

test('many releases with kept layers never pass the budget', () => {
  const nodes = Array.from({ length: 200 }, (_, index) => ({
    name: `package${index}`,
    size: (index % 17) * 2 * MIB,
    references: index < 2 ? [] : [index - 1, index >> 1],
  }));
  let plan = planLayers(closureOf(nodes));
  const revisions = new Map<string, number>();
  for (let release = 1; release <= 40; release++) {
    revisions.set(`package${(release * 37) % 200}`, release);
    const closure = closureOf(nodes, revisions);
    plan = planLayers(closure, { existing: plan.layers });
    checkPlan(plan, closure);
    assert.ok(plan.layers.length <= LAYER_BUDGET);
  }
});

test('a recorded plan that does not fit the closure is refused', () => {
  const closure = closureOf([
    { name: 'a', size: 1, references: [] },
    { name: 'b', size: 1, references: [0] },
  ]);
  const [first, second] = closure.paths.map((info) => info.path) as [StorePath, StorePath];
  assert.throws(() => checkPlan(recordPlan([[first]]), closure), { code: 'invalid-input' });
  assert.throws(() => checkPlan(recordPlan([[first, second], [first]]), closure), { code: 'invalid-input' });
  assert.throws(() => planLayers(closure, { budget: 121 }), { code: 'invalid-input' });
});
