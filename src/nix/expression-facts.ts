/** What an expression says of its result beside the derivation: read in the evaluation that makes the derivation. */
import { readlink } from 'node:fs/promises';
import { KilnError } from '../base/error.ts';
import { parseStorePath } from '../store/store-path.ts';
import { readDerivation } from './read-derivation.ts';

/** Plain data; stored with the evaluation. */
export interface ExpressionFacts {
  /** `meta.mainProgram`. */
  readonly mainProgram?: string;
  /** `passthru.image`, as it was written; unchecked. */
  readonly image?: unknown;
}

/** A Nix function: derivation → JSON text of its {@link ExpressionFacts}. Store paths in it are names, nothing is built for them. */
export const FACTS_FUNCTION = `v:
  let
    plain = x:
      if builtins.isAttrs x && (x ? outPath || x ? __toString) then builtins.unsafeDiscardStringContext (toString x)
      else if builtins.isAttrs x then builtins.mapAttrs (_: plain) x
      else if builtins.isList x then map plain x
      else if builtins.isString x then builtins.unsafeDiscardStringContext x
      else if builtins.isPath x then toString x
      else if builtins.isFunction x then "a function"
      else x;
    main = builtins.tryEval (v.meta.mainProgram or null);
  in
  builtins.toJSON {
    mainProgram = if main.success && builtins.isString main.value then plain main.value else null;
    image = plain (v.passthru.image or null);
  }`;

/**
 * An expression over `file`, `path` and `argumentsJson` that chooses as `nix-instantiate FILE --attr PATH --argstr …` does and gives
 * two derivations: the one that was chosen, and one that holds the facts and is never built.
 */
export const DERIVATION_WITH_FACTS = `{ file, path, argumentsJson }:
let
  given = builtins.fromJSON argumentsJson;
  call = f: if builtins.isFunction f then f (builtins.intersectAttrs (builtins.functionArgs f) given) else f;
  names = builtins.filter builtins.isString (builtins.split "[.]" path);
  value = call (if path == "" then import file else builtins.foldl' (v: n: (call v).\${n}) (import file) names);
  facts = (${FACTS_FUNCTION}) value;
in
if !(builtins.isAttrs value && (value.type or "") == "derivation") then [ ]
else [ value (derivation { name = "kiln-facts"; system = "none"; builder = "none"; inherit facts; }) ]`;

/** What `DERIVATION_WITH_FACTS` printed for its second derivation: a path of the store, or a link to one. */
export async function readFacts(line: string): Promise<ExpressionFacts> {
  const path = line.startsWith('/nix/store/') ? line : await readlink(line);
  const { env } = await readDerivation(parseStorePath(path));
  return parseFacts(env.get('facts') ?? '{}');
}

export function parseFacts(json: string): ExpressionFacts {
  const facts: unknown = JSON.parse(json);
  if (typeof facts !== 'object' || facts === null) throw new KilnError('nix-failed', 'Nix gave no facts');
  const { mainProgram, image } = facts as Readonly<Record<string, unknown>>;
  return {
    ...(typeof mainProgram === 'string' ? { mainProgram } : {}),
    ...(image === null || image === undefined ? {} : { image }),
  };
}
