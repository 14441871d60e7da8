/** Tells a command-line program that wants arguments from one that is broken. */

const USAGE =
  /^\s*usage\b|\busage( of [^:\n]+)?:|^\s*(available )?(commands|options|flags):|\b(try|use|see|run|for) [^\n]*(--help|-h)\b|\b(missing|required|no|expected)\b[^\n]*\b(arguments?|commands?|operands?|flags?|urls?)\b/im;

/** It started, read its arguments, found none, and said how it is used: that proves all that a start-up check can. */
export function saysItsUsage(exitCode: number, tail: readonly string[]): boolean {
  return [1, 2, 64].includes(exitCode) && USAGE.test(tail.join('\n'));
}
