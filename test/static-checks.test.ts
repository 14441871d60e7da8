import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATIC_CHECKS } from '../scripts/static-checks.ts';

for (const { name, command, run } of STATIC_CHECKS) {
  test(`the code passes the check of its ${name}`, async (t) => {
    const { passed, output } = await run(t.signal);
    assert.ok(passed, `${command}\n${output.slice(-4000)}`);
  });
}
