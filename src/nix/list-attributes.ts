/** Names the derivations that an expression offers, for the case that it is not clear which one is meant. */
import { evaluationSettings, type EvaluationOptions } from './evaluation-settings.ts';
import type { Installable } from './installable.ts';
import type { NixInstallation } from './nix-installation.ts';
import { runNixLogged } from './run-nix.ts';

/** The file and attribute come in as arguments: no text of a user becomes part of an expression here. */
const LIST = `{ file, path, argumentsJson }:
let
  given = builtins.fromJSON argumentsJson;
  call = f: if builtins.isFunction f then f (builtins.intersectAttrs (builtins.functionArgs f) given) else f;
  top = call (import file);
  names = builtins.filter builtins.isString (builtins.split "[.]" path);
  value = if path == "" then top else builtins.foldl' (v: n: call v.\${n}) top names;
  isDerivation = x: builtins.isAttrs x && (x.type or "") == "derivation";
in
if builtins.isAttrs value
then builtins.filter (n: (builtins.tryEval (isDerivation value.\${n})).value) (builtins.attrNames value)
else [ ]`;

/** Attribute paths, sorted; empty when they cannot be found out. */
export async function attributesToChoose(
  nix: NixInstallation,
  installable: Extract<Installable, { type: 'file' }>,
  options: EvaluationOptions,
): Promise<string[]> {
  const { args, run } = evaluationSettings(options);
  const attr = installable.attr ?? '';
  const given = ['--arg', 'file', nixPathLiteral(installable.file), '--argstr', 'path', attr];
  const json = ['--argstr', 'argumentsJson', JSON.stringify(installable.args)];
  const { onEvent: _, ...quiet } = run;
  const result = await runNixLogged(
    nix,
    'nix-instantiate',
    ['--eval', '--strict', '--json', '--expr', LIST, ...given, ...json, ...args],
    quiet,
  );
  if (result.exitCode !== 0) return [];
  const names = JSON.parse(result.stdout) as string[];
  return names.map((name) => (attr === '' ? name : `${attr}.${name}`));
}

/** An absolute path as a Nix expression, safe for any file name. */
export function nixPathLiteral(file: string): string {
  const escaped = file.replace(/[\\"]/g, '\\$&').replaceAll('${', '\\${');
  return `(/. + "${escaped}")`;
}
