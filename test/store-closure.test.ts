import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StorePath } from '../src/base/brand.ts';
import {
  danglingReferences,
  referrersIn,
  subClosure,
  topologicalOrder,
  whyDepends,
} from '../src/store/closure-graph.ts';
import { type Closure, closureSize, type PathInfo } from '../src/store/closure.ts';
import { parseNarHash } from '../src/store/nar-hash.ts';
import { encodeNix32 } from '../src/store/nix32.ts';
import { storePathFromBaseName } from '../src/store/store-path.ts';

const [app, lib, libc, tool, other] = [0, 1, 2, 3, 4].map(pathNumber) as [
  StorePath,
  StorePath,
  StorePath,
  StorePath,
  StorePath,
];

test('every path comes after those it refers to, and itself is no obstacle', () => {
  const order = topologicalOrder(
    closureOf({ [app]: [lib, tool, app], [lib]: [libc], [libc]: [libc], [tool]: [libc] }),
  );
  assert.deepEqual(
    order.map((info) => info.path),
    [libc, lib, tool, app],
  );
});

test('the order does not depend on the order of the closure, and holds every reference', () => {
  const graphs = fc
    .integer({ min: 1, max: 30 })
    .chain((count) =>
      fc.array(fc.array(fc.nat(count - 1), { maxLength: 5 }), { minLength: count, maxLength: count }),
    );
  fc.assert(
    fc.property(graphs, (edges) => {
      // An edge to a smaller number only: no circles.
      const references = Object.fromEntries(
        edges.map((to, from) => [pathNumber(from), to.filter((target) => target <= from).map(pathNumber)]),
      );
      const closure = closureOf(references);
      const order = topologicalOrder(closure).map((info) => info.path);
      assert.deepEqual(
        topologicalOrder({ ...closure, paths: [...closure.paths].reverse() }).map((info) => info.path),
        order,
      );
      for (const info of closure.paths) {
        for (const reference of info.references)
          assert.ok(order.indexOf(reference) <= order.indexOf(info.path));
      }
    }),
  );
});

test('a circle is called corrupt', () => {
  assert.throws(() => topologicalOrder(closureOf({ [app]: [lib], [lib]: [app] })), /in a circle/);
});

test('the chain of references between two paths is found, or its absence', () => {
  const closure = closureOf({ [app]: [lib, tool], [lib]: [libc], [libc]: [], [tool]: [], [other]: [] });
  assert.deepEqual(whyDepends(closure, app, libc), [app, lib, libc]);
  assert.deepEqual(whyDepends(closure, app, app), [app]);
  assert.equal(whyDepends(closure, tool, libc), undefined);
  assert.deepEqual(referrersIn(closure).get(libc), [lib]);
  assert.deepEqual(
    subClosure(closure, [lib]).paths.map((info) => info.path),
    [lib, libc].sort(),
  );
  assert.deepEqual(danglingReferences(subClosure(closure, [app])), []);
  assert.deepEqual(danglingReferences(closureOf({ [app]: [lib] })), [lib]);
  assert.equal(closureSize(closure), 500);
});

function pathNumber(index: number): StorePath {
  return storePathFromBaseName(`${encodeNix32(Buffer.alloc(20, index))}-p${index}`);
}

function closureOf(references: Readonly<Record<string, readonly StorePath[]>>): Closure {
  const paths = Object.entries(references).map(([path, to]) => info(path as StorePath, to));
  return {
    roots: paths.slice(0, 1).map(({ path }) => path),
    paths: paths.sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

function info(path: StorePath, references: readonly StorePath[]): PathInfo {
  const narHash = parseNarHash('0'.repeat(64));
  return { path, narHash, narSize: 100, references, signatures: [], registrationTime: 0, ultimate: false };
}
