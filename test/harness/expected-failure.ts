/** The error that some work must end with. */
import assert from 'node:assert/strict';
import { isKilnError, type KilnError } from '../../src/base/error.ts';

/** Fails the test when `work` succeeds, or ends with anything but an expected failure. */
export async function expectedFailure(work: Promise<unknown>): Promise<KilnError> {
  try {
    await work;
  } catch (error) {
    assert.ok(isKilnError(error), error instanceof Error ? error.stack : String(error));
    return error;
  }
  assert.fail('it should have failed');
}
