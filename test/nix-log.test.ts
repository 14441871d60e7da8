import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseStorePath } from '../src/store/store-path.ts';
import { parseDryRun } from '../src/nix/dry-run.ts';
import { createNixLogReader, type NixEvent } from '../src/nix/internal-json.ts';

const DRV = parseStorePath('/nix/store/kzmd9sl2zwnq57mbmqkiph9rpm5cfqyy-ok1.drv');
const PATH = '/nix/store/f4m5l9n732fpk3jyf5hz8516chpr46s1-ok1';

test('a build is read from its lines: start, phase, output, totals, end', () => {
  const events = read(
    `@nix {"action":"start","id":1,"level":0,"parent":0,"text":"","type":104}`,
    `@nix {"action":"start","fields":["${DRV}","",1,1],"id":2,"level":3,"parent":0,"text":"building '${DRV}'","type":105}`,
    `@nix {"action":"result","fields":["hello"],"id":2,"type":101}`,
    `@nix {"action":"result","fields":["buildPhase"],"id":2,"type":104}`,
    `@nix {"action":"result","fields":[1,1,0,0],"id":1,"type":105}`,
    `@nix {"action":"stop","id":2}`,
  );
  assert.deepEqual(events, [
    { type: 'build-started', drvPath: DRV },
    { type: 'log', drvPath: DRV, line: 'hello' },
    { type: 'phase', drvPath: DRV, phase: 'buildPhase' },
    { type: 'totals', of: 'builds', done: 1, expected: 1, running: 0, failed: 0 },
    { type: 'build-finished', drvPath: DRV, ok: true },
  ]);
});

test('a build that ends without being counted as done has failed', () => {
  const events = read(
    `@nix {"action":"start","id":1,"type":104,"text":""}`,
    `@nix {"action":"start","fields":["${DRV}","ssh://builder",1,1],"id":2,"type":105,"text":""}`,
    `@nix {"action":"result","fields":[0,1,0,1],"id":1,"type":105}`,
    `@nix {"action":"stop","id":2}`,
    `@nix {"action":"msg","level":0,"msg":"\\u001b[31;1merror:\\u001b[0m builder for '${DRV}' failed"}`,
  );
  assert.deepEqual(events[0], { type: 'build-started', drvPath: DRV, machine: 'ssh://builder' });
  assert.deepEqual(events.at(-2), { type: 'build-finished', drvPath: DRV, ok: false });
  assert.deepEqual(events.at(-1), { type: 'error', text: `builder for '${DRV}' failed` });
});

test('downloads and copies report their bytes', () => {
  const events = read(
    `@nix {"action":"start","fields":["${PATH}","https://cache.example.org"],"id":5,"type":108,"text":""}`,
    `@nix {"action":"start","fields":["https://cache.example.org/nar/x.nar"],"id":6,"type":101,"text":"","parent":5}`,
    `@nix {"action":"result","fields":[512,2048,0,0],"id":6,"type":105}`,
    `@nix {"action":"stop","id":6}`,
    `@nix {"action":"stop","id":5}`,
  );
  const download = { kind: 'download', url: 'https://cache.example.org/nar/x.nar' } as const;
  const substitute = { kind: 'substitute', path: PATH, from: 'https://cache.example.org' } as const;
  assert.deepEqual(events, [
    { type: 'transfer-started', id: 5, transfer: substitute },
    { type: 'transfer-started', id: 6, transfer: download },
    { type: 'transfer-progress', id: 6, transfer: download, done: 512, expected: 2048 },
    { type: 'transfer-finished', id: 6, transfer: download },
    { type: 'transfer-finished', id: 5, transfer: substitute },
  ]);
});

test('lines that are no JSON are messages, and an error among them is one', () => {
  assert.deepEqual(read('warning: x', '', "error: unrecognised flag '--y'", '@nix {broken'), [
    { type: 'message', level: 3, text: 'warning: x' },
    { type: 'error', text: "unrecognised flag '--y'" },
    { type: 'message', level: 3, text: '@nix {broken' },
  ]);
});

test('no line makes the reader throw', () => {
  const documents = fc.oneof(
    fc.json().map((json) => `@nix ${json}`),
    fc
      .record({
        action: fc.constantFrom('start', 'stop', 'result', 'msg'),
        id: fc.nat(2),
        type: fc.integer({ min: 99, max: 112 }),
        fields: fc.jsonValue(),
        text: fc.jsonValue(),
        msg: fc.jsonValue(),
      })
      .map((raw) => `@nix ${JSON.stringify(raw)}`),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(fc.property(fc.array(documents), (lines) => void read(...lines)));
});

test('the lists of a dry run are read with their sizes', () => {
  const other = PATH.replace('-ok1', '-ok2');
  assert.deepEqual(
    parseDryRun(
      `warning: something\nthis derivation will be built:\n  ${DRV}\nthese 2 paths will be fetched (1.50 MiB download, 2.00 KiB unpacked):\n  ${PATH}\n  ${other}\ndone\n  ${other}\n`,
    ),
    { willBuild: [DRV], willSubstitute: [PATH, other], downloadBytes: 1.5 * 2 ** 20, narBytes: 2048 },
  );
  assert.deepEqual(parseDryRun(''), { willBuild: [], willSubstitute: [], downloadBytes: 0, narBytes: 0 });
});

function read(...lines: readonly string[]): NixEvent[] {
  const events: NixEvent[] = [];
  const reader = createNixLogReader((event) => events.push(event));
  for (const line of lines) reader(line);
  return events;
}
