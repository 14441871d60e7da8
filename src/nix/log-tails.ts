/** The last lines of each derivation that is being built or has failed. */
import type { StorePath } from '../base/brand.ts';
import type { NixEvent } from './internal-json.ts';

export interface LogTails {
  add(event: NixEvent): void;
  /** At most 25 lines. */
  of(drvPath: StorePath): readonly string[];
  /** Derivations whose builder runs now, failed or was ended, the newest last. */
  unfinished(): readonly StorePath[];
  /** The phase that a derivation reached, if it names phases. */
  phaseOf(drvPath: StorePath): string | undefined;
}

const LINES = 25;
const LINE_LENGTH = 2000;

export function createLogTails(): LogTails {
  const tails = new Map<StorePath, string[]>();
  const phases = new Map<StorePath, string>();
  const unfinished = new Set<StorePath>();
  return {
    add(event) {
      if (event.type === 'build-started') unfinished.add(event.drvPath);
      else if (event.type === 'build-finished') {
        if (!event.ok) return;
        unfinished.delete(event.drvPath);
        tails.delete(event.drvPath);
        phases.delete(event.drvPath);
      } else if (event.type === 'phase') phases.set(event.drvPath, event.phase);
      else if (event.type === 'log' && event.drvPath !== undefined) {
        const lines = tails.get(event.drvPath) ?? [];
        lines.push(event.line.slice(0, LINE_LENGTH));
        if (lines.length > LINES) lines.shift();
        tails.set(event.drvPath, lines);
      }
    },
    of: (drvPath) => tails.get(drvPath) ?? [],
    unfinished: () => [...unfinished],
    phaseOf: (drvPath) => phases.get(drvPath),
  };
}
