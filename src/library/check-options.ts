/** Refuses options that a method does not have: a misspelt one would otherwise be ignored. */
import { closestMatches } from '../base/closest-match.ts';
import { KilnError } from '../base/error.ts';

/** @throws KilnError invalid-input */
export function checkOptions(method: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new KilnError('invalid-input', `${method} takes one object with its options`, {
      hint: `It knows ${known.join(', ')}.`,
    });
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const close = closestMatches(unknown, known, 1)[0];
  throw new KilnError('invalid-input', `${method} has no option ${JSON.stringify(unknown.slice(0, 80))}`, {
    hint: `${close === undefined ? '' : `Did you mean ${close}? `}It knows ${known.join(', ')}.`,
  });
}

/** @throws KilnError invalid-input */
export function checkDays(method: string, days: number): void {
  if (typeof days === 'number' && Number.isFinite(days) && days >= 0 && days <= 100_000) return;
  throw new KilnError('invalid-input', `${method} takes a number of days`, {
    where: `days: ${String(days)}`,
    hint: 'Give a number from 0 on, e.g. 30.',
  });
}
