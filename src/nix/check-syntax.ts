/** Parses an expression without evaluating it. */
import { nixFailure } from './nix-failure.ts';
import { describeEvaluationFailure } from './evaluation-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { runNixLogged } from './run-nix.ts';

export type ExpressionText =
  | { readonly file: string }
  /** `displayName` is shown as the file in errors; default `expression.nix`. */
  | { readonly text: string; readonly displayName?: string };

/**
 * Resolves when Nix can parse the expression. An undefined variable is found too, as `evaluation-failed`.
 * @throws KilnError syntax-error with `where` (position and source line) and `fields` {file, line, column, sourceLine}
 */
export async function checkSyntax(
  nix: NixInstallation,
  expression: ExpressionText,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const input = 'file' in expression ? expression.file : '-';
  const result = await runNixLogged(nix, 'nix-instantiate', ['--parse', input], {
    ...('text' in expression ? { stdin: expression.text } : {}),
    signal: options.signal,
    deadlineMs: 60_000,
  });
  if (result.exitCode === 0) return;
  const text = result.errors.at(-1);
  if (text === undefined) throw nixFailure('nix-instantiate --parse', result);
  const displayName = 'text' in expression ? (expression.displayName ?? 'expression.nix') : undefined;
  throw describeEvaluationFailure(text, displayName === undefined ? {} : { displayName });
}
