/** The steps of one attempt: begins and ends them in the record, with what they did. */
import { describeFailure } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { changeStep, type StepChange } from './attempt-queries.ts';
import type { RunKey } from './build-queries.ts';
import type { StepName } from './build-record.ts';

export interface StepHandle {
  /** One line on what came out, shown beside the step. */
  detail(text: string): void;
  /** The result was there before; nothing had to be done. */
  reused(): void;
}

export class StepTracker {
  readonly #database: Database;
  readonly #run: RunKey;
  #current: StepName | undefined;
  #latest: StepName | undefined;

  constructor(database: Database, run: RunKey) {
    this.#database = database;
    this.#run = run;
  }

  /** The step that runs: log lines without a step of their own belong to it. */
  get current(): StepName | undefined {
    return this.#current;
  }

  /** The step that began last, also after its end. */
  get latest(): StepName | undefined {
    return this.#latest;
  }

  /** Runs `work` as a step. When it throws, the step has failed, or was cancelled, with that reason. */
  async step<T>(name: StepName, work: (step: StepHandle) => Promise<T>): Promise<T> {
    const result: { detail?: string; reused?: boolean } = {};
    await this.#change(name, { status: 'running' });
    const outer = this.#current;
    this.#current = name;
    this.#latest = name;
    try {
      const value = await work({
        detail: (text) => (result.detail = text),
        reused: () => (result.reused = true),
      });
      await this.#change(name, { status: 'success', ...result });
      return value;
    } catch (error) {
      const reason = describeFailure(error);
      const status = reason.code === 'cancelled' ? 'cancelled' : 'failed';
      // The reason of the build matters more than a database that does not take the step's.
      await this.#change(name, { status, reason, ...result }).catch(() => undefined);
      throw error;
    } finally {
      this.#current = outer;
    }
  }

  /** A step that is not needed for this build, and why. */
  async skip(name: StepName, detail: string): Promise<void> {
    await this.#change(name, { status: 'skipped', detail });
  }

  async #change(name: StepName, change: StepChange): Promise<void> {
    await changeStep(this.#database, this.#run, name, change);
  }
}
